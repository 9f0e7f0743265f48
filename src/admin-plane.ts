import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { accessRoutes } from './admin/access-routes.ts'
import { auditRoutes } from './admin/audit-routes.ts'
import { authRoutes } from './admin/auth-routes.ts'
import { KnownCompanies } from './admin/known-companies.ts'
import { oidcRoutes, signInMethodRoutes } from './admin/oidc-routes.ts'
import { registerAdmin, type Resources } from './admin/pipeline.ts'
import { adminResources } from './admin/resources.ts'
import { userRoutes } from './admin/user-routes.ts'
import type { RecordingStore } from './call/recording.ts'
import { deleteOrphans, recordingStore } from './call/recording-upkeep.ts'
import type { BookingPlane } from './booking-plane.ts'
import { callStore, knowledgeStore } from './call/erasure.ts'
import type { CallDirectory } from './call/call-directory.ts'
import type { Config, Secret } from './config.ts'
import type { Clock } from './core/clock.ts'
import type { Scope } from './core/scope.ts'
import { eventStores } from './events/erasure.ts'
import type { NotificationPlane } from './notification-plane.ts'
import { registerDashboard } from './dashboard/dashboard.ts'
import type { EventBus } from './observability/event-bus.ts'
import type { Logger } from './observability/logger.ts'
import type { CompanyContextSource } from './response/company-context.ts'
import type { Responder } from './response/responder.ts'
import { sweepAudit } from './security/audit-retention.ts'
import { openLocator } from './security/geo.ts'
import { HashingThreads } from './security/hashing-threads.ts'
import { ConsoleNotifier } from './security/notifier.ts'
import { OidcSignIn } from './security/oidc.ts'
import { CompanySecrets } from './security/secret-box.ts'
import { readOrCreateSecret } from './security/secret-file.ts'
import { deriveKey } from './security/secrets.ts'
import { createSecurity, type Security } from './security/security.ts'
import { parseKeyRing, type KeyRing } from './security/tokens.ts'
import type { Readiness } from './server.ts'
import type { Stores } from './storage/open-store.ts'

/** Ended sessions, spent links and old counters are dropped this often. */
const SWEEP_EVERY_MS = 6 * 60 * 60_000

export type AdminPlaneDeps = Readonly<{
  config: Config
  logger: Logger
  clock: Clock
  scope: Scope
  store: Stores
  contexts: CompanyContextSource
  booking: BookingPlane
  responder: Responder
  directory: CallDirectory
  events: EventBus
  recordings: RecordingStore
  notifications: NotificationPlane
  readiness: Readiness
  /** Of the processes that share the store: the one that makes the first owner and sweeps. */
  isFirst: boolean
  /** Tells the other processes that something of the company was saved. */
  saved: (companyId: string) => void
  /** Makes a company's new phrases ready. */
  warm: (companyId: string) => void
  /** The operator's console: never the log, which is kept and copied. */
  print: (line: string) => void
}>

export type AdminPlane = Readonly<{
  /** After the server listens: the first owner, and the sweeps. */
  start: () => Promise<void>
  /** Another process has saved something of the company. */
  savedElsewhere: (companyId: string) => void
  /** Companies' own keys, for the engines that use them. */
  secrets: CompanySecrets
  close: () => Promise<void>
}>

