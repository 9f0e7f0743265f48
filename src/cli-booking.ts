import { z } from 'zod'
import type { ApiClient } from './cli-client.ts'

type Write = (text: string) => void

const openingSchema = z.looseObject({ resourceId: z.string(), startsAt: z.string(), said: z.string() })
const availabilitySchema = z.looseObject({ understood: z.looseObject({ said: z.string() }).nullable(), items: z.array(openingSchema) })
const appointmentSchema = z.looseObject({
  id: z.string(),
  status: z.string(),
  resourceId: z.string(),
  serviceId: z.string().nullable(),
  startsAt: z.string(),
  customer: z.looseObject({ name: z.string(), phoneNumberE164: z.string() }),
})
type Shown = z.infer<typeof appointmentSchema>

/** A line each: start, id, status, resource, service, who. */
export async function listAppointments(client: ApiClient, companyId: string, filter: Readonly<{ status?: string; from?: string }>, write: Write, signal: AbortSignal): Promise<void> {
  const page = z.looseObject({ items: z.array(appointmentSchema), nextCursor: z.string().nullable() })
  const query = new URLSearchParams({ limit: '200', ...filter })
  for (;;) {
    const reply = page.parse(await client.ask('GET', `/companies/${encodeURIComponent(companyId)}/appointments?${query.toString()}`, undefined, signal))
    for (const appointment of reply.items) write(lineOf(appointment))
    if (reply.nextCursor === null) return
    query.set('cursor', reply.nextCursor)
  }
}

/** What is free: in the next days, or when the words say. */
export async function showAvailability(client: ApiClient, companyId: string, serviceId: string, words: string, write: Write, signal: AbortSignal): Promise<void> {
  const { understood, items } = await search(client, companyId, serviceId, words, 20, signal)
  if (understood !== null) write(`${understood.said}:\n`)
  for (const opening of items) write(`${opening.startsAt}\t${opening.resourceId}\t${opening.said}\n`)
  if (items.length === 0) write('nothing is free\n')
}

export type Visitor = Readonly<{ name: string; phone: string; reason: string }>

/** Books the first time that is free when the words say ("next Tuesday after four"), or exactly then for an RFC 3339 time. False: nothing is free. */
export async function bookAppointment(client: ApiClient, companyId: string, serviceId: string, when: string, visitor: Visitor, write: Write, signal: AbortSignal): Promise<boolean> {
  const isExact = z.iso.datetime({ offset: true }).safeParse(when).success
  const first = isExact ? { startsAt: new Date(when).toISOString(), resourceId: null, said: '' } : (await search(client, companyId, serviceId, when, 1, signal)).items[0]
  if (first === undefined) {
    write('nothing is free then\n')
    return false
  }
  const customer = { name: visitor.name, phoneNumberE164: visitor.phone }
  const body = { serviceId, startsAt: first.startsAt, resourceId: first.resourceId, customer, reason: visitor.reason }
  const made = appointmentSchema.parse(await client.ask('POST', `/companies/${encodeURIComponent(companyId)}/appointments`, body, signal))
  write(lineOf(made))
  return true
}

export async function cancelAppointment(client: ApiClient, companyId: string, appointmentId: string, write: Write, signal: AbortSignal): Promise<void> {
  write(lineOf(appointmentSchema.parse(await client.ask('POST', `${pathOf(companyId, appointmentId)}/cancel`, {}, signal))))
}

export async function confirmAppointment(client: ApiClient, companyId: string, appointmentId: string, write: Write, signal: AbortSignal): Promise<void> {
  await change(client, companyId, appointmentId, { status: 'confirmed' }, write, signal)
}

/** To the first time that is free when the words say, or exactly then for an RFC 3339 time; with whoever can do it. False: nothing is free. */
export async function moveAppointment(client: ApiClient, companyId: string, appointmentId: string, when: string, write: Write, signal: AbortSignal): Promise<boolean> {
  const before = appointmentSchema.parse(await client.ask('GET', pathOf(companyId, appointmentId), undefined, signal))
  const isExact = z.iso.datetime({ offset: true }).safeParse(when).success
  const first = isExact ? { startsAt: new Date(when).toISOString() } : (await search(client, companyId, before.serviceId ?? '', when, 1, signal)).items[0]
  if (first === undefined) {
    write('nothing is free then\n')
    return false
  }
  const to = 'resourceId' in first ? { startsAt: first.startsAt, resourceId: first.resourceId } : first
  await change(client, companyId, appointmentId, to, write, signal)
  return true
}

async function change(client: ApiClient, companyId: string, appointmentId: string, changes: Readonly<Record<string, unknown>>, write: Write, signal: AbortSignal): Promise<void> {
  write(lineOf(appointmentSchema.parse(await client.change('PATCH', pathOf(companyId, appointmentId), changes, signal))))
}

function pathOf(companyId: string, appointmentId: string): string {
  return `/companies/${encodeURIComponent(companyId)}/appointments/${encodeURIComponent(appointmentId)}`
}

async function search(client: ApiClient, companyId: string, serviceId: string, words: string, limit: number, signal: AbortSignal): Promise<z.infer<typeof availabilitySchema>> {
  const query = new URLSearchParams({ serviceId, limit: String(limit), ...(words === '' ? {} : { when: words }) })
  return availabilitySchema.parse(await client.ask('GET', `/companies/${encodeURIComponent(companyId)}/availability?${query.toString()}`, undefined, signal))
}

function lineOf({ startsAt, id, status, resourceId, serviceId, customer }: Shown): string {
  return `${[startsAt, id, status, resourceId, serviceId ?? '-', customer.name, customer.phoneNumberE164].join('\t')}\n`
}
