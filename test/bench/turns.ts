/**
 * End of turn on recordings: `node test/bench/turns.ts [speech folder] [--verbose] [--text-lag=150]`.
 * Real levels, real Silero, the embedded recogniser's text 150 ms after each pause was noticed, the real detector.
 * A pause of 100 ms or more inside a turn is cut when a commit falls into it; dead air is the time from the reference end of speech
 * (level, 10 ms steps) to the commit. At the end, on lines of three noise levels: where the last commit put the end of speech, against
 * the ears of the load harness, and how many utterances, single words among them, became a turn.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { OPEN_EXPECTATION, type Expectation } from '../../src/core/expectation.ts'
import { callerSpans } from '../../src/load/ears.ts'
import { CALLER_SPEECH_DB, lineNoise, overMulaw, seedOf, speechLevelDb } from '../../src/load/telephone-line.ts'
import { SpeculationPolicy } from '../../src/response/speculation-policy.ts'
import { createTurnDetector } from '../../src/turn-taking/endpointing.ts'
import { TURN_PRESETS, type SpeechSignal, type TurnDecision, type TurnPreset } from '../../src/turn-taking/turn-detector.ts'
import { clipOf, FRAME_MS, lineSamples, loadClip, mean, quantile, recognise, referenceSegments, speechFolder, wavs, WINDOW_MS, type Clip, type Segment } from './recorded-speech.ts'

/** Silero's answer is this late (a batch, a hop between threads), the text this late after the pause was noticed. */
const VOICE_LAG_MS = 20
const TEXT_LAG_MS = Number(/^--text-lag=(\d+)$/.exec(process.argv.at(-1) ?? '')?.[1] ?? 150)
const TAIL_MS = 3000
const LATEST_REPLY_MS = 2500
const NO_TEXT_DUE = { dueMs: Infinity, lastVoicedMs: 0 }

/** The other party's turn: audible from our commit on, or when it really began to speak, 2.5 s after the caller's end, silent at its end. */
type Agent = Readonly<{ fromMs: number; silentMs: number }>
type Commit = Extract<TurnDecision, { kind: 'commit' }>
/** Reference: pauses inside turns, and the turns' ends. */
type Reference = Readonly<{ turns: readonly (readonly Segment[])[] }>
type Tally = { pauseMs: number[]; pauses: number; cuts: number; falsePauseCuts: number; turns: number; cutTurns: number; deadAirMs: number[]; missed: number }

const verbose = process.argv.includes('--verbose')
const folder = speechFolder()

async function decisionsFor(clip: Clip, preset: TurnPreset, expectation: Expectation, agents: readonly Agent[]): Promise<TurnDecision[]> {
  const detector = createTurnDetector({ preset })
  const all: TurnDecision[] = []
  let utteranceFromMs = 0
  let text = NO_TEXT_DUE
  let committed = false
  let audible = false
  const observe = (signal: SpeechSignal): void => {
    for (const decision of detector.observe(signal)) {
      all.push(decision)
      if (decision.kind === 'speech-started') utteranceFromMs = decision.firstVoicedMs
      if (decision.kind === 'speech-paused') text = { dueMs: decision.atMs + TEXT_LAG_MS, lastVoicedMs: decision.lastVoicedMs }
      if (decision.kind === 'speech-resumed') text = NO_TEXT_DUE
      if (decision.kind === 'commit' || decision.kind === 'speech-resumed') committed = decision.kind === 'commit'
    }
  }
  observe({ kind: 'expect', expectation })
  let window = 0
  for (let frame = 0; frame < clip.levels.length; frame += 1) {
    const atMs = (frame + 1) * FRAME_MS
    const agent = agents.find((candidate) => candidate.fromMs <= atMs && candidate.silentMs > atMs)
    if (agent !== undefined && !audible && (committed || atMs > agent.fromMs + LATEST_REPLY_MS)) {
      audible = true
      observe({ kind: 'agent', state: 'audible', atMs })
    }
    if (agent === undefined && audible) {
      audible = false
      observe({ kind: 'agent', state: 'silent', atMs })
    }
    while ((window + 1) * WINDOW_MS + VOICE_LAG_MS <= atMs && window < clip.voice.length) {
      observe({ kind: 'voice', atMs: (window + 1) * WINDOW_MS, probability: clip.voice[window] as number })
      window += 1
    }
    observe({ kind: 'energy', atMs, energyDb: clip.levels[frame] as number })
    if (atMs >= text.dueMs) {
      const due = text
      text = NO_TEXT_DUE
      observe({
        kind: 'transcript',
        text: await recognise(clip, utteranceFromMs, due.lastVoicedMs),
        audioEndMs: due.lastVoicedMs,
        final: true,
      })
    }
  }
  return all
}

