import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SAMPLE_RATE_HZ } from '../audio/frame.ts'
import { encodeMulaw } from '../audio/g711.ts'
import { ClientsViaError } from '../core/errors.ts'
import { listScripts, readCallScript, type CallScript, type ScriptStep } from './call-script.ts'
import { CallerSpeech } from './caller-voices.ts'
import { callerSpans } from './ears.ts'
import { atLevel, CALLER_SPEECH_DB, fromPcm, lineNoise, seededRandom, seedOf, speechLevelDb, telephoneBand, toPcm } from './telephone-line.ts'

/** Line noise before and after the words, so that the clip joins the line it is played on. */
const LEAD_IN_MS = 60
const LEAD_OUT_MS = 120
/** The recordings are kept in git. */
const MOST_BYTES = 4_000_000

/** Makes every recording that the scripts of a folder name; the same scripts give the same bytes. Returns the bytes written. */
export async function makeRecordings(folder: string): Promise<number> {
  const speech = await CallerSpeech.open()
  const made = new Map<string, Uint8Array>()
  try {
    for (const name of await listScripts(folder)) {
      const script = await readCallScript(folder, name)
      for (const step of script.steps) {
        if (step.do !== 'say' && step.do !== 'noise') continue
        const bytes = mulawWav(step.do === 'say' ? await lineOf(speech, step, script) : onTheLine(await sound(speech, step.sound, step.durationMs, seedOf(step.wav)), script, step.wav))
        const before = made.get(step.wav)
        if (before !== undefined && Buffer.compare(before, bytes) !== 0) {
          throw new ClientsViaError('INVALID_INPUT', `${step.wav} is named twice, with different words, voices or lines (last in ${name}.json)`)
        }
        made.set(step.wav, bytes)
      }
    }
  } finally {
    await speech.close()
  }
  const total = [...made.values()].reduce((sum, bytes) => sum + bytes.length, 0)
  if (total > MOST_BYTES) throw new ClientsViaError('INVALID_INPUT', `the recordings take ${total} bytes, at most ${MOST_BYTES} are kept in the repository`)
  for (const name of await readdir(folder)) if (name.endsWith('.wav') && !made.has(name)) await rm(join(folder, name))
  for (const [name, bytes] of made) await writeFile(join(folder, name), bytes)
  return total
}

/** A caller's line as it comes over the script's telephone line, 8 kHz; in the voice that the script names, or in another one. */
export async function lineOf(speech: CallerSpeech, step: Extract<ScriptStep, { do: 'say' }>, script: CallScript, voice = step.voice): Promise<Int16Array> {
  return onTheLine(await spoken(speech, step.text, voice), script, step.wav)
}

/** `[pause 900]` in the text is silence of that many ms. */
async function spoken(speech: CallerSpeech, text: string, voice: string): Promise<Float64Array> {
  const pieces: Float64Array[] = []
  for (const piece of text.split(/(\[pause \d+\])/)) {
    const pause = /^\[pause (\d+)\]$/.exec(piece)
    if (pause !== null) pieces.push(new Float64Array(samplesIn(Number(pause[1]))))
    else if (piece.trim() !== '') pieces.push(fromPcm(withoutEdges(await speech.speak(piece.trim(), voice))))
  }
  return joined(pieces)
}

/** Sounds that are no words of the caller's. */
async function sound(speech: CallerSpeech, kind: 'street' | 'knocks' | 'television', durationMs: number, seed: number): Promise<Float64Array> {
  const length = samplesIn(durationMs)
  switch (kind) {
    case 'street':
      return street(length, seed)
    case 'knocks':
      return knocks(length, seed)
    case 'television': {
      // Far away and behind a door: speech without its consonants, at a level well under the caller's.
      const news = await speech.speak('And now the weather for the coming week, with rain in the north and a little sun along the coast.', 'carl')
      const far = Float64Array.from({ length }, (_, i) => (news[i % news.length] as number) / 32768)
      return muffled(far)
    }
  }
}

