import type { Admission, LiveCallFacts } from '../call/call-directory.ts'
import type { CallContinuation } from '../call/call-leg.ts'
import type { CompanyEvent } from '../observability/event-bus.ts'
import type { MediaClaims } from '../telephony/media-tokens.ts'
import type { Clock } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { ClientsViaError } from '../core/errors.ts'

type Ask<Payload, Answer> = Readonly<{ payload: Payload; answer: Answer }>
type CallName = Readonly<{ companyId: string; callSid: string }>

/** Everything a worker process may ask the primary, by topic. */
export type Asks = Readonly<{
  'calls.admit': Ask<CallName & Readonly<{ companyLimit: number }>, Admission>
  'calls.forget': Ask<CallName, null>
  'calls.begin': Ask<CallName & Readonly<{ startedAt: string }>, null>
  'calls.finish': Ask<CallName, null>
  'calls.decide': Ask<CallName & Readonly<{ continuation: CallContinuation }>, null>
  'calls.continuation': Ask<CallName, CallContinuation | null>
  'calls.clear-continuation': Ask<CallName, null>
  'calls.company-of': Ask<Readonly<{ callSid: string }>, string | null>
  'calls.live': Ask<Readonly<{ companyId: string }>, readonly LiveCallFacts[]>
  'calls.end': Ask<CallName, boolean>
  'calls.add-seconds': Ask<Readonly<{ companyId: string; day: string; seconds: number }>, null>
  'calls.minutes-on': Ask<Readonly<{ companyId: string; day: string }>, number>
  'tokens.issue': Ask<MediaClaims, string>
  'tokens.consume': Ask<Readonly<{ token: string }>, MediaClaims | null>
  'metrics.text': Ask<null, string>
  /** This worker takes calls now. */
  'worker.ready': Ask<null, null>
}>
export type AskTopic = keyof Asks

/** What is told to workers, by topic. Everything told goes through the primary, so that all workers hear it in the same order. */
export type News = Readonly<{
  /** A company, its agent or its knowledge was saved by the worker at `place`: what others hold of it is old. */
  'company-saved': Readonly<{ companyId: string; place: number }>
  /** For the live view; the worker that told it hears it too. */
  event: Readonly<{ companyId: string; event: Omit<CompanyEvent, 'id' | 'companyId'> }>
  /** To the one worker that has the call. */
  'end-call': CallName
  /** The server stops: drain. */
  stop: null
}>
export type NewsTopic = keyof News

export type LinkMessage =
  | Readonly<{ kind: 'ask'; id: number; topic: AskTopic; payload: unknown }>
  | Readonly<{ kind: 'answer'; id: number; value: unknown }>
  | Readonly<{ kind: 'failure'; id: number; code: ClientsViaError['code'] | null; message: string }>
  | Readonly<{ kind: 'news'; topic: NewsTopic; payload: unknown }>

/** One end of the channel between two processes. Messages arrive in order; what cannot be sent is lost with the process it was for. */
export interface LinkChannel {
  send(message: LinkMessage): void
  onMessage(listener: (message: LinkMessage) => void): void
}

/** A primary answers within a millisecond; one that does not is dying, and its workers end with it. */
const ANSWER_WITHIN_MS = 2000
/** Some thousand calls beginning at once. */
const MAX_WAITING = 10_000

/** A worker process's end. */
export class WorkerLink {
  readonly #channel: LinkChannel
  readonly #clock: Clock
  readonly #waiting = new Map<number, Readonly<{ resolve: (value: never) => void; reject: (reason: unknown) => void }>>()
  readonly #listeners = new Map<NewsTopic, ((payload: never) => void)[]>()
  #nextId = 1

  constructor(channel: LinkChannel, clock: Clock) {
    this.#channel = channel
    this.#clock = clock
    channel.onMessage((message) => this.#receive(message))
  }

  /** Throws the primary's error, DEADLINE_PASSED when it is silent, OVERLOADED, or the signal's reason. */
  ask<Topic extends AskTopic>(topic: Topic, payload: Asks[Topic]['payload'], signal: AbortSignal | null): Promise<Asks[Topic]['answer']> {
    if (this.#waiting.size >= MAX_WAITING) return Promise.reject(new ClientsViaError('OVERLOADED', 'too many questions to the primary process'))
    const id = this.#nextId++
    return withDeadline(this.#clock, ANSWER_WITHIN_MS, signal, (inner) => {
      const { promise, resolve, reject } = Promise.withResolvers<Asks[Topic]['answer']>()
      this.#waiting.set(id, { resolve, reject })
      inner.addEventListener('abort', () => this.#waiting.delete(id), { once: true })
      this.#channel.send({ kind: 'ask', id, topic, payload })
      return promise
    })
  }

  tell<Topic extends NewsTopic>(topic: Topic, payload: News[Topic]): void {
    this.#channel.send({ kind: 'news', topic, payload })
  }

  onNews<Topic extends NewsTopic>(topic: Topic, listener: (payload: News[Topic]) => void): void {
    this.#listeners.set(topic, [...(this.#listeners.get(topic) ?? []), listener])
  }

  #receive(message: LinkMessage): void {
    switch (message.kind) {
      case 'answer':
        this.#settle(message.id)?.resolve(message.value as never)
        return
      case 'failure':
        this.#settle(message.id)?.reject(message.code === null ? new Error(message.message) : new ClientsViaError(message.code, message.message))
        return
      case 'news':
        for (const listener of this.#listeners.get(message.topic) ?? []) listener(message.payload as never)
        return
      case 'ask':
        return
    }
  }

  #settle(id: number): Readonly<{ resolve: (value: never) => void; reject: (reason: unknown) => void }> | undefined {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    return waiting
  }
}
