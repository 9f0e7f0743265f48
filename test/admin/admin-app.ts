import Fastify, { type FastifyInstance, type LightMyRequestResponse } from 'fastify'
import { accessRoutes } from '../../src/admin/access-routes.ts'
import { auditRoutes } from '../../src/admin/audit-routes.ts'
import { authRoutes } from '../../src/admin/auth-routes.ts'
import { registerAdmin, type AdminDeps, type Resources, type Stage } from '../../src/admin/pipeline.ts'
import { userRoutes } from '../../src/admin/user-routes.ts'
import type { ClientFacts } from '../../src/security/client.ts'
import { openLocator } from '../../src/security/geo.ts'
import type { SecurityNotifier } from '../../src/security/notifier.ts'
import type { Argon2Cost, HashingEngine } from '../../src/security/passwords.ts'
import type { SecurityPolicy } from '../../src/security/policy.ts'
import { principalOfUser, type Principal } from '../../src/security/principal.ts'
import type { User } from '../../src/security/records.ts'
import { PLATFORM, type Role } from '../../src/security/roles.ts'
import { createSecurity, type Security } from '../../src/security/security.ts'
import { openEmbeddedSecurityStore } from '../../src/storage/embedded-security-store.ts'
import { DeviceKey } from '../security/device-key.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

export const PASSWORD = 'heron lifts the quiet tide'
/** Enough to be argon2id, little enough for a test to sign in a hundred times. */
export const CHEAP: Argon2Cost = { memoryKiB: 32, passes: 1, lanes: 1 }
/** Addresses whose country the embedded database knows. */
export const US_ADDRESS = '8.8.8.8'
export const GB_ADDRESS = '81.2.69.142'
export const CA_ADDRESS = '24.48.0.1'
export const RU_ADDRESS = '5.255.255.5'

const locator = await openLocator()

export type World = Readonly<{
  app: FastifyInstance
  security: Security
  clock: VirtualClock
  traces: { method: string; url: string; stages: readonly Stage[] }[]
  errors: unknown[]
  sent: { email: string; token: string }[]
  addUser: (companyId: string, role: Role, email?: string) => Promise<User>
  signIn: (user: Pick<User, 'email'>, options?: SignInOptions) => Promise<LightMyRequestResponse>
  /** Signs in over loopback and gives the bearer header. */
  bearer: (user: Pick<User, 'email'>) => Promise<Readonly<{ authorization: string }>>
  proof: (key: DeviceKey, email: string) => ReturnType<DeviceKey['prove']>
}>
export type SignInOptions = Readonly<{ password?: string; key?: DeviceKey | null; address?: string; headers?: Record<string, string> }>

export async function openWorld(
  options: Readonly<{ policy?: Partial<SecurityPolicy>; deps?: Partial<AdminDeps>; resources?: readonly Resources[]; cost?: Argon2Cost; hashing?: HashingEngine; storePath?: string }> = {},
): Promise<World> {
  const clock = new VirtualClock()
  const sent: { email: string; token: string }[] = []
  const notifier: SecurityNotifier = {
    passwordReset: async (message) => void sent.push({ email: message.email, token: message.token }),
  }
  const store = openEmbeddedSecurityStore(options.storePath ?? ':memory:')
  const security = createSecurity({
    store, clock, locator, notifier,
    keyRing: [{ kid: 'k1', secret: new Uint8Array(Buffer.from('a signing secret of more than thirty-two bytes')) }],
    auditSecret: new Uint8Array(Buffer.from('an audit secret of more than thirty-two bytes..')),
    issuer: 'https://voice.example.com',
    policy: options.policy ?? {},
    passwordCost: options.cost ?? CHEAP,
    ...(options.hashing === undefined ? {} : { hashing: options.hashing }),
  })
  const traces: World['traces'] = []
  const errors: unknown[] = []
  const app = Fastify({ logger: false })
  const deps: AdminDeps = {
    security, clock,
    companyExists: async (companyId) => ['polar-bay', 'harbor-lane'].includes(companyId),
    reportError: (error) => void errors.push(error),
    // Far above what a test sends, so that only the tests about limits meet them.
    rateTiers: { anonymous: 10_000, bearer: 10_000, signedIn: 10_000, login: 10_000 },
    onTrace: (trace) => void traces.push(trace),
    ...options.deps,
  }
  await registerAdmin(app, deps, [authRoutes, userRoutes, accessRoutes, auditRoutes, ...(options.resources ?? [])])
  await app.ready()

  let people = 0
  const system: Principal = principalOfUser({ companyId: PLATFORM, role: 'owner', id: 'system' } as User, { id: 'none', deviceId: 'none' })
  const proof: World['proof'] = (key, email) => key.prove('login', email.toLowerCase(), security.proofs.challenge().challenge)
  const signIn: World['signIn'] = async (user, how = {}) => {
    const device = how.key === undefined || how.key === null ? {} : { device: await proof(how.key, user.email) }
    return app.inject({
      method: 'POST',
      url: '/api/v1/auth/login',
      remoteAddress: how.address ?? '127.0.0.1',
      ...(how.headers === undefined ? {} : { headers: how.headers }),
      payload: { email: user.email, password: how.password ?? PASSWORD, ...device },
    })
  }
  return {
    app, security, clock, traces, errors, sent, proof, signIn,
    addUser: (companyId, role, email = `person${(people += 1)}@example.com`) =>
      security.users.create(system, companyId, { email, name: 'Pat Doe', role, password: PASSWORD }),
    bearer: async (user) => ({ authorization: `Bearer ${String((await signIn(user)).json().accessToken)}` }),
  }
}

export function clientAt(address: string): ClientFacts {
  return { address, place: locator.locate(address), userAgent: 'test', acceptLanguage: 'en', platform: 'Linux', traceId: 'trace' }
}

/** The lines of a company's chain, in short. */
export async function auditOf(world: World, companyId: string): Promise<{ action: string; result: string; reason: string; step: unknown }[]> {
  const lines = []
  for await (const row of world.security.audit.rows(companyId, {})) {
    const { action, result, reason, details } = row.fact
    lines.push({ action, result, reason, step: details['step'] })
  }
  return lines
}
