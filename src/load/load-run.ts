import type { Clock } from '../core/clock.ts'
import { judgeCall, type JudgedCall } from './call-judgement.ts'
import { measureCall } from './call-measures.ts'
import type { CallRecording } from './call-recording.ts'
import type { LoadedScript } from './call-script.ts'
import type { CallerTransport } from './caller-transport.ts'
import { placeCall, type CallEvidence } from './simulated-caller.ts'
import { fetchEndedCall } from './turn-records.ts'

/** How long a finished call may take to appear on record as ended. */
const RECORD_PATIENCE_MS = 2000

export type LoadPlan = Readonly<{
  clock: Clock
  transport: CallerTransport
  target: string
  /** Dialled in turn: call n takes script n modulo their number. */
  scripts: readonly LoadedScript[]
  calls: number
  concurrency: number
  /** Pause between two dials while the load builds up. */
  rampMs: number
  /** The recording is let go of afterwards: a run of many calls must not keep their sound. */
  onCallOver?: (call: JudgedCall, recording: CallRecording, position: number) => Promise<void>
}>

/** Places every call of the plan, at most `concurrency` at a time, and judges each. */
export async function runLoad(plan: LoadPlan, signal: AbortSignal): Promise<JudgedCall[]> {
  const judged: JudgedCall[] = []
  const others: JudgedCall[] = []
  let next = 0
  const line = async (offsetMs: number): Promise<void> => {
    if (offsetMs > 0) await plan.clock.sleep(offsetMs, signal)
    while (next < plan.calls) {
      const position = next
      next += 1
      const script = plan.scripts[position % plan.scripts.length] as LoadedScript
      // Who want the same thing at the same moment: each a call of its own, and judged like one.
      const callers = Array.from({ length: script.script.callers }, (_, caller) => asCaller(script, caller))
      const calls = await Promise.all(callers.map((one) => placeCall({ clock: plan.clock, transport: plan.transport, target: plan.target, script: one }, signal)))
      for (const [caller, evidence] of calls.entries()) {
        const call = await judge(plan, evidence, signal)
        if (caller === 0) judged[position] = call
        else others.push(call)
        await plan.onCallOver?.(call, evidence.recording, caller === 0 ? position : plan.calls + others.length - 1)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(plan.concurrency, plan.calls) }, (_, index) => line(index * plan.rampMs)))
  return [...judged, ...others]
}

/** The first caller has the script's own number; the others' end in other digits. */
function asCaller(loaded: LoadedScript, caller: number): LoadedScript {
  const { from } = loaded.script
  if (caller === 0) return loaded
  return { ...loaded, script: { ...loaded.script, from: `${from.slice(0, -1)}${(Number(from.at(-1)) + caller) % 10}` } }
}

/** Measures a call by ear, asks the server for its records and judges. */
export async function judge(plan: Pick<LoadPlan, 'clock' | 'target'>, evidence: CallEvidence, signal: AbortSignal): Promise<JudgedCall> {
  const measures = measureCall(evidence)
  try {
    const records = await fetchEndedCall(plan.clock, plan.target, evidence.callSid, RECORD_PATIENCE_MS, signal)
    return judgeCall(evidence, measures, records)
  } catch (error) {
    signal.throwIfAborted()
    const unreadable = `the server's records cannot be read: ${error instanceof Error ? error.message : String(error)}`
    return judgeCall({ ...evidence, problems: [...evidence.problems, unreadable] }, measures, null)
  }
}
