import type { Breaker } from '../core/breaker.ts'
import type { Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import type { Embedder } from './embedder.ts'
import type { VectorIndex } from './vector-index.ts'

/** Somebody else has answered by then: being given up after this long is the vendor's failure, before it the caller's haste. */
const LATE_MS = 80

/** An encoder that is left alone for a while after it has failed or was late. */
export function guardedEmbedder(embedder: Embedder, breaker: Breaker, clock: Clock): Embedder {
  return {
    name: embedder.name,
    dimensions: embedder.dimensions,
    ...(embedder.cosines === undefined ? {} : { cosines: embedder.cosines }),
    ...(embedder.batchTexts === undefined ? {} : { batchTexts: embedder.batchTexts }),
    embed: (texts, signal) => guarded(breaker, clock, embedder.name, signal, () => embedder.embed(texts, signal)),
  }
}

/** The same for the index; only questions are guarded, for writes come again by themselves. */
export function guardedIndex(index: VectorIndex, breaker: Breaker, clock: Clock): VectorIndex {
  return {
    name: index.name,
    query: (companyId, model, vector, limit, signal) => guarded(breaker, clock, index.name, signal, () => index.query(companyId, model, vector, limit, signal)),
    upsert: (...args) => index.upsert(...args),
    delete: (...args) => index.delete(...args),
    list: (...args) => index.list(...args),
  }
}

async function guarded<T>(breaker: Breaker, clock: Clock, name: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  if (!breaker.tryPass()) throw new ClientsViaError('ENGINE_UNAVAILABLE', `${name} has just failed and is left alone for a moment`)
  const startedAt = clock.now()
  try {
    const result = await work()
    breaker.succeeded()
    return result
  } catch (error) {
    if (!signal.aborted || clock.now() - startedAt >= LATE_MS) breaker.failed()
    else breaker.abandoned()
    throw error
  }
}
