import { levelDb } from '../audio/level.ts'

/**
 * The caller's line with nobody speaking, `durationMs` of it: the quietest 100 ms of `samples` (8 kHz), there and back so that it has no seam.
 * Null where the stretch has no place quiet enough to be the line alone.
 *
 * A margin that has not been spoken yet must not sound unlike the line: a step in the background is heard as a sound. With even noise
 * instead, five more in a hundred strings of digits were misheard.
 */
export function lineNoise(samples: Int16Array, durationMs: number): Int16Array | null {
  let quietest = samples.subarray(0, 0)
  let quietestDb = Infinity
  let loudestDb = -Infinity
  for (let at = 0; at + WINDOW_SAMPLES <= samples.length; at += HOP_SAMPLES) {
    const window = samples.subarray(at, at + WINDOW_SAMPLES)
    const db = levelDb(window)
    loudestDb = Math.max(loudestDb, db)
    if (db >= quietestDb) continue
    quietest = window
    quietestDb = db
  }
  if (loudestDb - quietestDb < LEAST_DEPTH_DB) return null
  return Int16Array.from({ length: Math.round(durationMs * 8) }, (_, i) => {
    const at = i % (2 * WINDOW_SAMPLES)
    return quietest[at < WINDOW_SAMPLES ? WINDOW_SAMPLES - 1 - at : at - WINDOW_SAMPLES] as number
  })
}

const WINDOW_SAMPLES = 800
const HOP_SAMPLES = 80
/** The voice stands out of its line by more than this, also in a loud kitchen; the dips inside speech without a pause do not. */
const LEAST_DEPTH_DB = 10
