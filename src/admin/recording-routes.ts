import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Recording, RecordingStore } from '../call/recording.ts'
import { ClientsViaError } from '../core/errors.ts'
import { companyParams, companyRoute, type AdminPorts } from './admin-contract.ts'
import { auditRead } from './audit-read.ts'
import { numberOf, pageOf, pageQuery, pageReply, pageReplySchema } from './conventions.ts'
import type { AdminDeps, Resources } from './pipeline.ts'
import { Problem } from './problems.ts'
import { found } from './route.ts'

const TAG = 'Recordings'
const BASE = '/companies/:companyId/recordings'
const recordingParams = companyParams.extend({ recordingId: z.string().min(1).max(64) })

export const recordingViewSchema = z.object({
  id: z.string(),
  companyId: z.string(),
  callSid: z.string(),
  from: z.string(),
  to: z.string(),
  startedAt: z.string(),
  notice: z.string(),
  durationMs: z.int(),
  sizeBytes: z.int(),
  /** Null while the call goes on, and where the server was killed in the middle of it. */
  endedAt: z.string().nullable(),
  endedBy: z.enum(['call', 'declined', 'failed']).nullable(),
  silenced: z.array(z.object({ fromMs: z.number(), toMs: z.number(), because: z.enum(['private', 'keys', 'disk']) })),
})

/** Recordings of calls: what there is, the sound itself, and its end. */
export function recordingRoutes(ports: AdminPorts): Resources {
  return (api, deps) => {
    const { recordings } = ports
    if (recordings === null) return
    facts(api, deps, recordings)
    sound(api, deps, recordings)
  }
}

export function recordingView(recording: Recording): z.input<typeof recordingViewSchema> {
  const { end, ...rest } = recording
  return { ...rest, endedAt: end?.endedAt ?? null, endedBy: end?.endedBy ?? null, silenced: [...(end?.silenced ?? [])] }
}

function facts(api: FastifyInstance, deps: AdminDeps, recordings: RecordingStore): void {
  companyRoute(api, deps, {
    method: 'GET', path: BASE, permission: 'recordings:read', audit: null, tag: TAG, summary: 'List recordings, newest first',
    params: companyParams,
    query: z.strictObject({
      ...pageQuery,
      callSid: z.string().min(1).max(64).optional(),
      /** In any usual way of writing. */
      from: z.string().min(3).max(40).optional(),
      startedFrom: z.iso.datetime().optional(),
      startedBefore: z.iso.datetime().optional(),
    }),
    replies: { 200: pageReplySchema(recordingViewSchema) },
    handler: async ({ companyId, query, signal }) => {
      const { after: before, limit } = pageOf(query)
      const filter = {
        ...(query.callSid === undefined ? {} : { callSid: query.callSid }),
        ...(query.from === undefined ? {} : { from: numberOf(query.from) }),
        ...(query.startedFrom === undefined ? {} : { startedFrom: query.startedFrom }),
        ...(query.startedBefore === undefined ? {} : { startedBefore: query.startedBefore }),
      }
      const rows = await recordings.list(companyId, { before, limit, ...filter }, signal)
      return { status: 200, body: pageReply(rows, query, (recording) => recording.id, recordingView) }
    },
  })

  companyRoute(api, deps, {
    method: 'GET', path: `${BASE}/:recordingId`, permission: 'recordings:read', audit: null, tag: TAG, summary: 'What is known of one recording',
    params: recordingParams, replies: { 200: recordingViewSchema },
    handler: async ({ companyId, params, signal }) => ({ status: 200, body: recordingView(found(await recordings.get(companyId, params.recordingId, signal), 'recording')) }),
  })

  companyRoute(api, deps, {
    method: 'DELETE', path: `${BASE}/:recordingId`, permission: 'data:erase', audit: 'recording.delete', tag: TAG, summary: 'Delete a recording; the call and its transcript stay',
    params: recordingParams, replies: { 204: z.undefined() },
    handler: async ({ companyId, params, state }) => {
      state.auditTarget = `recording/${params.recordingId}`
      if (!(await recordings.delete(companyId, params.recordingId))) throw new ClientsViaError('NOT_FOUND', 'no such recording')
      return { status: 204 }
    },
  })
}

function sound(api: FastifyInstance, deps: AdminDeps, recordings: RecordingStore): void {
  companyRoute(api, deps, {
    method: 'GET', path: `${BASE}/:recordingId/audio`, permission: 'recordings:read', audit: null, tag: TAG,
    summary: 'The sound: a WAV file, caller left, agent right. Takes `Range`, so that players can move in it. Who listens is in the audit log',
    params: recordingParams, replies: { 200: z.string(), 206: z.string() }, replyType: 'audio/wav', alsoRefuses: [416],
    handler: async (input) => {
      const { companyId, params, request, reply, signal } = input
      const recording = found(await recordings.get(companyId, params.recordingId, signal), 'recording')
      const range = rangeOf(request.headers.range, recording.sizeBytes)
      const stream = found(await recordings.read(companyId, params.recordingId, range, signal), 'recording')
      await auditRead(deps, input, 'compliance.recording_played', `recording/${params.recordingId}`)
      reply.header('accept-ranges', 'bytes').header('content-length', String(range.to - range.from))
      if (range.isPart) reply.header('content-range', `bytes ${range.from}-${range.to - 1}/${recording.sizeBytes}`)
      return { status: range.isPart ? 206 : 200, stream, filename: `${recording.id}.wav` }
    },
  })
}

/**
 * One range of bytes (RFC 9110 section 14): `from` to `to`, not included. What is no such range is ignored, as the standard says, and
 * so are several at once: no player asks for them. Throws 416 where it begins after the end.
 */
export function rangeOf(header: string | undefined, sizeBytes: number): Readonly<{ from: number; to: number; isPart: boolean }> {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '') ?? []
  const whole = { from: 0, to: sizeBytes, isPart: false }
  if (first === '' && last === '') return whole
  const from = first === '' ? Math.max(0, sizeBytes - Number(last)) : Number(first)
  const to = first === '' || last === '' ? sizeBytes : Math.min(sizeBytes, Number(last) + 1)
  if (first !== '' && last !== '' && Number(last) < from) return whole
  if (from >= sizeBytes) {
    throw new Problem(416, 'RANGE_NOT_SATISFIABLE', `the recording has ${sizeBytes} bytes`, { headers: { 'content-range': `bytes */${sizeBytes}` } })
  }
  return { from, to, isPart: true }
}
