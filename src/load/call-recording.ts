import { SAMPLE_RATE_HZ } from '../audio/frame.ts'
import { writeWav } from '../audio/wav.ts'

/** 15 minutes: longer than any script; a runaway call stops growing here and keeps what it has. */
const LONGEST_SAMPLES = 900 * SAMPLE_RATE_HZ
const FIRST_CAPACITY = 30 * SAMPLE_RATE_HZ

/** Both sides of a call on the caller's clock: what the caller sent and what the caller's earpiece played. 8 kHz, 16 bits. */
export class CallRecording {
  #caller = new Int16Array(FIRST_CAPACITY)
  #agent = new Int16Array(FIRST_CAPACITY)
  #length = 0

  writeCaller(samples: Int16Array, atSample: number): void {
    if (this.#reserve(atSample + samples.length)) this.#caller.set(samples, atSample)
  }

  writeAgent(samples: Int16Array, atSample: number): void {
    if (this.#reserve(atSample + samples.length)) this.#agent.set(samples, atSample)
  }

  get durationMs(): number {
    return (this.#length * 1000) / SAMPLE_RATE_HZ
  }

  get caller(): Int16Array {
    return this.#caller.subarray(0, this.#length)
  }

  get agent(): Int16Array {
    return this.#agent.subarray(0, this.#length)
  }

  /** Stereo: caller left, agent right. */
  toWav(): Uint8Array {
    return writeWav({ sampleRateHz: SAMPLE_RATE_HZ, channels: [this.caller, this.agent] })
  }

  #reserve(length: number): boolean {
    if (length > LONGEST_SAMPLES) return false
    if (length > this.#caller.length) {
      const capacity = Math.min(LONGEST_SAMPLES, Math.max(length, this.#caller.length * 2))
      this.#caller = grown(this.#caller, capacity)
      this.#agent = grown(this.#agent, capacity)
    }
    this.#length = Math.max(this.#length, length)
    return true
  }
}

function grown(samples: Int16Array<ArrayBuffer>, capacity: number): Int16Array<ArrayBuffer> {
  const larger = new Int16Array(capacity)
  larger.set(samples)
  return larger
}
