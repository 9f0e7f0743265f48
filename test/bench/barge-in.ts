/**
 * Interruption on recordings: `node test/bench/barge-in.ts [speech folder] [--verbose]`.
 * Every clip is laid over an agent that speaks on and on. Acknowledgements and noise must not take the turn; caller turns must, and
 * the agent must be held soon after their first voiced frame (reference: level, 10 ms steps). Once on a clean line and once with the
 * agent's voice coming back 15 dB down after 180 ms.
 */
import { join } from 'node:path'
import { levelDb } from '../../src/audio/level.ts'
import { EchoDetector } from '../../src/turn-taking/echo.ts'
import { createTurnDetector } from '../../src/turn-taking/endpointing.ts'
import { createInterruptionDetector, type InterruptionDecision, type InterruptionSignal } from '../../src/turn-taking/interruption.ts'
import type { SpeechSignal } from '../../src/turn-taking/turn-detector.ts'
import { FRAME_MS, lineSamples, quantile, recognise, referenceSegments, SileroStream, speechFolder, wavs, WINDOW_MS, withTail } from './recorded-speech.ts'

const VOICE_LAG_MS = 20
const TEXT_LAG_MS = 150
/** The agent has been speaking for this long when the clip begins. */
const LEAD_IN_MS = 1500
const TAIL_MS = 2000
const ECHO_DELAY_MS = 180
const ECHO_GAIN = 10 ** (-15 / 20)

type Line = 'clean line' | 'echo line'
type Outcome = Readonly<{ decisions: readonly InterruptionDecision[]; firstVoicedMs: number; echoHolds: number; text: string; ms: number }>

const verbose = process.argv.includes('--verbose')
const folder = speechFolder()
const agentVoice = wavs(join(folder, 'asterisk')).slice(0, 40).flatMap((path) => [...lineSamples(path)])

