/** Scripted calls through the real voice detector and recogniser in virtual time: `npm run bench:calls -- --script 'booking-*'`. */
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { FRAME_SAMPLES, SAMPLE_RATE_HZ } from '../../src/audio/frame.ts'
import { writeWav } from '../../src/audio/wav.ts'
import { loadConfig } from '../../src/config.ts'
import { listScripts, loadScript, type Clip, type LoadedScript, type ScriptStep } from '../../src/load/call-script.ts'
import { callerSpans } from '../../src/load/ears.ts'
import { CALLER_VOICES, CallerSpeech } from '../../src/load/caller-voices.ts'
import { outcomeProblems } from '../../src/load/outcome-judgement.ts'
import { folderScripts } from '../../src/load/folder-scripts.ts'
import { lineOf } from '../../src/load/recordings.ts'
import { CALLER_SPEECH_DB, lineNoise, overMulaw, seedOf, toPcm } from '../../src/load/telephone-line.ts'
import type { EarEvidence } from '../../src/call/caller-ear.ts'
import type { TurnRecord } from '../../src/call/call-record.ts'
import { scriptedCompany, type CallerSound, type ScriptedCall } from '../support/script-call.ts'
import { HeardEngines } from './support/heard-call.ts'

const SCRIPT_FOLDER = join(import.meta.dirname, '../../media/calls')
const COMPANIES: Readonly<Record<string, 'polar-bay-air' | 'harbor-lane-dental' | 'juniper-coffee'>> = { '+15550100000': 'polar-bay-air', '+15550100001': 'harbor-lane-dental', '+15550100002': 'juniper-coffee' }
const LINE_SAMPLES = 4 * SAMPLE_RATE_HZ
/** Prime to the frame. */
const LATER_SAMPLES = 57
const SILENCE: Clip = { samples: new Int16Array(), spans: [] }
const LONGEST_CALL_MS = 600_000

const { values } = parseArgs({
  options: {
    script: { type: 'string', multiple: true, default: ['booking-*'] },
    /** A folder instead, one call a file, to this number. */
    wavs: { type: 'string' },
    to: { type: 'string', default: '+15550100000' },
    /** Other voices than the scripts'; "all" for every one. */
    voice: { type: 'string', multiple: true, default: ['recorded'] },
    snr: { type: 'string' },
    /** Each on another stretch of noise, and some samples later: two real calls are never the same to the sample. */
    runs: { type: 'string', default: '1' },
    transcript: { type: 'boolean', default: false },
    /** Every decision of the turn detector. */
    decisions: { type: 'boolean', default: false },
    /** A folder for what the recogniser was given, decode by decode. */
    decodes: { type: 'string' },
  },
})

const names = await listScripts(SCRIPT_FOLDER)
const named = names.filter((name) => values.script.some((one) => (one.endsWith('*') ? name.startsWith(one.slice(0, -1)) : name === one)))
const scripts = values.wavs === undefined ? await Promise.all(named.map((name) => loadScript(SCRIPT_FOLDER, name))) : (await folderScripts(values.wavs)).map((one) => ({ ...one, script: { ...one.script, to: values.to } }))
const voices = values.voice.includes('all') ? Object.keys(CALLER_VOICES) : values.voice
const runs = Number(values.runs)
const engines = await HeardEngines.open(join(loadConfig({}).dataDir, 'cache', 'models'))
const speech = await CallerSpeech.open()
let decodes = 0
if (values.decodes !== undefined) mkdirSync(values.decodes, { recursive: true })
engines.onDecode = ({ samples, tailPadMs, listenFor }, result) => {
  if (values.decodes === undefined) return
  const name = `${String(++decodes).padStart(4, '0')}-${playing}`
  writeFileSync(join(values.decodes, `${name}.wav`), writeWav({ sampleRateHz: SAMPLE_RATE_HZ, channels: [samples] }))
  const { expectation } = listenFor
  appendFileSync(join(values.decodes, 'decodes.jsonl'), `${JSON.stringify({ name, tailPadMs, asked: expectation?.kind === 'form' ? expectation.asked : (expectation?.kind ?? null), result, expectation })}\n`)
}
let playing = ''
const right = new Map<string, number>()
try {
  for (const [voice, run] of voices.flatMap((one) => Array.from({ length: runs }, (_, index) => [one, index] as const))) {
    for (const script of scripts) {
      const { name, outcome } = script.script
      playing = `${name}-${voice}-${run}`
      const calls = await play(script, await soundOf(script, voice, run))
      const problems = calls.flatMap((call) => (outcome === undefined ? unanswered(call) : outcomeProblems(outcome, call.made)))
      right.set(name, (right.get(name) ?? 0) + (problems.length === 0 ? 1 : 0))
      process.stdout.write(`${problems.length === 0 ? 'right' : 'WRONG'} ${name}, ${voice} ${run + 1}\n`)
      if (values.transcript || problems.length > 0) for (const call of calls) process.stdout.write(`${call.turns.map(turnText).join('\n')}\n`)
      for (const problem of problems) process.stdout.write(`  ! ${problem}\n`)
    }
  }
} finally {
  await speech.close()
  await engines.close()
}
for (const [name, count] of right) process.stdout.write(`${name.padEnd(24)} ended right ${count} of ${voices.length * runs}\n`)

