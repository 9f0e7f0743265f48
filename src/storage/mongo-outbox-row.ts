import { z } from 'zod'
import { ClientsViaError } from '../core/errors.ts'
import { outboxItemSchema, type OutboxItem } from '../events/outbox.ts'
import type { Stored } from './mongo-database.ts'
import { sequelFields, sequelsOf, type OrderedItem, type Sequel } from './mongo-sequel.ts'

/** An outbox item with what only the store needs to know of it. */
export type OutboxRow = Readonly<{
  item: OutboxItem
  /** Of one kind, what was written later has the higher one: a task has its event's place in the log, a message a moment in microseconds. */
  order: number
  /** Counts on through everything: each claim has its own key. */
  claims: number
  leaseToken: string | null
  leaseUntil: string | null
  begunAt: string | null
  /** The lease that brought it to its end, so that a worker who asks again hears the same. */
  settledBy: string | null
  sequels: readonly Sequel[]
}>

const keptSchema = z.object({
  order: z.number(),
  claims: z.number(),
  leaseToken: z.string().nullable(),
  leaseUntil: z.string().nullable(),
  begunAt: z.string().nullable(),
  settledBy: z.string().nullable(),
})

export function newRow(companyId: string, { order, ...item }: OrderedItem, now: string): OutboxRow {
  return {
    item: { ...item, companyId, state: 'waiting', attempts: 0, reason: '', providerId: null, delivery: 'none', createdAt: now, updatedAt: now },
    order, claims: 0, leaseToken: null, leaseUntil: null, begunAt: null, settledBy: null, sequels: [],
  }
}

export function rowFields(row: OutboxRow): Readonly<Record<string, unknown>> {
  const { item, sequels, ...kept } = row
  const { id, work, ...rest } = item
  const message = work.kind === 'message' ? work.message : null
  return {
    ...rest,
    ...kept,
    itemId: id,
    kind: work.kind,
    channel: message?.channel ?? null,
    recipient: message?.to ?? null,
    work: JSON.stringify(work),
    /** A task whose consequences are not all there is not over: what came later of its subject waits for it. */
    isOpenTask: work.kind === 'event' && (item.state === 'waiting' || item.state === 'claimed' || sequels.length > 0),
    ...sequelFields(sequels),
  }
}

/** Throws STORE_FAILED for a record that cannot be read, naming it. */
export function rowOf(record: Stored): OutboxRow {
  const name = `outbox item ${record._id}`
  let work: unknown
  try {
    work = JSON.parse(String(record['work']))
  } catch {
    throw new ClientsViaError('STORE_FAILED', `${name} cannot be read: it is not JSON`, { document: name })
  }
  const fields = Object.fromEntries(Object.keys(outboxItemSchema.shape).map((field) => [field, record[field]]))
  const item = outboxItemSchema.safeParse({ ...fields, id: record['itemId'], work })
  const kept = keptSchema.safeParse(record)
  if (item.success && kept.success) return { item: item.data, ...kept.data, sequels: sequelsOf(record) }
  const issues = [...(item.error?.issues ?? []), ...(kept.error?.issues ?? [])]
  throw new ClientsViaError('STORE_FAILED', `${name} cannot be read: ${issues.map((issue) => issue.path.join('.')).join(', ')}`, { document: name })
}
