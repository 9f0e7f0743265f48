import { createHash } from 'node:crypto'
import type { CallRecord, TurnRecord } from '../call/call-record.ts'
import { newEvent, type DomainEvent } from './event.ts'

/** The same call is missed once, however often its stream broke. */
export function missedCall(call: CallRecord, turns: readonly TurnRecord[], wallTime: Date): DomainEvent | null {
  const spoke = turns.some((turn) => turn.input === 'speech' || turn.input === 'dtmf')
  // A stream that broke may be back in a second.
  const gaveUp = call.outcome === 'caller-hung-up' || call.outcome === 'failed'
  if (spoke || !gaveUp) return null
  const { companyId, callSid, from } = call
  return { ...newEvent(wallTime, { companyId, type: 'call.missed', subject: `call/${callSid}`, callSid, data: { from, outcome: call.outcome } }), id: idOf(companyId, callSid) }
}

function idOf(companyId: string, callSid: string): string {
  const hex = createHash('sha256').update(JSON.stringify(['missed', companyId, callSid])).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
