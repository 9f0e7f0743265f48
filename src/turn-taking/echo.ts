/**
 * Tells the caller's voice from the agent's own, coming back over the line, by comparing what is heard with what was sent.
 *
 * On a line that stays quiet while the agent talks everything is the caller's at once. Otherwise the echo's delay is searched for; once it
 * is known, what the best 96-tap filter of the sent audio cannot explain is the caller. Memory is bounded, nothing is kept for
 * longer than `REFERENCE_MS`. Linear echo only; 8 kHz, media-clock milliseconds. Costs about a millisecond per 100 ms while there is something to hear.
 */
export class EchoDetector {
  readonly #sent = new SampleRing(REFERENCE_MS * SAMPLES_A_MS)
  readonly #heard = new SampleRing(WINDOW_MS * SAMPLES_A_MS * 2)
  #verdict: EchoVerdict = 'unknown'
  #lagSamples: number | null = null
  #candidateLag: number | null = null
  #hits = 0
  #loudSinceMs: number | null = null
  #lastLoudMs = -Infinity
  #judgedMs = -Infinity
  #quietSinceMs: number | null = null
  #quietUntilMs = -Infinity
  /** The line was quiet while the agent was loud. */
  #clean = false

  /** The line's echo, once found: how long after `sent` it is heard. */
  get lagMs(): number | null {
    return this.#lagSamples === null ? null : this.#lagSamples / SAMPLES_A_MS
  }

  /** What the caller hears from `heardAtMs` on. */
  sent(samples: Int16Array, heardAtMs: number): void {
    this.#sent.write(samples, Math.round(heardAtMs * SAMPLES_A_MS))
  }

  /** One frame from the line that began at `atMs`; call it while the agent is audible. The verdict stands until the next 100 ms are judged. */
  heard(samples: Int16Array, atMs: number): EchoVerdict {
    const endMs = atMs + samples.length / SAMPLES_A_MS
    this.#heard.write(samples, Math.round(atMs * SAMPLES_A_MS))
    const loud = meanSquare(samples) > LOUD
    this.#followLoudness(loud, atMs, endMs)
    if (this.#loudSinceMs === null) return this.#settle(this.#restingVerdict())
    const voicedMs = endMs - this.#loudSinceMs
    if (voicedMs >= SHORTEST_WINDOW_MS && endMs - this.#judgedMs >= this.#hopMs) {
      this.#judgedMs = endMs
      this.#judge(endMs, Math.min(voicedMs, WINDOW_MS))
    }
    return this.#clean ? this.#settle('caller') : this.#verdict
  }

  /** On a clean line nothing waits for the search: it only looks whether a loudspeaker has been switched on. */
  get #hopMs(): number {
    if (this.#lagSamples !== null) return HOP_MS
    return this.#clean ? CLEAN_SEARCH_HOP_MS : SEARCH_HOP_MS
  }

  /** What the next sound will be taken for until it was judged. */
  #restingVerdict(): EchoVerdict {
    if (this.#clean) return 'caller'
    return this.#lagSamples !== null || this.#verdict === 'echo' ? 'echo' : 'unknown'
  }

  #settle(verdict: EchoVerdict): EchoVerdict {
    this.#verdict = verdict
    return verdict
  }

