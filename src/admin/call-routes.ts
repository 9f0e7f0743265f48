import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { CallRecord } from '../call/call-record.ts'
import type { Recording } from '../call/recording.ts'
import { explainCall } from '../call/explain.ts'
import { ClientsViaError } from '../core/errors.ts'
import { STAGES } from '../core/latency-budget.ts'
import type { Principal } from '../security/principal.ts'
import { PLATFORM } from '../security/roles.ts'
import { maskPhoneNumber } from '../tenancy/phone-numbers.ts'
import { companyParams, companyRoute, type AdminPorts } from './admin-contract.ts'
import { auditRead } from './audit-read.ts'
import { callBundleSchema, callViewSchema, outcomeSchema, turnView, turnViewSchema } from './call-views.ts'
import { numberOf, pageOf, pageQuery, pageReply, pageReplySchema } from './conventions.ts'
import type { AdminDeps, Resources } from './pipeline.ts'
import { recordingView, recordingViewSchema } from './recording-routes.ts'
import { found, route, type RouteInput } from './route.ts'

const TAG = 'Calls'
const BASE = '/companies/:companyId/calls'
const callParams = companyParams.extend({ callSid: z.string().min(1).max(64) })
/** Gaps of one call: a caller asks a few dozen questions at most. */
const GAPS_PAGE = 200
/** A stream that breaks is connected again a few times, not dozens of times. */
const RECORDINGS_PAGE = 20

export function callRoutes(ports: AdminPorts): Resources {
  return (api, deps) => {
    lists(api, deps, ports)
    oneCall(api, deps, ports)
    takeOut(api, deps, ports)
  }
}

function lists(api: FastifyInstance, deps: AdminDeps, ports: AdminPorts): void {
  companyRoute(api, deps, {
    method: 'GET', path: BASE, permission: 'calls:read', audit: null, tag: TAG, summary: 'List calls, newest first',
    params: companyParams,
    query: z.strictObject({
      ...pageQuery,
      outcome: outcomeSchema.optional(),
      /** In any usual way of writing. */
      from: z.string().min(3).max(40).optional(),
      startedFrom: z.iso.datetime().optional(),
      startedBefore: z.iso.datetime().optional(),
    }),
    replies: { 200: pageReplySchema(callViewSchema) },
    handler: async ({ companyId, query, principal, signal }) => {
      const { after: before, limit } = pageOf(query)
      const filter = {
        ...(query.outcome === undefined ? {} : { outcome: query.outcome }),
        ...(query.from === undefined ? {} : { from: numberOf(query.from) }),
        ...(query.startedFrom === undefined ? {} : { startedFrom: query.startedFrom }),
        ...(query.startedBefore === undefined ? {} : { startedBefore: query.startedBefore }),
      }
      const rows = await ports.calls.list(companyId, { before, limit, ...filter }, signal)
      return { status: 200, body: pageReply(rows, query, (call) => call.callSid, (call) => shown(call, principal)) }
    },
  })

  companyRoute(api, deps, {
    method: 'GET', path: '/companies/:companyId/live-calls', permission: 'calls:read', audit: null, tag: TAG, summary: 'Calls that are going on',
    params: companyParams, replies: { 200: z.object({ items: z.array(z.object({ callSid: z.string(), startedAt: z.string() })) }) },
    handler: async ({ companyId, signal }) => ({ status: 200, body: { items: [...(await ports.live.live(companyId, signal))] } }),
  })

  companyRoute(api, deps, {
    method: 'POST', path: '/companies/:companyId/live-calls/:callSid/hang-up', permission: 'calls:write', audit: 'call.hang_up', tag: TAG, summary: 'End a call that is going on',
    params: callParams, replies: { 202: z.undefined() },
    handler: async ({ companyId, params, state, signal }) => {
      state.auditTarget = `call/${params.callSid}`
      found((await ports.live.end(companyId, params.callSid, signal)) || null, 'live call')
      return { status: 202 }
    },
  })
}

const wholeCallSchema = z.object({ call: callViewSchema, turns: z.array(turnViewSchema), recordings: z.array(recordingViewSchema) })

async function wholeCall(
  deps: AdminDeps,
  ports: AdminPorts,
  { principal, state, signal }: Pick<RouteInput<unknown, unknown, unknown>, 'principal' | 'state' | 'signal'>,
  companyId: string,
  callSid: string,
): Promise<object> {
  const call = found(await ports.calls.get(companyId, callSid, signal), 'call')
  const turns = await ports.calls.turns(companyId, callSid, signal)
  await auditRead(deps, { principal, companyId, state, signal }, 'compliance.transcript_viewed', `call/${callSid}`)
  return { call: shown(call, principal), turns: turns.map(turnView), recordings: (await recordingsOf(ports, companyId, callSid, signal)).map(recordingView) }
}

/** Companies looked through for a call that is no longer remembered; beyond that its company must be named. */
const MOST_COMPANIES_SEARCHED = 500

/** Recent calls are remembered by their company; older ones are asked for, company by company. */
async function companyOfCall(ports: AdminPorts, callSid: string, signal: AbortSignal): Promise<string | null> {
  const remembered = await ports.live.companyOf(callSid, signal)
  if (remembered !== null) return remembered
  let after: string | null = null
  for (let searched = 0; searched < MOST_COMPANIES_SEARCHED; ) {
    const companies = await ports.companies.list({ after, limit: 100 }, signal)
    for (const company of companies) if ((await ports.calls.get(company.id, callSid, signal)) !== null) return company.id
    const last = companies.at(-1)
    if (last === undefined) return null
    searched += companies.length
    after = last.id
  }
  return null
}

