import t from 'tap'
import { loadConfig } from '../../src/config.ts'
import { createLogger } from '../../src/observability/logger.ts'
import { createPlatform } from '../../src/platform.ts'
import { openEmbeddedStore } from '../../src/storage/embedded-store.ts'
import { companySchema } from '../../src/tenancy/company.ts'
import { dataDir } from '../support/data-dir.ts'

t.setTimeout(120_000)

t.test('X43 a company that is half made does not keep the server from starting for the others', { timeout: 120_000 }, async (t) => {
  const folder = dataDir(t)
  const store = await openEmbeddedStore({ dataDir: folder, onProblem: (problem) => t.fail(problem) })
  const half = companySchema.parse({ id: 'half-made', name: 'Half Made', industry: 'hvac', timeZone: 'UTC', agentId: 'nobody', phoneNumbers: ['+15550100077'] })
  await store.companies.save(half.id, half)
  await store.close()
  const config = loadConfig({ PORT: '0', DATA_DIR: folder, DEMO_COMPANIES: 'false', STT_WORKERS: '1', SHUTDOWN_GRACE_SECONDS: '0' })
  const platform = await createPlatform(config, createLogger({ level: 'silent', speech: false, version: 'test' }))
  t.teardown(() => platform.stop())
  const { publicBaseUrl } = await platform.start()
  t.equal((await fetch(new URL('/readyz', publicBaseUrl))).status, 200)
})
