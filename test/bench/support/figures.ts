/** The tables that benches print, and the sections of a document that they own. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { resolve } from 'node:path'
import { z } from 'zod'

export const rowSchema = z.object({ what: z.string(), figure: z.string(), bar: z.string() })
export type Row = z.infer<typeof rowSchema>

const root = resolve(import.meta.dirname, '../../..')

/** `command`: what to type to get the table again. */
export function tableOf(heading: string, rows: readonly Row[], command: string): string {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim()
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`
  return [
    `Server, harness and engines on one machine: ${machine}; commit ${commit}; \`${command}\`.`,
    '',
    `| ${heading} | Measured | Bar |`,
    '|---|---|---|',
    ...rows.map((row) => `| ${row.what} | ${row.figure} | ${row.bar} |`),
  ].join('\n')
}

/** Puts a text between `<!-- NAME -->` and `<!-- /NAME -->` of a file. Throws where the file has no such marks. */
export function writeSection(file: string, name: string, text: string): void {
  const [start, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const before = readFileSync(file, 'utf8')
  const from = before.indexOf(start)
  const to = before.indexOf(end)
  if (from === -1 || to < from) throw new Error(`${file} has no ${start} … ${end}`)
  writeFileSync(file, `${before.slice(0, from + start.length)}\n${text}\n${before.slice(to)}`)
}
