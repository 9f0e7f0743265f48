import type { JudgedCall } from './call-judgement.ts'
import type { ServerTurn } from './turn-records.ts'

/** A call as it was understood: for each turn what was asked, what was heard and read, why it ended there, and what was said. */
export function transcriptOf(call: JudgedCall): string {
  const { script, callSid } = call.evidence
  const turns = call.records?.turns ?? []
  return [`${script.name} ${callSid}`, ...turns.flatMap((turn) => turnLines(turn)), ...call.failures.map((failure) => `  ! ${failure.what}`)].join('\n')
}

function turnLines(turn: ServerTurn): string[] {
  const lines = [`  ${turn.turn} ${turn.input}${askedFor(turn)}`]
  if (turn.heard !== '') lines.push(`    caller  ${turn.heard}${endOf(turn)}`)
  if (turn.reading !== undefined) lines.push(`    read    ${readingOf(turn.reading)}`)
  lines.push(`    agent   ${turn.delivered}${turn.interruption === null ? '' : ` [cut: ${turn.interruption.rule}]`}`)
  return lines
}

function askedFor({ expectation }: ServerTurn): string {
  if (expectation === undefined || expectation.kind === 'open') return ''
  return expectation.kind === 'form' ? `, asked for ${expectation.asked ?? 'anything of the form'}` : `, asked for ${expectation.kind}`
}

function endOf({ endpoint, gapMs }: ServerTurn): string {
  return endpoint === null ? '' : ` [${endpoint.rule}: ${Math.round(endpoint.waitMs)} ms, answered after ${gapMs === null ? 'none' : `${Math.round(gapMs)} ms`}]`
}

function readingOf({ verdict, text, slots, scores }: NonNullable<ServerTurn['reading']>): string {
  const values = slots.map((slot) => `${slot.slotId}=${slot.value} (${slot.confidence.toFixed(2)})`).join(', ')
  return `${verdict} "${text}" ${values} [${scores.costPerToken.toFixed(2)} a token, regret ${scores.maxWordRegret.toFixed(2)}]`
}
