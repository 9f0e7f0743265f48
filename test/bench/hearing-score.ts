/** What `bench:hearing` counts. */
import { z } from 'zod'
import type { Expectation } from '../../src/core/expectation.ts'
import { canonicalValue } from '../../src/grammar/canonical.ts'
import type { SlotKind } from '../../src/grammar/word-grammar.ts'
import { grammarWords } from '../../src/grammar/words.ts'
import type { HeardClip } from './hearing-call.ts'
import type { Row } from './hearing-clips.ts'

export type Score = Readonly<{
  /** Every slot right and none too many; for open speech, every word. Null where nothing is known. */
  right: boolean | null
  slotsRight: number
  slots: number
  /** Open speech only. */
  wordErrors: number
  words: number
  /** The reading was taken as an answer, or would be asked about. */
  accepted: boolean
  acted: boolean
}>
export type Scored = Readonly<{ row: Row; snrDb: number | null; heard: HeardClip; score: Score }>

const slotsSchema = z.object({ slots: z.record(z.string(), z.string()) })

export function scoreOf(row: Row, heard: HeardClip, expectation: Expectation, off: string | null): Score {
  const verdict = heard.reading?.verdict ?? 'outside'
  const flags = { accepted: verdict !== 'outside', acted: verdict === 'act' }
  const none = { slotsRight: 0, slots: 0, wordErrors: 0, words: 0, ...flags }
  if (row.transcript === '') return { right: null, ...none }
  const slots = Object.fromEntries((heard.reading?.slots ?? []).map((slot) => [slot.slotId, slot.value]))
  if (row.transcript.startsWith('{')) {
    const wanted = Object.fromEntries(Object.entries(slotsSchema.parse(JSON.parse(row.transcript)).slots).map(([id, value]) => [id, value.trim()]))
    // An item that is not on the menu must not be heard as one that is.
    if (off !== null) return { right: wanted[off] === undefined ? null : slots[off] === undefined || verdict === 'outside', ...none }
    const slotsRight = Object.entries(wanted).filter(([id, value]) => slots[id] === value).length
    return { ...none, right: slotsRight === Object.keys(wanted).length && Object.keys(slots).length === slotsRight, slotsRight, slots: Object.keys(wanted).length }
  }
  if (expectation.kind === 'open' || expectation.kind === 'form') {
    const expected = wordsOf(row.transcript)
    const wordErrors = editDistance(expected, wordsOf(heard.text))
    return { ...none, right: wordErrors === 0, wordErrors, words: expected.length }
  }
  const right = slots['answer'] === wantedValue(expectation.kind, row.transcript)
  return { ...none, right, slotsRight: right ? 1 : 0, slots: 1 }
}

function wantedValue(kind: SlotKind, transcript: string): string {
  return kind === 'yes-no' ? transcript : canonicalValue(kind, grammarWords(transcript))
}

export function printTable(scored: readonly Scored[]): void {
  const conditions = [...new Set(scored.map((one) => one.snrDb))]
  const kinds = [...new Set(scored.map((one) => one.row.kind.replace(/\(.*/, '')))]
  const groups = conditions.flatMap((snrDb) => [...(kinds.length > 1 ? kinds : []), 'all'].map((kind) => ({ snrDb, kind })))
  console.table(
    groups.map(({ snrDb, kind }) => {
      const group = scored.filter((one) => one.snrDb === snrDb && (kind === 'all' || one.row.kind.replace(/\(.*/, '') === kind))
      const known = group.filter((one) => one.score.right !== null)
      const sum = (of: (one: Scored) => number): number => group.reduce((total, one) => total + of(one), 0)
      const times = group.map((one) => one.heard.decodeMs).sort((a, b) => a - b)
      const slots = sum((one) => one.score.slots)
      const words = sum((one) => one.score.words)
      const acted = known.filter((one) => one.score.acted)
      const percent = (part: number, whole: number): number | null => (whole === 0 ? null : Number(((100 * part) / whole).toFixed(1)))
      return {
        noise: snrDb === null ? 'none' : `${snrDb} dB`,
        kind,
        clips: group.length,
        'right %': percent(known.filter((one) => one.score.right === true).length, known.length),
        'slots %': percent(sum((one) => one.score.slotsRight), slots),
        'WER %': percent(sum((one) => one.score.wordErrors), words),
        'act %': percent(group.filter((one) => one.score.acted).length, group.length),
        'accepted %': percent(group.filter((one) => one.score.accepted).length, group.length),
        'act right %': percent(acted.filter((one) => one.score.right === true).length, acted.length),
        'cut in %': percent(group.filter((one) => one.heard.cutIn).length, group.length),
        'p50 ms': Math.round(quantile(times, 0.5)),
        'p95 ms': Math.round(quantile(times, 0.95)),
        'speech p50 s': Number((quantile(group.map((one) => one.heard.speechMs).sort((a, b) => a - b), 0.5) / 1000).toFixed(2)),
      }
    }),
  )
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

/** Lower case, no punctuation, digits one by one as words: "7:30" and "seven three zero" are the same. */
function wordsOf(text: string): string[] {
  const digits = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine']
  return text
    .toLowerCase()
    .replace(/\d/g, (digit) => ` ${digits[Number(digit)]} `)
    .replace(/[^a-z' ]+/g, ' ')
    .split(/\s+/)
    .filter((word) => word !== '')
}

function editDistance(a: readonly string[], b: readonly string[]): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substitution, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
