import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { CallDirectory } from '../call/call-directory.ts'
import type { CallRepository } from '../call/call-record.ts'
import type { RecordingStore } from '../call/recording.ts'
import type { UsageRates } from '../call/spend.ts'
import { ClientsViaError } from '../core/errors.ts'
import type { EventBus } from '../observability/event-bus.ts'
import type { PartHealth } from '../observability/vendor-health.ts'
import type { CompanyContextSource } from '../response/company-context.ts'
import type { Responder } from '../response/responder.ts'
import { PLATFORM } from '../security/roles.ts'
import type { CompanySecrets } from '../security/secret-box.ts'
import type { AgentRepository, CompanyRepository, KnowledgeRepository } from '../tenancy/repositories.ts'
import type { BookingPorts } from './booking-contract.ts'
import type { NotificationPorts } from './notification-contract.ts'
import type { AdminDeps } from './pipeline.ts'
import { route, type RouteSpec } from './route.ts'

/** What the resources need of the other rooms. Every method takes companyId first. */
export type AdminPorts = Readonly<{
  companies: CompanyRepository
  agents: AgentRepository
  knowledge: KnowledgeRepository
  calls: CallRepository
  booking: BookingPorts
  notifications: NotificationPorts
  contexts: Pick<CompanyContextSource, 'load'>
  responder: Responder
  /** After every save of a company, agent or knowledge entry: drops what is cached and makes new phrases ready. Never throws. */
  saved: (companyId: string) => void
  /** Calls that are going on, in whichever process. */
  live: Pick<CallDirectory, 'live' | 'end' | 'companyOf'>
  events: EventBus
  /** Null where this server keeps none. */
  recordings: RecordingStore | null
  /** Everything that may hold a caller's number or words; erasing one empties all. */
  stores: readonly PersonalStore[]
  /** Null where no master key is configured: then secrets cannot be kept. */
  secrets: CompanySecrets | null
  /** The server's own settings as it understood them; secrets masked. */
  settings: readonly Readonly<{ name: string; value: string; source: string }>[]
  health: () => HealthReport
  rates: UsageRates
  /** Seals the talks of the test console; the same in every process. At least 32 bytes. */
  sealKey: Uint8Array
}>

export type HealthReport = Readonly<{ ok: boolean; degraded: boolean; state: string; parts: Readonly<Record<string, PartHealth>> }>

/** A place where a caller's data may be. */
export interface PersonalStore {
  /** 'calls', 'recordings' ... */
  readonly name: string
  /** How many things were deleted. */
  erase(companyId: string, phoneNumberE164: string, signal: AbortSignal): Promise<number>
  /** How many things still name the number, found by reading everything the store has of the company. */
  find(companyId: string, phoneNumberE164: string, signal: AbortSignal): Promise<number>
}

export const companyParams = z.strictObject({ companyId: z.string().min(1).max(64) })
/** What a new thing may be called: it stands in URLs, file names and logs. */
export const newIdSchema = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/, 'must be lower-case letters, digits and hyphens, 64 at most')

type Nothing = ReturnType<typeof z.strictObject<Record<never, never>>>

/** A route of a company's things. The platform has people and keys, but no agents, knowledge or calls. */
export function companyRoute<P extends z.ZodType = Nothing, Q extends z.ZodType = Nothing, B extends z.ZodType = Nothing>(
  api: FastifyInstance,
  deps: AdminDeps,
  spec: RouteSpec<P, Q, B>,
): void {
  route(api, deps, {
    ...spec,
    handler: async (input) => {
      if (input.companyId === PLATFORM) throw new ClientsViaError('NOT_FOUND', 'no such company')
      return spec.handler(input)
    },
  })
}

/**
 * The body of a PATCH: each field may be given and then replaces the stored one whole; none has a default, so that what is left out
 * stays as it is. The result is checked against the whole schema again.
 */
export function patchOf(schema: z.ZodObject, readOnly: readonly string[]): z.ZodType<Record<string, unknown>> {
  const fields = Object.entries(schema.shape).filter(([name]) => !readOnly.includes(name))
  return z.strictObject(Object.fromEntries(fields.map(([name, field]) => [name, withoutDefault(field).optional()])))
}

function withoutDefault(schema: z.core.$ZodType): z.ZodType {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional) return withoutDefault(schema.unwrap())
  if (schema instanceof z.ZodType) return schema
  throw new TypeError('a field of a zod/mini schema has no place in the API')
}
