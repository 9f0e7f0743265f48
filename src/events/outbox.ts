import { z } from 'zod'
import { domainEventSchema, type DomainEvent } from './event.ts'
import { messageSchema } from './message.ts'

/** 'event': work out what follows from it. 'message': send it. */
export const workSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('event'), event: domainEventSchema }),
  z.strictObject({ kind: z.literal('message'), message: messageSchema }),
])
export type Work = Readonly<z.infer<typeof workSchema>>

/**
 * 'waiting': to be done at `dueAt`. 'claimed': a worker has it, until its lease runs out; then it waits again. 'sending': the provider
 * is being asked; a worker that dies now leaves 'unknown'. The rest are ends: 'done', 'failed' (the dead letters), 'unknown'
 * (perhaps sent, so never sent again by itself), 'dropped' (on purpose).
 */
export const OUTBOX_STATES = ['waiting', 'claimed', 'sending', 'done', 'failed', 'unknown', 'dropped'] as const
export type OutboxState = (typeof OUTBOX_STATES)[number]

/** What an item says whose worker was lost while it was 'sending'. */
export const LOST_WORKER = 'the server stopped while the provider was being asked'

export const outboxItemSchema = z.strictObject({
  /** UUID version 7. */
  id: z.uuid(),
  companyId: z.string().min(1).max(64),
  work: workSchema,
  /** See DomainEvent.subject: tasks of one subject are done in the order they were written. */
  subject: z.string().min(3).max(160),
  /** The same key twice is one item. */
  dedupeKey: z.string().min(1).max(300),
  state: z.enum(OUTBOX_STATES),
  /** Times a worker has begun on it. */
  attempts: z.int().min(0),
  /** Not before; RFC 3339. */
  dueAt: z.iso.datetime(),
  /** After this it is too late to be of use; null: never. */
  expiresAt: z.iso.datetime().nullable(),
  /** Why it stands as it does: for people, without anybody's words. */
  reason: z.string().max(300),
  /** What the provider calls it. */
  providerId: z.string().max(100).nullable(),
  /** Moves forward only. */
  delivery: z.enum(['none', 'queued', 'sent', 'delivered', 'undelivered']),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
})
export type OutboxItem = Readonly<z.infer<typeof outboxItemSchema>>
export type NewOutboxItem = Pick<OutboxItem, 'id' | 'work' | 'subject' | 'dedupeKey' | 'dueAt' | 'expiresAt'>

const DELIVERY_ORDER = { none: 0, queued: 1, sent: 2, delivered: 3, undelivered: 3 } as const

/** A carrier's reports may come in any order; what is known only moves forward. */
export function isDeliveryNews(known: OutboxItem['delivery'], reported: OutboxItem['delivery']): boolean {
  return DELIVERY_ORDER[reported] > DELIVERY_ORDER[known]
}

/** Held by one worker; whoever comes with another token is too late. */
export type Lease = Readonly<{ item: OutboxItem; token: string }>

/** How an item stands after a worker is through with it. */
export type Settlement = Readonly<
  | { state: 'done'; reason: string; providerId: string | null }
  | { state: 'failed' | 'unknown' | 'dropped'; reason: string }
  /** Again at `dueAt`: only when it is certain that nothing was sent. A wait that is nobody's failure (quiet hours) takes its attempt back. */
  | { state: 'waiting'; reason: string; dueAt: string; countsAsAttempt: boolean }
> &
  /** Written in the same transaction. */
  Readonly<{ events?: readonly DomainEvent[]; add?: readonly NewOutboxItem[]; dropSubject?: DropSubject }>

/** Drops the waiting messages about `subject` whose dedupe key begins with `prefix`. */
export type DropSubject = Readonly<{ subject: string; prefix: string; reason: string }>

export type OutboxFilter = Readonly<{
  /** Newest first, before this item; INVALID_INPUT when the company has no such item. */
  before: string | null
  limit: number
  kind: 'event' | 'message'
  state?: OutboxState
  subject?: string
  /** The recipient: a number or an address. */
  to?: string
}>

export type OutboxDepth = Readonly<Record<OutboxState, number> & { oldestDueAt: string | null }>

/** companyId first, always, save for the scan that finds work of any company. */
export interface Outbox {
  /** Items whose key is there already are left as they are. Returns how many are new. */
  add(companyId: string, items: readonly NewOutboxItem[], now: string, signal?: AbortSignal): Promise<number>
  /** What may be worked on at `now` whosever it is, earliest first; per subject only its oldest task. First closes leases that ran out. */
  due(now: string, limit: number, signal?: AbortSignal): Promise<readonly Readonly<{ companyId: string; itemId: string; dueAt: string }>[]>
  /** Takes it until `leaseUntil`; null when somebody has it, it is not due, or an older task of its subject is not done. */
  claim(companyId: string, itemId: string, lease: Readonly<{ token: string; now: string; leaseUntil: string }>, signal?: AbortSignal): Promise<Lease | null>
  /** Before the provider is asked: from here on a lost worker means 'unknown'. False: the lease is lost, do not ask. */
  beginSending(companyId: string, itemId: string, token: string, now: string, leaseUntil: string, signal?: AbortSignal): Promise<boolean>
  /** False: the lease is lost and nothing was changed. */
  settle(companyId: string, itemId: string, token: string, settlement: Settlement, now: string, signal?: AbortSignal): Promise<boolean>
  /** The carrier's later word on a message; also ends an 'unknown' or 'sending', which it proves was taken. Null when it tells nothing new. */
  delivered(companyId: string, itemId: string, report: Readonly<{ providerId: string; delivery: OutboxItem['delivery']; reason: string }>, now: string, signal?: AbortSignal): Promise<OutboxItem | null>
  get(companyId: string, itemId: string, signal?: AbortSignal): Promise<OutboxItem | null>
  list(companyId: string, filter: OutboxFilter, signal?: AbortSignal): Promise<readonly OutboxItem[]>
  /** A person decides: a dead letter or an 'unknown' is tried again. Null when it is in no such state. */
  retry(companyId: string, itemId: string, now: string, signal?: AbortSignal): Promise<OutboxItem | null>
  /** A person decides: a waiting message is not sent. */
  drop(companyId: string, itemId: string, reason: string, now: string, signal?: AbortSignal): Promise<OutboxItem | null>
  /** Messages by channel that were begun since `since`: for a company's limits. */
  sentSince(companyId: string, channel: 'sms' | 'email', since: string, signal?: AbortSignal): Promise<number>
  rewrite(companyId: string, item: OutboxItem, signal?: AbortSignal): Promise<boolean>
  delete(companyId: string, itemId: string, signal?: AbortSignal): Promise<boolean>
  /** Deletes what ended before `before`, at most `limit`; returns how many. */
  deleteEndedBefore(companyId: string, before: string, limit: number, signal?: AbortSignal): Promise<number>
  /** Of all companies together: for metrics. */
  depth(signal?: AbortSignal): Promise<OutboxDepth>
}
