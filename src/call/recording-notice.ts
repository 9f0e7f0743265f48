import type { SpeakableText } from '../core/speakable-text.ts'
import type { ReplyPart, TurnInput } from '../response/responder.ts'
import type { CallRecorder } from './call-recorder.ts'
import { onlyRefusesRecording, refusesRecording } from './recording-policy.ts'

/** The greeting may be talked over; a caller who talks over the notice a second time is not recorded. */
const TURNS_WITH_NOTICE = 2
const NOT_RECORDED = 'All right, this call is not being recorded any more.' as SpeakableText
const GO_ON = 'How can I help you?' as SpeakableText

/**
 * What is said about recording before a reply to `input`, the call's turn number `turn` from 0. `isWhole`: nothing else needs to be said.
 */
export function noticesBefore(recorder: Pick<CallRecorder, 'notice'> | null, input: TurnInput, turn: number): Readonly<{ parts: readonly ReplyPart[]; isWhole: boolean }> {
  if (recorder === null) return NOTHING
  if (input.kind === 'speech' && refusesRecording(input.text)) {
    const isWhole = onlyRefusesRecording(input.text)
    return { parts: [notice(NOT_RECORDED), ...(isWhole ? [answer(GO_ON)] : [])], isWhole }
  }
  return recorder.notice === null || turn >= TURNS_WITH_NOTICE ? NOTHING : { parts: [notice(recorder.notice)], isWhole: false }
}

const NOTHING = { parts: [], isWhole: false } as const

function notice(text: SpeakableText): ReplyPart {
  return { kind: 'say', text, source: 'notice', entryId: null }
}

function answer(text: SpeakableText): ReplyPart {
  return { kind: 'say', text, source: 'rule', entryId: null }
}

/** Sentences of this room that are worth having ready. */
export const RECORDING_LINES: readonly SpeakableText[] = [NOT_RECORDED, GO_ON]