async function bargeIn(path: string, line: Line): Promise<Outcome> {
  const caller = withTail(lineSamples(path), TAIL_MS)
  const samples = new Int16Array(LEAD_IN_MS * 8 + caller.length)
  samples.set(caller.subarray(-LEAD_IN_MS * 8).subarray(0, LEAD_IN_MS * 8))
  samples.set(caller, LEAD_IN_MS * 8)
  const silero = new SileroStream()
  const turns = createTurnDetector({ preset: 'balanced' })
  const interruption = createInterruptionDetector()
  const echo = new EchoDetector()
  const decisions: InterruptionDecision[] = []
  let fromMs = 0
  let text = { dueMs: Infinity, lastVoicedMs: 0 }
  let heard = ''
  const tell = (signal: InterruptionSignal): void => void decisions.push(...interruption.observe(signal))
  const observe = (signal: SpeechSignal): void => {
    for (const decision of turns.observe(signal)) {
      if (decision.kind === 'speech-started') fromMs = decision.firstVoicedMs
      if (decision.kind === 'speech-paused') text = { dueMs: decision.atMs + TEXT_LAG_MS, lastVoicedMs: decision.lastVoicedMs }
      if (decision.kind === 'speech-resumed') text = { dueMs: Infinity, lastVoicedMs: 0 }
    }
  }
  observe({ kind: 'agent', state: 'audible', atMs: 0 })
  tell({ kind: 'agent-audible', atMs: 0, generation: 1 })
  let window = 0
  // Only what the agent really sent comes back: a held agent has no echo.
  const sent = new Int16Array(samples.length)
  for (let frame = 0; (frame + 1) * 160 <= samples.length && decisions.every((decision) => decision.kind !== 'yield'); frame += 1) {
    const atMs = (frame + 1) * FRAME_MS
    // A held agent falls silent when the carrier has played what it holds.
    if (interruption.state === 'listening') {
      for (let i = frame * 160; i < (frame + 1) * 160; i += 1) sent[i] = agentVoice[i % agentVoice.length] as number
      echo.sent(sent.subarray(frame * 160, (frame + 1) * 160), frame * FRAME_MS)
    }
    if (line === 'echo line') {
      for (let i = Math.max(frame * 160, ECHO_DELAY_MS * 8); i < (frame + 1) * 160; i += 1)
        samples[i] = Math.max(-32768, Math.min(32767, (samples[i] as number) + ECHO_GAIN * (sent[i - ECHO_DELAY_MS * 8] as number)))
    }
    while ((window + 1) * WINDOW_MS + VOICE_LAG_MS <= atMs) {
      const probability = await silero.probability(samples.subarray(window * 256, (window + 1) * 256))
      observe({ kind: 'voice', atMs: (window + 1) * WINDOW_MS, probability })
      window += 1
    }
    const isEcho = echo.heard(samples.subarray(frame * 160, (frame + 1) * 160), frame * FRAME_MS) === 'echo'
    observe({ kind: 'energy', atMs, energyDb: levelDb(samples.subarray(frame * 160, (frame + 1) * 160)), echo: isEcho })
    const sinceMs = turns.speakingSinceMs
    tell({ kind: 'caller-frame', atMs, accepted: turns.speaking && !isEcho, ...(sinceMs === null ? {} : { sinceMs }) })
    if (atMs < text.dueMs) continue
    heard = await recognise({ samples }, fromMs, text.lastVoicedMs)
    observe({ kind: 'transcript', text: heard, audioEndMs: text.lastVoicedMs, final: true })
    text = { dueMs: Infinity, lastVoicedMs: 0 }
    // On a line with echo the recogniser hears the agent too: its words prove nothing.
    if (echo.lagMs === null) tell({ kind: 'words', atMs, text: heard })
  }
  const firstVoicedMs = LEAD_IN_MS + (referenceSegments(caller)[0]?.startMs ?? 0)
  if (verbose) console.log(`  ${line} ${path.split('/').at(-1)} @${firstVoicedMs} "${heard}" ${decisions.map((d) => `${d.kind}@${d.atMs} ${d.rule}`).join(', ')}`)
  return { decisions, firstVoicedMs, text: heard, ms: caller.length / 8, echoHolds: decisions.filter((d) => d.kind === 'hold' && d.atMs < firstVoicedMs).length }
}

async function mustNotYield(name: string, sub: string, line: Line): Promise<void> {
  let yielded = 0
  let holds = 0
  let ms = 0
  const paths = wavs(join(folder, sub))
  for (const path of paths) {
    const outcome = await bargeIn(path, line)
    if (outcome.decisions.some((decision) => decision.kind === 'yield')) yielded += 1
    holds += outcome.decisions.filter((decision) => decision.kind === 'hold').length
    ms += outcome.ms
  }
  console.log(`${line}: ${name}: ${paths.length - yielded} of ${paths.length} clips let the agent finish; ${holds} holds in ${(ms / 1000).toFixed(0)} s`)
}

async function mustYield(line: Line): Promise<void> {
  const holdMs: number[] = []
  let yielded = 0
  let early = 0
  const paths = wavs(join(folder, 'callturn'))
  for (const path of paths) {
    const { decisions, firstVoicedMs, echoHolds } = await bargeIn(path, line)
    const hold = decisions.find((decision) => decision.atMs >= firstVoicedMs && (decision.kind === 'hold' || decision.kind === 'yield'))
    if (hold !== undefined) holdMs.push(hold.atMs - firstVoicedMs)
    if (decisions.some((decision) => decision.kind === 'yield')) yielded += 1
    early += echoHolds
  }
  console.log(
    `${line}: caller turns: ${yielded} of ${paths.length} took the turn; hold after first voiced frame p50 ${quantile(holdMs, 0.5).toFixed(0)} p95 ${quantile(holdMs, 0.95).toFixed(0)} ms; ${early} holds before anybody spoke`,
  )
}

for (const line of ['clean line', 'echo line'] as const) {
  await mustNotYield('acknowledgements', 'backchannel', line)
  await mustNotYield('noise', 'noise', line)
  await mustYield(line)
}
