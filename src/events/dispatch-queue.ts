/** One thing to work on; everything else about it is in the outbox. */
export type Dispatch = Readonly<{ companyId: string; itemId: string }>

/**
 * Spreads due work over workers, of this process or of many. It need not be durable: the outbox is, and whatever is lost is offered again by
 * the next scan. It must not be exact either: who works on an item claims it in the outbox first.
 */
export interface DispatchQueue {
  /** Each to one worker. An item offered again while it waits here or is worked on is one. */
  offer(items: readonly Dispatch[], signal: AbortSignal): Promise<void>
  /**
   * Hands out what is offered, at most `concurrency` at a time, until the signal aborts; resolves when what was being worked on is done.
   * An item whose work rejects is let go: the next scan offers it again.
   */
  consume(work: (item: Dispatch) => Promise<void>, concurrency: number, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}
