import type { CallRecord, CallRepository } from './call-record.ts'

export type Usage = Readonly<{
  calls: number
  /** Whole and part minutes of all calls together. */
  minutes: number
  turns: number
  outcomes: Readonly<Record<string, number>>
  /** Turns by what answered them. */
  sources: Readonly<Record<string, number>>
  unansweredTurns: number
  transfers: number
  stalledTurns: number
  interruptions: number
  /** As the model's vendor counted them; 0 where no model was asked. */
  modelTokens: number
  /** Tokens generated for words that then changed; a part of `modelTokens`. */
  wastedModelTokens: number
  /** What they cost, in US cents, by the price of each model; null where a price is not known. */
  modelCents: number | null
  wastedModelCents: number | null
  /** What speech vendors listened to and spoke; 0 where only the embedded engines did. */
  sttSeconds: number
  ttsCharacters: number
  /** Of the silence before a reply, in ms; null without a measured turn. */
  gapP50Ms: number | null
  gapP95Ms: number | null
  /** False when there were more calls than are read for one answer. */
  complete: boolean
}>

/** Reading this many calls with their turns takes about ten seconds from the embedded store. */
const MAX_CALLS = 5000
const PAGE = 200

/** What was used between two moments, read from the calls themselves. */
export async function usageOf(calls: Pick<CallRepository, 'list' | 'turns'>, companyId: string, period: Readonly<{ from: string; to: string }>, signal: AbortSignal): Promise<Usage> {
  const gaps: number[] = []
  const outcomes: Record<string, number> = {}
  const sources: Record<string, number> = {}
  const sums = { calls: 0, seconds: 0, turns: 0, unanswered: 0, stalled: 0, interruptions: 0, tokens: 0, wastedTokens: 0, cents: 0, wastedCents: 0, sttSeconds: 0, ttsCharacters: 0 }
  let isPriced = true
  let before: string | null = null
  for (;;) {
    const page: readonly CallRecord[] = await calls.list(companyId, { before, limit: PAGE, startedFrom: period.from, startedBefore: period.to }, signal)
    for (const call of page) {
      sums.calls += 1
      sums.seconds += secondsOf(call)
      sums.sttSeconds += call.speech?.sttSeconds ?? 0
      sums.ttsCharacters += call.speech?.ttsCharacters ?? 0
      outcomes[call.outcome] = (outcomes[call.outcome] ?? 0) + 1
      for (const turn of await calls.turns(companyId, call.callSid, signal)) {
        sums.turns += 1
        sums.unanswered += turn.sources.includes('unknown') ? 1 : 0
        sums.stalled += turn.stalled ? 1 : 0
        sums.interruptions += turn.interruption === null ? 0 : 1
        if (turn.model !== undefined) {
          sums.tokens += turn.model.inputTokens + turn.model.outputTokens
          sums.wastedTokens += turn.model.wastedInputTokens + turn.model.wastedOutputTokens
          sums.cents += turn.model.cents ?? 0
          sums.wastedCents += turn.model.wastedCents ?? 0
          isPriced &&= turn.model.cents !== null
        }
        for (const source of new Set(turn.sources)) sources[source] = (sources[source] ?? 0) + 1
        if (turn.gapMs !== null) gaps.push(turn.gapMs)
      }
    }
    before = page.at(-1)?.callSid ?? null
    if (page.length < PAGE || before === null || sums.calls >= MAX_CALLS) break
  }
  gaps.sort((a, b) => a - b)
  return {
    calls: sums.calls,
    minutes: Math.round((sums.seconds / 60) * 100) / 100,
    turns: sums.turns,
    outcomes,
    sources,
    unansweredTurns: sums.unanswered,
    transfers: outcomes['transferred'] ?? 0,
    stalledTurns: sums.stalled,
    interruptions: sums.interruptions,
    modelTokens: sums.tokens,
    wastedModelTokens: sums.wastedTokens,
    modelCents: isPriced ? sums.cents : null,
    wastedModelCents: isPriced ? sums.wastedCents : null,
    sttSeconds: Math.round(sums.sttSeconds),
    ttsCharacters: sums.ttsCharacters,
    gapP50Ms: percentile(gaps, 0.5),
    gapP95Ms: percentile(gaps, 0.95),
    complete: sums.calls < MAX_CALLS,
  }
}

/** The carrier's word where there is one: it is what the carrier bills. */
function secondsOf(call: CallRecord): number {
  if (call.durationSeconds !== null) return call.durationSeconds
  return call.endedAt === null ? 0 : Math.max(0, (Date.parse(call.endedAt) - Date.parse(call.startedAt)) / 1000)
}

/** Nearest rank; `sorted` ascending. */
function percentile(sorted: readonly number[], share: number): number | null {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null
}
