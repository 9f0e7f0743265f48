import { z } from 'zod'
import { APPOINTMENT_STATUSES } from '../booking/appointment.ts'
import type { DomainEvent } from './event.ts'
import { LEAD_KINDS, LEAD_STATUSES } from './lead.ts'

const visitSchema = z.object({ id: z.string(), status: z.enum(APPOINTMENT_STATUSES), startsAt: z.string(), serviceId: z.string().nullable().optional(), resourceId: z.string().optional() })
const leadSchema = z.object({ id: z.string(), kind: z.enum(LEAD_KINDS), status: z.enum(LEAD_STATUSES) })
const factsSchema = z.object({
  appointment: visitSchema.optional(),
  lead: leadSchema.optional(),
  kind: z.string().optional(),
  channel: z.string().optional(),
  reason: z.string().optional(),
  intent: z.string().optional(),
})

/** What the live view shows of a stored event: enough to know which and what, nothing of whom. The rest is asked for by `eventId`. */
export function liveFacts(event: DomainEvent): Readonly<Record<string, unknown>> {
  const parsed = factsSchema.safeParse(event.data)
  const facts = parsed.success ? parsed.data : {}
  return { eventId: event.id, ...(event.subject.startsWith('contact/') ? {} : { subject: event.subject }), ...facts }
}
