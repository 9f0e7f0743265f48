import { Worker } from 'node:worker_threads'
import type { Clock } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { ClientsViaError } from '../core/errors.ts'
import type { BusyRange } from './calendar-busy.ts'
import type { CalendarWorkerData, CalendarWorkerReply } from './calendar-worker.ts'
import type { Span } from './working-time.ts'

/** Two megabytes take a second or two; what takes longer was made to. */
const READING_MS = 15_000
/** Of a thread that reads what a stranger wrote. */
const MAX_MEMORY_MB = 256

/** The busy times of iCalendar texts, worked out beside the media loop. Throws INVALID_INPUT for what is no calendar, DEADLINE_PASSED. */
export function readBusy(clock: Clock, texts: readonly string[], range: BusyRange, signal: AbortSignal): Promise<readonly Span[]> {
  if (texts.length === 0) return Promise.resolve([])
  return withDeadline(clock, READING_MS, signal, async (inTime) => {
    const worker = new Worker(new URL('./calendar-worker.ts', import.meta.url), {
      name: 'calendar',
      workerData: { texts, range } satisfies CalendarWorkerData,
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: MAX_MEMORY_MB },
    })
    const stop = (): void => void worker.terminate()
    inTime.addEventListener('abort', stop, { once: true })
    try {
      const reply = await new Promise<CalendarWorkerReply>((resolve, reject) => {
        worker.once('message', resolve)
        worker.once('error', (cause) => reject(new ClientsViaError('INVALID_INPUT', 'the calendar cannot be read', { field: 'ics' }, { cause })))
        worker.once('exit', () => reject(new ClientsViaError('INVALID_INPUT', 'the calendar cannot be read', { field: 'ics' })))
      })
      if ('problem' in reply) throw new ClientsViaError('INVALID_INPUT', reply.problem, { field: 'ics' })
      return reply.busy
    } finally {
      inTime.removeEventListener('abort', stop)
      stop()
    }
  })
}