/** A model and a voice as latencies are quoted with: the first token, each further one, how many a reply has, and a short first sentence until it sounds. */
const MODEL = { firstTokenMs: 250, tokenMs: 15, replyTokens: 24, firstSentenceMs: 225 } as const
type Guesses = { waitMs: number; hiddenMs: number; turns: number; covered: number; starts: number; aborted: number; usedTokens: number; wastedTokens: number }
const guesses: Guesses = { waitMs: 0, hiddenMs: 0, turns: 0, covered: 0, starts: 0, aborted: 0, usedTokens: 0, wastedTokens: 0 }

const tokensBy = (fromMs: number, atMs: number): number => Math.min(MODEL.replyTokens, Math.max(0, Math.floor((atMs - fromMs - MODEL.firstTokenMs) / MODEL.tokenMs) + 1))

/**
 * What early starts gain, and what they generate beyond what starts at the commit would have: tokens by the moment of the abort. A commit
 * that the caller talks over before the reply is heard would have been in vain either way; only its head start is extra.
 */
function guess(total: Guesses, policy: SpeculationPolicy, decisions: readonly TurnDecision[]): void {
  let startedAtMs: number | null = null
  const waste = (tokens: number): void => {
    total.aborted += 1
    total.wastedTokens += tokens
    policy.settled(tokens, true)
  }
  for (const [index, decision] of decisions.entries()) {
    if (decision.kind === 'speculate' && policy.mayStart(decision.score)) {
      startedAtMs = decision.atMs
      total.starts += 1
    } else if (decision.kind === 'retract' && startedAtMs !== null) {
      waste(tokensBy(startedAtMs, decision.atMs))
      startedAtMs = null
    } else if (decision.kind === 'commit') {
      const from = startedAtMs ?? decision.atMs
      startedAtMs = null
      const audibleAtMs = Math.max(decision.atMs, from + MODEL.firstTokenMs + MODEL.firstSentenceMs)
      const voided = decisions.slice(index + 1).find((later) => later.kind === 'retract' || later.kind === 'commit')
      if (voided?.kind === 'retract' && voided.atMs < audibleAtMs) {
        if (from < decision.atMs) waste(tokensBy(from, voided.atMs) - tokensBy(decision.atMs, voided.atMs))
        continue
      }
      total.turns += 1
      total.waitMs += decision.waitMs
      total.hiddenMs += decision.atMs - from
      if (from < decision.atMs) total.covered += 1
      total.usedTokens += MODEL.replyTokens
      policy.settled(MODEL.replyTokens, false)
    }
  }
}

const policy = new SpeculationPolicy()

function tally(): Tally {
  return { pauseMs: [], pauses: 0, cuts: 0, falsePauseCuts: 0, turns: 0, cutTurns: 0, deadAirMs: [], missed: 0 }
}

function pooled(results: readonly Tally[]): Tally {
  const all = tally()
  for (const result of results) {
    all.pauseMs.push(...result.pauseMs)
    all.deadAirMs.push(...result.deadAirMs)
    for (const field of ['pauses', 'cuts', 'falsePauseCuts', 'turns', 'cutTurns', 'missed'] as const) all[field] += result[field]
  }
  return all
}

function score(result: Tally, reference: Reference, decisions: readonly TurnDecision[], clip: Clip): void {
  const commits = decisions.filter((decision): decision is Commit => decision.kind === 'commit')
  reference.turns.forEach((segments, index) => {
    const startMs = (segments[0] as Segment).startMs
    const endMs = (segments.at(-1) as Segment).endMs
    const nextStartMs = reference.turns[index + 1]?.[0]?.startMs ?? Infinity
    let cutTurn = false
    const within = (fromMs: number, toMs: number): Commit | undefined => commits.find((commit) => commit.atMs >= fromMs && commit.atMs < toMs)
    segments.forEach((segment, i) => {
      const inside = within(segment.startMs + 1, segment.endMs)
      if (inside !== undefined) {
        result.falsePauseCuts += 1
        cutTurn = true
        log(clip, 'CUT inside speech', inside, segment)
      }
      const next = segments[i + 1]
      if (next === undefined) return
      result.pauses += 1
      result.pauseMs.push(next.startMs - segment.endMs)
      const cut = within(segment.endMs, next.startMs)
      if (cut === undefined) return
      result.cuts += 1
      cutTurn = true
      log(clip, `CUT pause of ${next.startMs - segment.endMs}`, cut, segment)
    })
    result.turns += 1
    if (cutTurn) result.cutTurns += 1
    const end = within(endMs, Math.min(nextStartMs, endMs + 4000))
    if (end === undefined) {
      result.missed += 1
      if (verbose) console.log(`  ${clip.name} MISSED end of turn ${startMs}-${endMs}`)
    } else {
      result.deadAirMs.push(end.atMs - endMs)
      log(clip, `end +${end.atMs - endMs}`, end, { startMs: endMs, endMs })
    }
  })
}

