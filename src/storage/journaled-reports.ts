import { z } from 'zod'
import type { TextReport } from '../telephony/sms-webhook.ts'
import type { JournaledWrites } from './journaled-writes.ts'

const reportSchema = z.object({
  companyId: z.string(),
  itemId: z.string(),
  messageSid: z.string(),
  delivery: z.enum(['queued', 'sent', 'delivered', 'undelivered']),
  errorCode: z.string().nullable(),
})
const changeSchema = z.object({ kind: z.literal('report'), companyId: z.string(), report: reportSchema })

type Settle = (report: TextReport, signal: AbortSignal) => Promise<void>

/** The carrier says once what became of a text: what it says while the database is away is settled when it is back. */
export class JournaledReports {
  readonly #writes: JournaledWrites
  #settle: Settle | null = null

  constructor(writes: JournaledWrites) {
    this.#writes = writes
  }

  /** Before anything is replayed. */
  settledBy(settle: Settle): void {
    this.#settle = settle
    this.#writes.replays('report', changeSchema, ({ report }, signal) => settle(report, signal))
  }

  async take(report: TextReport, signal: AbortSignal): Promise<void> {
    const settle = this.#settle
    if (settle === null) throw new TypeError('a report before anybody settles reports')
    const { companyId, itemId } = report
    await this.#writes.write(`${companyId} report ${itemId}`, { kind: 'report', companyId, report: reportSchema.parse(report) }, (inner) => settle(report, inner), signal)
  }
}
