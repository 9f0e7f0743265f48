import { z } from 'zod'
import type { Gap } from '../call/call-record.ts'
import { knowledgeEntrySchema } from '../tenancy/knowledge-entry.ts'
import { companyParams, companyRoute, type AdminPorts } from './admin-contract.ts'
import { answerSchema, ask } from './ask.ts'
import { gapViewSchema } from './call-views.ts'
import { etagOf, pageOf, pageQuery, pageReply, pageReplySchema } from './conventions.ts'
import { createEntry, newEntrySchema } from './knowledge-routes.ts'
import type { Resources } from './pipeline.ts'
import { found } from './route.ts'

const TAG = 'Gaps'
const BASE = '/companies/:companyId/gaps'
const gapParams = companyParams.extend({ gapId: z.string().min(1).max(64) })

/**
 * Questions that nobody could answer: an admin writes the entry, asks again, and sees it answered. Replies hold a caller's words, so
 * none is kept to be sent again.
 */
export function gapRoutes(ports: AdminPorts): Resources {
  return (api, deps) => {
    companyRoute(api, deps, {
      method: 'GET', path: BASE, permission: 'transcripts:read', audit: null, tag: TAG, summary: 'List unanswered questions, oldest first',
      params: companyParams, query: z.strictObject({ ...pageQuery, solved: z.stringbool().optional() }), replies: { 200: pageReplySchema(gapViewSchema) },
      handler: async ({ companyId, query, signal }) => {
        const rows = await ports.calls.gaps(companyId, { ...pageOf(query), ...(query.solved === undefined ? {} : { solved: query.solved }) }, signal)
        return { status: 200, body: pageReply(rows, query, (gap) => gap.id, (gap) => gap) }
      },
    })

    companyRoute(api, deps, {
      method: 'GET', path: `${BASE}/:gapId`, permission: 'transcripts:read', audit: null, tag: TAG, summary: 'One unanswered question',
      params: gapParams, replies: { 200: gapViewSchema },
      handler: async ({ companyId, params, signal }) => ({ status: 200, body: await gapOf(companyId, params.gapId, signal) }),
    })

    companyRoute(api, deps, {
      method: 'POST', path: `${BASE}/:gapId/entry`, permission: 'config:write', audit: 'gap.answer', tag: TAG, replay: 'never',
      summary: "Write the entry that answers it; the caller's question is one of its phrases",
      params: gapParams, body: newEntrySchema.extend({ question: knowledgeEntrySchema.shape.question.optional() }),
      replies: { 201: z.object({ entry: z.object(knowledgeEntrySchema.shape), gap: gapViewSchema }) },
      handler: async ({ companyId, params, body, state, signal }) => {
        state.auditTarget = `gap/${params.gapId}`
        const gap = await gapOf(companyId, params.gapId, signal)
        const question = body.question ?? gap.question
        const asked = question === gap.question || body.callerPhrases.includes(gap.question) ? [] : [gap.question.slice(0, 200)]
        const entry = await createEntry(ports, deps, companyId, { ...body, question, callerPhrases: [...body.callerPhrases, ...asked] }, signal)
        await ports.calls.solveGap(companyId, gap.id, entry.id, signal)
        return { status: 201, body: { entry, gap: await gapOf(companyId, gap.id, signal) }, etag: etagOf(entry.version), location: `/api/v1/companies/${companyId}/knowledge/${entry.id}` }
      },
    })

    companyRoute(api, deps, {
      method: 'POST', path: `${BASE}/:gapId/replay`, permission: 'config:read', audit: 'gap.replay', tag: TAG, replay: 'never', summary: 'Ask it again: what would a caller hear now?',
      params: gapParams, replies: { 200: z.object({ question: z.string(), answered: z.boolean(), answer: answerSchema }) },
      handler: async ({ companyId, params, state, signal }) => {
        state.auditTarget = `gap/${params.gapId}`
        const gap = await gapOf(companyId, params.gapId, signal)
        const context = await ports.contexts.load(companyId, signal)
        const answer = await ask(ports, deps.clock, context, { input: { kind: 'speech', text: gap.question }, dialogue: null, from: '+15550100099', at: null, turn: 1 }, signal)
        return { status: 200, body: { question: gap.question, answered: answer.learned !== null && !answer.learned.gap, answer } }
      },
    })

    companyRoute(api, deps, {
      method: 'POST', path: `${BASE}/:gapId/solve`, permission: 'config:write', audit: 'gap.solve', tag: TAG, replay: 'never', summary: 'Mark it as answered by an entry that is there',
      params: gapParams, body: z.strictObject({ entryId: z.string().min(1).max(64) }), replies: { 200: gapViewSchema },
      handler: async ({ companyId, params, body, state, signal }) => {
        state.auditTarget = `gap/${params.gapId}`
        const gap = await gapOf(companyId, params.gapId, signal)
        const entry = found(await ports.knowledge.get(companyId, body.entryId, signal), 'knowledge entry')
        await ports.calls.solveGap(companyId, gap.id, entry.id, signal)
        return { status: 200, body: await gapOf(companyId, gap.id, signal) }
      },
    })
  }

  async function gapOf(companyId: string, gapId: string, signal: AbortSignal): Promise<Gap> {
    return found(await ports.calls.gap(companyId, gapId, signal), 'gap')
  }
}
