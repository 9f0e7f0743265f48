import { LRUCache } from 'lru-cache'
import type { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import { agentSchema } from '../tenancy/agent.ts'
import { companySchema } from '../tenancy/company.ts'
import { knowledgeEntrySchema } from '../tenancy/knowledge-entry.ts'
import type { Row } from './embedded-database.ts'

/** A stored document that no longer fits its schema. Lists leave it out and report it here; asking for it by name throws it. */
export type ReportProblem = (problem: ClientsViaError) => void

export type RepositoryTools = Readonly<{ clock: Clock; report: ReportProblem }>

/** A page larger than this is an export, which reads page by page. */
export const MAX_PAGE = 500
export const DEFAULT_PAGE = 100

/** What is read over and over: settings. Calls and what callers said in them are not kept in memory a moment longer than they are needed. */
const SETTINGS: ReadonlySet<z.ZodType> = new Set([companySchema, agentSchema, knowledgeEntrySchema])
/** An entry that was erased is gone from here too, then. */
const REMEMBERED_MS = 5 * 60_000
/** 20,000 entries of 500 characters: some 40 MB. */
const REMEMBERED_CHARS = 10_000_000
/** Larger ones are rare, and parsing them is not what costs. */
const REMEMBERED_DOCUMENT_CHARS = 20_000
/** By schema, then by the very text that was stored: a text that was valid once is valid, and means the same. */
const remembered = new Map<z.ZodType, LRUCache<string, object>>()

/** What is given out may be given out again: it is frozen. Throws STORE_FAILED naming the document, never quoting it: it may hold a caller's words. */
export function readDocument<S extends z.ZodType<object>>(schema: S, row: Row, name: string): z.output<S> {
  const text = String(row['document'])
  const cache = SETTINGS.has(schema) && text.length <= REMEMBERED_DOCUMENT_CHARS ? rememberedOf(schema) : null
  const known = cache?.get(text)
  if (known !== undefined) return known as z.output<S>
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    throw corrupt(name, 'it is not JSON')
  }
  const result = schema.safeParse(parsed)
  if (!result.success) throw corrupt(name, problemsOf(result.error))
  const document = frozen(result.data)
  cache?.set(text, document)
  return document
}

function rememberedOf(schema: z.ZodType): LRUCache<string, object> {
  let cache = remembered.get(schema)
  if (cache === undefined) {
    cache = new LRUCache({ ttl: REMEMBERED_MS, maxSize: REMEMBERED_CHARS, sizeCalculation: (_document, text) => text.length + 1 })
    remembered.set(schema, cache)
  }
  return cache
}

function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const part of Object.values(value)) frozen(part)
  return Object.freeze(value)
}

/** The documents that can be read; the others are reported one by one. */
export function readDocuments<S extends z.ZodType<object>>(
  schema: S,
  rows: readonly Row[],
  nameOf: (row: Row) => string,
  report: ReportProblem,
): z.output<S>[] {
  const documents: z.output<S>[] = []
  for (const row of rows) {
    try {
      documents.push(readDocument(schema, row, nameOf(row)))
    } catch (error) {
      if (!(error instanceof ClientsViaError)) throw error
      report(error)
    }
  }
  return documents
}

/** What is about to be stored, parsed. Throws INVALID_INPUT naming every field that is wrong. */
export function checkDocument<S extends z.ZodType>(schema: S, value: unknown, name: string): z.output<S> {
  const result = schema.safeParse(value)
  if (!result.success) throw new ClientsViaError('INVALID_INPUT', `${name} is not valid: ${problemsOf(result.error)}`, { document: name })
  return result.data
}

export function checkSame(field: string, expected: string, given: string): void {
  if (expected !== given) throw new ClientsViaError('INVALID_INPUT', `${field} is "${given}", which must be "${expected}"`, { field })
}

export function checkVersion(name: string, stored: number, expected: number | undefined): void {
  if (expected === undefined || stored === expected) return
  throw new ClientsViaError('CONFLICT', `${name} is at version ${stored}, not ${expected}: somebody else has saved it`, { document: name, stored, expected })
}

export function checkLimit(limit: number | undefined): number {
  const size = limit ?? DEFAULT_PAGE
  if (!Number.isInteger(size) || size < 1 || size > MAX_PAGE) {
    throw new ClientsViaError('INVALID_INPUT', `limit must be a whole number from 1 to ${MAX_PAGE}, got ${size}`, { field: 'limit' })
  }
  return size
}

function corrupt(name: string, why: string): ClientsViaError {
  return new ClientsViaError('STORE_FAILED', `${name} cannot be read: ${why}`, { document: name })
}

function problemsOf(error: z.ZodError): string {
  return error.issues.map((issue) => `${issue.path.join('.') || 'document'}: ${issue.message}`).join('; ')
}
