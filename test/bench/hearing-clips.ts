/** What `bench:hearing` hears: the manifest's clips, as a line carries them, clean or in noise. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { decodeMulaw, encodeMulaw } from '../../src/audio/g711.ts'
import { levelDb } from '../../src/audio/level.ts'
import { resample } from '../../src/audio/resample.ts'
import { readWav } from '../../src/audio/wav.ts'

export type Row = Readonly<{ path: string; kind: string; transcript: string }>

/**
 * Tab separated with a header; columns `path` (relative to the manifest), `kind` and `transcript` are read. `paths` and `kinds` keep rows that
 * begin with one of them; `every` and `from` take each nth row beginning at one.
 */
export function readManifest(file: string, filter: Readonly<{ paths?: string; kinds?: string; limit?: string; half?: string }>): Row[] {
  const [header, ...lines] = readFileSync(file, 'utf8').split('\n').filter((line) => line !== '')
  const columns = (header as string).split('\t')
  const column = (line: string, name: string): string => line.split('\t')[columns.indexOf(name)] ?? ''
  const begins = (text: string, starts: string | undefined): boolean => starts === undefined || starts.split(',').some((start) => text.startsWith(start))
  return lines
    .map((line) => ({ path: column(line, 'path'), kind: column(line, 'kind'), transcript: column(line, 'transcript') }))
    .filter((row) => begins(row.path, filter.paths) && begins(row.kind, filter.kinds))
    .filter((_, index) => filter.half === undefined || index % 2 === (filter.half === 'odd' ? 1 : 0))
    .slice(0, filter.limit === undefined ? undefined : Number(filter.limit))
}

/** 16 kHz, as the recordings are; narrower ones are widened. */
export function wideSamples(path: string): Int16Array {
  const wav = readWav(readFileSync(path))
  return resample(wav.channels[0] as Int16Array, wav.sampleRateHz, WIDE_HZ)
}

export function clipSamples(manifest: string, row: Row): Int16Array {
  return wideSamples(join(dirname(manifest), row.path))
}

/**
 * The clip on the caller's line, 8 kHz µ-law, with its own background going on behind it; in noise, mixed before the line, at the ratio of the
 * loudest frames' energies (the speech-to-intent benchmark's measure).
 */
export function onLine(speech: Int16Array, noise: Int16Array | null, snrDb: number | null): Int16Array {
  const long = withBackground(speech, TAIL_MS)
  const mixed = noise === null || snrDb === null ? long : mix(long, noise, snrDb)
  return decodeMulaw(encodeMulaw(resample(mixed, WIDE_HZ, 8000)))
}

const WIDE_HZ = 16_000
/** Longer than any wait of the turn detector. */
const TAIL_MS = 2600
const FRAME = 2048

function mix(speech: Int16Array, noise: Int16Array, snrDb: number): Int16Array {
  const stretch = Int16Array.from(speech, (_, i) => noise[i % noise.length] as number)
  const gain = Math.sqrt(loudestFrame(speech) / loudestFrame(stretch) / 10 ** (snrDb / 10))
  // Both are brought down where the sum would clip.
  const peak = speech.reduce((most, sample, i) => Math.max(most, Math.abs(sample + gain * (stretch[i] as number))), 0)
  const scale = peak > 32767 ? 32767 / peak : 1
  return Int16Array.from(speech, (sample, i) => Math.round(scale * (sample + gain * (stretch[i] as number))))
}

function loudestFrame(samples: Int16Array): number {
  let loudest = 0
  for (let at = 0; at + FRAME <= samples.length; at += FRAME) {
    let energy = 0
    for (let i = at; i < at + FRAME; i += 1) energy += (samples[i] as number) ** 2
    loudest = Math.max(loudest, energy)
  }
  return loudest
}

/** The quietest 200 ms of the recording, repeated: a line does not fall silent when its caller does. */
function withBackground(samples: Int16Array, tailMs: number): Int16Array {
  const length = WIDE_HZ / 5
  let quietest = samples.subarray(0, length)
  for (let at = length; at + length <= samples.length; at += length / 2) {
    const piece = samples.subarray(at, at + length)
    if (levelDb(piece) < levelDb(quietest)) quietest = piece
  }
  const joined = new Int16Array(samples.length + (tailMs * WIDE_HZ) / 1000)
  joined.set(samples)
  for (let i = samples.length; i < joined.length; i += 1) joined[i] = quietest[(i - samples.length) % Math.max(1, quietest.length)] ?? 0
  return joined
}
