import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Appointment } from '../booking/appointment.ts'
import type { Clock } from '../core/clock.ts'
import { unlessAway } from '../core/errors.ts'
import { uuidv7 } from '../core/ids.ts'
import type { ReceivedText, TextHandler, TextReport } from '../telephony/sms-webhook.ts'
import type { Company } from '../tenancy/company.ts'
import type { ContactStore } from './contacts.ts'
import { newEvent, type DomainEvent, type EventStore, type EventType } from './event.ts'
import type { LeadStore } from './lead.ts'
import { plainFact, readableNumber } from './message-texts.ts'
import type { Outbox } from './outbox.ts'

export type InboundTextsDeps = Readonly<{
  clock: Clock
  companies: Readonly<{ findByPhoneNumber: (phoneNumberE164: string, signal?: AbortSignal) => Promise<Company | null> }>
  contacts: Pick<ContactStore, 'get' | 'set'>
  eventLog: Pick<EventStore, 'append' | 'get'>
  leads: Pick<LeadStore, 'create'>
  outbox: Pick<Outbox, 'list' | 'get' | 'delivered'>
  appointments: Readonly<{ get: (companyId: string, appointmentId: string, signal?: AbortSignal) => Promise<Appointment | null> }> | null
  /** Keeps the carrier's reports for while the store is away; null: it is never away. */
  reports: Readonly<{ settledBy: (settle: SettleReport) => void; take: SettleReport }> | null
}>

type SettleReport = (report: TextReport, signal: AbortSignal) => Promise<void>

export type TextIntent = 'stop' | 'start' | 'help' | 'confirm' | 'reschedule' | 'other'

/** The words that carriers and the CTIA's guidelines know, and those our own texts ask for. */
const WORDS: Readonly<Record<string, TextIntent>> = {
  STOP: 'stop', STOPALL: 'stop', UNSUBSCRIBE: 'stop', CANCEL: 'stop', END: 'stop', QUIT: 'stop', OPTOUT: 'stop', 'OPT OUT': 'stop', REVOKE: 'stop',
  START: 'start', UNSTOP: 'start', SUBSCRIBE: 'start', 'OPT IN': 'start', OPTIN: 'start',
  HELP: 'help', INFO: 'help',
  C: 'confirm', CONFIRM: 'confirm', CONFIRMED: 'confirm', YES: 'confirm', Y: 'confirm', OK: 'confirm',
  R: 'reschedule', RESCHEDULE: 'reschedule', CHANGE: 'reschedule', MOVE: 'reschedule', NO: 'reschedule', N: 'reschedule',
}
/** Two machines that answer each other must come to an end. */
const ANSWERS_PER_HOUR = 10
const HOUR_MS = 3_600_000
/** Enough to find the visit that somebody answers about. */
const RECENT_MESSAGES = 20

/** What people text back: whether they may be texted at all, whether they will come, and everything else for a person to read. */
export class InboundTexts implements TextHandler {
  readonly #deps: InboundTextsDeps
  readonly #answered: LRUCache<string, { count: number }>

