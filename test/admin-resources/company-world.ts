import type { LightMyRequestResponse } from 'fastify'
import type { AdminPorts, PersonalStore } from '../../src/admin/admin-contract.ts'
import { KnownCompanies } from '../../src/admin/known-companies.ts'
import { adminResources } from '../../src/admin/resources.ts'
import type { LiveCallFacts } from '../../src/call/call-directory.ts'
import { appointmentStore } from '../../src/booking/appointment-erasure.ts'
import { callStore, knowledgeStore } from '../../src/call/erasure.ts'
import { recordingStore } from '../../src/call/recording-upkeep.ts'
import { SystemClock, type Clock } from '../../src/core/clock.ts'
import { eventStores } from '../../src/events/erasure.ts'
import { EventBus } from '../../src/observability/event-bus.ts'
import { CachedCompanyContext } from '../../src/response/company-context-source.ts'
import { createResponder } from '../../src/response/intelligence-loop.ts'
import { PLATFORM, type Role } from '../../src/security/roles.ts'
import { CompanySecrets } from '../../src/security/secret-box.ts'
import { EmbeddedDatabase } from '../../src/storage/embedded-database.ts'
import { MIGRATIONS } from '../../src/storage/embedded-migrations.ts'
import { makeRepositories, type EmbeddedRepositories } from '../../src/storage/embedded-repositories.ts'
import { openWorld, type World } from '../admin/admin-app.ts'
import { agent, call, company, entry, gap, turn } from '../storage/fixtures.ts'
import { bookingPorts } from '../support/booking-ports.ts'
import { MemoryRecordings } from '../support/memory-recordings.ts'

/** Facts that only their own company may ever say. */
export const CANARIES = { 'polar-bay': 'glacierfox', 'harbor-lane': 'molarwhale' } as const
export type CompanyId = keyof typeof CANARIES
export const COMPANIES = Object.keys(CANARIES) as CompanyId[]

export type Ask = (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown, headers?: Record<string, string>) => Promise<LightMyRequestResponse>

type HeldCall = LiveCallFacts & Readonly<{ hangUp: () => void }>

export type CompanyWorld = World &
  Readonly<{
    repositories: EmbeddedRepositories
    recordings: MemoryRecordings
    ports: AdminPorts
    live: Map<string, HeldCall[]>
    savedCompanies: string[]
    as: (companyId: string, role: Role) => Promise<Ask>
    /** Puts a company that a test has deleted back. */
    refill: (companyId: CompanyId) => Promise<void>
    /** Somebody who may read and write one company. */
    polarBay: Ask
  }>

