import { join } from 'node:path'
import t from 'tap'
import { z } from 'zod'
import { turnViewSchema } from '../../src/admin/call-views.ts'
import { loadConfig } from '../../src/config.ts'
import { SystemClock } from '../../src/core/clock.ts'
import { loadScript } from '../../src/load/call-script.ts'
import { judge } from '../../src/load/load-run.ts'
import { placeCall } from '../../src/load/simulated-caller.ts'
import { SocketTransport } from '../../src/load/socket-transport.ts'
import { createLogger } from '../../src/observability/logger.ts'
import { createPlatform, type Platform } from '../../src/platform.ts'

const RECORDINGS = join(import.meta.dirname, '../../media/calls')
const OWNER = { email: 'owner@example.com', password: 'listen closely to what is asked' }
const clock = new SystemClock()
const never = new AbortController().signal

async function startedPlatform(dataDir: string): Promise<{ platform: Platform; target: string }> {
  const config = loadConfig({ PORT: '0', DATA_DIR: dataDir, SHUTDOWN_GRACE_SECONDS: '1', ADMIN_EMAIL: OWNER.email, ADMIN_PASSWORD: OWNER.password })
  const platform = await createPlatform(config, createLogger({ level: 'error', speech: false, version: 'test' }))
  const { publicBaseUrl } = await platform.start()
  return { platform, target: publicBaseUrl }
}

// Calls are as long as people speak.
t.setTimeout(120_000)

t.test('the server with its own engines', { timeout: 120_000 }, async (t) => {
  const { platform, target } = await startedPlatform(t.testdir())
  t.teardown(() => platform.stop())
  const transport = new SocketTransport(clock, null)

  await t.test('a recorded caller is greeted, understood and answered with the company\'s own hours', { timeout: 60_000 }, async (t) => {
    const script = await loadScript(RECORDINGS, 'faq-hours')
    const call = await judge({ clock, target }, await placeCall({ clock, transport, target, script }, never), never)
    const words = call.failures.filter((failure) => failure.kind === 'words' || failure.kind === 'protocol')
    t.same(words, [], 'said what the script expects, in messages that the carrier accepts')
    const turn = call.records?.turns.at(-1)
    t.match(turn?.heard, /saturday/i)
    const sum = turn?.stages.reduce((total, stage) => total + stage.ms, 0) ?? 0
    t.ok(turn !== undefined && turn.gapMs !== null && Math.abs(sum - turn.gapMs) <= 20, 'the stages add up to the measured gap')
    t.equal(platform.service.registry.liveCount, 0)
  })

  await t.test('a drink ordered in one sentence is read back, and kept as an order', { timeout: 60_000 }, async (t) => {
    const script = await loadScript(RECORDINGS, 'order-latte')
    const call = await judge({ clock, target }, await placeCall({ clock, transport, target, script }, never), never)
    const wrong = call.failures.filter(({ kind }) => kind === 'outcome' || kind === 'protocol')
    t.same(wrong, [], (call.records?.turns ?? []).map((turn) => `${turn.heard} -> ${turn.delivered}`).join('\n'))
    t.equal(call.unjudged, 0, 'the server told what the call has made')

    const [opener, yes] = await turnsAsAnAdminSeesThem(target, call.evidence.callSid)
    t.match(opener, { expectation: { kind: 'form', formId: 'order', asked: null }, reading: { source: 'audio' }, endpoint: { rule: String } }, 'what could be said was the whole form')
    const drink = opener?.reading?.slots.find((slot) => slot.slotId === 'coffeeDrink')
    t.match(drink, { value: 'latte', spoken: /latte/i })
    t.ok((drink?.confidence ?? 0) > 0 && (drink?.confidence ?? 0) <= 1, `understood with ${drink?.confidence}`)
    t.match(opener?.form, { formId: 'order', slots: { coffeeDrink: { value: 'latte', provenance: 'heard' }, size: { value: 'small' } } }, 'and stands in the form as it was understood')
    t.match(yes, { expectation: { kind: 'yes-no' }, reading: { slots: [{ slotId: 'answer', value: 'yes' }] } })
  })

  await t.test('a recogniser that is killed while the caller speaks still ends in words', { timeout: 60_000 }, async (t) => {
    const script = await loadScript(RECORDINGS, 'faq-hours')
    const restartsBefore = platform.transcriber.stats.restarts
    const over = new AbortController()
    const killer = (async () => {
      while (!over.signal.aborted && platform.transcriber.stats.running === 0) await clock.sleep(3, over.signal).catch(() => undefined)
      if (!over.signal.aborted) await platform.transcriber.restartWorkers()
    })()
    const evidence = await placeCall({ clock, transport, target, script }, never)
    over.abort()
    await killer
    const call = await judge({ clock, target }, evidence, never)
    const answer = call.records?.turns.find((turn) => turn.turn > 0)
    t.ok(platform.transcriber.stats.restarts > restartsBefore, 'it was killed in the middle of a decode')
    t.ok((answer?.delivered.length ?? 0) > 0, `the caller heard: ${answer?.delivered}`)
  })
})

type TurnSeen = z.infer<typeof turnViewSchema>

/** The caller's turns, over the public API. */
async function turnsAsAnAdminSeesThem(target: string, callSid: string): Promise<TurnSeen[]> {
  const login = await fetch(`${target}/api/v1/auth/login`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(OWNER) })
  const { accessToken } = z.object({ accessToken: z.string() }).parse(await login.json())
  const shown = await fetch(`${target}/api/v1/calls/${callSid}`, { headers: { authorization: `Bearer ${accessToken}` } })
  return z.object({ turns: z.array(turnViewSchema) }).parse(await shown.json()).turns.filter((turn) => turn.input === 'speech')
}