  constructor(deps: InboundTextsDeps) {
    this.#deps = deps
    this.#answered = new LRUCache({ max: 10_000, ttl: HOUR_MS, ttlResolution: 0, perf: { now: () => deps.clock.now() } })
    deps.reports?.settledBy((report, signal) => this.#settle(report, signal))
  }

  async received(text: ReceivedText, signal: AbortSignal): Promise<string | null> {
    const { companies, eventLog, clock } = this.#deps
    const company = await companies.findByPhoneNumber(text.to, signal)
    // Short codes and names are machines.
    if (company === null || !/^\+[1-9]\d{6,14}$/.test(text.from)) return null
    const eventId = idOf(company.id, text.messageSid)
    // A webhook that is repeated after a restart; the answer was sent the first time.
    if ((await unlessAway(eventLog.get(company.id, eventId, signal), null)) !== null) return null
    // While the store is away a word on texts still counts, and everything else is kept for a person to read.
    const contact = await unlessAway(this.#deps.contacts.get(company.id, text.from, signal), null)
    const intent = intentOf(text.body, contact?.state === 'opted-out')
    const answer = await this.#act(company, text, intent, signal)
    const wallTime = clock.wallTime()
    // Last: what follows from it is safe to be done twice, and is done if the server dies before this line.
    await eventLog.append(company.id, [{ ...newEvent(wallTime, { companyId: company.id, type: 'message.received', subject: `contact/${text.from}`, data: { intent } }), id: eventId }], signal)
    const unwanted = contact?.state === 'opted-out' && (intent === 'confirm' || intent === 'reschedule')
    return text.carrierAnswered || unwanted || answer === null || !this.#mayAnswer(company.id, text.from) ? null : answer
  }

  reported(report: TextReport, signal: AbortSignal): Promise<void> {
    const { reports } = this.#deps
    return reports === null ? this.#settle(report, signal) : reports.take(report, signal)
  }

  async #settle(report: TextReport, signal: AbortSignal): Promise<void> {
    const { outbox, eventLog, clock, contacts } = this.#deps
    const before = await outbox.get(report.companyId, report.itemId, signal)
    if (before === null || before.work.kind !== 'message') return
    const { message } = before.work
    const wallTime = clock.wallTime()
    const reason = report.errorCode === null ? '' : `the carrier reports ${report.errorCode}`
    const item = await outbox.delivered(report.companyId, report.itemId, { providerId: report.messageSid, delivery: report.delivery, reason }, wallTime.toISOString(), signal)
    if (item === null) return
    const tell = (type: EventType): DomainEvent =>
      newEvent(wallTime, { companyId: report.companyId, type, subject: `message/${item.id}`, callSid: message.callSid, data: { kind: message.kind, channel: message.channel, reason } })
    const events = [
      // The carrier's report came where its answer did not: now it is known.
      ...(before.state === 'done' ? [] : [tell('message.sent')]),
      ...(item.delivery === 'delivered' ? [tell('message.delivered')] : item.delivery === 'undelivered' ? [tell('message.failed')] : []),
    ]
    if (events.length > 0) await eventLog.append(report.companyId, events, signal)
    if (report.errorCode === '21610') await contacts.set(report.companyId, { phoneNumberE164: message.to, state: 'opted-out', source: 'carrier', at: wallTime.toISOString() }, [], signal)
  }

  async #act(company: Company, text: ReceivedText, intent: TextIntent, signal: AbortSignal): Promise<string | null> {
    const { name } = company
    const phone = readableNumber(company.phoneNumbers[0] ?? text.to)
    switch (intent) {
      case 'stop':
        await this.#setContact(company, text.from, 'opted-out', signal)
        return `${name}: you will get no more texts from us. Reply START to get them again.`
      case 'start':
        await this.#setContact(company, text.from, 'opted-in', signal)
        return `${name}: you will get texts about your visits again. Reply STOP to opt out, HELP for help.`
      case 'help':
        return `${name}: texts about your visits. Questions? Call ${phone}. Message and data rates may apply. Reply STOP to opt out.`
      case 'confirm':
      case 'reschedule': {
        const visit = await unlessAway(this.#visitOf(company.id, text.from, signal), 'away' as const)
        if (visit === 'away') {
          await this.#keep(company, text, `Texted: ${plainFact(text.body, 300)}`, 'message', signal)
          return null
        }
        if (visit === null) {
          await this.#keep(company, text, `Texted: ${plainFact(text.body, 300)}`, 'message', signal)
          return `${name}: we find no visit of yours ahead. Please call ${phone}.`
        }
        return intent === 'confirm' ? this.#acknowledge(company, visit, phone, signal) : this.#askForChange(company, visit, text, phone, signal)
      }
      case 'other':
        if (text.body.trim() !== '') await this.#keep(company, text, `Texted: ${plainFact(text.body, 400)}`, 'message', signal)
        return null
    }
  }

  async #acknowledge(company: Company, visit: Appointment, phone: string, signal: AbortSignal): Promise<string> {
    await this.#append(company.id, 'appointment.acknowledged', `appointment/${visit.id}`, { appointment: visit }, signal)
    return `${company.name}: thank you, see you then. If anything changes, call ${phone}.`
  }

