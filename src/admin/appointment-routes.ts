import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { APPOINTMENT_STATUSES, appointmentSchema, type Appointment } from '../booking/appointment.ts'
import { ClientsViaError } from '../core/errors.ts'
import { uuidv7 } from '../core/ids.ts'
import type { Principal } from '../security/principal.ts'
import { maskPhoneNumber } from '../tenancy/phone-numbers.ts'
import { companyParams, companyRoute, type AdminPorts } from './admin-contract.ts'
import { numberOf, etagOf, guardedByIfMatch, pageOf, pageQuery, pageReply, pageReplySchema, requireIfMatch } from './conventions.ts'
import type { AdminDeps, Resources } from './pipeline.ts'
import { found } from './route.ts'

const TAG = 'Appointments'
const BASE = '/companies/:companyId/appointments'
const appointmentParams = companyParams.extend({ appointmentId: z.string().min(1).max(64) })
const { customer, reason, answers } = appointmentSchema.shape
const viewSchema = z
  .object({
    ...appointmentSchema.shape,
    // Masked for who may not see it.
    customer: z.object({ ...customer.shape, phoneNumberE164: z.string() }),
    createdAt: z.string(),
    updatedAt: z.string(),
  })
  .omit({ idempotencyKey: true })
const onGrain = z.iso.datetime().refine((moment) => Date.parse(moment) % 300_000 === 0, 'must be a multiple of five minutes')

const newAppointmentSchema = z.strictObject({
  serviceId: z.string().min(1).max(64),
  startsAt: onGrain,
  /** Whoever has least to do, unless given. */
  resourceId: z.string().min(1).max(64).nullable().default(null),
  customer,
  reason,
  answers,
  /** 'held' keeps the time for the rules' holdMinutes. */
  status: z.enum(['requested', 'held', 'confirmed']).default('confirmed'),
  /** Outside hours, windows and lead time, too; never over somebody else. */
  anyTime: z.boolean().default(false),
})

/** One kind of change at a time: what it has become, where it is moved to, or what is known of it. */
const changeSchema = z
  .strictObject({
    status: z.enum(['confirmed', 'cancelled', 'completed', 'no-show']).optional(),
    startsAt: onGrain.optional(),
    resourceId: z.string().min(1).max(64).optional(),
    serviceId: z.string().min(1).max(64).optional(),
    anyTime: z.boolean().optional(),
  })
  .refine((change) => change.status === undefined || (change.startsAt ?? change.resourceId ?? change.serviceId) === undefined, 'change the status or the time, not both at once')
  .refine((change) => (change.status ?? change.startsAt ?? change.resourceId ?? change.serviceId) !== undefined, 'nothing is changed')

/** Visits: made by people here and by callers on the telephone, under the same rules. */
export function appointmentRoutes(ports: AdminPorts): Resources {
  return (api, deps) => {
    readRoutes(api, deps, ports)
    writeRoutes(api, deps, ports)
  }
}

function readRoutes(api: FastifyInstance, deps: AdminDeps, ports: AdminPorts): void {
  companyRoute(api, deps, {
    method: 'GET', path: BASE, permission: 'bookings:read', audit: null, tag: TAG, summary: 'List appointments, by start',
    params: companyParams,
    query: z.strictObject({
      ...pageQuery,
      status: z.enum(APPOINTMENT_STATUSES).optional(),
      resourceId: z.string().min(1).max(64).optional(),
      serviceId: z.string().min(1).max(64).optional(),
      /** In any usual way of writing. */
      from: z.string().min(3).max(40).optional(),
      callSid: z.string().min(1).max(64).optional(),
      startsFrom: z.iso.datetime().optional(),
      startsBefore: z.iso.datetime().optional(),
    }),
    replies: { 200: pageReplySchema(viewSchema) },
    handler: async ({ companyId, query, principal, signal }) => {
      const { cursor: _cursor, limit: _limit, status, from, ...filter } = query
      const given = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined))
      const rows = await ports.booking.appointments.list(
        companyId,
        { ...given, ...pageOf(query), ...(status === undefined ? {} : { statuses: [status] }), ...(from === undefined ? {} : { phoneNumberE164: numberOf(from) }) },
        signal,
      )
      return { status: 200, body: pageReply(rows, query, (row) => row.id, (row) => shown(row, principal)) }
    },
  })

  companyRoute(api, deps, {
    method: 'GET', path: `${BASE}/:appointmentId`, permission: 'bookings:read', audit: null, tag: TAG, summary: 'One appointment',
    params: appointmentParams, replies: { 200: viewSchema },
    handler: async ({ companyId, params, principal, signal }) => {
      const appointment = found(await ports.booking.appointments.get(companyId, params.appointmentId, signal), 'appointment')
      return { status: 200, body: shown(appointment, principal), etag: etagOf(appointment.version) }
    },
  })
}

