import type { Appointment } from '../booking/appointment.ts'
import type { Clock } from '../core/clock.ts'
import { isClientsViaError } from '../core/errors.ts'
import type { Company } from '../tenancy/company.ts'
import type { MessageChannelName } from '../tenancy/notifications.ts'
import type { MessageChannel, OutgoingText, SendOutcome } from './channel.ts'
import type { ContactStore, MessageTemplateStore } from './contacts.ts'
import { newEvent, type DomainEvent, type EventType } from './event.ts'
import type { Message } from './message.ts'
import { builtInTemplate, renderMessage } from './message-texts.ts'
import type { Lease, Outbox, Settlement } from './outbox.ts'
import { textableAt, textableInAll } from './texting-hours.ts'

export type DeliveryDeps = Readonly<{
  clock: Clock
  outbox: Pick<Outbox, 'beginSending' | 'settle' | 'sentSince'>
  companies: Readonly<{ get: (companyId: string, signal?: AbortSignal) => Promise<Company | null> }>
  templates: Pick<MessageTemplateStore, 'get'>
  contacts: Pick<ContactStore, 'get' | 'set'>
  /** Null where nothing is booked. */
  appointments: Readonly<{ get: (companyId: string, appointmentId: string, signal?: AbortSignal) => Promise<Appointment | null> }> | null
  /** Null: not configured on this server. */
  channels: Readonly<Record<MessageChannelName, MessageChannel | null>>
  /** Where a number is at home; empty where it does not say. */
  zonesOf: (phoneNumberE164: string) => Promise<readonly string[]>
  onOutcome: (channel: MessageChannelName, outcome: 'sent' | 'failed' | 'unknown' | 'dropped' | 'deferred' | 'retried') => void
}>

/** Longer than any channel takes: a lease must not run out under a worker that is still waiting for its answer. */
export const SENDING_LEASE_MS = 90_000
const UNTIL_ANSWERED = new AbortController().signal
/** 30 s, 1, 2, 4 ... at most 30 minutes apart: a provider that is down for two hours is outlasted. */
const MAX_ATTEMPTS = 9
const FIRST_RETRY_MS = 30_000
const LONGEST_RETRY_MS = 30 * 60_000
/** Full for this hour or day: looked at again then. */
const LIMIT_RETRY_MS = 10 * 60_000
/** Within the lease. */
const WRITE_ATTEMPTS = 5
const WRITE_RETRY_MS = 2000
const HOUR_MS = 60 * 60_000
const DAY_MS = 24 * HOUR_MS

/** What to do with a message that is due, before anybody is asked to send it. */
type Decision = Readonly<{ kind: 'send'; text: OutgoingText }> | Readonly<{ kind: 'settle'; settlement: Settlement }>

/**
 * Sends one message that a worker has claimed, or says why not. Whatever happens after the provider was asked is written down as what it
 * is: taken, refused, surely not taken (tried again), or unknown, which nobody tries again by himself.
 */
export class MessageDelivery {
  readonly #deps: DeliveryDeps

  constructor(deps: DeliveryDeps) {
    this.#deps = deps
  }

