import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import autocannon from 'autocannon'
import Fastify from 'fastify'
import { accessRoutes } from '../../src/admin/access-routes.ts'
import type { AdminPorts } from '../../src/admin/admin-contract.ts'
import { KnownCompanies } from '../../src/admin/known-companies.ts'
import { registerAdmin } from '../../src/admin/pipeline.ts'
import { adminResources } from '../../src/admin/resources.ts'
import { SystemClock } from '../../src/core/clock.ts'
import { EventBus } from '../../src/observability/event-bus.ts'
import { CachedCompanyContext } from '../../src/response/company-context-source.ts'
import { createResponder } from '../../src/response/intelligence-loop.ts'
import { openLocator } from '../../src/security/geo.ts'
import { principalOfUser } from '../../src/security/principal.ts'
import type { User } from '../../src/security/records.ts'
import { createSecurity } from '../../src/security/security.ts'
import { openEmbeddedSecurityStore } from '../../src/storage/embedded-security-store.ts'
import { openEmbeddedStore } from '../../src/storage/embedded-store.ts'
import { agent, call, company, entry, turn } from '../storage/fixtures.ts'
import { bookingPorts } from '../support/booking-ports.ts'

/**
 * REST reads over real sockets, with the store that comes with the server: a process of its own serves, this one asks. Prints the
 * requests a second, the latency, and what a second of the server's processor time was worth, which other work on the machine does
 * not change. `node test/bench/rest.ts [seconds] [connections]`.
 */
const SECONDS = Number(process.argv[2] ?? 10)
const CONNECTIONS = Number(process.argv[3] ?? 10)
const TARGET = { requestsPerSecond: 1000, p95Ms: 25 }
const PATHS = ['', '/knowledge?limit=20', '/knowledge/entry-7', '/agents/front-desk', '/calls?limit=20', '/calls/CA7/explain', '/transfer-targets', '/effective-config']

type Served = Readonly<{ url: string; key: string }>
type CpuUse = Readonly<{ cpuMs: number }>

if (process.send !== undefined && process.argv.includes('--serve')) await serve(process.argv.at(-1) ?? '')
else await measure()

async function measure(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'clientsvia-rest-'))
  const child = fork(import.meta.filename, ['--serve', folder], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const [{ url, key }] = (await once(child, 'message')) as [Served]
  const ask = async (): Promise<number> => {
    child.send('cpu')
    const [{ cpuMs }] = (await once(child, 'message')) as [CpuUse]
    return cpuMs
  }
  process.stdout.write(`${cpus()[0]?.model ?? 'unknown processor'} x ${cpus().length}, node ${process.version}, ${CONNECTIONS} connections, ${SECONDS} s a route\n`)
  const run = (path: string, seconds: number): Promise<autocannon.Result> =>
    autocannon({ url: `${url}/api/v1/companies/bench${path}`, connections: CONNECTIONS, duration: seconds, headers: { authorization: `Bearer ${key}` } })
  for (const path of PATHS) await run(path, 1)
  let all = 0
  let cpu = 0
  let slowest = 0
  for (const path of PATHS) {
    const before = await ask()
    const result = await run(path, SECONDS)
    const cpuMs = (await ask()) - before
    if (result.non2xx > 0 || result.errors > 0) throw new Error(`${path}: ${result.non2xx} refused, ${result.errors} broken`)
    const { p50, p97_5, p99 } = result.latency
    process.stdout.write(
      `  GET ${path.padEnd(24)} ${String(Math.round(result.requests.average)).padStart(6)} req/s   p50 ${p50} ms   p97.5 ${p97_5} ms   p99 ${p99} ms   ${((cpuMs / result.requests.total) * 1000).toFixed(0)} us of processor each\n`,
    )
    all += result.requests.total
    cpu += cpuMs
    slowest = Math.max(slowest, p97_5)
  }
  const rate = Math.round(all / (SECONDS * PATHS.length))
  process.stdout.write(`all: ${rate} req/s (target ${TARGET.requestsPerSecond}), slowest p97.5 ${slowest} ms (target p95 ${TARGET.p95Ms}), ${Math.round((all / cpu) * 1000)} req per second of processor time\n`)
  child.kill()
  await once(child, 'exit')
  rmSync(folder, { recursive: true })
  process.exitCode = rate >= TARGET.requestsPerSecond && slowest <= TARGET.p95Ms ? 0 : 1
}

async function serve(folder: string): Promise<void> {
  const clock = new SystemClock()
  const store = await openEmbeddedStore({ dataDir: folder, onProblem: (problem) => process.stderr.write(`${problem.message}\n`) })
  const contexts = new CachedCompanyContext({ clock, ...stores(store), embedder: null })
  await store.companies.save('bench', company('bench'))
  await store.agents.saveDraft('bench', agent('bench'))
  await store.agents.publish('bench', 'front-desk')
  for (let n = 0; n < 200; n++) await store.knowledge.save('bench', entry('bench', `entry-${n}`, { question: `Question ${n}?`, callerPhrases: ['one way', 'another way'] }))
  for (let n = 0; n < 1000; n++) {
    await store.calls.begin('bench', call('bench', `CA${n}`, { outcome: 'completed' }))
    for (let number = 1; number <= 5; number++) await store.calls.saveTurn('bench', `CA${n}`, turn(number, { gapMs: 900 }))
  }
  const security = createSecurity({
    store: openEmbeddedSecurityStore(join(folder, 'security.db')),
    clock,
    locator: await openLocator(),
    notifier: { passwordReset: async () => undefined },
    keyRing: [{ kid: 'k1', secret: new Uint8Array(32).fill(1) }],
    auditSecret: new Uint8Array(32).fill(2),
    issuer: 'http://127.0.0.1',
  })
  const maker = principalOfUser({ id: 'bench', companyId: 'bench', role: 'owner' } as User, { id: 'none', deviceId: 'none' })
  const { secret } = await security.apiKeys.create(maker, 'bench', { label: 'bench', scopes: ['config:read', 'calls:read', 'transcripts:read'], expiresInDays: 1 })
  const known = new KnownCompanies(store.companies, clock)
  const ports: AdminPorts = {
    ...stores(store),
    contexts,
    booking: bookingPorts(store, clock),
    notifications: store,
    responder: createResponder({ model: null }),
    saved: (companyId) => contexts.invalidate(companyId),
    live: { live: async () => [], end: async () => false, companyOf: async () => null },
    events: new EventBus(),
    recordings: null,
    stores: [],
    secrets: null,
    settings: [],
    health: () => ({ ok: true, degraded: false, state: 'ready', parts: {} }),
    rates: { callMinuteCents: null, modelTokenCents: null },
    sealKey: new Uint8Array(32),
  }
  const app = Fastify({ logger: false })
  const most = 1e9
  await registerAdmin(
    app,
    {
      security, clock,
      companyExists: (companyId, signal) => known.exists(companyId, signal),
      reportError: (error) => void process.stderr.write(`${String(error)}\n`),
      rateTiers: { anonymous: most, bearer: most, signedIn: most, login: most },
    },
    [accessRoutes, ...adminResources(ports)],
  )
  await app.listen({ host: '127.0.0.1', port: 0 })
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send?.({ cpuMs: (user + system) / 1000 } satisfies CpuUse)
  })
  process.send?.({ url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`, key: secret } satisfies Served)
}

function stores(store: Awaited<ReturnType<typeof openEmbeddedStore>>): Pick<AdminPorts, 'companies' | 'agents' | 'knowledge' | 'calls'> {
  const { companies, agents, knowledge, calls } = store
  return { companies, agents, knowledge, calls }
}
