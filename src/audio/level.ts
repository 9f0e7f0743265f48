import { decodeMulaw } from './g711.ts'

/** Digital silence, and anything quieter, is this level. */
export const SILENCE_DB = -96

/** RMS level in dB below a full-scale square wave, never below `SILENCE_DB`. */
export function levelDb(samples: Int16Array): number {
  let energy = 0
  for (let i = 0; i < samples.length; i += 1) energy += (samples[i] as number) ** 2
  return decibels(energy, samples.length)
}

/** The same of µ-law, without decoding it: squares are whole numbers, so the sum is the same to the last bit. */
export function mulawLevelDb(mulaw: Uint8Array): number {
  let energy = 0
  for (let i = 0; i < mulaw.length; i += 1) energy += SQUARES[mulaw[i] as number] as number
  return decibels(energy, mulaw.length)
}

const SQUARES = Float64Array.from(decodeMulaw(Uint8Array.from({ length: 256 }, (_, code) => code)), (sample) => sample ** 2)

function decibels(energy: number, length: number): number {
  if (energy === 0) return SILENCE_DB
  return Math.max(SILENCE_DB, 10 * Math.log10(energy / length / (32768 * 32768)))
}

/** The floor follows a quieter frame by this share of the difference. */
const FALL_SHARE = 0.3
/** dB per 20 ms frame: 6 dB a second while nobody speaks, 1 dB a second under speech. */
const RISE_DB = 6 / 50
const RISE_IN_SPEECH_DB = 1 / 50
const LOWEST_DB = -65
const HIGHEST_DB = -25
/** 2.5 s of levels, in minima of 100 ms: the longest stretch of speech without a gap that is this rarely exceeded. */
const FRAMES_A_MINIMUM = 5
const MINIMA_KEPT = 25

/**
 * The line's noise level, fed one 20 ms frame at a time. It falls fast, climbs slowly, and is never below the quietest 100 ms of the
 * last 2.5 s, so that steady noise which starts mid-call is learned within that time.
 */
export class NoiseFloor {
  #floorDb: number
  readonly #minima: number[] = []
  #current = Infinity
  #framesInCurrent = 0

  constructor(initialDb = -60) {
    this.#floorDb = initialDb
  }

  get db(): number {
    return this.#floorDb
  }

  /** Returns the floor in dBFS, -65 to -25, with this frame taken into account. */
  observe(frameDb: number, inSpeech: boolean): number {
    if (frameDb < this.#floorDb) this.#floorDb += FALL_SHARE * (frameDb - this.#floorDb)
    else this.#floorDb += inSpeech ? RISE_IN_SPEECH_DB : RISE_DB
    this.#remember(frameDb)
    if (this.#minima.length === MINIMA_KEPT) this.#floorDb = Math.max(this.#floorDb, Math.min(...this.#minima))
    this.#floorDb = Math.max(LOWEST_DB, Math.min(HIGHEST_DB, this.#floorDb))
    return this.#floorDb
  }

  #remember(frameDb: number): void {
    this.#current = Math.min(this.#current, frameDb)
    this.#framesInCurrent += 1
    if (this.#framesInCurrent < FRAMES_A_MINIMUM) return
    this.#minima.push(this.#current)
    if (this.#minima.length > MINIMA_KEPT) this.#minima.shift()
    this.#current = Infinity
    this.#framesInCurrent = 0
  }
}
