import { appointmentSchema, type Appointment } from '../../src/booking/appointment.ts'
import type { MessageChannel, OutgoingText, SendOutcome } from '../../src/events/channel.ts'
import { EmbeddedQueue } from '../../src/events/embedded-queue.ts'
import { newEvent, type EventType } from '../../src/events/event.ts'
import { MessageDelivery } from '../../src/events/message-delivery.ts'
import { OutboxWorker } from '../../src/events/outbox-worker.ts'
import type { OutboxItem } from '../../src/events/outbox.ts'
import { EmbeddedDatabase } from '../../src/storage/embedded-database.ts'
import { MIGRATIONS } from '../../src/storage/embedded-migrations.ts'
import { makeRepositories, type EmbeddedRepositories } from '../../src/storage/embedded-repositories.ts'
import type { CompanyInput } from '../../src/tenancy/company.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { company } from '../storage/fixtures.ts'
import { CALLER } from './fixtures.ts'

type Test = import('tap').Test

/** A channel that does as it is told, text by text; then takes everything. */
export class ScriptedChannel implements MessageChannel {
  readonly sent: (OutgoingText & Readonly<{ companyId: string; at: string }>)[] = []
  readonly script: (SendOutcome | Promise<SendOutcome>)[] = []
  why: string | null = null
  readonly #clock: VirtualClock

  constructor(clock: VirtualClock) {
    this.#clock = clock
  }

  async unavailable(): Promise<string | null> {
    return this.why
  }

  async send(companyId: string, text: OutgoingText, signal: AbortSignal): Promise<SendOutcome> {
    this.sent.push({ ...text, companyId, at: this.#clock.wallTime().toISOString() })
    const { promise: cutOff, resolve } = Promise.withResolvers<SendOutcome>()
    signal.addEventListener('abort', () => resolve({ kind: 'unknown', reason: 'cut off' }), { once: true })
    return Promise.race([this.script.shift() ?? { kind: 'taken', providerId: `SM${this.sent.length}` } as const, cutOff])
  }
}

export type DeliveryWorld = Readonly<{
  clock: VirtualClock
  repositories: EmbeddedRepositories
  sms: ScriptedChannel
  email: ScriptedChannel
  problems: string[]
  visits: Map<string, Appointment>
  happen: (type: EventType, visit: Appointment, previous?: Appointment) => Promise<void>
  messages: () => Promise<readonly OutboxItem[]>
  /** Lets time pass up to that moment: quickly where nothing is due, the worker standing still meanwhile. */
  until: (moment: string) => Promise<void>
  /** Ends the worker and starts another one, as after a crash. */
  restart: () => Promise<void>
}>

/** A worker over an in-memory store, in virtual time from `start` on, with one company in New York. */
export async function openDelivery(t: Test, start: string, changes: Partial<CompanyInput> = {}): Promise<DeliveryWorld> {
  const clock = new VirtualClock(new Date(start))
  const database = EmbeddedDatabase.open(':memory:')
  database.migrate(MIGRATIONS)
  const repositories = makeRepositories(database, { clock, report: (problem) => { throw problem } })
  await repositories.companies.save('a', company('a', { name: 'Polar Bay Air', phoneNumbers: ['+12395550100'], ...changes }))
  const [sms, email] = [new ScriptedChannel(clock), new ScriptedChannel(clock)]
  const problems: string[] = []
  const visits = new Map<string, Appointment>()
  const begin = (): { end: () => Promise<void> } => {
    const delivery = new MessageDelivery({
      clock, ...repositories, templates: repositories.messageTemplates, channels: { sms, email }, zonesOf: homeOf, onOutcome: () => undefined,
      appointments: { get: async (_companyId, id) => visits.get(id) ?? null },
    })
    const worker = new OutboxWorker({
      clock, ...repositories, queue: new EmbeddedQueue(), delivery, onDepth: () => undefined,
      onProblem: (facts, problem) => void problems.push(`${problem} ${String(facts['error'])}`),
    })
    const over = new AbortController()
    const running = worker.run(over.signal)
    return {
      end: async () => {
        over.abort(new Error('the server stops'))
        await running
      },
    }
  }
  let worker = begin()
  t.teardown(() => worker.end())
  return {
    clock, repositories, sms, email, problems, visits,
    happen: async (type, visit, previous) => {
      visits.set(visit.id, visit)
      const data = { appointment: visit, ...(previous === undefined ? {} : { previous }) }
      await repositories.eventLog.append('a', [newEvent(clock.wallTime(), { companyId: 'a', type, subject: `appointment/${visit.id}`, data, callSid: 'CA1' })])
    },
    messages: () => repositories.outbox.list('a', { before: null, limit: 100, kind: 'message' }),
    until: async (moment) => {
      const end = Date.parse(moment)
      const nowMs = (): number => clock.wallTime().getTime()
      while (nowMs() < end) {
        await clock.advance(Math.min(5000, end - nowMs()))
        const next = (await repositories.outbox.depth()).oldestDueAt
        const target = Math.min(end - 1000, next === null ? end : Date.parse(next))
        if (target <= nowMs()) continue
        await worker.end()
        await clock.advance(target - nowMs())
        worker = begin()
      }
    },
    restart: async () => {
      await worker.end()
      worker = begin()
    },
  }
}

/** Two area codes, known at once: reading the real table takes time that the virtual clock does not see. */
async function homeOf(phoneNumberE164: string): Promise<readonly string[]> {
  if (phoneNumberE164.startsWith('+1213')) return ['America/Los_Angeles']
  return phoneNumberE164.startsWith('+1239') ? ['America/New_York'] : []
}

export function visit(startsAt: string, changes: Partial<Appointment> = {}): Appointment {
  return appointmentSchema.parse({
    id: 'A1', companyId: 'a', resourceId: 'crew', startsAt, endsAt: new Date(Date.parse(startsAt) + 3_600_000).toISOString(), status: 'confirmed',
    customer: { name: 'Dana Reyes', phoneNumberE164: CALLER }, reason: 'no heat', idempotencyKey: 'k', ...changes,
  })
}
