import { setImmediate } from 'node:timers/promises'

/**
 * The same items, a few at a time, with a turn of the event loop after each few: audio frames beside it are due every 20 ms. 25 rows
 * of an import are some 5 ms of work.
 */
export async function* inPieces<T>(items: Iterable<T> | AsyncIterable<T>, signal: AbortSignal, size = 25): AsyncGenerator<readonly T[], void, undefined> {
  let piece: T[] = []
  for await (const item of items) {
    piece.push(item)
    if (piece.length < size) continue
    yield piece
    piece = []
    await setImmediate(undefined, { signal })
  }
  if (piece.length > 0) yield piece
}
