import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import type { Company } from '../tenancy/company.ts'
import type { Dispatch, DispatchQueue } from './dispatch-queue.ts'
import { followUpOf } from './follow-up.ts'
import type { MessageDelivery } from './message-delivery.ts'
import type { Lease, Outbox, OutboxDepth, Settlement } from './outbox.ts'

export type OutboxWorkerDeps = Readonly<{
  clock: Clock
  outbox: Pick<Outbox, 'due' | 'claim' | 'settle' | 'depth'>
  queue: DispatchQueue
  delivery: MessageDelivery
  companies: Readonly<{ get: (companyId: string, signal?: AbortSignal) => Promise<Company | null> }>
  /** What a scan found, for metrics. */
  onDepth: (depth: OutboxDepth) => void
  onProblem: (facts: Readonly<Record<string, unknown>>, problem: string) => void
}>

/** How soon after an event its message goes out, at the latest. */
const SCAN_EVERY_MS = 1000
/** What cannot be reached is left alone for a moment. */
const SCAN_AFTER_FAILURE_MS = 5000
/** Counting everything is work: not at every scan. */
const DEPTH_EVERY_SCANS = 15
/** One scan; what is beyond it is found by the next. */
const SCAN_LIMIT = 200
/** Sends that wait for a provider at the same time, a process: Twilio takes one text a second from a usual number. */
const CONCURRENCY = 4
/** To decide, before anybody is asked to send: a few reads. */
const CLAIM_LEASE_MS = 60_000
/** A task that kills its worker, or cannot be done, this often will not be done the next time either. */
const MAX_TASK_ATTEMPTS = 8
const FIRST_TASK_RETRY_MS = 5000

/**
 * Does what is due in the outbox: works out what follows from events, and sends messages. Any number of processes may run one; each item
 * is claimed before it is touched.
 */
export class OutboxWorker {
  readonly #deps: OutboxWorkerDeps

  constructor(deps: OutboxWorkerDeps) {
    this.#deps = deps
  }

  /** Until the signal aborts; then what has begun is finished. */
  async run(signal: AbortSignal): Promise<void> {
    const { queue } = this.#deps
    await Promise.all([this.#scan(signal), queue.consume((item) => this.work(item, signal), CONCURRENCY, signal)])
  }

  async #scan(signal: AbortSignal): Promise<void> {
    const { clock, outbox, queue, onDepth, onProblem } = this.#deps
    for (let scans = 0; !signal.aborted; scans++) {
      try {
        const due = await outbox.due(clock.wallTime().toISOString(), SCAN_LIMIT, signal)
        if (due.length > 0) await queue.offer(due, signal)
        if (scans % DEPTH_EVERY_SCANS === 0) onDepth(await outbox.depth(signal))
        await clock.sleep(SCAN_EVERY_MS, signal)
      } catch (error) {
        if (signal.aborted) return
        onProblem({ error: String(error) }, 'the outbox cannot be read')
        await clock.sleep(SCAN_AFTER_FAILURE_MS, signal).catch(() => undefined)
      }
    }
  }

  /** One item, if it is still to be had. Never rejects. */
  async work({ companyId, itemId }: Dispatch, signal: AbortSignal): Promise<void> {
    const { clock, outbox, delivery, onProblem } = this.#deps
    let lease: Lease | null = null
    try {
      const wallTime = clock.wallTime()
      const terms = { token: randomUUID(), now: wallTime.toISOString(), leaseUntil: new Date(wallTime.getTime() + CLAIM_LEASE_MS).toISOString() }
      lease = await outbox.claim(companyId, itemId, terms, signal)
      if (lease === null) return
      if (lease.item.work.kind === 'event') await this.#followUp(lease, signal)
      else await delivery.deliver(lease, signal)
    } catch (error) {
      if (!signal.aborted) onProblem({ companyId, itemId, error: String(error) }, 'outbox item not done')
      if (lease !== null) await this.#giveBack(lease, error).catch(() => undefined)
    }
  }

  async #followUp(lease: Lease, signal: AbortSignal): Promise<void> {
    const { clock, outbox, companies } = this.#deps
    const { item, token } = lease
    if (item.work.kind !== 'event') return
    const company = await companies.get(item.companyId, signal)
    const wallTime = clock.wallTime()
    const done = { state: 'done', reason: '', providerId: null } as const
    if (company === null) {
      await outbox.settle(item.companyId, item.id, token, { state: 'dropped', reason: 'the company is gone' }, wallTime.toISOString(), signal)
      return
    }
    const { add, dropSubject } = followUpOf(item.work.event, company, wallTime)
    await outbox.settle(item.companyId, item.id, token, { ...done, add, ...(dropSubject === null ? {} : { dropSubject }) }, wallTime.toISOString(), signal)
  }

  /** Before anything was sent, an item waits again; one that was being sent is left to its lease, which ends in 'unknown'. */
  async #giveBack(lease: Lease, error: unknown): Promise<void> {
    const { clock, outbox } = this.#deps
    const { item, token } = lease
    const wallTime = clock.wallTime()
    if (item.work.kind === 'message') return
    const hopeless = error instanceof z.ZodError || item.attempts >= MAX_TASK_ATTEMPTS
    const dueAt = new Date(wallTime.getTime() + FIRST_TASK_RETRY_MS * 2 ** (item.attempts - 1)).toISOString()
    const reason = error instanceof z.ZodError ? 'the event is not what its type says' : 'could not be done'
    const settlement: Settlement = hopeless ? { state: 'failed', reason } : { state: 'waiting', reason, dueAt, countsAsAttempt: true }
    await outbox.settle(item.companyId, item.id, token, settlement, wallTime.toISOString())
  }
}
