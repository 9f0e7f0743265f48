import { SAMPLE_RATE_HZ } from '../audio/frame.ts'

/** 10 ms: short enough to place an onset, long enough to hold one period of a deep voice. */
export const EAR_WINDOW_MS = 10
const WINDOW_SAMPLES = (EAR_WINDOW_MS * SAMPLE_RATE_HZ) / 1000

/** The agent's line is clean: whatever passes -48 dBFS a caller would hear as voice; µ-law silence and dither lie below -70. */
export const AGENT_AUDIBLE_DB = -48
/** The caller's line has noise: voice is what stands 6 dB above the clip's quietest tenth, and at most 25 dB below its loud tenth. */
const ABOVE_NOISE_DB = 6
const BELOW_SPEECH_DB = 25
/** Voice bursts shorter than this are clicks, unless voice follows. */
const SHORTEST_SPAN_MS = 30
const SILENCE_DB = -96

/** Ms on the clock of the recording, end exclusive. */
export type VoicedSpan = Readonly<{ startMs: number; endMs: number }>

/** Stretches louder than `thresholdDb`, joined over gaps shorter than `joinMs`. */
export function voicedSpans(samples: Int16Array, thresholdDb: number, joinMs: number): VoicedSpan[] {
  const joined: { startMs: number; endMs: number }[] = []
  windowLevelsDb(samples).forEach((levelDb, index) => {
    if (levelDb < thresholdDb) return
    const startMs = index * EAR_WINDOW_MS
    const last = joined.at(-1)
    if (last !== undefined && startMs - last.endMs < joinMs) last.endMs = startMs + EAR_WINDOW_MS
    else joined.push({ startMs, endMs: startMs + EAR_WINDOW_MS })
  })
  return joined.filter((span) => span.endMs - span.startMs >= SHORTEST_SPAN_MS)
}

/** What a listener takes for voice on a noisy line, from the clip itself. */
export function callerThresholdDb(samples: Int16Array): number {
  const levels = windowLevelsDb(samples).toSorted((a, b) => a - b)
  const at = (share: number): number => levels[Math.min(levels.length - 1, Math.floor(levels.length * share))] ?? SILENCE_DB
  return Math.max(at(0.9) - BELOW_SPEECH_DB, at(0.1) + ABOVE_NOISE_DB)
}

/** The voiced stretches of a caller's clip; pauses of 200 ms and more stay visible. */
export function callerSpans(samples: Int16Array): VoicedSpan[] {
  return voicedSpans(samples, callerThresholdDb(samples), 200)
}

/** RMS of a stretch in dBFS. */
export function loudnessDb(samples: Int16Array): number {
  let sum = 0
  for (const sample of samples) sum += sample * sample
  if (samples.length === 0 || sum === 0) return SILENCE_DB
  return 10 * Math.log10(sum / samples.length / (32768 * 32768))
}

function windowLevelsDb(samples: Int16Array): number[] {
  const levels: number[] = []
  for (let start = 0; start + WINDOW_SAMPLES <= samples.length; start += WINDOW_SAMPLES) {
    levels.push(loudnessDb(samples.subarray(start, start + WINDOW_SAMPLES)))
  }
  return levels
}
