import { z } from 'zod'
import { costOf } from '../call/spend.ts'
import { usageOf } from '../call/usage.ts'
import { ClientsViaError } from '../core/errors.ts'
import { companyParams, companyRoute, type AdminPorts } from './admin-contract.ts'
import type { Resources } from './pipeline.ts'

const DAY_MS = 24 * 60 * 60_000
const DEFAULT_DAYS = 30
/** A year and a leap day. */
const MAX_DAYS = 366

export function usageRoutes(ports: AdminPorts): Resources {
  return (api, deps) => {
    companyRoute(api, deps, {
      method: 'GET', path: '/companies/:companyId/usage', permission: 'usage:read', audit: null, tag: 'Usage',
      summary: 'Calls, minutes, answers and what they cost; the last 30 days unless told otherwise',
      params: companyParams, query: z.strictObject({ from: z.iso.datetime().optional(), to: z.iso.datetime().optional() }),
      replies: {
        200: z.object({
          from: z.string(),
          to: z.string(),
          calls: z.int(),
          minutes: z.number(),
          turns: z.int(),
          outcomes: z.record(z.string(), z.int()),
          sources: z.record(z.string(), z.int()),
          unansweredTurns: z.int(),
          transfers: z.int(),
          stalledTurns: z.int(),
          interruptions: z.int(),
          modelTokens: z.int(),
          /** Of them, for answers nobody was to hear: the caller went on. */
          wastedModelTokens: z.int(),
          sttSeconds: z.int(),
          ttsCharacters: z.int(),
          gapP50Ms: z.number().nullable(),
          gapP95Ms: z.number().nullable(),
          complete: z.boolean(),
          /** In US cents, by the operator's rates; null where no rate is set. */
          cost: z.object({ callsCents: z.number().nullable(), modelCents: z.number().nullable(), wastedModelCents: z.number().nullable(), listeningCents: z.number().nullable(), speakingCents: z.number().nullable() }),
        }),
      },
      handler: async ({ companyId, query, signal }) => {
        const now = deps.clock.wallTime().getTime()
        const toMs = query.to === undefined ? now : Date.parse(query.to)
        const fromMs = query.from === undefined ? toMs - DEFAULT_DAYS * DAY_MS : Date.parse(query.from)
        if (fromMs >= toMs) throw new ClientsViaError('INVALID_INPUT', 'from: must be before to', { field: 'from' })
        if (toMs - fromMs > MAX_DAYS * DAY_MS) throw new ClientsViaError('INVALID_INPUT', `from: at most ${MAX_DAYS} days before to`, { field: 'from' })
        const period = { from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString() }
        const { modelCents, wastedModelCents, ...usage } = await usageOf(ports.calls, companyId, period, signal)
        return { status: 200, body: { ...period, ...usage, cost: costOf({ ...usage, modelCents, wastedModelCents }, ports.rates) } }
      },
    })
  }
}