/** The whole API over an in-memory store with two companies, each with an agent, knowledge, a call, its turns and a gap. */
export async function openCompanyWorld(): Promise<CompanyWorld> {
  const database = EmbeddedDatabase.open(':memory:')
  database.migrate(MIGRATIONS)
  const problems: unknown[] = []
  let world: World | null = null
  const repositories = makeRepositories(database, { clock: new SystemClock(), report: (problem) => void problems.push(problem) })
  const contexts = new CachedCompanyContext({ ...repositories, embedder: null, clock: new SystemClock() })
  const known = new KnownCompanies(repositories.companies, new SystemClock())
  const live = new Map<string, HeldCall[]>()
  const savedCompanies: string[] = []
  const recordings = new MemoryRecordings()
  const secrets = new CompanySecrets(repositories.documents, [{ id: 'm1', secret: new Uint8Array(32).fill(7) }], new SystemClock())
  // Made before the world is: asked only once it is there.
  const now: Pick<Clock, 'wallTime'> = { wallTime: () => (world?.clock ?? new SystemClock()).wallTime() }
  const booking = bookingPorts(repositories, Object.assign(new SystemClock(), now))
  const stores: PersonalStore[] = [callStore(repositories.calls), recordingStore(recordings), knowledgeStore(repositories.knowledge), appointmentStore(repositories.appointments), ...eventStores(repositories)]
  const ports: AdminPorts = {
    ...repositories,
    contexts,
    booking,
    notifications: repositories,
    responder: createResponder({ model: null }),
    saved: (companyId) => {
      savedCompanies.push(companyId)
      known.forget(companyId)
      contexts.invalidate(companyId)
    },
    live: {
      live: async (companyId) => (live.get(companyId) ?? []).map(({ callSid, startedAt }) => ({ callSid, startedAt })),
      companyOf: async () => null,
      end: async (companyId, callSid) => {
        const call = live.get(companyId)?.find((one) => one.callSid === callSid)
        call?.hangUp()
        return call !== undefined
      },
    },
    events: new EventBus(),
    recordings,
    stores,
    secrets,
    settings: [{ name: 'PORT', value: '3000', source: 'default' }],
    health: () => ({ ok: true, degraded: false, state: 'ready', parts: { store: { ok: true, degraded: false, detail: 'answers' } } }),
    rates: { callMinuteCents: 0.85, modelTokenCents: null },
    sealKey: new Uint8Array(32).fill(3),
  }
  world = await openWorld({
    resources: adminResources(ports),
    deps: { companyExists: (companyId, signal) => known.exists(companyId, signal) },
  })
  const opened = world
  for (const companyId of COMPANIES) await fill(repositories, companyId)

  const asked = new Map<string, Promise<Ask>>()
  const refilled = new Map<string, number>()
  const refill = async (companyId: CompanyId): Promise<void> => {
    await fill(repositories, companyId)
    refilled.set(companyId, (refilled.get(companyId) ?? 0) + 1)
  }
  const as = (companyId: string, role: Role): Promise<Ask> => {
    const key = `${companyId}/${role}`
    const known = asked.get(key) ?? signedIn(opened, companyId, role, () => refilled.get(companyId) ?? 0)
    asked.set(key, known)
    return known
  }
  return { ...opened, repositories, recordings, ports, live, savedCompanies, as, refill, polarBay: await as('polar-bay', 'owner') }
}

/** A company that was deleted took its sessions with it: after each `lives` its people sign in anew. */
async function signedIn(world: World, companyId: string, role: Role, lives: () => number): Promise<Ask> {
  const user = await world.addUser(companyId, role)
  let session = { headers: await world.bearer(user), life: lives() }
  return async (method, path, body, extra = {}) => {
    if (session.life !== lives()) session = { headers: await world.bearer(user), life: lives() }
    return world.app.inject({ method, url: `/api/v1${path}`, headers: { ...session.headers, ...extra }, ...(body === undefined ? {} : { payload: body as object }) })
  }
}

async function fill(repositories: EmbeddedRepositories, companyId: CompanyId): Promise<void> {
  const number = companyId === 'polar-bay' ? '+12395550100' : '+16175550100'
  await repositories.companies.save(
    companyId,
    company(companyId, {
      phoneNumbers: [number],
      variables: { secret_word: CANARIES[companyId] },
      prices: { tune_up: { label: 'tune-up', spoken: '89 dollars', amountCents: 8900 } },
      transferTargets: [{ id: 'desk', label: `the ${CANARIES[companyId]} desk`, phoneNumberE164: '+12395550177', onCall: true }],
    }),
  )
  await repositories.agents.saveDraft(companyId, agent(companyId))
  await repositories.agents.publish(companyId, 'front-desk')
  await repositories.knowledge.save(
    companyId,
    entry(companyId, 'mascot', { question: 'What is your mascot called?', answer: `Our mascot is called {{ variables.secret_word }}.`, tags: ['fun'], category: 'about' }),
  )
  await repositories.knowledge.save(companyId, entry(companyId, 'tune-up', { question: 'How much is a tune-up?', answer: 'A tune-up is {{ prices.tune_up }}.', category: 'prices' }))
  const callSid = `CA-${companyId}`
  await repositories.calls.begin(companyId, call(companyId, callSid, { outcome: 'completed', endedAt: '2026-03-02T15:02:00.000Z', durationSeconds: 120 }))
  await repositories.calls.saveTurn(companyId, callSid, turn(1, { heard: `is ${CANARIES[companyId]} there`, gapMs: 900, stages: [{ stage: 'endpoint', ms: 300 }, { stage: 'synthesis', ms: 600 }] }))
  await repositories.calls.saveTurn(companyId, callSid, turn(2))
  await repositories.calls.saveGap(companyId, { ...gap(companyId, `gap-${companyId}`, callSid), question: `do you sell ${CANARIES[companyId]} toys` })
}

export { PLATFORM }
