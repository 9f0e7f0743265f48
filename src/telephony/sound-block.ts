/**
 * 120 ms of one caller: a block is full before the collector has looked at it twice, and goes with the young. Blocks of half a second were
 * kept with the old, 0.8 MB a second of a hundred calls, until a full collection.
 */
const BLOCK_BYTES = 960

/**
 * Room for one call's sound, handed out piece after piece and never again. Fifty buffers of 160 bytes a second and call, each made and
 * collected by itself, cost the media loop more than filling them.
 */
export class SoundBlock {
  #block = new Uint8Array(BLOCK_BYTES)
  #used = 0

  take(length: number): Uint8Array {
    if (length > BLOCK_BYTES) return new Uint8Array(length)
    if (this.#used + length > BLOCK_BYTES) {
      this.#block = new Uint8Array(BLOCK_BYTES)
      this.#used = 0
    }
    this.#used += length
    return this.#block.subarray(this.#used - length, this.#used)
  }
}
