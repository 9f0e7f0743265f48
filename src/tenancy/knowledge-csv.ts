import { Readable } from 'node:stream'
import { CsvError, parse } from 'csv-parse'
import { stringify } from 'csv-stringify/sync'
import { ClientsViaError } from '../core/errors.ts'
import type { KnowledgeEntry } from './knowledge-entry.ts'

/** What a person may edit, in the order of the columns. Several values share a cell, with a bar between them: `tune up | checkup`. */
const COLUMNS = [
  'id', 'question', 'answer', 'category', 'tags', 'callerPhrases', 'anchorWords', 'negativeWords', 'mode', 'priority', 'followUp', 'offer', 'enabled',
] as const
const LISTS = new Set<string>(['tags', 'callerPhrases', 'anchorWords', 'negativeWords'])

/** A row as it was written, before any schema has seen it. `row` counts as a spreadsheet does: the header is row 1. */
export type ImportRow = Readonly<{ row: number; fields: Readonly<Record<string, unknown>> }>

export const CSV_HEADER = `${COLUMNS.join(',')}\n`

/** RFC 4180, without the header; a cell that a spreadsheet would take for a formula is made plain text by an apostrophe. */
export function knowledgeToCsv(entries: readonly KnowledgeEntry[]): string {
  const rows = entries.map((entry) =>
    COLUMNS.map((column) => {
      const value = entry[column]
      return typeof value === 'object' ? value.map((item) => item.replace(/[\\|]/g, '\\$&')).join(' | ') : String(value)
    }),
  )
  return stringify(rows, { escape_formulas: true })
}

/** Text is handed to the parser in pieces of this size, so that a reader who pauses pauses the parser too. */
const PIECE_CHARS = 16 * 1024

/**
 * Row by row, as they are asked for. Columns may be in any order and left out; an empty cell is not given. Throws INVALID_INPUT
 * naming the row or the column, and past `maxRows`.
 */
export async function* knowledgeFromCsv(text: string, maxRows: number): AsyncGenerator<ImportRow, void, undefined> {
  let header: readonly string[] | null = null
  let row = 1
  for await (const values of cells(text)) {
    if (header === null) {
      header = checkedHeader(values)
      continue
    }
    row += 1
    if (row > maxRows + 1) refuse('csv', `has more than ${maxRows} rows`)
    const fields: Record<string, unknown> = {}
    for (const [place, name] of header.entries()) {
      const cell = withoutApostrophe(values[place] ?? '')
      if (cell !== '') fields[name] = valueOf(name, cell)
    }
    yield { row, fields }
  }
  if (header === null) refuse('csv', 'is empty: a header row is needed')
}

function checkedHeader(header: readonly string[]): readonly string[] {
  for (const [index, name] of header.entries()) {
    if (!COLUMNS.some((column) => column === name)) refuse('csv', `column "${name}" is not one of ${COLUMNS.join(', ')}`)
    if (header.indexOf(name) !== index) refuse('csv', `column "${name}" is there twice`)
  }
  return header
}

async function* cells(text: string): AsyncGenerator<readonly string[], void, undefined> {
  const pieces = Array.from({ length: Math.ceil(text.length / PIECE_CHARS) }, (_, index) => text.slice(index * PIECE_CHARS, (index + 1) * PIECE_CHARS))
  const parser = parse({ bom: true, trim: true, skip_empty_lines: true })
  const source = Readable.from(pieces)
  source.pipe(parser)
  try {
    for await (const values of parser) yield values as readonly string[]
  } catch (error) {
    if (error instanceof CsvError) refuse('csv', `row ${String(error['lines'] ?? '?')}: ${error.message}`)
    throw error
  } finally {
    source.destroy()
  }
}

function withoutApostrophe(cell: string): string {
  return /^'[=+\-@\t\r\uFF0B\uFF0D\uFF1D\uFF20]/.test(cell) ? cell.slice(1) : cell
}

/** What cannot be read as its column's kind stays text, for the schema to refuse by name. */
function valueOf(name: string, cell: string): unknown {
  if (LISTS.has(name)) return splitBars(cell)
  if (name === 'priority' && /^\d+$/.test(cell)) return Number(cell)
  if (name === 'enabled' && /^(true|yes|1)$/i.test(cell)) return true
  if (name === 'enabled' && /^(false|no|0)$/i.test(cell)) return false
  return cell
}

/** At bars that no backslash precedes. */
function splitBars(cell: string): string[] {
  const items = ['']
  for (let at = 0; at < cell.length; at++) {
    const character = cell.charAt(at)
    if (character === '|') items.push('')
    else items[items.length - 1] += character === '\\' && at + 1 < cell.length ? cell.charAt(++at) : character
  }
  return items.map((item) => item.trim()).filter((item) => item !== '')
}

function refuse(field: string, problem: string): never {
  throw new ClientsViaError('INVALID_INPUT', `${field}: ${problem}`, { field })
}
