import type { LeadInput } from '../booking/effect.ts'
import { formSummary } from '../forms/form-summary.ts'
import { isLive } from '../forms/form-state.ts'
import type { CompanyContext } from './company-context.ts'
import type { DialogueState } from './dialogue.ts'
import { callerNumber, formById } from './form-context.ts'

/** What a caller had begun when the line went dead, for somebody to call back. Null: nothing was begun, or nobody could be called. */
export function unfinishedLead(context: CompanyContext, dialogue: DialogueState, from: string): LeadInput | null {
  const state = dialogue.form ?? null
  if (!isLive(state) || state.formId.startsWith('@')) return null
  const form = formById(context.company, state.formId)
  if (form === null) return null
  const summary = formSummary(form, state, callerNumber(from))
  return summary.phoneNumberE164 === null && Object.keys(summary.slots).length === 0 ? null : { kind: 'unfinished', ...summary }
}