/** Login, roles, audit and every resource under /api/v1, on the same server as the calls. */
export async function addAdminPlane(app: FastifyInstance, deps: AdminPlaneDeps): Promise<AdminPlane> {
  const { config, logger, clock, scope, store } = deps
  const { admin } = config
  const secretFile = (name: string): Promise<Uint8Array> => readOrCreateSecret(join(config.dataDir, name), scope.signal)
  const locator = admin.geoDatabase === null ? await openLocator() : await openLocator(admin.geoDatabase, scope.signal)
  deps.readiness.part('countries', () => ({ ok: locator.problem === null, detail: locator.problem ?? 'country database open' }))
  const keyRing = await keysOf(admin.jwtKeys, 'JWT_KEYS', () => secretFile('auth.secret'))
  const masterKeys = await keysOf(admin.masterKeys, 'MASTER_KEYS', () => secretFile('master.secret'))
  const auditSecret = admin.auditSecret === null ? await secretFile('audit.secret') : new Uint8Array(Buffer.from(admin.auditSecret.reveal()))
  const hashing = new HashingThreads(clock)
  const security = createSecurity({
    hashing,
    store: store.security,
    clock,
    locator,
    notifier: deps.notifications.notifier ?? new ConsoleNotifier(deps.print),
    keyRing,
    auditSecret,
    issuer: config.server.publicBaseUrl ?? 'https://clientsvia.invalid',
    policy: {
      allowedCountries: admin.allowedCountries,
      unknownCountry: admin.unknownCountry,
      trustedProxyHops: config.server.trustedProxyHops,
      maxTravelKmh: admin.maxTravelKmh,
      keylessLogin: admin.keylessLogin,
      sessionConflict: admin.sessionConflict,
      maxDevices: admin.maxDevices,
      passwordMinLength: admin.passwordMinLength,
      accessTokenMs: admin.accessTokenMs,
      idleMs: admin.idleMs,
      absoluteMs: admin.absoluteMs,
    },
  })
  const secrets = new CompanySecrets(
    store.documents,
    masterKeys.map(({ kid, secret }) => ({ id: kid, secret })),
    clock,
  )
  const known = new KnownCompanies(store.companies, clock)
  const forget = (companyId: string): void => {
    known.forget(companyId)
    deps.contexts.invalidate(companyId)
    deps.warm(companyId)
  }
  const resources = adminResources({
    companies: store.companies,
    agents: store.agents,
    knowledge: store.knowledge,
    calls: store.calls,
    booking: { ...deps.booking.ports, feedKey: deriveKey((keyRing[0] as KeyRing[number]).secret, 'calendar feeds') },
    contexts: deps.contexts,
    responder: deps.responder,
    saved: (companyId) => {
      // First, so that what is read anew is not what the caches still hold.
      deps.saved(companyId)
      forget(companyId)
    },
    live: deps.directory,
    events: deps.events,
    recordings: deps.recordings,
    stores: [...store.waiting, callStore(store.calls), recordingStore(deps.recordings), knowledgeStore(store.knowledge), deps.booking.personal, ...eventStores(store)],
    secrets,
    notifications: store,
    settings: config.settings,
    health: () => deps.readiness.report(),
    rates: config.rates,
    sealKey: deriveKey((keyRing[0] as KeyRing[number]).secret, 'test console'),
  })
  await registerAdmin(
    app,
    {
      security,
      clock,
      companyExists: (companyId, signal) => known.exists(companyId, signal),
      reportError: (error, facts) => logger.error({ ...facts, error: error instanceof Error ? error.message : String(error) }, 'request failed'),
      allowedOrigins: admin.allowedOrigins,
    },
    [authRoutes, signInMethodRoutes(admin.oidc !== null), ...oidcOf(deps, security, keyRing), userRoutes, accessRoutes, auditRoutes, ...resources],
  )

  await registerDashboard(app)

  const sweep = async (): Promise<void> => {
    while (!scope.ended) {
      await clock.sleep(SWEEP_EVERY_MS, scope.signal)
      await security.sessions.sweep()
      const daysOf = async (companyId: string, signal: AbortSignal): Promise<number | null> => (await store.companies.get(companyId, signal))?.retention.auditDays ?? null
      const onFailure = (companyId: string, error: unknown): void => logger.error({ companyId, error: String(error) }, 'audit log not swept')
      await sweepAudit({ clock, audit: security.audit, daysOf, onFailure }, scope.signal)
      await deleteOrphans(deps.recordings, (companyId, signal) => known.exists(companyId, signal), scope.signal)
    }
  }
  return {
    secrets,
    savedElsewhere: forget,
    start: async () => {
      if (!deps.isFirst) return
      const first = await security.users.ensureFirstOwner({ email: admin.ownerEmail, password: admin.ownerPassword?.reveal() ?? null }, scope.signal)
      if (first?.generatedPassword) deps.print(`The owner is ${first.user.email}, with the password ${first.generatedPassword} (shown once; ADMIN_EMAIL and ADMIN_PASSWORD choose others)`)
      void sweep().catch((error: unknown) => {
        if (!scope.ended) logger.error({ error: String(error) }, 'sessions and recordings not swept')
      })
    },
    close: async () => {
      await security.passwords.settled()
      await hashing.close()
    },
  }
}

async function keysOf(given: Secret | null, name: string, make: () => Promise<Uint8Array>): Promise<KeyRing> {
  return given === null ? [{ kid: 'local', secret: await make() }] : parseKeyRing(given.reveal(), name)
}

function oidcOf(deps: AdminPlaneDeps, security: Security, keyRing: KeyRing): readonly Resources[] {
  const { oidc } = deps.config.admin
  if (oidc === null) return []
  const signIn = new OidcSignIn({
    ...oidc,
    clientSecret: oidc.clientSecret?.reveal() ?? null,
    login: security.login,
    spent: security.store.links,
    clock: deps.clock,
    key: deriveKey((keyRing[0] as KeyRing[number]).secret, 'oidc flow'),
    report: (problem) => deps.logger.error({ issuer: oidc.issuer, problem }, 'identity provider cannot be used'),
  })
  return [oidcRoutes(signIn)]
}
