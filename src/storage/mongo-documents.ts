import type { z } from 'zod'
import { ClientsViaError } from '../core/errors.ts'
import type { Stored } from './mongo-database.ts'
import type { ReportProblem } from './embedded-documents.ts'

/** A record keeps what it is searched by beside the document itself. Throws STORE_FAILED naming the document, never quoting it. */
export function readRecord<S extends z.ZodType>(schema: S, record: Stored, kind: string): z.output<S> {
  const result = schema.safeParse(record['document'])
  if (result.success) return result.data
  const fields = result.error.issues.map((issue) => `${issue.path.join('.') || 'document'}: ${issue.message}`).join('; ')
  const name = `${kind} ${record._id}`
  throw new ClientsViaError('STORE_FAILED', `${name} cannot be read: ${fields}`, { document: name })
}

/** The records that can be read; the others are reported one by one. */
export function readRecords<S extends z.ZodType>(schema: S, records: readonly Stored[], kind: string, report: ReportProblem): z.output<S>[] {
  const documents: z.output<S>[] = []
  for (const record of records) {
    try {
      documents.push(readRecord(schema, record, kind))
    } catch (error) {
      if (!(error instanceof ClientsViaError)) throw error
      report(error)
    }
  }
  return documents
}

/** For records that keep their document as text, `json`: its keys are free, and not every server takes every key. */
export function parsedRecord(record: Stored): Stored {
  try {
    return { _id: record._id, document: JSON.parse(String(record['json'])) }
  } catch {
    return { _id: record._id, document: null }
  }
}

/** A field of a document that may not fit its schema any more: an unreadable document must not keep an admin from saving a good one over it. */
export function looseField(record: Stored | null, field: string): string | null {
  const document: unknown = record?.['document']
  if (typeof document !== 'object' || document === null) return null
  const value: unknown = Object.entries(document).find(([key]) => key === field)?.[1]
  return typeof value === 'string' ? value : null
}
