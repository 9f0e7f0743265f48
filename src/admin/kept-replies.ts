import { names, numberPattern } from '../call/erasure.ts'
import type { IdempotencyRepository } from '../security/repositories.ts'
import type { PersonalStore } from './admin-contract.ts'

/** What was answered under an Idempotency-Key waits a day to be sent again, and names callers as the things it is about do. */
export function keptReplies(replies: Pick<IdempotencyRepository, 'kept' | 'withhold'>): PersonalStore {
  const naming = async (companyId: string, number: string, signal: AbortSignal): Promise<readonly string[]> => {
    const pattern = numberPattern(number)
    return (await replies.kept(companyId, signal)).filter(({ body }) => names(body, pattern)).map(({ key }) => key)
  }
  return {
    name: 'kept replies',
    erase: async (companyId, number, signal) => {
      let emptied = 0
      for (const key of await naming(companyId, number, signal)) emptied += Number(await replies.withhold(companyId, key, signal))
      return emptied
    },
    find: async (companyId, number, signal) => (await naming(companyId, number, signal)).length,
  }
}
