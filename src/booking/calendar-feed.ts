import ical, { ICalCalendarMethod, ICalEventBusyStatus, ICalEventStatus } from 'ical-generator'
import type { Company } from '../tenancy/company.ts'
import type { Appointment } from './appointment.ts'
import { OWN_UID_SUFFIX } from './calendar-busy.ts'

/** 'full': who comes, why and where. 'busy': that the time is taken, and nothing else. */
export type FeedDetail = 'full' | 'busy'

/** How often those who subscribe are asked to come back. */
const REFRESH_SECONDS = 15 * 60

/** Appointments as a calendar to subscribe to; what is cancelled or was only held is not in it. */
export function calendarFeed(company: Pick<Company, 'name' | 'services' | 'resources'>, resourceId: string | null, appointments: readonly Appointment[], detail: FeedDetail): string {
  const resource = company.resources.find((one) => one.id === resourceId)
  const calendar = ical({
    name: resource === undefined ? company.name : `${company.name}: ${resource.name}`,
    prodId: { company: 'ClientsVia', product: 'Appointments', language: 'EN' },
    method: ICalCalendarMethod.PUBLISH,
    ttl: REFRESH_SECONDS,
  })
  for (const appointment of appointments) {
    if (appointment.status === 'cancelled' || appointment.status === 'held') continue
    const requested = appointment.status === 'requested'
    const service = company.services.find((one) => one.id === appointment.serviceId)?.name ?? 'Visit'
    const { customer } = appointment
    calendar.createEvent({
      id: `${appointment.id}${OWN_UID_SUFFIX}`,
      start: new Date(appointment.startsAt),
      end: new Date(appointment.endsAt),
      ...(appointment.updatedAt === undefined ? {} : { stamp: new Date(appointment.updatedAt), lastModified: new Date(appointment.updatedAt) }),
      sequence: appointment.version,
      status: requested ? ICalEventStatus.TENTATIVE : ICalEventStatus.CONFIRMED,
      busystatus: requested ? ICalEventBusyStatus.TENTATIVE : ICalEventBusyStatus.BUSY,
      summary: detail === 'busy' ? 'Busy' : `${service}: ${customer.name}${requested ? ' (to be confirmed)' : ''}`,
      ...(detail === 'busy' ? {} : { description: describe(appointment, company), ...(customer.address === null ? {} : { location: addressLine(customer.address) }) }),
    })
  }
  return calendar.toString()
}

/**
 * The same, page by page: a calendar of a year is 100 ms of work in one piece, between two audio frames that are due every 20 ms. A page
 * of 200 is some 4 ms.
 */
export async function* calendarFeedPieces(
  company: Parameters<typeof calendarFeed>[0],
  resourceId: string | null,
  pages: AsyncIterable<readonly Appointment[]>,
  detail: FeedDetail,
): AsyncGenerator<string, void, undefined> {
  const [head = ''] = calendarFeed(company, resourceId, [], detail).split(END)
  yield head
  for await (const page of pages) {
    const text = calendarFeed(company, resourceId, page, detail)
    yield text.slice(head.length, text.lastIndexOf(END))
  }
  yield `${END}\r\n`
}

const END = 'END:VCALENDAR'

function describe(appointment: Appointment, company: Pick<Company, 'resources'>): string {
  const resource = company.resources.find((one) => one.id === appointment.resourceId)?.name ?? appointment.resourceId
  const answers = Object.entries(appointment.answers).map(([question, answer]) => `${question.replaceAll('_', ' ')}: ${answer}`)
  return [appointment.reason, appointment.customer.phoneNumberE164, resource, ...answers].join('\n')
}

function addressLine(address: NonNullable<Appointment['customer']['address']>): string {
  return [`${address.street}${address.unit === '' ? '' : `, ${address.unit}`}`, address.city, `${address.state} ${address.zip}`].join(', ')
}
