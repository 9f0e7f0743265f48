import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, truncateSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { VectorStore } from './embedder.ts'

const KEY_BYTES = 32
/** 20,000 vectors of 512 numbers are 42 MB: the phrases of some thirty large companies. Older ones are computed again. */
const MAX_VECTORS = 20_000

/**
 * Vectors in one file a vector size, appended record by record: a 32-byte SHA-256 of model and text, then the numbers as float32. A
 * record cut short by a crash is cut off at the next start. Holds hashes and numbers only, no text.
 */
export class FileVectorStore implements VectorStore {
  readonly #path: string
  readonly #dimensions: number
  readonly #vectors = new Map<string, Float32Array>()
  readonly #onFailure: (error: unknown) => void
  #written: Promise<void> = Promise.resolve()
  #closed = false

  /** `onFailure`: a full or missing disk costs the next start its time, never an answer; this is where it is logged. */
  constructor(folder: string, dimensions: number, onFailure: (error: unknown) => void) {
    mkdirSync(folder, { recursive: true })
    this.#path = join(folder, `vectors-${dimensions}.bin`)
    this.#dimensions = dimensions
    this.#onFailure = onFailure
    this.#load()
  }

  get(model: string, text: string): Float32Array | null {
    return this.#vectors.get(keyOf(model, text).toString('hex')) ?? null
  }

  async put(model: string, entries: readonly Readonly<{ text: string; vector: Float32Array }>[]): Promise<void> {
    const startAnew = this.#vectors.size + entries.length > MAX_VECTORS
    if (startAnew) this.#vectors.clear()
    const records: Buffer[] = []
    for (const { text, vector } of entries) {
      const key = keyOf(model, text)
      if (vector.length !== this.#dimensions || this.#vectors.has(key.toString('hex'))) continue
      this.#vectors.set(key.toString('hex'), vector)
      records.push(key, Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength))
    }
    if (records.length === 0 || this.#closed) return
    const before = this.#written
    this.#written = (async () => {
      await before
      await writeFile(this.#path, Buffer.concat(records), { flag: startAnew ? 'w' : 'a' })
    })().catch(this.#onFailure)
    await this.#written
  }

  /** Resolves when nothing is being written any more; what comes later is kept in memory only. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#written
  }

  #load(): void {
    if (!existsSync(this.#path)) return
    const bytes = readFileSync(this.#path)
    const recordBytes = KEY_BYTES + this.#dimensions * 4
    const whole = Math.min(Math.floor(bytes.length / recordBytes), MAX_VECTORS)
    for (let index = 0; index < whole; index++) {
      const start = index * recordBytes
      const vector = new Float32Array(this.#dimensions)
      Buffer.from(vector.buffer).set(bytes.subarray(start + KEY_BYTES, start + recordBytes))
      this.#vectors.set(bytes.subarray(start, start + KEY_BYTES).toString('hex'), vector)
    }
    if (whole * recordBytes < bytes.length) truncateSync(this.#path, whole * recordBytes)
  }
}

function keyOf(model: string, text: string): Buffer {
  return createHash('sha256').update(`${model}\0${text}`).digest()
}