  #followLoudness(loud: boolean, atMs: number, endMs: number): void {
    if (loud) {
      this.#loudSinceMs ??= atMs
      this.#lastLoudMs = endMs
      this.#quietSinceMs = null
      return
    }
    if (this.#loudSinceMs !== null && endMs - this.#lastLoudMs > LOUD_HANGOVER_MS) {
      this.#loudSinceMs = null
      this.#hits = 0
    }
    if (this.#lagSamples !== null || this.#clean) return
    if (this.#quietSinceMs === null || atMs - this.#quietUntilMs > LOUD_HANGOVER_MS) this.#quietSinceMs = atMs
    this.#quietUntilMs = endMs
    if (endMs - this.#quietSinceMs < QUIET_PROOF_MS) return
    // Whatever the lag, a loud agent of that long ago would have been heard since.
    const from = Math.round((endMs - QUIET_PROOF_MS) * SAMPLES_A_MS)
    this.#clean = this.#sent.meanSquare(from, (QUIET_PROOF_MS - LONGEST_LAG_MS) * SAMPLES_A_MS) > SENT_LOUD
  }

  #judge(endMs: number, windowMs: number): void {
    const end = Math.round(endMs * SAMPLES_A_MS)
    const length = Math.round(windowMs * SAMPLES_A_MS)
    if (this.#lagSamples === null) {
      this.#search(end, length)
      return
    }
    const unexplained = this.#unexplained(end, length, this.#lagSamples)
    this.#hits = unexplained > RESIDUAL_OF_CALLER ? this.#hits + 1 : 0
    if (this.#hits >= HITS_FOR_CALLER) this.#verdict = 'caller'
    else if (this.#hits === 0) this.#verdict = 'echo'
  }

  /** Looks for the lag at 2 kHz; the same lag twice in a row locks it. */
  #search(end: number, length: number): void {
    const heard = decimate(this.#heard.read(end - length, length))
    const reach = LONGEST_LAG_MS * SAMPLES_A_MS
    const sent = decimate(this.#sent.read(end - length - reach, length + reach))
    const { correlation, lag } = bestLag(heard, sent)
    if (correlation < chanceOver(length)) {
      this.#candidateLag = null
      this.#verdict = 'caller'
      return
    }
    this.#verdict = 'echo'
    if (correlation < LOCK_CORRELATION) return
    if (this.#candidateLag !== null && Math.abs(this.#candidateLag - lag) <= 1) {
      this.#lagSamples = lag * DECIMATION
      this.#clean = false
    }
    this.#candidateLag = lag
  }

  /** Share of the heard energy that the best filter of the sent audio around `lag` leaves over: 0 is all echo, 1 none. */
  #unexplained(end: number, length: number, lag: number): number {
    const heard = this.#heard.read(end - length, length)
    // The filter reaches some taps before the found lag: the search was no finer than the decimation and the path has a shape.
    const sent = this.#sent.read(end - length - lag - TAPS + TAPS_BEFORE_LAG, length + TAPS)
    const auto = new Float64Array(TAPS)
    const cross = new Float64Array(TAPS)
    let energy = 0
    for (let tap = 0; tap < TAPS; tap += 1) {
      let a = 0
      let c = 0
      for (let i = 0; i < length; i += 1) {
        const now = sent[i + TAPS] as number
        a += now * (sent[i + TAPS - tap] as number)
        c += (heard[i] as number) * (sent[i + TAPS - tap] as number)
      }
      auto[tap] = a
      cross[tap] = c
    }
    for (let i = 0; i < length; i += 1) energy += (heard[i] as number) ** 2
    // The agent is between two words: nothing of this can be echo.
    if (energy === 0 || (auto[0] as number) / length < SENT_SILENT) return 1
    auto[0] = (auto[0] as number) * REGULARISATION
    const filter = solveToeplitz(auto, cross)
    let explained = 0
    for (let tap = 0; tap < TAPS; tap += 1) explained += (filter[tap] as number) * (cross[tap] as number)
    return Math.min(1, Math.max(0, 1 - explained / energy))
  }
}

export type EchoVerdict = 'caller' | 'echo' | 'unknown'

const SAMPLES_A_MS = 8
/** The longest lag, the longest window and what is already sent but not heard yet. */
const REFERENCE_MS = 2000
const LONGEST_LAG_MS = 600
const WINDOW_MS = 300
/** Speech needs 200 ms to hold the agent: a first verdict must stand before. */
const SHORTEST_WINDOW_MS = 100
const HOP_MS = 100
/** Before the lag is known verdicts rest on short windows, and must be revised soon. */
const SEARCH_HOP_MS = 60
const CLEAN_SEARCH_HOP_MS = 180
/** -50 dBFS: quieter is no speech on a phone line, and no echo that could be taken for it. */
const LOUD = (32768 * 10 ** (-50 / 20)) ** 2
/** -35 dBFS of agent: its echo at the usual -6 to -15 dB would be loud. */
const SENT_LOUD = (32768 * 10 ** (-35 / 20)) ** 2
const SENT_SILENT = (32768 * 10 ** (-65 / 20)) ** 2
const LOUD_HANGOVER_MS = 100
const QUIET_PROOF_MS = 800
/** Unrelated speech correlates by chance at some lag: .11-.17 is the median over 300 ms, and it grows as windows shrink. */
const CHANCE = 0.28
const CHANCE_SHORTEST = 0.55
const LOCK_CORRELATION = 0.5
/** Leaks 1 % of echo and keeps 95 % of double talk; twice in a row for the caller. */
const RESIDUAL_OF_CALLER = 0.6
const HITS_FOR_CALLER = 2
const DECIMATION = 4
const TAPS = 96
const TAPS_BEFORE_LAG = 24
/** White noise 30 dB below the reference keeps the equations solvable. */
const REGULARISATION = 1.001

/** Samples by absolute position; a ring over the latest `capacity` of them, zero where nothing was written. */
class SampleRing {
  readonly #samples: Float32Array
  #end = 0

  constructor(capacity: number) {
    this.#samples = new Float32Array(capacity)
  }

  write(samples: Int16Array, position: number): void {
    // Frames whose estimated place jitters by less than a frame and a half follow one another; only a real gap is a gap.
    const start = Math.abs(position - this.#end) <= 240 ? this.#end : position
    if (start < this.#end - this.#samples.length || start > this.#end + this.#samples.length) this.#samples.fill(0)
    else for (let at = this.#end; at < start; at += 1) this.#samples[at % this.#samples.length] = 0
    const first = start % this.#samples.length
    if (first >= 0 && first + samples.length <= this.#samples.length) this.#samples.set(samples, first)
    else for (let i = 0; i < samples.length; i += 1) this.#samples[(start + i) % this.#samples.length] = samples[i] as number
    this.#end = start + samples.length
  }

  read(start: number, length: number): Float32Array {
    const piece = new Float32Array(length)
    const first = start % this.#samples.length
    if (start >= Math.max(0, this.#end - this.#samples.length) && start + length <= this.#end && first + length <= this.#samples.length) {
      piece.set(this.#samples.subarray(first, first + length))
      return piece
    }
    for (let i = 0; i < length; i += 1) {
      const at = start + i
      if (at < 0 || at >= this.#end || at < this.#end - this.#samples.length) continue
      piece[i] = this.#samples[at % this.#samples.length] as number
    }
    return piece
  }

  meanSquare(start: number, length: number): number {
    let sum = 0
    for (let at = Math.max(0, start, this.#end - this.#samples.length); at < Math.min(this.#end, start + length); at += 1)
      sum += (this.#samples[at % this.#samples.length] as number) ** 2
    return sum / length
  }
}

function meanSquare(samples: Int16Array): number {
  let sum = 0
  for (let i = 0; i < samples.length; i += 1) sum += (samples[i] as number) ** 2
  return samples.length === 0 ? 0 : sum / samples.length
}

/** Averages of four: crude, but both signals pass through the same filter. */
function decimate(samples: Float32Array): Float32Array {
  const slow = new Float32Array(Math.floor(samples.length / DECIMATION))
  for (let i = 0; i < slow.length; i += 1) {
    let sum = 0
    for (let j = 0; j < DECIMATION; j += 1) sum += samples[i * DECIMATION + j] as number
    slow[i] = sum
  }
  return slow
}

function chanceOver(length: number): number {
  const share = (length / SAMPLES_A_MS - SHORTEST_WINDOW_MS) / (WINDOW_MS - SHORTEST_WINDOW_MS)
  return CHANCE_SHORTEST + share * (CHANCE - CHANCE_SHORTEST)
}

/** Largest absolute normalised correlation of `heard` with `sent`, which ends at the same moment and begins earlier. Lag in slow samples. */
function bestLag(heard: Float32Array, sent: Float32Array): { correlation: number; lag: number } {
  const { length } = heard
  let heardEnergy = 0
  for (let i = 0; i < length; i += 1) heardEnergy += (heard[i] as number) ** 2
  let bestLag = 0
  let best = 0
  const lags = sent.length - length
  // The window slides by one sample a lag: its energy gains one square and loses one.
  let energy = 0
  for (let i = lags; i < sent.length; i += 1) energy += (sent[i] as number) ** 2
  for (let lag = 0; lag <= lags; lag += 1) {
    const offset = lags - lag
    if (lag > 0) energy += (sent[offset] as number) ** 2 - (sent[offset + length] as number) ** 2
    if (energy <= 0 || heardEnergy === 0) continue
    // Four sums side by side: one alone waits for itself at every step.
    let a = 0
    let b = 0
    let c = 0
    let d = 0
    let i = 0
    for (; i + 3 < length; i += 4) {
      a += (heard[i] as number) * (sent[offset + i] as number)
      b += (heard[i + 1] as number) * (sent[offset + i + 1] as number)
      c += (heard[i + 2] as number) * (sent[offset + i + 2] as number)
      d += (heard[i + 3] as number) * (sent[offset + i + 3] as number)
    }
    for (; i < length; i += 1) a += (heard[i] as number) * (sent[offset + i] as number)
    const cross = a + b + c + d
    const share = (cross * cross) / energy
    if (share <= best) continue
    best = share
    bestLag = lag
  }
  return { correlation: heardEnergy === 0 ? 0 : Math.sqrt(best / heardEnergy), lag: bestLag }
}

/** Levinson-Durbin for a symmetric Toeplitz matrix with first row `auto` and right-hand side `cross`. */
function solveToeplitz(auto: Float64Array, cross: Float64Array): Float64Array {
  const size = auto.length
  const solution = new Float64Array(size)
  let predictor = new Float64Array(size)
  let error = auto[0] as number
  solution[0] = (cross[0] as number) / error
  for (let order = 1; order < size; order += 1) {
    let sum = auto[order] as number
    for (let i = 1; i < order; i += 1) sum -= (predictor[i] as number) * (auto[order - i] as number)
    const reflection = sum / error
    const next = predictor.slice()
    next[order] = reflection
    for (let i = 1; i < order; i += 1) next[i] = (predictor[i] as number) - reflection * (predictor[order - i] as number)
    predictor = next
    error *= 1 - reflection * reflection
    let gap = cross[order] as number
    for (let i = 0; i < order; i += 1) gap -= (solution[i] as number) * (auto[order - i] as number)
    const step = gap / error
    for (let i = 0; i < order; i += 1) solution[i] = (solution[i] as number) - step * (predictor[order - i] as number)
    solution[order] = step
  }
  return solution
}
