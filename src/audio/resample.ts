/**
 * Band-limited sample rate conversion: a Kaiser-windowed sinc, cut into one short filter per output phase. The output starts at the
 * same instant as the input and lasts as long: `ceil(n * toHz / fromHz)` samples. Rates are whole numbers of hertz, 1000 to 192000.
 */
export function resample(samples: Int16Array, fromHz: number, toHz: number): Int16Array {
  const resampler = new StreamingResampler(fromHz, toHz)
  const head = resampler.push(samples)
  const tail = resampler.flush()
  const whole = new Int16Array(head.length + tail.length)
  whole.set(head)
  whole.set(tail, head.length)
  return whole
}

/** The same filter for audio that comes in pieces of any size; it holds back 3 ms at 8 kHz. Pieces joined equal `resample` of the whole. */
export class StreamingResampler {
  readonly #filter: PhaseFilter
  /** Input not yet out of every filter's reach; `#start` is the stream position of its first sample. */
  #held: Int16Array = new Int16Array(0)
  #start = 0
  #received = 0
  #produced = 0

  constructor(fromHz: number, toHz: number) {
    this.#filter = phaseFilter(fromHz, toHz)
  }

  push(samples: Int16Array): Int16Array {
    this.#take(samples)
    const { up, down, reach } = this.#filter
    // An output at input position p needs the samples up to floor(p) + reach.
    const ready = Math.floor(((this.#received - reach) * up - 1) / down) + 1
    return this.#produce(Math.max(this.#produced, ready))
  }

  /** What is left, as if silence followed. Afterwards the resampler is as new. */
  flush(): Int16Array {
    const { up, down } = this.#filter
    const rest = this.#produce(Math.ceil((this.#received * up) / down))
    this.#held = new Int16Array(0)
    this.#start = 0
    this.#received = 0
    this.#produced = 0
    return rest
  }

  #take(samples: Int16Array): void {
    const { up, down, reach } = this.#filter
    const firstNeeded = Math.floor((this.#produced * down) / up) - reach + 1
    const kept = this.#held.subarray(Math.min(this.#held.length, Math.max(0, firstNeeded - this.#start)))
    const held = new Int16Array(kept.length + samples.length)
    held.set(kept)
    held.set(samples, kept.length)
    this.#start = this.#received - kept.length
    this.#held = held
    this.#received += samples.length
  }

  #produce(until: number): Int16Array {
    const { up, down, reach, phases } = this.#filter
    const output = new Int16Array(until - this.#produced)
    const held = this.#held
    for (let i = 0; i < output.length; i += 1) {
      const position = (this.#produced + i) * down
      const whole = Math.floor(position / up)
      const taps = phases[position - whole * up] as Float32Array
      const first = whole - reach + 1 - this.#start
      let sum = 0
      const from = Math.max(0, -first)
      const to = Math.min(taps.length, held.length - first)
      for (let tap = from; tap < to; tap += 1) sum += (taps[tap] as number) * (held[first + tap] as number)
      output[i] = Math.max(-32768, Math.min(32767, Math.round(sum)))
    }
    this.#produced = until
    return output
  }
}

type PhaseFilter = Readonly<{
  /** The rate ratio in lowest terms: `up / down` output samples per input sample. */
  up: number
  down: number
  /** Input samples before and after an output sample that take part in it. */
  reach: number
  phases: readonly Float32Array[]
}>

/** Zero crossings each side: 48 taps in all, stop band below -70 dB with the transition inside the top 8 % of the band. */
const CROSSINGS = 24
const KAISER_BETA = 8
/** The cut-off as a share of the lower rate's band. */
const PASS_BAND = 0.94
/** Rate pairs in use are few (8, 16, 22.05, 24, 44.1, 48 kHz); 44.1 -> 8 kHz is the largest at about 85 KB. */
const FILTERS_KEPT = 16
const filters = new Map<string, PhaseFilter>()

function phaseFilter(fromHz: number, toHz: number): PhaseFilter {
  for (const [name, rate] of [['fromHz', fromHz], ['toHz', toHz]] as const) {
    if (!Number.isInteger(rate) || rate < 1000 || rate > 192_000) throw new RangeError(`${name} must be a whole number from 1000 to 192000, got ${rate}`)
  }
  const key = `${fromHz}>${toHz}`
  const known = filters.get(key)
  if (known !== undefined) return known
  const made = designFilter(fromHz, toHz)
  if (filters.size >= FILTERS_KEPT) filters.clear()
  filters.set(key, made)
  return made
}

function designFilter(fromHz: number, toHz: number): PhaseFilter {
  const divisor = greatestCommonDivisor(fromHz, toHz)
  const up = toHz / divisor
  const down = fromHz / divisor
  if (up === 1 && down === 1) return { up, down, reach: 1, phases: [new Float32Array([1, 0])] }
  const cutoff = Math.min(1, toHz / fromHz) * PASS_BAND
  const reach = Math.ceil(CROSSINGS / Math.min(1, toHz / fromHz))
  const phases = Array.from({ length: up }, (_, phase) => {
    const taps = Float32Array.from({ length: 2 * reach }, (_unused, tap) => {
      const distance = tap - reach + 1 - phase / up
      return cutoff * sinc(cutoff * distance) * kaiser(distance / reach)
    })
    // Unity gain at every phase: without it the quantised phases leave a faint tone at the output rate.
    const sum = taps.reduce((total, tap) => total + tap, 0)
    return taps.map((tap) => tap / sum)
  })
  return { up, down, reach, phases }
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x)
}

function kaiser(x: number): number {
  return Math.abs(x) >= 1 ? 0 : besselI0(KAISER_BETA * Math.sqrt(1 - x * x)) / besselI0(KAISER_BETA)
}

/** Modified Bessel function of the first kind, order zero, by its power series. */
function besselI0(x: number): number {
  let term = 1
  let sum = 1
  for (let k = 1; term > sum * 1e-12; k += 1) {
    term *= (x / (2 * k)) ** 2
    sum += term
  }
  return sum
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}
