import type { CallOutcome, TurnRecord } from './call-record.ts'
import type { CallLimit } from './conversation-deps.ts'

export interface CallLogger {
  info(facts: Readonly<Record<string, unknown>>, message: string): void
  warn(facts: Readonly<Record<string, unknown>>, message: string): void
  error(facts: Readonly<Record<string, unknown>>, message: string): void
}

export type CallObserver = Readonly<{
  callStarted: (companyId: string, callSid: string) => void
  callEnded: (companyId: string, callSid: string, outcome: CallOutcome, facts: Readonly<{ durationSeconds: number; lostFrameCount: number }>) => void
  turnFinished: (companyId: string, callSid: string, turn: TurnRecord) => void
  limitReached?: (companyId: string, callSid: string, limit: CallLimit) => void
}>