function log(clip: Clip, what: string, commit: Commit, segment: Segment): void {
  if (verbose) console.log(`  ${clip.name} ${what} @${segment.endMs} wait ${commit.waitMs} ${commit.rule} ${commit.score} "${commit.text.slice(-60)}"`)
}

function row(name: string, result: Tally): string {
  const percent = (part: number, whole: number): string => `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`
  const dead = result.deadAirMs
  return [
    name.padEnd(34),
    `pauses ${String(result.pauses).padStart(4)}`,
    `cut ${percent(result.cuts + result.falsePauseCuts, result.pauses).padStart(7)} (${result.falsePauseCuts} inside speech)`,
    `turns ${String(result.turns).padStart(3)} cut ${percent(result.cutTurns, result.turns).padStart(7)}`,
    `dead air mean ${mean(dead).toFixed(0)} p50 ${quantile(dead, 0.5).toFixed(0)} p95 ${quantile(dead, 0.95).toFixed(0)} ms`,
    `plain silence at that mean ${percent(result.pauseMs.filter((ms) => ms >= mean(dead)).length, result.pauses)}`,
    `no commit ${result.missed}`,
  ].join(' | ')
}

/** Turns of one channel: rows of the machine draft, short vocalisations beside the other party's talk left out. */
function turnsFromDraft(path: string, role: string): { turns: Segment[]; agents: Agent[] } {
  const rows = readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split('\t'))
    .map(([start, end, who, , , draft]) => ({ startMs: Number(start) * 1000, endMs: Number(end) * 1000, who, draft: draft ?? '' }))
  const floor = rows.filter((entry, i) => {
    const short = entry.endMs - entry.startMs <= 1200
    return !(short && rows[i - 1]?.who !== entry.who && rows[i + 1]?.who !== entry.who && entry.draft.trim() === '')
  })
  const turns: (Segment & { who: string })[] = []
  for (const entry of floor) {
    const last = turns.at(-1)
    if (last !== undefined && last.who === entry.who) turns[turns.length - 1] = { ...last, endMs: entry.endMs }
    else turns.push({ startMs: entry.startMs, endMs: entry.endMs, who: entry.who ?? '' })
  }
  return {
    turns: turns.filter((turn) => turn.who === role),
    agents: turns.flatMap((turn, i) => (turn.who === role ? [] : [{ fromMs: turns[i - 1]?.endMs ?? 0, silentMs: turn.endMs }])),
  }
}

async function twoChannelCall(role: 'caller' | 'agent', preset: TurnPreset): Promise<Tally> {
  const clip = await loadClip(join(folder, `calls/auto_repairs_40_${role}.wav`))
  const { turns, agents } = turnsFromDraft(join(folder, 'calls/auto_repairs_40.machine.tsv'), role)
  const segments = referenceSegments(clip.samples)
  const reference = {
    turns: turns
      .map((turn) => segments.filter((segment) => segment.startMs >= turn.startMs - 300 && segment.endMs <= turn.endMs + 300))
      .filter((own) => own.length > 0),
  }
  const result = tally()
  const decisions = await decisionsFor(clip, preset, OPEN_EXPECTATION, agents)
  if (preset === 'balanced') guess(guesses, policy, decisions)
  score(result, reference, decisions, clip)
  return result
}

async function singleTurns(paths: readonly string[], preset: TurnPreset, expectation: Expectation): Promise<Tally> {
  const result = tally()
  for (const path of paths) {
    const clip = await loadClip(path, TAIL_MS)
    const segments = referenceSegments(clip.samples)
    if (segments.length === 0) continue
    const decisions = await decisionsFor(clip, preset, expectation, [])
    if (preset === 'balanced' && expectation.kind === 'open') guess(guesses, policy, decisions)
    score(result, { turns: [segments] }, decisions, clip)
  }
  return result
}

/** Real words of a few hundred milliseconds that the detector must not sleep through. */
async function singleWords(): Promise<void> {
  let heard = 0
  const paths = wavs(join(folder, 'fsdd'))
  for (const path of paths) {
    const decisions = await decisionsFor(await loadClip(path, TAIL_MS), 'balanced', OPEN_EXPECTATION, [])
    if (decisions.some((decision) => decision.kind === 'speech-started')) heard += 1
  }
  console.log(`single digits noticed: ${heard} of ${paths.length}`)
}

async function noise(): Promise<void> {
  let started = 0
  let commits = 0
  let ms = 0
  for (const path of wavs(join(folder, 'noise'))) {
    const clip = await loadClip(path)
    const decisions = await decisionsFor(clip, 'balanced', OPEN_EXPECTATION, [])
    const mine = decisions.filter((decision) => decision.kind === 'speech-started')
    if (verbose) for (const decision of mine) console.log(`  ${clip.name} started @${decision.atMs} ${decision.rule}`)
    started += mine.length
    commits += decisions.filter((decision) => decision.kind === 'commit').length
    ms += clip.levels.length * FRAME_MS
  }
  console.log(`noise alone: ${started} speech starts and ${commits} commits in ${(ms / 1000).toFixed(0)} s = ${((started * 60_000) / ms).toFixed(2)} starts a minute`)
}

