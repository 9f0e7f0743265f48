import { z } from 'zod'
import { ClientsViaError } from '../core/errors.ts'
import { maskPhoneNumber } from '../tenancy/phone-numbers.ts'
import { companyParams, companyRoute, type AdminPorts } from './admin-contract.ts'
import { numberOf } from './conventions.ts'
import { keptReplies } from './kept-replies.ts'
import type { Resources } from './pipeline.ts'

/** Forgetting a caller, everywhere, with the search afterwards that shows it. */
export function erasureRoutes(ports: AdminPorts): Resources {
  return (api, deps) => {
    companyRoute(api, deps, {
      method: 'POST', path: '/companies/:companyId/erasures', permission: 'data:erase', audit: 'data.erased', tag: 'Privacy',
      summary: "Erase everything kept under a caller's number, then read every store again for it", replay: 'never',
      params: companyParams, body: z.strictObject({ from: z.string().min(3).max(40) }),
      replies: {
        200: z.object({
          /** True when no store names the number any more. */
          clean: z.boolean(),
          stores: z.array(z.object({ name: z.string(), erased: z.int(), remaining: z.int() })),
        }),
      },
      handler: async ({ companyId, body, state, signal }) => {
        const number = numberOf(body.from)
        // The number itself must not live on in the log that says it was erased.
        state.auditTarget = `caller/${maskPhoneNumber(number)}`
        for (const live of await ports.live.live(companyId, signal)) {
          const call = await ports.calls.get(companyId, live.callSid, signal)
          if (call?.from === number) throw new ClientsViaError('CONFLICT', 'this caller is on the line: what they say would be written after the erasure')
        }
        // A few minutes of the live view, all callers together: nobody needs them more than this one wants them gone.
        const stores = [{ name: 'live view', erased: ports.events.forget(companyId), remaining: 0 }]
        for (const store of [...ports.stores, keptReplies(deps.security.store.idempotency)]) {
          const erased = await store.erase(companyId, number, signal)
          stores.push({ name: store.name, erased, remaining: await store.find(companyId, number, signal) })
        }
        ports.saved(companyId)
        const clean = stores.every((store) => store.remaining === 0)
        Object.assign(state.auditDetails, { clean, erased: stores.reduce((sum, store) => sum + store.erased, 0) })
        return { status: 200, body: { clean, stores } }
      },
    })
  }
}
