import type { StageOutcome, StageName } from '../core/latency-budget.ts'
import type { Expectation } from '../core/expectation.ts'
import type { Reading } from '../core/reading.ts'
import type { DialogueState } from '../response/dialogue.ts'
import type { AnswerSource, CallAction } from '../response/responder.ts'

export type CallOutcome =
  | 'in-progress'
  | 'completed'
  | 'caller-hung-up'
  | 'transferred'
  | 'voicemail'
  | 'connection-lost'
  | 'failed'
  | 'refused'

/** Of one turn, money in US cents; null where no price is known. `wasted*`, a part of the rest, was generated for words that then changed. */
export type ModelSpend = Readonly<{
  requests: number
  inputTokens: number
  cachedInputTokens: number
  outputTokens: number
  cents: number | null
  wastedRequests: number
  wastedInputTokens: number
  wastedOutputTokens: number
  wastedCents: number | null
  /** Some of it was counted by us: the stream ended before the vendor told. */
  isEstimate: boolean
}>

/** One exchange: what the caller said and what came of it. Times in ms; media times on the caller's media clock. */
export type TurnRecord = Readonly<{
  turn: number
  /** RFC 3339. */
  startedAt: string
  input: 'speech' | 'dtmf' | 'answered' | 'silence' | 'inaudible' | 'limit'
  /** The words the recogniser heard. */
  heard: string
  /** The words the agent planned to say. */
  said: string
  /** The words the caller really heard: `said`, cut to the playout position when interrupted. */
  delivered: string
  sources: readonly AnswerSource[]
  entryIds: readonly string[]
  actions: readonly CallAction[]
  /** Null when nothing became audible. */
  gapMs: number | null
  patienceMs: number
  stages: readonly Readonly<{ stage: StageName; ms: number }>[]
  work: readonly Readonly<{ stage: StageName; ms: number; outcome: StageOutcome }>[]
  budgetExceededByMs: number
  stalled: boolean
  /** Replies begun before the turn was committed. `aheadMs`: how long before it the one that was used had begun. */
  speculation: Readonly<{ started: number; wasted: number; used: boolean; aheadMs?: number }>
  endpoint: Readonly<{ rule: string; score: number; waitMs: number; lastVoicedMs: number }> | null
  interruption: Readonly<{ atMs: number; heardMs: number; rule: string }> | null
  trace: readonly Readonly<{ step: string; detail: Readonly<Record<string, unknown>> }>[]
  /** What the question before it had made likely, and what was understood in that light. */
  expectation?: Expectation
  reading?: Reading
  /** What a language model cost; absent where none was asked. */
  model?: ModelSpend
  /** Where the dialogue stood after it: a call whose stream breaks goes on from here, form and all. */
  dialogue?: DialogueState
}>

/** What a call's speech vendors bill; nothing for the engines that come along. */
export type SpeechSpend = Readonly<{
  /** Audio sent to be listened to, replays included. */
  sttSeconds: number
  /** Asked to be spoken; what came from the cache was not. */
  ttsCharacters: number
}>

export type CallRecord = Readonly<{
  companyId: string
  callSid: string
  agentId: string
  agentVersion: number
  from: string
  to: string
  startedAt: string
  endedAt: string | null
  outcome: CallOutcome
  /** The carrier's word, moved forward only. */
  carrierStatus: 'queued' | 'ringing' | 'in-progress' | 'completed' | 'busy' | 'failed' | 'no-answer' | 'canceled' | null
  durationSeconds: number | null
  streamErrors: readonly string[]
  lostFrameCount: number
  /** Absent where no vendor listened or spoke. */
  speech?: SpeechSpend
}>

export type Gap = Readonly<{ id: string; companyId: string; callSid: string; turn: number; question: string; askedAt: string; solvedByEntryId: string | null }>

/** companyId first, always. Writes are idempotent by (companyId, callSid[, turn]). */
export interface CallRepository {
  begin(companyId: string, call: CallRecord, signal?: AbortSignal): Promise<void>
  get(companyId: string, callSid: string, signal?: AbortSignal): Promise<CallRecord | null>
  /**
   * Newest first. `before`: the callSid of the last call of the page before; INVALID_INPUT when the company has no such call.
   * `startedFrom` is included, `startedBefore` is not: RFC 3339 in UTC, as `startedAt` is written.
   */
  list(
    companyId: string,
    page: Readonly<{ before: string | null; limit: number; outcome?: CallOutcome; from?: string; startedFrom?: string; startedBefore?: string }>,
    signal?: AbortSignal,
  ): Promise<readonly CallRecord[]>
  /** Shallow merge; null when the call is unknown. */
  update(companyId: string, callSid: string, patch: Partial<CallRecord>, signal?: AbortSignal): Promise<CallRecord | null>
  saveTurn(companyId: string, callSid: string, turn: TurnRecord, signal?: AbortSignal): Promise<void>
  turns(companyId: string, callSid: string, signal?: AbortSignal): Promise<readonly TurnRecord[]>
  saveGap(companyId: string, gap: Gap, signal?: AbortSignal): Promise<void>
  gap(companyId: string, gapId: string, signal?: AbortSignal): Promise<Gap | null>
  /** By id, after `after`. */
  gaps(companyId: string, page: Readonly<{ after: string | null; limit: number; solved?: boolean }>, signal?: AbortSignal): Promise<readonly Gap[]>
  solveGap(companyId: string, gapId: string, entryId: string, signal?: AbortSignal): Promise<boolean>
  deleteCall(companyId: string, callSid: string, signal?: AbortSignal): Promise<boolean>
}