  async deliver(lease: Lease, signal: AbortSignal): Promise<void> {
    const { clock, outbox } = this.#deps
    const { item, token } = lease
    if (item.work.kind !== 'message') throw new TypeError('only messages are delivered')
    const { message } = item.work
    const decision = await this.#decide(item.companyId, lease, message, signal).catch((error: unknown) => {
      signal.throwIfAborted()
      return { kind: 'settle', settlement: this.#notDecided(lease, error) } as const
    })
    if (decision.kind === 'settle') {
      await this.#settle(lease, message, decision.settlement, signal)
      return
    }
    const channel = this.#deps.channels[message.channel]
    if (channel === null) throw new TypeError('decided to send on a channel that is not there')
    const wallTime = clock.wallTime()
    const leaseUntil = new Date(wallTime.getTime() + SENDING_LEASE_MS).toISOString()
    // Cancelled, moved, or taken over in the meantime: then it is not ours to send.
    if (!(await outbox.beginSending(item.companyId, item.id, token, wallTime.toISOString(), leaseUntil, signal))) return
    // Bounded by the channel alone: a server that stops waits for the answer, since cut off here it would never be known.
    const outcome = await channel.send(item.companyId, decision.text, UNTIL_ANSWERED)
    await this.#settle(lease, message, this.#settlementOf(lease, outcome))
    if (outcome.kind === 'refused' && outcome.optedOut) await this.#carrierKnowsStop(item.companyId, message)
  }

  async #decide(companyId: string, lease: Lease, message: Message, signal: AbortSignal): Promise<Decision> {
    const { clock, companies, templates, channels } = this.#deps
    const { item } = lease
    const now = clock.wallTime()
    if (item.expiresAt !== null && now.toISOString() >= item.expiresAt) return drop('it came too late to be of use')
    const company = await companies.get(companyId, signal)
    if (company === null) return drop('the company is gone')
    if (message.visit !== null && !(await this.#stillSo(companyId, message, signal))) return drop('the visit has moved or is cancelled')
    const channel = channels[message.channel]
    const unavailable = channel === null ? `no ${message.channel === 'sms' ? 'Twilio account' : 'mail server'} is configured` : await channel.unavailable(companyId, signal)
    if (unavailable !== null) return drop(unavailable)
    if (message.channel === 'sms') {
      const contact = await this.#deps.contacts.get(companyId, message.to, signal)
      if (contact?.state === 'opted-out') return drop('opted out')
      if (message.audience === 'customer' && company.notifications.consent === 'explicit' && contact?.state !== 'opted-in') return drop('has not agreed to texts')
      const textable = await this.#textable(company, message, now)
      if (textable > now) return wait('not at night', textable)
    }
    const full = await this.#overLimit(company, message.channel, now, signal)
    if (full !== null) return wait(full, new Date(now.getTime() + LIMIT_RETRY_MS))
    const stored = await templates.get(companyId, message.kind, message.channel, signal)
    try {
      const { subject, text } = renderMessage(company, message.channel, stored.template ?? builtInTemplate(company, message.kind, message.channel), message.facts)
      return { kind: 'send', text: { itemId: item.id, to: message.to, subject, text } }
    } catch (error) {
      if (!isClientsViaError(error, 'INVALID_INPUT')) throw error
      return { kind: 'settle', settlement: { state: 'failed', reason: `template: ${error.message}` } }
    }
  }

  /** When it is day where the message arrives. */
  async #textable(company: Company, message: Message, now: Date): Promise<Date> {
    const { textingHours, textingZone } = company.notifications
    if (message.anyHour) return now
    const atCompany = textableAt(now, company.timeZone, textingHours)
    const isAway = textingZone === 'callee' && message.audience === 'customer' && message.kind !== 'reminder_hour_before'
    const zones = isAway ? await this.#deps.zonesOf(message.to) : []
    return zones.length === 0 ? atCompany : (textableInAll(now, zones, textingHours) ?? atCompany)
  }

  /** Where the visit cannot be looked up, what the event said counts. */
  async #stillSo(companyId: string, message: Message, signal: AbortSignal): Promise<boolean> {
    if (message.visit === null || this.#deps.appointments === null || message.kind === 'appointment_cancelled') return true
    const visit = await this.#deps.appointments.get(companyId, message.visit.appointmentId, signal)
    if (visit === null || Date.parse(visit.startsAt) !== Date.parse(message.visit.startsAt)) return false
    return visit.status === 'confirmed' || visit.status === 'requested'
  }

  async #overLimit(company: Company, channel: MessageChannelName, now: Date, signal: AbortSignal): Promise<string | null> {
    const { limits } = company.notifications
    const since = (ms: number): Promise<number> => this.#deps.outbox.sentSince(company.id, channel, new Date(now.getTime() - ms).toISOString(), signal)
    if (channel === 'email') return (await since(DAY_MS)) >= limits.emailsPerDay ? `the company's limit of ${limits.emailsPerDay} e-mails a day` : null
    if ((await since(HOUR_MS)) >= limits.textsPerHour) return `the company's limit of ${limits.textsPerHour} texts an hour`
    return (await since(DAY_MS)) >= limits.textsPerDay ? `the company's limit of ${limits.textsPerDay} texts a day` : null
  }

  #settlementOf(lease: Lease, outcome: SendOutcome): Settlement {
    switch (outcome.kind) {
      case 'taken':
        return { state: 'done', reason: '', providerId: outcome.providerId }
      case 'refused':
        return { state: 'failed', reason: outcome.reason }
      case 'unknown':
        return { state: 'unknown', reason: outcome.reason }
      case 'not-taken': {
        const { attempts } = lease.item
        if (attempts >= MAX_ATTEMPTS) return { state: 'failed', reason: `${outcome.reason}, ${attempts} times` }
        const waitMs = Math.max(outcome.retryAfterMs ?? 0, Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (attempts - 1)))
        return { state: 'waiting', reason: outcome.reason, dueAt: new Date(this.#deps.clock.wallTime().getTime() + waitMs).toISOString(), countsAsAttempt: true }
      }
    }
  }

  /** Nothing was sent, so it may be tried again; what fails every time is a dead letter, not a loop. */
  #notDecided(lease: Lease, error: unknown): Settlement {
    const reason = isClientsViaError(error) ? error.message : 'could not be made'
    return this.#settlementOf(lease, { kind: 'not-taken', reason, retryAfterMs: null })
  }

  /** After a provider was asked no signal is passed: its answer is written down also while the server stops. */
  async #settle(lease: Lease, message: Message, settlement: Settlement, signal?: AbortSignal): Promise<void> {
    const { clock, onOutcome } = this.#deps
    const wallTime = clock.wallTime()
    const events = eventsOf(lease, message, settlement, wallTime)
    if (!(await this.#write(lease, { ...settlement, events }, wallTime, signal))) return
    if (settlement.state === 'waiting') onOutcome(message.channel, settlement.countsAsAttempt ? 'retried' : 'deferred')
    else onOutcome(message.channel, settlement.state === 'done' ? 'sent' : settlement.state)
  }

  /** A provider's answer that cannot be kept at once is worth a few seconds: without it the message stays unknown. */
  async #write(lease: Lease, settlement: Settlement, wallTime: Date, signal?: AbortSignal): Promise<boolean> {
    const { clock, outbox } = this.#deps
    const { item, token } = lease
    for (let attempt = 1; ; attempt++) {
      try {
        return await outbox.settle(item.companyId, item.id, token, settlement, wallTime.toISOString(), signal)
      } catch (error) {
        if (signal?.aborted === true || attempt === WRITE_ATTEMPTS || !isClientsViaError(error, 'STORE_FAILED')) throw error
        await clock.sleep(WRITE_RETRY_MS, signal)
      }
    }
  }

  async #carrierKnowsStop(companyId: string, message: Message): Promise<void> {
    const wallTime = this.#deps.clock.wallTime()
    const event = newEvent(wallTime, { companyId, type: 'contact.opted_out', subject: `contact/${message.to}`, data: { source: 'carrier' } })
    await this.#deps.contacts.set(companyId, { phoneNumberE164: message.to, state: 'opted-out', source: 'carrier', at: wallTime.toISOString() }, [event])
  }
}

const TYPES = { done: 'message.sent', failed: 'message.failed', unknown: 'message.unknown', dropped: 'message.dropped' } as const satisfies Record<string, EventType>

function eventsOf(lease: Lease, message: Message, settlement: Settlement, wallTime: Date): readonly DomainEvent[] {
  if (settlement.state === 'waiting') return []
  const { companyId, id } = lease.item
  const { kind, channel, callSid, visit } = message
  const told = newEvent(wallTime, { companyId, type: TYPES[settlement.state], subject: `message/${id}`, callSid, data: { kind, channel, reason: settlement.reason } })
  if (settlement.state !== 'done' || visit === null || !kind.startsWith('reminder_')) return [told]
  return [told, newEvent(wallTime, { companyId, type: 'appointment.reminded', subject: `appointment/${visit.appointmentId}`, callSid, data: { messageId: id, kind, startsAt: visit.startsAt } })]
}

function drop(reason: string): Decision {
  return { kind: 'settle', settlement: { state: 'dropped', reason } }
}

function wait(reason: string, until: Date): Decision {
  return { kind: 'settle', settlement: { state: 'waiting', reason, dueAt: until.toISOString(), countsAsAttempt: false } }
}
