import { z } from 'zod'
import { uuidv7 } from '../core/ids.ts'
import { domainEventSchema, type DomainEvent } from '../events/event.ts'
import { workSchema, type DropSubject, type NewOutboxItem } from '../events/outbox.ts'
import type { Stored } from './mongo-database.ts'

/**
 * What a change of one record leads to in others. It is written in that record, together with the change, and stays there until it is done: a
 * process that dies in between leaves it to the next one. Each part may be done twice without harm.
 */
const sequelSchema = z.strictObject({
  id: z.string(),
  /** When it was written; RFC 3339. */
  at: z.iso.datetime(),
  /** First: messages that are no longer true, of those that were written before this. */
  drop: z.strictObject({ subject: z.string(), prefix: z.string(), reason: z.string(), upToOrder: z.number() }).nullable(),
  items: z.array(
    z.strictObject({ id: z.string(), work: workSchema, subject: z.string(), dedupeKey: z.string(), dueAt: z.string(), expiresAt: z.string().nullable(), order: z.number() }),
  ),
  events: z.array(domainEventSchema),
})
export type Sequel = Readonly<z.infer<typeof sequelSchema>>
export type OrderedItem = NewOutboxItem & Readonly<{ order: number }>

export type Consequences = Readonly<{
  drop?: (DropSubject & Readonly<{ upToOrder: number }>) | null
  items?: readonly OrderedItem[]
  events?: readonly DomainEvent[]
}>

/** None when nothing follows. */
export function sequelsTo({ drop = null, items = [], events = [] }: Consequences, wallTime: Date): readonly Sequel[] {
  if (drop === null && items.length === 0 && events.length === 0) return []
  return [{ id: uuidv7(wallTime), at: wallTime.toISOString(), drop, items: [...items], events: [...events] }]
}

/** Part of a record's fields. As text: what an event says has keys of its own making. */
export function sequelFields(sequels: readonly Sequel[]): Readonly<{ sequels: readonly string[]; hasSequels: boolean }> {
  return { sequels: sequels.map((sequel) => JSON.stringify(sequel)), hasSequels: sequels.length > 0 }
}

export function sequelsOf(record: Stored | null): readonly Sequel[] {
  return z.array(z.string()).parse(record?.['sequels'] ?? []).map((text) => sequelSchema.parse(JSON.parse(text)))
}