function oneCall(api: FastifyInstance, deps: AdminDeps, ports: AdminPorts): void {
  companyRoute(api, deps, {
    method: 'GET', path: `${BASE}/:callSid`, permission: 'transcripts:read', audit: null, tag: TAG,
    summary: 'One call with its turns: what was said, from which source, and where the time went. Who reads it is in the audit log',
    params: callParams, replies: { 200: wholeCallSchema },
    handler: async (input) => ({ status: 200, body: await wholeCall(deps, ports, input, input.companyId, input.params.callSid) }),
  })

  route(api, deps, {
    method: 'GET', path: '/calls/:callSid', permission: 'transcripts:read', audit: null, tag: TAG,
    summary: 'The same by the call alone: of your own company, or of any where you administer the platform',
    params: z.strictObject({ callSid: callParams.shape.callSid }), replies: { 200: wholeCallSchema },
    handler: async (input) => {
      const { principal, params, signal } = input
      const companyId = principal.companyId === PLATFORM ? await companyOfCall(ports, params.callSid, signal) : principal.companyId
      return { status: 200, body: await wholeCall(deps, ports, input, found(companyId, 'call'), params.callSid) }
    },
  })

  companyRoute(api, deps, {
    method: 'GET', path: `${BASE}/:callSid/explain`, permission: 'calls:read', audit: null, tag: TAG, summary: 'Why the caller had to wait: the cause of every silence over 700 ms',
    params: callParams,
    replies: {
      200: z.object({
        callSid: z.string(),
        turns: z.int(),
        silences: z.array(
          z.object({
            turn: z.int(),
            startedAt: z.string(),
            gapMs: z.number().nullable(),
            why: z.string(),
            causes: z.array(z.object({ stage: z.enum(STAGES), ms: z.number(), outcome: z.string(), because: z.string() })),
            stalled: z.boolean(),
            overBudgetMs: z.number(),
            recording: z.object({ id: z.string(), atMs: z.number() }).nullable(),
          }),
        ),
        lostFrameCount: z.int(),
        streamErrors: z.array(z.string()),
      }),
    },
    handler: async ({ companyId, params, signal }) => {
      const call = found(await ports.calls.get(companyId, params.callSid, signal), 'call')
      const [turns, recordings] = await Promise.all([ports.calls.turns(companyId, params.callSid, signal), recordingsOf(ports, companyId, params.callSid, signal)])
      return { status: 200, body: explainCall(call, turns, recordings) }
    },
  })
}

function takeOut(api: FastifyInstance, deps: AdminDeps, ports: AdminPorts): void {
  companyRoute(api, deps, {
    method: 'POST', path: `${BASE}/:callSid/export`, permission: 'data:export', audit: 'data.exported', tag: TAG, summary: 'Everything that is kept of one call', replay: 'never',
    params: callParams, replies: { 200: callBundleSchema.extend({ recordings: z.array(recordingViewSchema) }) },
    handler: async ({ companyId, params, state, signal }) => {
      state.auditTarget = `call/${params.callSid}`
      const call = found(await ports.calls.get(companyId, params.callSid, signal), 'call')
      const turns = await ports.calls.turns(companyId, params.callSid, signal)
      const gaps = []
      for (let after: string | null = null; ; ) {
        const page: Awaited<ReturnType<AdminPorts['calls']['gaps']>> = await ports.calls.gaps(companyId, { after, limit: GAPS_PAGE }, signal)
        gaps.push(...page.filter((gap) => gap.callSid === params.callSid))
        after = page.at(-1)?.id ?? null
        if (page.length < GAPS_PAGE) break
      }
      const recordings = await recordingsOf(ports, companyId, params.callSid, signal)
      return { status: 200, body: { call, turns: turns.map(turnView), gaps, recordings: recordings.map(recordingView) } }
    },
  })

  companyRoute(api, deps, {
    method: 'DELETE', path: `${BASE}/:callSid`, permission: 'data:erase', audit: 'call.delete', tag: TAG, summary: 'Delete one call with its turns, gaps and recordings',
    params: callParams, replies: { 204: z.undefined() },
    handler: async ({ companyId, params, state, signal }) => {
      state.auditTarget = `call/${params.callSid}`
      if ((await ports.live.live(companyId, signal)).some((call) => call.callSid === params.callSid)) throw new ClientsViaError('CONFLICT', 'the call is going on: hang up first')
      const recorded = await recordingsOf(ports, companyId, params.callSid, signal)
      for (const recording of recorded) await ports.recordings?.delete(companyId, recording.id)
      if (!(await ports.calls.deleteCall(companyId, params.callSid, signal))) throw new ClientsViaError('NOT_FOUND', 'no such call')
      return { status: 204 }
    },
  })
}

/** Of one call: one for each time its stream was connected. */
async function recordingsOf(ports: AdminPorts, companyId: string, callSid: string, signal: AbortSignal): Promise<readonly Recording[]> {
  return ports.recordings === null ? [] : ports.recordings.list(companyId, { before: null, limit: RECORDINGS_PAGE, callSid }, signal)
}

/** Who may not read transcripts sees that somebody called, not who. */
function shown(call: CallRecord, principal: Principal): CallRecord {
  return principal.permissions.has('transcripts:read') ? call : { ...call, from: maskPhoneNumber(call.from) }
}
