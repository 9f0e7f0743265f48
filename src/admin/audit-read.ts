import type { AdminDeps } from './pipeline.ts'
import type { RouteInput } from './route.ts'

/** Some reads are worth a line of their own: who listened to which caller. */
export async function auditRead(deps: AdminDeps, input: Pick<RouteInput<unknown, unknown, unknown>, 'principal' | 'companyId' | 'state' | 'signal'>, action: string, target: string): Promise<void> {
  const { principal, companyId, state, signal } = input
  await deps.security.audit.record(
    companyId,
    {
      action,
      result: 'done',
      reason: '',
      actor: { kind: principal.kind, id: principal.id, companyId: principal.companyId },
      target,
      address: state.client.address,
      userAgent: state.client.userAgent,
      traceId: state.traceId,
      details: {},
    },
    signal,
  )
}