  async #askForChange(company: Company, visit: Appointment, text: ReceivedText, phone: string, signal: AbortSignal): Promise<string> {
    await this.#append(company.id, 'appointment.change_asked', `appointment/${visit.id}`, { appointment: visit }, signal)
    await this.#keep(company, text, `Asked by text for another time than ${visit.startsAt}.`, 'callback', signal, visit.customer.name)
    return `${company.name}: thank you. We will be in touch about another time, or call ${phone}.`
  }

  /** The visit that our latest text to them was about, if it is still ahead. */
  async #visitOf(companyId: string, from: string, signal: AbortSignal): Promise<Appointment | null> {
    const { outbox, appointments, clock } = this.#deps
    if (appointments === null) return null
    const recent = await outbox.list(companyId, { before: null, limit: RECENT_MESSAGES, kind: 'message', to: from }, signal)
    const now = clock.wallTime().getTime()
    const asked = new Set<string>()
    for (const { state, work } of recent) {
      if (work.kind !== 'message' || work.message.visit === null || (state !== 'done' && state !== 'unknown')) continue
      const { appointmentId } = work.message.visit
      if (asked.has(appointmentId)) continue
      asked.add(appointmentId)
      const visit = await appointments.get(companyId, appointmentId, signal)
      if (visit !== null && visit.customer.phoneNumberE164 === from && (visit.status === 'confirmed' || visit.status === 'requested') && Date.parse(visit.startsAt) > now) return visit
    }
    return null
  }

  async #setContact(company: Company, from: string, state: 'opted-in' | 'opted-out', signal: AbortSignal): Promise<void> {
    const wallTime = this.#deps.clock.wallTime()
    const type = state === 'opted-out' ? 'contact.opted_out' : 'contact.opted_in'
    const event = newEvent(wallTime, { companyId: company.id, type, subject: `contact/${from}`, data: { source: 'text' } })
    await this.#deps.contacts.set(company.id, { phoneNumberE164: from, state, source: 'text', at: wallTime.toISOString() }, [event], signal)
  }

  async #keep(company: Company, text: ReceivedText, summary: string, kind: 'message' | 'callback', signal: AbortSignal, callerName: string | null = null): Promise<void> {
    const wallTime = this.#deps.clock.wallTime()
    const at = wallTime.toISOString()
    const lead = { id: uuidv7(wallTime), companyId: company.id, kind, callerName, phoneNumberE164: text.from, summary, idempotencyKey: `text:${text.messageSid}`, createdAt: at, updatedAt: at } as const
    await this.#deps.leads.create(company.id, lead, signal)
  }

  #append(companyId: string, type: EventType, subject: string, data: DomainEvent['data'], signal: AbortSignal): Promise<void> {
    return this.#deps.eventLog.append(companyId, [newEvent(this.#deps.clock.wallTime(), { companyId, type, subject, data })], signal)
  }

  #mayAnswer(companyId: string, from: string): boolean {
    const key = `${companyId} ${from}`
    const known = this.#answered.get(key) ?? { count: 0 }
    known.count += 1
    this.#answered.set(key, known, { noUpdateTTL: true })
    return known.count <= ANSWERS_PER_HOUR
  }
}

/** The whole text is the word, in any case, with or without a full stop. Somebody who has opted out and says yes wants to be texted again. */
export function intentOf(body: string, optedOut: boolean): TextIntent {
  const word = body.toUpperCase().replace(/[^\p{L}\p{N} ]/gu, '').replace(/\s+/g, ' ').trim()
  const intent = Object.hasOwn(WORDS, word) ? WORDS[word] : undefined
  if (optedOut && (word === 'YES' || word === 'Y')) return 'start'
  return intent ?? (/^(STOP|UNSUBSCRIBE)\b/.test(word) && word.split(' ').length <= 4 ? 'stop' : 'other')
}

/** The same message is the same event, whatever became of this process in between. */
function idOf(companyId: string, messageSid: string): string {
  const hex = createHash('sha256').update(JSON.stringify([companyId, messageSid])).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
