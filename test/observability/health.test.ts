import { join } from 'node:path'
import t from 'tap'
import { Breakers } from '../../src/core/breaker.ts'
import { createMetrics } from '../../src/observability/metrics.ts'
import { vendorHealth } from '../../src/observability/vendor-health.ts'
import { buildServer, Readiness } from '../../src/server.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }

function server() {
  const clock = new VirtualClock()
  const breakers = new Breakers(clock)
  const readiness = new Readiness()
  readiness.part('store', () => ({ ok: true, detail: 'answers' }))
  readiness.part('vendors', () => vendorHealth(breakers.states))
  readiness.ready()
  const metrics = createMetrics({ process: false })
  metrics.watchParts(() => readiness.report().parts)
  const app = buildServer({ logger: silent, readiness, metrics: async () => ({ contentType: 'text/plain', body: await metrics.text() }), callRecord: async () => null, stats: () => ({}) })
  return { clock, breakers, app, ready: async () => app.inject({ url: '/readyz', remoteAddress: '127.0.0.1' }), metric: async () => /^clientsvia_part_health\{part="vendors"\} (\d)$/m.exec((await app.inject({ url: '/metrics', remoteAddress: '127.0.0.1' })).body)?.[1] }
}

t.test('a vendor that fails is named where the server is asked how it is, and calls go on coming here', async (t) => {
  const { clock, breakers, app, ready, metric } = server()
  const deepgram = breakers.of('deepgram tts platform')
  deepgram.succeeded()
  t.match((await ready()).json(), { status: 'ok', degraded: false, parts: { vendors: { ok: true, degraded: false } } })
  t.equal(await metric(), '2')

  for (let i = 0; i < 2; i += 1) deepgram.failed()
  const ill = await ready()
  t.equal(ill.statusCode, 200, 'a balancer must not send calls elsewhere: they are answered here')
  t.match(ill.json(), { status: 'ok', degraded: true, parts: { vendors: { ok: true, degraded: true, detail: /deepgram tts platform \(left alone\)/ }, store: { degraded: false } } })
  t.equal(await metric(), '1')
  t.same((await app.inject({ url: '/readyz', remoteAddress: '203.0.113.9' })).json(), { status: 'ok' }, 'strangers are not told whose fault it is')

  await clock.advance(5000)
  t.match((await ready()).json().parts.vendors.detail, /to be tried again/)
  t.ok(deepgram.tryPass())
  deepgram.succeeded()
  t.match((await ready()).json(), { degraded: false })
  t.equal(await metric(), '2')
})

t.test('many accounts that fail at once are counted, not listed', (t) => {
  const { detail } = vendorHealth(Array.from({ length: 7 }, (_, i) => ({ key: `openai llm ${i}`, state: 'open' as const })))
  t.match(detail, /openai llm 4 \(left alone\) and 2 more/)
  t.notMatch(detail, /openai llm 5/)
  t.end()
})

t.test("the dashboard shows what is away, what keeps calls from being taken first", async (t) => {
  const { awayParts } = (await import(join(import.meta.dirname, '../../src/dashboard/page/health.js'))) as { awayParts: (report: object) => object[] }
  const well = { ok: true, degraded: false, detail: 'fine' }
  t.same(awayParts({ parts: { a: well, vendors: { ok: true, degraded: true, detail: 'one is ill' }, countries: { ok: false, degraded: false, detail: 'no file' } } }), [
    { part: 'countries', detail: 'no file' },
    { part: 'vendors', detail: 'one is ill' },
  ])
})