function writeRoutes(api: FastifyInstance, deps: AdminDeps, ports: AdminPorts): void {
  companyRoute(api, deps, {
    method: 'POST', path: BASE, permission: 'bookings:write', audit: 'appointment.create', tag: TAG,
    summary: 'Book a visit; 409 when the time is taken. With an Idempotency-Key, sent again it is booked once',
    params: companyParams, body: newAppointmentSchema, replies: { 201: viewSchema },
    handler: async ({ companyId, body, principal, request, state, signal }) => {
      const key = request.headers['idempotency-key']
      const madeBy = `api:${principal.companyId}:${principal.id}`
      const idempotencyKey = typeof key === 'string' ? `${madeBy}:${key}`.slice(0, 200) : `${madeBy}:${uuidv7(deps.clock.wallTime())}`
      const appointment = await ports.booking.desk.bookByHand(companyId, { ...body, answers: body.answers }, idempotencyKey, signal)
      state.auditTarget = `appointment/${appointment.id}`
      return { status: 201, body: shown(appointment, principal), etag: etagOf(appointment.version), location: `/api/v1/companies/${companyId}/appointments/${appointment.id}` }
    },
  })

  companyRoute(api, deps, {
    method: 'PATCH', path: `${BASE}/:appointmentId`, permission: 'bookings:write', audit: 'appointment.update', tag: TAG,
    summary: 'Confirm, cancel, complete or move a visit; 409 when the new time is taken',
    params: appointmentParams, body: changeSchema, replies: { 200: viewSchema },
    handler: async ({ companyId, params, body, principal, request, state, signal }) => {
      const ifVersion = requireIfMatch(request)
      state.auditTarget = `appointment/${params.appointmentId}`
      const before = found(await ports.booking.appointments.get(companyId, params.appointmentId, signal), 'appointment')
      const { desk } = ports.booking
      const appointment = await guardedByIfMatch(() => {
        if (body.status !== undefined) return desk.setStatus(companyId, before.id, body.status, ifVersion, signal)
        const serviceId = body.serviceId ?? before.serviceId
        if (serviceId === null) throw new ClientsViaError('INVALID_INPUT', 'serviceId: is needed, the appointment has none', { field: 'serviceId' })
        const startsAt = new Date(body.startsAt ?? before.startsAt).toISOString()
        const opening = { serviceId, resourceId: body.resourceId ?? before.resourceId, startsAt, endsAt: startsAt, window: null }
        return desk.move(companyId, before.id, opening, body.anyTime === true, ifVersion, signal)
      })
      return { status: 200, body: shown(appointment, principal), etag: etagOf(appointment.version) }
    },
  })

  companyRoute(api, deps, {
    method: 'POST', path: `${BASE}/:appointmentId/cancel`, permission: 'bookings:write', audit: 'appointment.cancel', tag: TAG, summary: 'Call a visit off, whatever it has become meanwhile',
    params: appointmentParams, replies: { 200: viewSchema },
    handler: async ({ companyId, params, principal, state, signal }) => {
      state.auditTarget = `appointment/${params.appointmentId}`
      const appointment = await ports.booking.desk.cancel(companyId, params.appointmentId, signal)
      return { status: 200, body: shown(appointment, principal), etag: etagOf(appointment.version) }
    },
  })
}

/** Who may not read transcripts sees that somebody comes, not who. */
function shown(appointment: Appointment, principal: Principal): Omit<Appointment, 'idempotencyKey'> {
  const { idempotencyKey: _key, ...rest } = appointment
  if (principal.permissions.has('transcripts:read')) return rest
  const { phoneNumberE164 } = appointment.customer
  return { ...rest, customer: { name: 'hidden', phoneNumberE164: maskPhoneNumber(phoneNumberE164), address: null }, answers: {}, reason: 'hidden' }
}
