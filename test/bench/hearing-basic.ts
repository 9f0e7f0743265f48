/**
 * Word error rate and decode time of the embedded recogniser on recordings, as a call would hear them: 8 kHz µ-law, Silero bounds, one
 * pause at the end.
 *
 *   node test/bench/hearing-basic.ts --manifest FILE.tsv [--kinds question,statement] [--limit N] [--noise FILE.wav --snr DB]
 *                                    [--cache DIR | --merged] [--jsonl FILE]
 *
 * The manifest is tab separated with a header; columns `path` (relative to it), `kind` and `transcript` are read. Rows without a transcript
 * are decoded and not scored. Decode times hold the wait for a worker of one call alone; run nothing else meanwhile.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { SileroModel, WINDOW_MS, WINDOW_SAMPLES, newVoiceState } from '../../src/audio/silero-model.ts'
import { decodeMulaw, encodeMulaw } from '../../src/audio/g711.ts'
import { SystemClock, instant } from '../../src/core/clock.ts'
import { Scope } from '../../src/core/scope.ts'
import { EmbeddedTranscriber } from '../../src/transcription/embedded-transcriber.ts'
import { lineSamples } from './recorded-speech.ts'

const { values: options } = parseArgs({
  options: {
    manifest: { type: 'string' },
    kinds: { type: 'string' },
    limit: { type: 'string' },
    noise: { type: 'string' },
    snr: { type: 'string', default: '15' },
    cache: { type: 'string' },
    merged: { type: 'boolean', default: false },
    jsonl: { type: 'string' },
  },
})
if (options.manifest === undefined) throw new Error('--manifest FILE.tsv is required')

type Row = Readonly<{ path: string; kind: string; transcript: string }>
type Heard = Readonly<{ row: Row; text: string; decodeMs: number; speechMs: number; errors: number; words: number }>

const rows = readManifest(options.manifest)
const noise = options.noise === undefined ? null : lineSamples(options.noise)
const ownCache = options.cache === undefined && !options.merged ? mkdtempSync(join(tmpdir(), 'recogniser-')) : null
const clock = new SystemClock()
const transcriber = new EmbeddedTranscriber({ clock, workers: 1, modelCacheDir: options.merged ? null : (options.cache ?? ownCache) })
const voice = await SileroModel.load()
const heard: Heard[] = []
try {
  const scope = new Scope()
  await transcriber.warm(scope.signal)
  for (const row of rows) heard.push(await hear(row))
} finally {
  await transcriber.close()
  if (ownCache !== null) rmSync(ownCache, { recursive: true })
}
report()

async function hear(row: Row): Promise<Heard> {
  const samples = mixed(lineSamples(join(dirname(options.manifest as string), row.path)))
  const { startMs, endMs } = await voiceBounds(samples)
  const session = transcriber.open({ companyId: 'bench', callId: row.path, language: 'en', vocabulary: [] }, new Scope().signal)
  const events = session.events[Symbol.asyncIterator]()
  for (let at = 0; at + 160 <= samples.length && at / 8 < endMs + 200; at += 160) {
    const part = samples.subarray(at, at + 160)
    session.push({ mulaw: encodeMulaw(part), samples: part, mediaMs: at / 8, capturedAt: instant(at / 8) })
  }
  session.hint({ kind: 'speech-started', mediaMs: startMs })
  const askedAt = clock.now()
  session.hint({ kind: 'speech-paused', lastVoicedMs: endMs })
  const { value } = await events.next()
  const decodeMs = clock.now() - askedAt
  await session.close()
  if (value === undefined || value.kind !== 'transcript') throw new Error(`${row.path}: ${JSON.stringify(value)}`)
  const expected = wordsOf(row.transcript)
  return { row, text: value.text, decodeMs, speechMs: endMs - startMs, errors: editDistance(expected, wordsOf(value.text)), words: expected.length }
}

/** First to last window of speech, begin above .5, end below .35; the whole recording when nothing is voiced. */
async function voiceBounds(samples: Int16Array): Promise<{ startMs: number; endMs: number }> {
  const state = newVoiceState()
  let startMs = -1
  let endMs = 0
  for (let at = 0; at + WINDOW_SAMPLES <= samples.length; at += WINDOW_SAMPLES) {
    const [probability] = await voice.probabilities([samples.subarray(at, at + WINDOW_SAMPLES)], [state])
    const windowEndMs = (at + WINDOW_SAMPLES) / 8
    if (startMs < 0 && (probability as number) > 0.5) startMs = windowEndMs - WINDOW_MS
    if (startMs >= 0 && (probability as number) > 0.35) endMs = windowEndMs
  }
  return startMs < 0 ? { startMs: 0, endMs: Math.floor(samples.length / 160) * 20 } : { startMs, endMs }
}

