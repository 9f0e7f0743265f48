import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { AuditRow } from '../security/records.ts'
import { auditFactSchema } from '../security/records.ts'
import { pageOf, pageQuery, pageReply, pageReplySchema } from './conventions.ts'
import type { AdminDeps } from './pipeline.ts'
import { Problem } from './problems.ts'
import { route } from './route.ts'

const TAG = 'Audit'
const companyParams = z.strictObject({ companyId: z.string().min(1).max(64) })
const filter = {
  action: z.string().max(80).optional(),
  actorId: z.string().max(64).optional(),
  from: z.iso.datetime().optional(),
  until: z.iso.datetime().optional(),
}
const rowSchema = z.object({ seq: z.int(), ...auditFactSchema.shape, previousHash: z.string(), hash: z.string() })

/** The audit log of a company; of the platform, and of everybody who could not say who they are, under companyId `platform`. */
export function auditRoutes(api: FastifyInstance, deps: AdminDeps): void {
  const { audit } = deps.security
  const base = '/companies/:companyId/audit'

  route(api, deps, {
    method: 'GET', path: base, permission: 'audit:read', audit: null, tag: TAG, summary: 'What was done and what was refused, oldest first',
    params: companyParams, query: z.strictObject({ ...pageQuery, ...filter }), replies: { 200: pageReplySchema(rowSchema) },
    handler: async ({ query, companyId, signal }) => {
      const { after, limit } = pageOf(query)
      const afterSeq = after === null ? 0 : Number(after)
      if (!Number.isSafeInteger(afterSeq)) throw new Problem(400, 'INVALID_INPUT', 'cursor: is not a cursor of ours')
      const rows = await audit.list(companyId, { afterSeq, limit, ...given(query) }, signal)
      return { status: 200, body: pageReply(rows, query, (row) => String(row.seq), flat) }
    },
  })

  route(api, deps, {
    method: 'POST', path: `${base}/verify`, permission: 'audit:read', audit: 'audit.verify', tag: TAG, summary: 'Check the chain; names the first bad row',
    params: companyParams,
    replies: { 200: z.object({ companyId: z.string(), rows: z.int(), intact: z.boolean(), badSeq: z.int().optional(), problem: z.string().optional() }) },
    handler: async ({ companyId, signal }) => ({ status: 200, body: await audit.verify(companyId, signal) }),
  })

  route(api, deps, {
    method: 'POST', path: `${base}/export`, permission: 'data:export', audit: 'audit.export', tag: TAG,
    summary: 'The log as JSON Lines (application/x-ndjson), one row a line',
    params: companyParams, body: z.strictObject(filter), replies: { 200: z.string() }, replyType: 'application/x-ndjson', replay: 'never',
    handler: async ({ body, companyId, signal }) => {
      const rows = audit.rows(companyId, given(body), signal)
      // Read page by page as the client takes them: a log of years does not fit into memory.
      return { status: 200, stream: Readable.from(lines(rows)), filename: `audit-${companyId}.jsonl` }
    },
  })
}

async function* lines(rows: AsyncIterable<AuditRow>): AsyncGenerator<string> {
  for await (const row of rows) yield `${JSON.stringify({ companyId: row.companyId, ...flat(row) })}\n`
}

function flat(row: AuditRow): z.input<typeof rowSchema> {
  return { seq: row.seq, ...row.fact, previousHash: row.previousHash, hash: row.hash }
}

type Given = { action?: string; actorId?: string; from?: string; until?: string }

function given(query: Readonly<{ action?: string | undefined; actorId?: string | undefined; from?: string | undefined; until?: string | undefined }>): Given {
  const chosen: Given = {}
  if (query.action !== undefined) chosen.action = query.action
  if (query.actorId !== undefined) chosen.actorId = query.actorId
  if (query.from !== undefined) chosen.from = query.from
  if (query.until !== undefined) chosen.until = query.until
  return chosen
}