/** Traffic: slow swells of low-passed noise. */
function street(length: number, seed: number): Float64Array {
  const noise = muffled(lineNoise(length, -20, seed))
  return noise.map((sample, i) => sample * (0.55 + 0.45 * Math.sin((2 * Math.PI * i) / (SAMPLE_RATE_HZ * 2.7) + (seed % 7))))
}

/** Something hard on a table, about twice a second: 80 ms bursts that die away. */
function knocks(length: number, seed: number): Float64Array {
  const random = seededRandom(seed)
  const out = new Float64Array(length)
  for (let start = samplesIn(100); start < length; start += samplesIn(350 + random() * 400)) {
    for (let i = 0; i < samplesIn(80) && start + i < length; i += 1) {
      out[start + i] = (random() * 2 - 1) * Math.exp(-i / samplesIn(12))
    }
  }
  return out
}

/** One-pole low-pass at about 500 Hz. */
function muffled(samples: Float64Array): Float64Array {
  const out = new Float64Array(samples.length)
  let state = 0
  for (let i = 0; i < samples.length; i += 1) {
    state += 0.32 * ((samples[i] as number) - state)
    out[i] = state
  }
  return out
}

/** Band, level and the noise of the script's line. */
function onTheLine(clean: Float64Array, script: CallScript, name: string): Int16Array {
  const banded = telephoneBand(joined([new Float64Array(samplesIn(LEAD_IN_MS)), clean, new Float64Array(samplesIn(LEAD_OUT_MS))]))
  // Set by the level of the active speech: pauses must not make a speaker louder.
  const gainDb = CALLER_SPEECH_DB - speechLevelDb(toPcm(atLevel(banded, CALLER_SPEECH_DB)))
  const levelled = atLevel(banded, CALLER_SPEECH_DB + gainDb)
  const noise = lineNoise(levelled.length, CALLER_SPEECH_DB - script.line.snrDb, seedOf(name))
  return toPcm(levelled.map((sample, i) => sample + (noise[i] as number)))
}

function withoutEdges(samples: Int16Array): Int16Array {
  const spans = callerSpans(samples)
  const first = spans[0]
  const last = spans.at(-1)
  if (first === undefined || last === undefined) return samples
  return samples.slice(Math.max(0, samplesIn(first.startMs - 30)), samplesIn(last.endMs + 60))
}

function joined(pieces: readonly Float64Array[]): Float64Array {
  const out = new Float64Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let offset = 0
  for (const piece of pieces) {
    out.set(piece, offset)
    offset += piece.length
  }
  return out
}

function samplesIn(durationMs: number): number {
  return Math.round((durationMs * SAMPLE_RATE_HZ) / 1000)
}

/** WAVE format 7, 8 kHz, mono: one byte a sample, as it goes over the line. */
function mulawWav(samples: Int16Array): Uint8Array {
  const data = encodeMulaw(samples)
  const padded = data.length + (data.length & 1)
  const bytes = Buffer.alloc(58 + padded)
  bytes.write('RIFF', 0, 'latin1')
  bytes.writeUInt32LE(50 + padded, 4)
  bytes.write('WAVEfmt ', 8, 'latin1')
  bytes.writeUInt32LE(18, 16)
  bytes.writeUInt16LE(7, 20)
  bytes.writeUInt16LE(1, 22)
  bytes.writeUInt32LE(SAMPLE_RATE_HZ, 24)
  bytes.writeUInt32LE(SAMPLE_RATE_HZ, 28)
  bytes.writeUInt16LE(1, 32)
  bytes.writeUInt16LE(8, 34)
  bytes.write('fact', 38, 'latin1')
  bytes.writeUInt32LE(4, 42)
  bytes.writeUInt32LE(data.length, 46)
  bytes.write('data', 50, 'latin1')
  bytes.writeUInt32LE(data.length, 54)
  bytes.set(data, 58)
  return bytes
}

if (import.meta.main) {
  const folder = join(import.meta.dirname, '../../media/calls')
  const total = await makeRecordings(folder)
  process.stdout.write(`media/calls: ${(total / 1_000_000).toFixed(2)} MB of recordings\n`)
}
