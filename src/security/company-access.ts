import type { Clock } from '../core/clock.ts'
import type { SecurityStore } from './repositories.ts'
import type { Sessions } from './sessions.ts'

const PAGE = 100

/** A company is gone: nobody is signed in there any more, and none of its keys and grants opens anything. Its people stay known, so that its id stays theirs. */
export async function endAccess(deps: Readonly<{ store: SecurityStore; sessions: Sessions; clock: Clock }>, companyId: string, signal?: AbortSignal): Promise<void> {
  const { store, sessions, clock } = deps
  const at = clock.wallTime().toISOString()
  for await (const user of every((after) => store.users.list(companyId, { after, limit: PAGE }, signal))) await sessions.end(companyId, user.id, {}, 'access-changed', signal)
  for await (const key of every((after) => store.apiKeys.list(companyId, { after, limit: PAGE }, signal))) if (key.revokedAt === null) await store.apiKeys.revoke(companyId, key.id, at, signal)
  for await (const grant of every((after) => store.breakGlass.list(companyId, { after, limit: PAGE }, signal))) if (grant.revokedAt === null) await store.breakGlass.revoke(companyId, grant.id, at, signal)
  for (const { key } of await store.idempotency.kept(companyId, signal)) await store.idempotency.withhold(companyId, key, signal)
}

/** True when somebody has an account or a key under this id, of a company that was there before: a new one of the same id would be open to them. */
export async function hasPeople(store: SecurityStore, companyId: string, signal?: AbortSignal): Promise<boolean> {
  const first = { after: null, limit: 1 }
  return (await store.users.list(companyId, first, signal)).length > 0 || (await store.apiKeys.list(companyId, first, signal)).length > 0
}

async function* every<T extends Readonly<{ id: string }>>(page: (after: string | null) => Promise<readonly T[]>): AsyncGenerator<T> {
  for (let after: string | null = null; ; ) {
    const rows: readonly T[] = await page(after)
    yield* rows
    after = rows.at(-1)?.id ?? null
    if (rows.length < PAGE || after === null) return
  }
}