/** Speech and noise at the wanted ratio of their mean powers, through µ-law once more. */
function mixed(speech: Int16Array): Int16Array {
  if (noise === null) return speech
  const power = (samples: Int16Array): number => samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length
  const gain = Math.sqrt(power(speech) / power(noise) / 10 ** (Number(options.snr) / 10))
  const mix = Int16Array.from(speech, (sample, i) => Math.max(-32768, Math.min(32767, sample + gain * (noise[i % noise.length] as number))))
  return decodeMulaw(encodeMulaw(mix))
}

function readManifest(file: string): Row[] {
  const [header, ...lines] = readFileSync(file, 'utf8').split('\n').filter((line) => line !== '')
  const columns = (header as string).split('\t')
  const column = (line: string, name: string): string => line.split('\t')[columns.indexOf(name)] ?? ''
  const kinds = options.kinds?.split(',')
  return lines
    .map((line) => ({ path: column(line, 'path'), kind: column(line, 'kind'), transcript: wordsOnly(column(line, 'transcript')) }))
    .filter((row) => kinds === undefined || kinds.includes(row.kind))
    .slice(0, options.limit === undefined ? undefined : Number(options.limit))
}

/** Slot labels (JSON) are not what was said: such rows are not scored here. */
function wordsOnly(transcript: string): string {
  return transcript.startsWith('{') ? '' : transcript
}

function report(): void {
  const kinds = [...new Set(heard.map((one) => one.row.kind)), 'all']
  const table = kinds.map((kind) => {
    const group = heard.filter((one) => kind === 'all' || one.row.kind === kind)
    const scored = group.filter((one) => one.words > 0)
    const times = group.map((one) => one.decodeMs).sort((a, b) => a - b)
    const errors = scored.reduce((sum, one) => sum + one.errors, 0)
    const words = scored.reduce((sum, one) => sum + one.words, 0)
    return {
      kind,
      clips: group.length,
      'WER %': words === 0 ? null : Number(((100 * errors) / words).toFixed(1)),
      'exact %': scored.length === 0 ? null : Number(((100 * scored.filter((one) => one.errors === 0).length) / scored.length).toFixed(1)),
      'empty %': Number(((100 * group.filter((one) => one.text === '').length) / group.length).toFixed(1)),
      'decode p50 ms': Math.round(quantile(times, 0.5)),
      'p95 ms': Math.round(quantile(times, 0.95)),
      'speech p50 s': Number((quantile(group.map((one) => one.speechMs).sort((a, b) => a - b), 0.5) / 1000).toFixed(2)),
    }
  })
  console.table(table)
  console.log(`decoder ${options.merged ? 'as shipped' : 'split'}, ${cpus()[0]?.model ?? 'unknown CPU'} x${cpus().length}, Node ${process.version}`)
  if (options.jsonl === undefined) return
  const lines = heard.map((one) => JSON.stringify({ path: one.row.path, kind: one.row.kind, expected: one.row.transcript, heard: one.text, decodeMs: Math.round(one.decodeMs), errors: one.errors, words: one.words }))
  writeFileSync(options.jsonl, `${lines.join('\n')}\n`)
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

/** Lower case, no punctuation, digits one by one as words: "7:30" and "seven three zero" are the same. */
function wordsOf(text: string): string[] {
  const digits = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine']
  return text
    .toLowerCase()
    .replace(/\d/g, (digit) => ` ${digits[Number(digit)]} `)
    .replace(/[^a-z' ]+/g, ' ')
    .split(/\s+/)
    .filter((word) => word !== '')
}

function editDistance(a: readonly string[], b: readonly string[]): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substitution, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