async function play({ script }: LoadedScript, sound: CallerSound): Promise<ScriptedCall[]> {
  const clock = engines.clock()
  const company = scriptedCompany(COMPANIES[script.to] ?? 'polar-bay-air', { clock, voiceActivity: engines.voiceActivity(), listen: engines.transcriber(clock), onEvidence: (evidence) => tellDecisions(evidence) })
  const callers = Array.from({ length: script.callers }, (_, caller) => `${script.from.slice(0, -1)}${(Number(script.from.at(-1)) + caller) % 10}`)
  return clock.runUntil(Promise.all(callers.map((from) => company.play(script, from, sound))), LONGEST_CALL_MS)
}

/** Where no outcome is known, an answer at least. */
function unanswered(call: ScriptedCall): string[] {
  const late = call.turns.filter((turn) => turn.input === 'silence' || turn.input === 'inaudible' || (turn.input === 'speech' && (turn.gapMs ?? Infinity) > 2500))
  const nothing = call.turns.some((turn) => turn.input === 'speech') ? [] : ['nothing was heard']
  return [...nothing, ...late.map((turn) => `${turn.input} after "${turn.heard}"`)]
}

function tellDecisions({ decisions, signal }: EarEvidence): void {
  if (!values.decisions) return
  if (signal.kind === 'transcript') process.stdout.write(`      words ${JSON.stringify(signal)}\n`)
  for (const decision of decisions) process.stdout.write(`      ${JSON.stringify(decision)}\n`)
}

async function soundOf(loaded: LoadedScript, voice: string, run: number): Promise<CallerSound> {
  const script = values.snr === undefined ? loaded.script : { ...loaded.script, line: { snrDb: Number(values.snr) } }
  const line = toPcm(lineNoise(LINE_SAMPLES, CALLER_SPEECH_DB - script.line.snrDb, seedOf(script.name) + run))
  const later = line.subarray(0, (run * LATER_SAMPLES) % FRAME_SAMPLES)
  const spoken = new Map<string, Clip>()
  for (const step of script.steps) {
    if (step.do !== 'say') continue
    const recorded = loaded.clips.get(step.wav)?.samples ?? new Int16Array()
    const said = voice === 'recorded' ? recorded : overMulaw(await lineOf(speech, step, script, voice))
    const samples = Int16Array.of(...later, ...said)
    spoken.set(step.wav, { samples, spans: callerSpans(samples) })
  }
  return { line, of: (step: ScriptStep & { do: 'say' }) => spoken.get(step.wav) ?? SILENCE }
}

function turnText(turn: TurnRecord): string {
  const { expectation, endpoint, reading } = turn
  const asked = expectation === undefined || expectation.kind === 'open' ? '' : expectation.kind === 'form' ? ` (asked for ${expectation.asked ?? 'anything'})` : ` (asked for ${expectation.kind})`
  const end = endpoint === null ? '' : ` [${endpoint.rule} ${Math.round(endpoint.waitMs)} ms, gap ${Math.round(turn.gapMs ?? -1)}]`
  const read = reading === undefined ? '' : `\n    read   ${reading.verdict} "${reading.text}" ${reading.slots.map((slot) => `${slot.slotId}=${slot.value} ${slot.confidence}`).join(', ')} ${JSON.stringify(reading.scores)}`
  return `  ${turn.turn} ${turn.input}${asked}: ${turn.heard}${end}${read}\n    agent  ${turn.delivered}${turn.interruption === null ? '' : ` [cut: ${turn.interruption.rule}]`}`
}
