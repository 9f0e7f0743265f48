import type { FastifyReply, FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import type { AuditLog, AuditNote } from '../security/audit-log.ts'
import { addressGroup } from '../security/client.ts'
import { PLATFORM } from '../security/roles.ts'
import type { RequestState } from './pipeline.ts'

/** A stranger who is refused over and over is one line a minute: the log must not be a way to fill the disk. */
const STRANGER_QUIET_MS = 60_000
const STRANGERS_REMEMBERED = 5000

/**
 * The last stage: one line for every request that changed something, and for every refusal. It is written before the reply leaves;
 * when it cannot be written, the caller gets an error instead of the reply.
 */
export class AuditStage {
  readonly #audit: AuditLog
  readonly #quiet = new LRUCache<string, true>({ max: STRANGERS_REMEMBERED, ttl: STRANGER_QUIET_MS })

  constructor(audit: AuditLog) {
    this.#audit = audit
  }

  async write(request: FastifyRequest, reply: FastifyReply, state: RequestState): Promise<void> {
    const rules = request.routeOptions.config.rules
    const refused = [401, 403, 429].includes(reply.statusCode) || (reply.statusCode === 404 && state.stages.at(-2) === 'permission')
    const changed = rules !== undefined && rules.audit !== null && state.stages.includes('handler')
    // Sign-in and refresh write their own lines, with the step that refused.
    if (rules?.audit === 'self' && state.stages.includes('handler')) return
    if (!refused && !changed) return
    if (state.principal === null && refused && !changed && this.#alreadyNoted(state)) return
    await this.#audit.record(state.companyId ?? state.principal?.companyId ?? PLATFORM, noteOf(request, reply, state, refused))
  }

  #alreadyNoted(state: RequestState): boolean {
    const key = `${state.problemCode}:${addressGroup(state.client.address)}`
    if (this.#quiet.has(key)) return true
    this.#quiet.set(key, true)
    return false
  }
}

function noteOf(request: FastifyRequest, reply: FastifyReply, state: RequestState, refused: boolean): AuditNote {
  const { principal, client } = state
  const action = request.routeOptions.config.rules?.audit ?? null
  return {
    action: action === null || action === 'self' ? 'request.refused' : action,
    result: refused ? 'refused' : reply.statusCode < 400 ? 'done' : 'failed',
    reason: principal?.breakGlass?.reason ?? state.problemCode,
    actor: principal === null ? { kind: 'nobody', id: '', companyId: '' } : { kind: principal.kind, id: principal.id, companyId: principal.companyId },
    target: state.auditTarget,
    address: client.address,
    userAgent: client.userAgent,
    traceId: state.traceId,
    details: {
      ...state.auditDetails,
      method: request.method,
      route: request.routeOptions.url ?? '',
      status: reply.statusCode,
      code: state.problemCode,
      breakGlassId: principal?.breakGlass?.id ?? null,
    },
  }
}
