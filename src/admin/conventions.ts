import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { ClientsViaError, isClientsViaError } from '../core/errors.ts'
import { normalizePhoneNumber } from '../tenancy/phone-numbers.ts'
import { Problem } from './problems.ts'

/** The strong entity tag of a record's version. */
export function etagOf(version: number): string {
  return `"v${version}"`
}

/** The version that the caller has seen. Throws 428 without If-Match, 400 for a tag that is none of ours. */
export function requireIfMatch(request: FastifyRequest): number {
  const header = request.headers['if-match']
  if (header === undefined) throw new Problem(428, 'PRECONDITION_REQUIRED', 'send If-Match with the ETag you have read, so that no edit is lost')
  const version = /^"v(\d{1,15})"$/.exec(header)?.[1]
  if (version === undefined) throw new Problem(400, 'INVALID_INPUT', 'If-Match must be one ETag as it was sent', { errors: [{ field: 'If-Match', message: 'is not an ETag of ours' }] })
  return Number(version)
}

/** Runs a save that checks `ifVersion`; a lost race is 412. */
export async function guardedByIfMatch<T>(save: () => Promise<T>): Promise<T> {
  try {
    return await save()
  } catch (error) {
    if (isClientsViaError(error, 'CONFLICT') && 'expected' in error.details) {
      throw new Problem(412, 'PRECONDITION_FAILED', 'somebody else has saved it since: read it again')
    }
    throw error
  }
}

const MAX_PAGE = 200
/** Of every list: `?limit=&cursor=`. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(50),
  cursor: z.string().min(1).max(400).optional(),
}
export const pageQuerySchema = z.strictObject(pageQuery)
export type PageQuery = Readonly<{ limit: number; cursor?: string | undefined }>

export function pageReplySchema<T extends z.ZodType>(item: T): z.ZodObject<{ items: z.ZodArray<T>; nextCursor: z.ZodNullable<z.ZodString> }> {
  return z.object({ items: z.array(item), nextCursor: z.string().nullable() })
}

/** What to ask a repository for: one more than the page holds, to know whether there is a next one. */
export function pageOf(query: PageQuery): Readonly<{ after: string | null; limit: number }> {
  return { after: query.cursor === undefined ? null : decodeCursor(query.cursor), limit: query.limit + 1 }
}

export function pageReply<T, R>(found: readonly T[], query: PageQuery, keyOf: (item: T) => string, show: (item: T) => R): { items: R[]; nextCursor: string | null } {
  const items = found.slice(0, query.limit)
  const last = items.at(-1)
  return { items: items.map(show), nextCursor: found.length > query.limit && last !== undefined ? encodeCursor(keyOf(last)) : null }
}

/** Opaque to clients, so that what it holds may change. */
export function encodeCursor(key: string): string {
  return Buffer.from(JSON.stringify([key])).toString('base64url')
}

export function decodeCursor(cursor: string): string {
  const parsed = z
    .string()
    .transform((text, context) => {
      try {
        return JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as unknown
      } catch {
        context.addIssue('is not a cursor of ours')
        return z.NEVER
      }
    })
    .pipe(z.tuple([z.string().max(300)]))
    .safeParse(cursor)
  if (!parsed.success) throw new Problem(400, 'INVALID_INPUT', 'cursor: is not a cursor of ours', { errors: [{ field: 'cursor', message: 'is not a cursor of ours' }] })
  return parsed.data[0]
}

export function numberOf(written: string): string {
  const number = normalizePhoneNumber(written)
  if (number === null) throw new ClientsViaError('INVALID_INPUT', 'from: is not a telephone number', { field: 'from' })
  return number
}
