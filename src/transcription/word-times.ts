import { levelDb } from '../audio/level.ts'
import type { Word } from './transcriber.ts'

/**
 * Estimated word times: the words share the frames that carry voice in proportion to their letters, so that no word lies in a pause.
 * `voicedFramesMs` holds the start of each 20 ms frame with voice, from `voicedFrames`.
 */
export function wordTimes(text: string, voicedFramesMs: readonly number[]): Word[] {
  const texts = text.split(' ').filter((word) => word !== '')
  const letters = texts.reduce((sum, word) => sum + word.length, 0)
  const framesALetter = voicedFramesMs.length / letters
  let before = 0
  return texts.map((word) => {
    const from = before * framesALetter
    before += word.length
    const to = before * framesALetter
    const startMs = timeAt(voicedFramesMs, from, Math.floor(from))
    return { text: word, startMs, endMs: Math.max(startMs, timeAt(voicedFramesMs, to, Math.ceil(to) - 1)) }
  })
}

/** Start times of the 20 ms frames at most `rangeDb` below the loudest one; 8 kHz samples whose first is at `fromMs`. */
export function voicedFrames(samples: Int16Array, fromMs: number, rangeDb = VOICE_RANGE_DB): number[] {
  const levels: number[] = []
  for (let at = 0; at + FRAME_SAMPLES <= samples.length; at += FRAME_SAMPLES) levels.push(levelDb(samples.subarray(at, at + FRAME_SAMPLES)))
  const quietest = levels.reduce((loudest, level) => Math.max(loudest, level), -Infinity) - rangeDb
  return levels.flatMap((level, frame) => (level >= quietest ? [fromMs + frame * FRAME_MS] : []))
}

/** Of the frames that `voicedFrames` tells of. */
export const FRAME_MS = 20
const FRAME_SAMPLES = 160
const VOICE_RANGE_DB = 25

/** `position` counts voiced frames; on a border the caller says which of the two frames it means. */
function timeAt(voicedFramesMs: readonly number[], position: number, frame: number): number {
  const inside = Math.max(0, Math.min(voicedFramesMs.length - 1, frame))
  return Math.round((voicedFramesMs[inside] ?? 0) + (position - inside) * FRAME_MS)
}