const SINGLE_WORDS = 30

/** A line that was noisy before the caller spoke and stays so, speech at the harness's level. */
async function noisyLine(path: string, snrDb: number): Promise<{ clip: Clip; endMs: number }> {
  const speech = lineSamples(path)
  const gain = 10 ** ((CALLER_SPEECH_DB - speechLevelDb(speech)) / 20)
  const quiet = 3000 * 8
  const noise = lineNoise(speech.length + quiet * 2, CALLER_SPEECH_DB - snrDb, seedOf(path))
  const samples = Int16Array.from(noise, (sample, i) => Math.max(-32768, Math.min(32767, sample * 32768 + gain * (speech[i - quiet] ?? 0))))
  const said = overMulaw(samples)
  const spans = callerSpans(said.subarray(quiet, quiet + speech.length))
  return { clip: await clipOf(path.split('/').at(-1) as string, said), endMs: 3000 + (spans.at(-1)?.endMs ?? 0) }
}

async function ends(name: string, paths: readonly string[], snrDb: number): Promise<void> {
  const lateMs: number[] = []
  for (const path of paths) {
    const { clip, endMs } = await noisyLine(path, snrDb)
    const last = (await decisionsFor(clip, 'balanced', OPEN_EXPECTATION, [])).findLast((decision) => decision.kind === 'commit')
    if (last !== undefined) lateMs.push(last.lastVoicedMs - endMs)
    if (verbose) console.log(`  ${snrDb} dB ${clip.name} ${last === undefined ? 'NO TURN' : `${last.lastVoicedMs - endMs} ms ${last.rule} "${last.text}"`}`)
  }
  const at = (share: number): string => quantile(lateMs, share).toFixed(0)
  const close = lateMs.filter((ms) => Math.abs(ms) <= 40).length
  console.log(`${snrDb} dB line, ${name}: ${lateMs.length} of ${paths.length} became a turn; its end against the ear p5 ${at(0.05)} p50 ${at(0.5)} p95 ${at(0.95)} ms, ${close} within 40 ms`)
}

if (!existsSync(join(folder, 'manifest.tsv'))) throw new Error(`no manifest.tsv in ${folder}: give the speech folder as the first argument`)
const manifest = readFileSync(join(folder, 'manifest.tsv'), 'utf8')
  .trim()
  .split('\n')
  .slice(1)
  .map((line) => line.split('\t'))
const ofKind = (kind: string): string[] => manifest.filter((entry) => entry[3] === kind).map((entry) => join(folder, entry[0] as string))

for (const preset of TURN_PRESETS) {
  if (verbose && preset !== 'balanced') continue
  const sets: readonly [string, Tally][] = [
    ['call, caller', await twoChannelCall('caller', preset)],
    ['call, agent as caller', await twoChannelCall('agent', preset)],
    ['callturn', await singleTurns(wavs(join(folder, 'callturn')), preset, OPEN_EXPECTATION)],
  ]
  for (const [name, result] of sets) console.log(row(`${preset}: ${name}`, result))
  console.log(row(`${preset}: these together`, pooled(sets.map(([, result]) => result))))
}
console.log(row('ten digits expected', await singleTurns(wavs(join(folder, 'fsdd_phone')), 'balanced', { kind: 'digits', counts: [10] })))
console.log(row('questions', await singleTurns(ofKind('question'), 'balanced', OPEN_EXPECTATION)))
const share = (part: number, whole: number): string => `${((100 * part) / Math.max(1, whole)).toFixed(0)} %`
console.log(
  `early starts of a paid model, balanced: hide ${share(guesses.hiddenMs, guesses.waitMs)} of the wait for the end of the turn (${share(guesses.covered, guesses.turns)} of ${guesses.turns} turns covered) | ${guesses.starts} starts, ${guesses.aborted} aborted, ` +
    `${share(guesses.wastedTokens, guesses.usedTokens)} extra generated tokens (first token ${MODEL.firstTokenMs} ms, then ${MODEL.tokenMs} ms a token, ${MODEL.replyTokens} tokens a reply)`,
)
await singleWords()
await noise()
for (const snrDb of [40, 25, 15]) {
  await ends('utterances', [...ofKind('question'), ...wavs(join(folder, 'misc'))], snrDb)
  await ends('single words', wavs(join(folder, 'fsdd')).filter((_, i) => i % 3 === 0).slice(0, SINGLE_WORDS), snrDb)
}
