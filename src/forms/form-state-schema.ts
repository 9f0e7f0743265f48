import { z } from 'zod'
import { type FormState } from './form-state.ts'

const filled = z.object({
  value: z.string(),
  spoken: z.string(),
  provenance: z.enum(['heard', 'confirmed', 'caller-id', 'keys', 'crm', 'typed']),
  confidence: z.number().min(0).max(1),
  heardAt: z.string(),
})
const offer = z.object({
  serviceId: z.string(),
  resourceId: z.string(),
  startsAt: z.string(),
  endsAt: z.string(),
  window: z.object({ startsAt: z.string(), endsAt: z.string() }).nullable(),
  said: z.string(),
  startWords: z.array(z.string()),
  otherWords: z.array(z.string()),
})

/** A form as it was stored with a turn, perhaps by an older version of this server. */
export const formStateSchema = z.object({
  formId: z.string(),
  phase: z.enum(['collecting', 'offering', 'reading-back', 'submitting', 'paused', 'done', 'abandoned']),
  slots: z.record(z.string(), filled),
  attempts: z.record(z.string(), z.int()),
  skipped: z.array(z.string()),
  asked: z.object({ slotId: z.string().nullable(), how: z.enum(['prompt', 'spell', 'caller-id', 'known', 'doubt', 'change', 'resume']) }).nullable(),
  doubt: z.object({ slotId: z.string(), filled }).nullable(),
  partialDigits: z.string(),
  offers: z.array(offer),
  chosen: offer.nullable(),
  appointmentId: z.string().nullable(),
  known: z.record(z.string(), z.string()).default({}),
  misses: z.int(),
}) satisfies z.ZodType<FormState>
