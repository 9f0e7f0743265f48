import { styleText } from 'node:util'
import type { StageName, StageOutcome } from '../core/latency-budget.ts'

/** What the picture is made of: a turn record has all of it. Times in ms. */
export type TracedTurn = Readonly<{
  turn: number
  input: string
  heard: string
  delivered: string
  said: string
  sources: readonly string[]
  gapMs: number | null
  patienceMs: number
  stages: readonly Readonly<{ stage: StageName; ms: number }>[]
  work: readonly Readonly<{ stage: StageName; ms: number; outcome: StageOutcome }>[]
  budgetExceededByMs: number
  stalled: boolean
  interruption: Readonly<{ heardMs: number }> | null
}>
export type TraceStyle = Readonly<{ colours: boolean; targetMs: number; hardMs: number }>

/** Columns of the bar; what a terminal of 80 leaves beside names and figures. */
const BAR_WIDTH = 48

/** Shorter stages are left out of the picture; the gap holds them. */
const LEAST_SHOWN_MS = 0.5

/**
 * A turn as text: who said what, then one line a stage, drawn to scale from the caller's last sound to the agent's first, with the
 * target and the hard limit marked. Pure; ends without a newline.
 */
export function renderTurn(turn: TracedTurn, style: TraceStyle): string {
  const paint = (format: Parameters<typeof styleText>[0], text: string): string => (style.colours ? styleText(format, text, { validateStream: false }) : text)
  const lines = [paint('bold', `turn ${turn.turn}`) + paint('dim', `  ${turn.sources.join(', ') || turn.input}`)]
  if (turn.heard !== '') lines.push(`  ${paint('cyan', 'caller')}  ${turn.heard}`)
  if (turn.said !== '') lines.push(`  ${paint('green', 'agent')}   ${spoken(turn, paint)}`)
  if (turn.gapMs === null) return [...lines, paint('dim', '  nothing became audible')].join('\n')
  const limitMs = style.hardMs + turn.patienceMs
  const scaleMs = Math.max(turn.gapMs, limitMs)
  const column = (ms: number): number => Math.round((ms / scaleMs) * BAR_WIDTH)
  let startMs = 0
  for (const { stage, ms } of turn.stages) {
    const outcome = turn.work.find((one) => one.stage === stage)?.outcome ?? 'done'
    const from = column(startMs)
    startMs += ms
    if (ms < LEAST_SHOWN_MS) continue
    // Even the shortest stage can be seen.
    const length = Math.max(1, column(startMs) - from)
    const bar = ' '.repeat(Math.min(from, BAR_WIDTH - 1)) + paint(colourOf(stage, outcome), '█'.repeat(length))
    lines.push(`  ${stage.padEnd(12)}${figure(ms)} ms  ${bar}${outcome === 'done' ? '' : ` ${outcome}`}`)
  }
  const shadow = preparedInThePause(turn)
  if (shadow !== '') lines.push(paint('dim', `  meanwhile      ${shadow}`))
  lines.push(`  ${''.padEnd(12)}${''.padStart(6)}     ${ruler(column(style.targetMs + turn.patienceMs), column(limitMs))}`)
  lines.push(`  ${'gap'.padEnd(12)}${figure(turn.gapMs)} ms  ${verdict(turn, style, paint)}`)
  return lines.join('\n')
}

/** Work that cost the caller nothing: it ran while the turn's end was being waited for. */
function preparedInThePause(turn: TracedTurn): string {
  const shown = new Set(turn.stages.filter(({ ms }) => ms >= LEAST_SHOWN_MS).map(({ stage }) => stage))
  return turn.work
    .filter(({ stage, ms }) => ms >= LEAST_SHOWN_MS && !shown.has(stage))
    .map(({ stage, ms }) => `${stage} ${Math.round(ms)} ms`)
    .join(', ')
}

type Paint = (format: Parameters<typeof styleText>[0], text: string) => string

/** The words heard, then, in brackets, what never reached the caller. */
function spoken(turn: TracedTurn, paint: Paint): string {
  if (!turn.said.startsWith(turn.delivered) || turn.delivered === turn.said) return turn.delivered
  return turn.delivered + paint('dim', ` [${turn.said.slice(turn.delivered.length).trim()}]`) + (turn.interruption === null ? '' : paint('yellow', '  (interrupted)'))
}

function verdict(turn: TracedTurn, style: TraceStyle, paint: Paint): string {
  const countedMs = Math.max(0, (turn.gapMs ?? 0) - turn.patienceMs)
  const patience = turn.patienceMs > 0 ? `, ${Math.round(turn.patienceMs)} ms of patience not counted` : ''
  const stall = turn.stalled ? ', a stall phrase spoke first' : ''
  if (turn.budgetExceededByMs > 0) return paint('red', `over budget by ${Math.round(turn.budgetExceededByMs)} ms`) + patience + stall
  const within = countedMs <= style.targetMs ? paint('green', `within the target of ${style.targetMs} ms`) : paint('yellow', `within the limit of ${style.hardMs} ms`)
  return within + patience + stall
}

function ruler(target: number, limit: number): string {
  const marks = Array.from<string>({ length: Math.max(target, limit) + 1 }).fill(' ')
  marks[target] = '┆'
  marks[limit] = '┃'
  return marks.join('')
}

function colourOf(stage: StageName, outcome: StageOutcome): 'red' | 'gray' | 'blue' | 'green' {
  if (outcome === 'cut-off' || outcome === 'failed') return 'red'
  if (stage === 'endpoint' || stage === 'patience') return 'gray'
  return stage === 'synthesis' || stage === 'playout' ? 'green' : 'blue'
}

function figure(ms: number): string {
  return String(Math.round(ms)).padStart(6)
}
