import { CsvError, parse } from 'csv-parse/sync'
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

/** RFC 4180 with a header; a cell that a spreadsheet would take for a formula is made plain text by an apostrophe. */
export function knowledgeToCsv(entries: readonly KnowledgeEntry[]): string {
  const rows = entries.map((entry) =>
    COLUMNS.map((column) => {
      const value = entry[column]
      return typeof value === 'object' ? value.map((item) => item.replace(/[\\|]/g, '\\$&')).join(' | ') : String(value)
    }),
  )
  return stringify(rows, { header: true, columns: [...COLUMNS], escape_formulas: true })
}

/** Columns may be in any order and left out; an empty cell is not given. Throws INVALID_INPUT naming the row or the column. */
export function knowledgeFromCsv(text: string): readonly ImportRow[] {
  const [header, ...rows] = cells(text)
  if (header === undefined) refuse('csv', 'is empty: a header row is needed')
  for (const [index, name] of header.entries()) {
    if (!COLUMNS.some((column) => column === name)) refuse('csv', `column "${name}" is not one of ${COLUMNS.join(', ')}`)
    if (header.indexOf(name) !== index) refuse('csv', `column "${name}" is there twice`)
  }
  return rows.map((values, index) => {
    const fields: Record<string, unknown> = {}
    for (const [place, name] of header.entries()) {
      const cell = withoutApostrophe(values[place] ?? '')
      if (cell !== '') fields[name] = valueOf(name, cell)
    }
    return { row: index + 2, fields }
  })
}

function cells(text: string): string[][] {
  try {
    return parse(text, { bom: true, trim: true, skip_empty_lines: true })
  } catch (error) {
    if (error instanceof CsvError) refuse('csv', `row ${String(error['lines'] ?? '?')}: ${error.message}`)
    throw error
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
