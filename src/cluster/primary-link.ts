import { CallLedger } from '../call/call-directory.ts'
import { isClientsViaError } from '../core/errors.ts'
import type { MediaTokens } from '../telephony/media-tokens.ts'
import type { AskTopic, Asks, LinkChannel, LinkMessage, News, NewsTopic } from './link.ts'

export type PrimaryServices = Readonly<{
  ledger: CallLedger
  tokens: MediaTokens
  /** The metrics of all workers, added up. */
  metrics: () => Promise<string>
  /** A worker takes calls. */
  ready: (name: string) => void
}>

type Answers = { readonly [Topic in AskTopic]: (owner: string, payload: Asks[Topic]['payload']) => Asks[Topic]['answer'] | Promise<Asks[Topic]['answer']> }

/**
 * The primary process's end: keeps what the workers share and passes on what they tell. It answers no calls itself, so that its loop is
 * always free.
 */
export class PrimaryLink {
  readonly #services: PrimaryServices
  readonly #workers = new Map<string, LinkChannel>()
  readonly #answers: Answers

  constructor(services: PrimaryServices) {
    this.#services = services
    const { ledger, tokens, metrics, ready } = services
    this.#answers = {
      'calls.admit': (_owner, call) => ledger.admit(call.companyId, call.callSid, call.companyLimit),
      'calls.forget': (_owner, call) => (ledger.forget(call.callSid), null),
      'calls.begin': (owner, call) => {
        const earlier = ledger.begin(call.companyId, call.callSid, call.startedAt, owner)
        if (earlier !== null) this.#tell(earlier, 'end-call', { companyId: call.companyId, callSid: call.callSid })
        return null
      },
      'calls.finish': (owner, call) => (ledger.finish(call.callSid, owner), null),
      'calls.decide': (_owner, call) => (ledger.decide(call.companyId, call.callSid, call.continuation), null),
      'calls.continuation': (_owner, call) => ledger.continuation(call.companyId, call.callSid),
      'calls.clear-continuation': (_owner, call) => (ledger.clearContinuation(call.companyId, call.callSid), null),
      'calls.company-of': (_owner, { callSid }) => ledger.companyOf(callSid),
      'calls.live': (_owner, { companyId }) => ledger.live(companyId),
      'calls.end': (_owner, call) => {
        const owner = ledger.ownerOf(call.companyId, call.callSid)
        if (owner === null) return false
        this.#tell(owner, 'end-call', { companyId: call.companyId, callSid: call.callSid })
        return true
      },
      'calls.add-seconds': (_owner, spent) => (ledger.addSeconds(spent.companyId, spent.day, spent.seconds), null),
      'calls.minutes-on': (_owner, { companyId, day }) => ledger.minutesOn(companyId, day),
      'tokens.issue': (_owner, claims) => tokens.issue(claims),
      'tokens.consume': (_owner, { token }) => tokens.consume(token),
      'metrics.text': metrics,
      'worker.ready': (owner) => (ready(owner), null),
    }
  }

  /** A worker process has started. */
  join(name: string, channel: LinkChannel): void {
    this.#workers.set(name, channel)
    channel.onMessage((message) => this.#receive(name, channel, message))
  }

  /** A worker process is gone, however: its calls come back through the carrier. */
  leave(name: string): void {
    this.#workers.delete(name)
    this.#services.ledger.release(name)
  }

  broadcast<Topic extends NewsTopic>(topic: Topic, payload: News[Topic]): void {
    for (const channel of this.#workers.values()) channel.send({ kind: 'news', topic, payload })
  }

  #tell<Topic extends NewsTopic>(name: string, topic: Topic, payload: News[Topic]): void {
    this.#workers.get(name)?.send({ kind: 'news', topic, payload })
  }

  #receive(name: string, channel: LinkChannel, message: LinkMessage): void {
    if (message.kind === 'news') {
      for (const worker of this.#workers.values()) worker.send(message)
    } else if (message.kind === 'ask') {
      void this.#answer(name, channel, message)
    }
  }

  async #answer(name: string, channel: LinkChannel, ask: Extract<LinkMessage, { kind: 'ask' }>): Promise<void> {
    try {
      const answer = this.#answers[ask.topic] as (owner: string, payload: unknown) => unknown
      channel.send({ kind: 'answer', id: ask.id, value: await answer(name, ask.payload) })
    } catch (error) {
      channel.send({ kind: 'failure', id: ask.id, code: isClientsViaError(error) ? error.code : null, message: error instanceof Error ? error.message : String(error) })
    }
  }
}
