/** Turns texts into vectors of unit length whose dot product says how alike they mean. */
export interface Embedder {
  /** Model name and version: part of every stored vector's key. */
  readonly name: string
  readonly dimensions: number
  /** Below `floor` two of its sentences have nothing in common, above `ceiling` they mean the same. Absent: as the embedded encoder's. */
  readonly cosines?: Readonly<{ floor: number; ceiling: number }>
  /** How many texts are best sent at once where nobody waits. Absent: as the embedded encoder likes it. */
  readonly batchTexts?: number
  /** One vector a text, in order. Rejects with ENGINE_UNAVAILABLE, ENGINE_FAILED or the signal's reason. */
  embed(texts: readonly string[], signal: AbortSignal): Promise<Float32Array[]>
}

/** Keeps the vectors of an admin's texts over a restart. Never given a caller's words. */
export interface VectorStore {
  get(model: string, text: string): Float32Array | null
  put(model: string, entries: readonly Readonly<{ text: string; vector: Float32Array }>[]): Promise<void>
}

/** Settles with `work`, or rejects with the signal's reason as soon as it aborts, whether or not `work` listens. */
export function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      work.catch(() => undefined)
      reject(signal.reason)
      return
    }
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
