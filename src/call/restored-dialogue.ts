import { z } from 'zod'
import { formStateSchema } from '../forms/form-state-schema.ts'
import type { DialogueState } from '../response/dialogue.ts'
import type { TurnRecord } from './call-record.ts'

const dialogueSchema = z.object({
  greeted: z.boolean(),
  lastReply: z.array(z.string()),
  unansweredCount: z.int(),
  inaudibleCount: z.int().optional(),
  offer: z
    .object({ kind: z.enum(['transfer', 'message', 'more', 'goodbye', 'which']), entryId: z.string().nullable(), targetId: z.string().optional(), otherEntryId: z.string().optional() })
    .nullable(),
  topicEntryId: z.string().nullable(),
  onHold: z.boolean(),
  callerName: z.string().nullable(),
  form: formStateSchema.nullable().optional(),
})

/**
 * Where the talk stood when its stream broke, or the process that held it died. Null for a call without turns, and for a record that
 * another version of this server has left: then the talk begins anew, which is better than going on wrongly.
 */
export function restoredDialogue(turns: readonly TurnRecord[]): DialogueState | null {
  const last = turns.findLast((turn) => turn.dialogue !== undefined)?.dialogue
  const parsed = dialogueSchema.safeParse(last)
  if (!parsed.success) return null
  const { inaudibleCount, form, offer, ...rest } = parsed.data
  const kept = offer === null ? null : { kind: offer.kind, entryId: offer.entryId, ...(offer.targetId === undefined ? {} : { targetId: offer.targetId }), ...(offer.otherEntryId === undefined ? {} : { otherEntryId: offer.otherEntryId }) }
  return Object.freeze({ ...rest, offer: kept, ...(inaudibleCount === undefined ? {} : { inaudibleCount }), ...(form === undefined ? {} : { form }) })
}
