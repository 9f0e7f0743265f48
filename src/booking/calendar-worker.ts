import { parentPort, workerData } from 'node:worker_threads'
import { busyTimes, type BusyRange } from './calendar-busy.ts'
import type { Span } from './working-time.ts'

/** Works out the busy times of some iCalendar texts, and ends: a hostile file can at most keep this thread busy until it is stopped. */
export type CalendarWorkerData = Readonly<{ texts: readonly string[]; range: BusyRange }>
export type CalendarWorkerReply = Readonly<{ busy: readonly Span[] }> | Readonly<{ problem: string }>

const { texts, range } = workerData as CalendarWorkerData
const reply = (message: CalendarWorkerReply): void => parentPort?.postMessage(message)
try {
  reply({ busy: texts.flatMap((text) => busyTimes(text, range)) })
} catch (error) {
  reply({ problem: error instanceof Error ? error.message : 'it cannot be read' })
}
