import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { ClientsViaError } from '../core/errors.ts'
import { uuidv7 } from '../core/ids.ts'
import { inPieces } from '../core/pieces.ts'
import { CSV_HEADER, knowledgeFromCsv, knowledgeToCsv } from '../tenancy/knowledge-csv.ts'
import { knowledgeEntrySchema, type KnowledgeEntry } from '../tenancy/knowledge-entry.ts'
import { ImportPlanner } from '../tenancy/knowledge-import.ts'
import { companyParams, companyRoute, type AdminPorts } from './admin-contract.ts'
import { answerSchema, ask } from './ask.ts'
import { newEntrySchema, textChecker } from './knowledge-routes.ts'
import type { AdminDeps, Resources } from './pipeline.ts'

const TAG = 'Knowledge'
const BASE = '/companies/:companyId'
/** 2,000 entries of the usual kind are under one; more takes the JSON parser so long that calls would hear it. */
const IMPORT_BYTES = 2 * 1024 * 1024
/** What a company may have. */
const MAX_ENTRIES = 2000
/** Enough to see what is wrong with a file. */
const MAX_PROBLEMS = 100

const importSchema = z.discriminatedUnion('format', [
  z.strictObject({ format: z.literal('csv'), csv: z.string().min(1), dryRun: z.boolean().default(false) }),
  z.strictObject({ format: z.literal('json'), entries: z.array(z.record(z.string(), z.unknown())).max(MAX_ENTRIES), dryRun: z.boolean().default(false) }),
])

/** An entry without what the store keeps of it. */
const portableSchema = z.object(newEntrySchema.required({ id: true }).shape)

/** Entries in and out by the hundred, and the question which of them would answer. */
export function knowledgeTransferRoutes(ports: AdminPorts): Resources {
  return (api, deps) => {
    inAndOut(api, deps, ports)
    testUtterance(api, deps, ports)
  }
}

function inAndOut(api: FastifyInstance, deps: AdminDeps, ports: AdminPorts): void {
  companyRoute(api, deps, {
    method: 'GET', path: `${BASE}/knowledge-export`, permission: 'config:read', audit: null, tag: TAG, summary: 'All entries, as they can be imported again',
    params: companyParams, replies: { 200: z.object({ entries: z.array(portableSchema) }) }, replyType: 'application/json',
    handler: async ({ companyId, signal }) => {
      return { status: 200, stream: Readable.from(asJson(await ports.knowledge.listAll(companyId, signal), signal)), filename: `knowledge-${companyId}.json` }
    },
  })

  companyRoute(api, deps, {
    method: 'GET', path: `${BASE}/knowledge-export.csv`, permission: 'config:read', audit: null, tag: TAG, summary: 'All entries for a spreadsheet',
    params: companyParams, replies: { 200: z.string() }, replyType: 'text/csv; charset=utf-8',
    handler: async ({ companyId, signal }) => {
      return { status: 200, stream: Readable.from(asCsv(await ports.knowledge.listAll(companyId, signal), signal)), filename: `knowledge-${companyId}.csv` }
    },
  })

  companyRoute(api, deps, {
    method: 'POST', path: `${BASE}/knowledge-import`, permission: 'config:write', audit: 'knowledge.import', tag: TAG,
    summary: 'Add and change entries from CSV or JSON; nothing is stored unless every row is right',
    bodyLimit: IMPORT_BYTES, params: companyParams, body: importSchema,
    replies: {
      200: z.object({
        /** False after a dry run, and when any row is wrong. */
        stored: z.boolean(),
        created: z.int(),
        updated: z.int(),
        unchanged: z.int(),
        problems: z.array(z.object({ row: z.int(), field: z.string(), message: z.string() })),
      }),
    },
    handler: async ({ companyId, body, state, signal }) => {
      const existing = await ports.knowledge.listAll(companyId, signal)
      const planner = new ImportPlanner(companyId, existing, () => uuidv7(deps.clock.wallTime()), await textChecker(ports, deps, companyId, signal))
      const rows = body.format === 'csv' ? knowledgeFromCsv(body.csv, MAX_ENTRIES) : body.entries.map((fields, index) => ({ row: index + 1, fields }))
      for await (const piece of inPieces(rows, signal)) for (const row of piece) planner.add(row)
      const { plan } = planner
      if (existing.length + plan.create.length > MAX_ENTRIES) throw new ClientsViaError('CONFLICT', `a company has ${MAX_ENTRIES} entries at most`)
      const stored = plan.problems.length === 0 && !body.dryRun
      if (stored) {
        for (const entry of plan.create) await ports.knowledge.save(companyId, entry, 0, signal)
        for (const entry of plan.update) await ports.knowledge.save(companyId, entry, entry.version, signal)
        ports.saved(companyId)
      }
      const counts = { stored, created: plan.create.length, updated: plan.update.length, unchanged: plan.unchanged }
      Object.assign(state.auditDetails, counts)
      return { status: 200, body: { ...counts, problems: plan.problems.slice(0, MAX_PROBLEMS) } }
    },
  })
}

async function* asJson(entries: readonly KnowledgeEntry[], signal: AbortSignal): AsyncGenerator<string> {
  let before = '{"entries":['
  for await (const piece of inPieces(entries, signal)) {
    yield before + piece.map((entry) => JSON.stringify(portableSchema.parse(entry))).join(',')
    before = ','
  }
  yield before === ',' ? ']}' : `${before}]}`
}

async function* asCsv(entries: readonly KnowledgeEntry[], signal: AbortSignal): AsyncGenerator<string> {
  yield CSV_HEADER
  for await (const piece of inPieces(entries, signal)) yield knowledgeToCsv(piece)
}

function testUtterance(api: FastifyInstance, deps: AdminDeps, ports: AdminPorts): void {
  companyRoute(api, deps, {
    method: 'POST', path: `${BASE}/knowledge-test`, permission: 'config:read', audit: 'knowledge.test', tag: TAG,
    summary: 'Which entries a caller\'s words find, how surely, and what would be said',
    params: companyParams, body: z.strictObject({ text: z.string().min(1).max(1000), limit: z.int().min(1).max(20).default(5) }),
    replies: {
      200: z.object({
        matches: z.array(
          z.object({
            entry: z.object(knowledgeEntrySchema.pick({ id: true, question: true, answer: true, category: true }).shape),
            score: z.number(),
            lexicalScore: z.number(),
            semanticScore: z.number().nullable(),
            matchedPhrase: z.string(),
          }),
        ),
        answer: answerSchema,
      }),
    },
    handler: async ({ companyId, body, signal }) => {
      const context = await ports.contexts.load(companyId, signal)
      const matches = await context.knowledge.search(body.text, { limit: body.limit }, signal)
      const question = { input: { kind: 'speech' as const, text: body.text }, dialogue: null, from: '+15550100099', at: null, turn: 1 }
      return { status: 200, body: { matches, answer: await ask(ports, deps.clock, context, question, signal) } }
    },
  })
}
