import { DateTime } from 'luxon'
import type { BookingDesk, Opening } from '../booking/booking-desk.ts'
import { sayOpening, searchFor, type WhenRequest } from '../booking/when.ts'
import type { Offering } from '../forms/form-move.ts'
import { WHEN_SLOT, type FormState, type TimeOffer } from '../forms/form-state.ts'
import type { Company } from '../tenancy/company.ts'
import type { Form } from '../tenancy/form.ts'
import { whenOf } from './form-context.ts'
import { spokenTime } from './spoken-hours.ts'

/** More than three times are not remembered by anybody who hears them. */
const OFFERS = 3
/** How far a search goes on from a day that is full. */
const FURTHER_DAYS = 14

/** What is free for what the form says. `full`: nothing was free when the caller wanted it, and these are the nearest after it. */
export async function visitTimes(
  desk: BookingDesk,
  company: Company,
  form: Form,
  state: FormState,
  now: Date,
  signal: AbortSignal,
): Promise<Offering & Readonly<{ full: boolean; said: string }>> {
  const filled = state.slots[WHEN_SLOT]
  const when = filled === undefined ? null : whenOf(filled, company)
  const serviceId = serviceOf(company, form, state)
  if (when === null || serviceId === null) return { offers: [], wanted: null, full: false, said: '' }
  const search = searchFor(when, serviceId, OFFERS)
  const found = await desk.search(company.id, search, signal)
  const wanted = found.find((opening) => isNamed(opening, when))
  if (found.length > 0) return { offers: offersOf(found, company, now), wanted: wanted === undefined ? null : offerOf(wanted, company, now), full: false, said: when.said }
  const to = new Date(Date.parse(when.from) + FURTHER_DAYS * 86_400_000).toISOString()
  const later = await desk.search(company.id, { ...search, to, partOfDay: null, between: null, near: null, limit: OFFERS - 1 }, signal)
  return { offers: offersOf(later, company, now), wanted: null, full: true, said: when.said }
}

export function offersOf(openings: readonly Opening[], company: Company, now: Date): TimeOffer[] {
  const offers = openings.map((opening) => offerOf(opening, company, now))
  // Two crews at the same hour are one time to a caller.
  return offers.filter((offer, index) => offers.findIndex((other) => other.said === offer.said) === index).slice(0, OFFERS)
}

/** The one moment that was named: "Tuesday at nine" is the window that begins with it, or holds it. */
function isNamed(opening: Opening, when: WhenRequest): boolean {
  if (when.near === null) return false
  if (opening.window === null) return Date.parse(opening.startsAt) === Date.parse(when.near)
  return Date.parse(opening.window.startsAt) <= Date.parse(when.near) && Date.parse(when.near) < Date.parse(opening.window.endsAt)
}

function offerOf(opening: Opening, company: Company, now: Date): TimeOffer {
  const from = DateTime.fromISO(opening.window?.startsAt ?? opening.startsAt, { zone: company.timeZone })
  const part = from.hour < 12 ? 'morning' : from.hour < 17 ? 'afternoon' : 'evening'
  const day = from.setLocale('en-US').toFormat('cccc').toLowerCase()
  const ahead = Math.round(from.startOf('day').diff(DateTime.fromJSDate(now, { zone: company.timeZone }).startOf('day'), 'days').days)
  const end = opening.window === null ? [] : clockWords(DateTime.fromISO(opening.window.endsAt, { zone: company.timeZone }))
  return {
    serviceId: opening.serviceId,
    resourceId: opening.resourceId,
    startsAt: opening.startsAt,
    endsAt: opening.endsAt,
    window: opening.window,
    said: sayOpening(opening, company.timeZone, now),
    startWords: clockWords(from),
    otherWords: [day, part, ...(ahead === 0 ? ['today'] : ahead === 1 ? ['tomorrow'] : []), ...end],
  }
}

/** "9", "nine", "9 30", "nine thirty", "noon". */
function clockWords(at: DateTime): string[] {
  const hour = at.hour % 12 === 0 ? 12 : at.hour % 12
  const half = at.hour < 12 ? 'am' : 'pm'
  const spoken = spokenTime(at.toFormat('HH:mm'))
  const figures = at.minute === 0 ? [String(hour), `${hour} ${half}`, `${hour}${half}`, `${hour}:00`] : [`${hour} ${at.toFormat('mm')}`, `${hour}:${at.toFormat('mm')}`, `${hour}:${at.toFormat('mm')} ${half}`]
  return [spoken, ...figures]
}

/** What is booked: the service that was said, or the company's only one. */
function serviceOf(company: Company, form: Form, state: FormState): string | null {
  const slot = form.slots.find((one) => one.type === 'service')
  const said = slot === undefined ? undefined : state.slots[slot.id]?.value
  return said || state.slots['@service']?.value || company.services.find((service) => service.enabled)?.id || null
}
