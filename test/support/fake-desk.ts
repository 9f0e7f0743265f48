import { DateTime } from 'luxon'
import type { Appointment } from '../../src/booking/appointment.ts'
import type { AppointmentRequest, BookingDesk, Opening, OpeningSearch } from '../../src/booking/booking-desk.ts'
import type { Effect, EffectResult, Effects, LeadInput } from '../../src/booking/effect.ts'
import { ClientsViaError } from '../../src/core/errors.ts'
import type { Company } from '../../src/tenancy/company.ts'

/** Windows of two hours from eight to four, Monday to Friday, one crew: enough of a desk to talk to. Effects are done at once. */
export class FakeDesk implements BookingDesk {
  readonly booked: Appointment[] = []
  readonly leads: LeadInput[] = []
  /** The call of each lead, in the same order. */
  readonly leadCalls: string[] = []
  readonly cancelled: string[] = []
  /** The store does not answer. */
  away = false
  /** UTC starts that somebody else has. */
  readonly gone = new Set<string>()
  /** UTC starts that the first crew has just lost; a second one is free then. */
  readonly lostByFirstCrew = new Set<string>()
  readonly #company: Company

  constructor(company: Company) {
    this.#company = company
  }

  async search(_companyId: string, search: OpeningSearch): Promise<readonly Opening[]> {
    this.#answering()
    const zone = this.#company.timeZone
    const openings: Opening[] = []
    for (let day = DateTime.fromISO(search.from, { zone }).startOf('day'); day < DateTime.fromISO(search.to) && openings.length < 40; day = day.plus({ days: 1 })) {
      if (day.weekday > 5) continue
      for (const hour of [8, 10, 12, 14]) {
        const from = day.set({ hour })
        const part = hour < 12 ? 'morning' : 'afternoon'
        if (from < DateTime.fromISO(search.from).plus({ hours: 2 }) || from >= DateTime.fromISO(search.to)) continue
        if (search.partOfDay !== null && search.partOfDay !== part) continue
        const clock = from.toFormat('HH:mm')
        const end = from.plus({ hours: 2 }).toFormat('HH:mm')
        if (search.between && (end <= search.between.from || clock >= search.between.to)) continue
        const startsAt = from.toUTC().toISO() as string
        if (this.gone.has(startsAt) || this.booked.some((one) => one.startsAt === startsAt && one.status !== 'cancelled')) continue
        const endsAt = from.plus({ hours: 1 }).toUTC().toISO() as string
        openings.push({ serviceId: search.serviceId, resourceId: 'crew-1', startsAt, endsAt, window: { startsAt, endsAt: from.plus({ hours: 2 }).toUTC().toISO() as string } })
      }
    }
    if (search.near) openings.sort((a, b) => Math.abs(Date.parse(a.startsAt) - Date.parse(search.near as string)) - Math.abs(Date.parse(b.startsAt) - Date.parse(search.near as string)))
    return openings.slice(0, search.limit)
  }

  async book(companyId: string, request: AppointmentRequest, idempotencyKey: string): Promise<Appointment> {
    const same = this.booked.find((one) => one.idempotencyKey === idempotencyKey)
    if (same !== undefined) return same
    const { startsAt, endsAt, window, serviceId } = request.opening
    const isLost = this.lostByFirstCrew.has(startsAt)
    const resourceId = isLost && request.anyResource === true ? 'crew-2' : request.opening.resourceId
    if (isLost && request.anyResource !== true) throw new ClientsViaError('CONFLICT', 'the time is taken')
    if (this.gone.has(startsAt) || this.booked.some((one) => one.startsAt === startsAt && one.status !== 'cancelled')) throw new ClientsViaError('CONFLICT', 'the time is taken')
    const appointment: Appointment = {
      id: `a${this.booked.length + 1}`, companyId, resourceId, serviceId, startsAt, endsAt, bufferMinutes: 0, window, status: 'confirmed', customer: request.customer, reason: request.reason,
      answers: { ...request.answers }, heldUntil: null, callSid: request.callSid, idempotencyKey, version: 0,
    }
    this.booked.push(appointment)
    return appointment
  }

  hold(companyId: string, request: AppointmentRequest, idempotencyKey: string): Promise<Appointment> {
    return this.book(companyId, request, idempotencyKey)
  }

  async confirm(_companyId: string, appointmentId: string): Promise<Appointment> {
    return this.#get(appointmentId)
  }

  async reschedule(_companyId: string, appointmentId: string, opening: Opening): Promise<Appointment> {
    return this.#change(appointmentId, { startsAt: opening.startsAt, endsAt: opening.endsAt, window: opening.window, resourceId: opening.resourceId })
  }

  async cancel(_companyId: string, appointmentId: string): Promise<Appointment> {
    return this.#change(appointmentId, { status: 'cancelled' })
  }

  async customer(_companyId: string, phoneNumberE164: string): Promise<Appointment['customer'] | null> {
    this.#answering()
    return this.booked.findLast((one) => one.customer.phoneNumberE164 === phoneNumberE164 && one.status !== 'cancelled')?.customer ?? null
  }

  async upcoming(_companyId: string, phoneNumberE164: string): Promise<readonly Appointment[]> {
    this.#answering()
    return this.booked.filter((one) => one.customer.phoneNumberE164 === phoneNumberE164 && one.status !== 'cancelled').sort((a, b) => a.startsAt.localeCompare(b.startsAt))
  }

  effects(turn: number, callSid = 'CA1'): Effects {
    return { perform: (effect) => this.do(callSid, turn, effect) }
  }

  async do(callSid: string, turn: number, effect: Effect): Promise<EffectResult> {
    const companyId = this.#company.id
    try {
      switch (effect.kind) {
        case 'book':
          return { kind: 'done', appointment: await this.book(companyId, effect.request, `${callSid}:${turn}:book`) }
        case 'reschedule':
          return { kind: 'done', appointment: await this.reschedule(companyId, effect.appointmentId, effect.opening) }
        case 'cancel':
          return { kind: 'done', appointment: await this.cancel(companyId, effect.appointmentId) }
        case 'lead':
          this.leads.push(effect.lead)
          this.leadCalls.push(callSid)
          return { kind: 'done', appointment: null }
      }
    } catch (error) {
      if (!(error instanceof ClientsViaError) || effect.kind === 'cancel' || effect.kind === 'lead') throw error
      const opening = effect.kind === 'book' ? effect.request.opening : effect.opening
      const search = { serviceId: opening.serviceId, from: opening.startsAt, to: new Date(Date.parse(opening.startsAt) + 7 * 86_400_000).toISOString(), partOfDay: null, resourceId: null, limit: 2 }
      return { kind: 'taken', alternatives: await this.search(companyId, search) }
    }
  }

  #answering(): void {
    if (this.away) throw new ClientsViaError('STORE_FAILED', 'the store does not answer')
  }

  #get(appointmentId: string): Appointment {
    const found = this.booked.find((one) => one.id === appointmentId)
    if (found === undefined) throw new ClientsViaError('NOT_FOUND', 'no such appointment')
    return found
  }

  #change(appointmentId: string, patch: Partial<Appointment>): Appointment {
    const next = { ...this.#get(appointmentId), ...patch }
    this.booked.splice(this.booked.findIndex((one) => one.id === appointmentId), 1, next)
    return next
  }
}
