import { levelDb } from '../audio/level.ts'

/**
 * Where, in ms from the start of `pause` (8 kHz), the sound began that goes on at its end. 0 where no quiet lies before it.
 *
 * That a caller speaks again is told once it is certain, and on a busy machine long after it began: what lies between is speech, and
 * must not pass for the silence of the pause.
 */
export function soundBegan(pause: Int16Array): number {
  const levels: number[] = []
  for (let at = 0; at + FRAME_SAMPLES <= pause.length; at += FRAME_SAMPLES) levels.push(levelDb(pause.subarray(at, at + FRAME_SAMPLES)))
  const quietDb = quietest(levels) + QUIET_RANGE_DB
  let quietFrames = 0
  for (let frame = levels.length - 1; frame >= 0; frame -= 1) {
    quietFrames = (levels[frame] as number) <= quietDb ? quietFrames + 1 : 0
    if (quietFrames >= QUIET_FRAMES) return (frame + QUIET_FRAMES) * FRAME_MS
  }
  return 0
}

/** Of the 100 ms that are the least loud at their loudest: the line with nobody speaking. */
function quietest(levels: readonly number[]): number {
  let least = Infinity
  for (let at = 0; at + LINE_FRAMES <= levels.length; at += 1) least = Math.min(least, Math.max(...levels.slice(at, at + LINE_FRAMES)))
  return least
}

const FRAME_MS = 20
const FRAME_SAMPLES = 160
const LINE_FRAMES = 5
/** Longer than a stop inside a word ("coffee to go"), shorter than the pause that was noticed. */
const QUIET_FRAMES = 8
/** Noise on a line goes up and down by less than this; a voice stands out by more. */
const QUIET_RANGE_DB = 6
