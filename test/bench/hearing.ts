/**
 * How well the embedded recogniser hears what was asked, on recordings as a call would hear them: 8 kHz µ-law, the turn detector's bounds, the
 * recogniser's own session, pool and worker.
 *
 *   npm run bench:hearing -- --manifest FILE.tsv --form FORM [--paths PREFIX,..] [--kinds KIND,..] [--limit N] [--half even|odd]
 *                            [--noise FILE.wav --snr 24,18,12,6] [--altered] [--vocabulary a,b] [--jsonl FILE] [--cache DIR | --merged] [--off SLOT]
 *
 * FORM is a form's JSON file, a menu's (`carriers`, `slots`), `companyId/formId` of a demo company, or a shape: `digits:10`, `digits:2-4`,
 * `digits:known` (as many as the transcript has), `yes-no`, `date`, `money`, `spelling`, `name`. Without --form: open speech, word errors.
 *
 * The manifest is tab separated with a header; columns `path` (relative to it), `kind` and `transcript` are read. A transcript is words, or
 * `{"slots": {...}}`; rows without one are heard and not scored. `--off SLOT` takes the option that was said in that slot off the menu: then
 * nothing may be taken for it. `--altered` hears each clip ten times more, faster, quieter, thinner and so on (hearing-altered.ts): few clips that
 * are right by luck are not right then. A row a clip is written to --jsonl (hearing.jsonl where it is run) as it is heard. Decode times hold the wait
 * of one call alone; run nothing else meanwhile.
 */
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { SileroModel } from '../../src/audio/silero-model.ts'
import { SystemClock } from '../../src/core/clock.ts'
import { OPEN_EXPECTATION, type Expectation } from '../../src/core/expectation.ts'
import { Scope } from '../../src/core/scope.ts'
import { EmbeddedTranscriber } from '../../src/transcription/embedded-transcriber.ts'
import { ALTERATIONS, AS_IT_IS, type Alteration } from './hearing-altered.ts'
import { hearClip, type HeardClip } from './hearing-call.ts'
import { clipSamples, onLine, readManifest, wideSamples, type Row } from './hearing-clips.ts'
import { expectationFor, readForm, withoutSaid } from './hearing-forms.ts'
import { printTable, scoreOf, type Scored } from './hearing-score.ts'

const { values: options } = parseArgs({
  options: {
    manifest: { type: 'string' },
    form: { type: 'string' },
    paths: { type: 'string' },
    kinds: { type: 'string' },
    limit: { type: 'string' },
    half: { type: 'string' },
    noise: { type: 'string' },
    snr: { type: 'string', default: '24,18,12,6' },
    vocabulary: { type: 'string', default: '' },
    off: { type: 'string' },
    cache: { type: 'string' },
    altered: { type: 'boolean', default: false },
    merged: { type: 'boolean', default: false },
    jsonl: { type: 'string', default: 'hearing.jsonl' },
  },
})
if (options.manifest === undefined) throw new Error('--manifest FILE.tsv is required')
const manifest = options.manifest
const form = options.form === undefined ? null : readForm(options.form)
const rows = readManifest(manifest, options)
if (rows.length === 0) throw new Error('no row of the manifest fits --paths and --kinds')
const noise = options.noise === undefined ? null : wideSamples(options.noise)
const conditions: readonly (number | null)[] = noise === null ? [null] : options.snr.split(',').map(Number)
const alterations = options.altered ? [AS_IT_IS, ...ALTERATIONS] : [AS_IT_IS]
const vocabulary = options.vocabulary.split(',').filter((term) => term !== '')
const ownCache = options.cache === undefined && !options.merged ? mkdtempSync(join(tmpdir(), 'recogniser-')) : null
const clock = new SystemClock()
const transcriber = new EmbeddedTranscriber({ clock, workers: 1, modelCacheDir: options.merged ? null : (options.cache ?? ownCache) })
const voice = await SileroModel.load()
const scored: Scored[] = []
writeFileSync(options.jsonl, '')
try {
  await transcriber.warm(new Scope().signal)
  // The first decodes compile; they are not what a caller waits for.
  if (rows[0] !== undefined) await hear(rows[0], conditions[0] ?? null, AS_IT_IS)
  for (const snrDb of conditions)
    for (const alteration of alterations)
      for (const row of rows) {
        const one = await hear(row, snrDb, alteration)
        scored.push(one)
        appendFileSync(options.jsonl, `${JSON.stringify(lineOf(one))}\n`)
      }
} finally {
  await transcriber.close()
  if (ownCache !== null) rmSync(ownCache, { recursive: true })
}
printTable(scored)
console.log(`${rows.length} clips, decoder ${options.merged ? 'as shipped' : 'split'}, ${cpus()[0]?.model ?? 'unknown CPU'} x${cpus().length}, load ${loadavg()[0]?.toFixed(1)}, Node ${process.version}`)
console.log(`a row a clip: ${options.jsonl}`)

async function hear(original: Row, snrDb: number | null, { name, apply }: Alteration): Promise<Scored> {
  const row = name === '' ? original : { ...original, kind: `${original.kind.replace(/\(.*/, '')}, ${name}` }
  const asked = form === null ? OPEN_EXPECTATION : expectationFor(form, row)
  const expectation: Expectation = options.off === undefined ? asked : withoutSaid(asked, options.off, row)
  const heard: HeardClip = await hearClip({ transcriber, voice, clock }, onLine(apply(clipSamples(manifest, row)), noise, snrDb), expectation, vocabulary)
  return { row, snrDb, heard, score: scoreOf(row, heard, expectation, options.off ?? null) }
}

function lineOf({ row, snrDb, heard, score }: Scored): unknown {
  const { reading } = heard
  return {
    path: row.path,
    kind: row.kind,
    snrDb,
    expected: row.transcript,
    text: heard.text,
    verdict: reading?.verdict ?? null,
    reading: reading?.text ?? null,
    slots: Object.fromEntries((reading?.slots ?? []).map((slot) => [slot.slotId, slot.value])),
    confidences: Object.fromEntries((reading?.slots ?? []).map((slot) => [slot.slotId, slot.confidence])),
    doubtful: reading?.doubtful ?? null,
    scores: reading?.scores ?? null,
    right: score.right,
    cutIn: heard.cutIn,
    speechMs: Math.round(heard.speechMs),
    decodeMs: Math.round(heard.decodeMs),
  }
}
