import { join } from 'node:path'
import t from 'tap'
import { z } from 'zod'
import { turnViewSchema } from '../../src/admin/call-views.ts'
import type { JudgedCall } from '../../src/load/call-judgement.ts'
import { loadScript, type LoadedScript } from '../../src/load/call-script.ts'
import { judge } from '../../src/load/load-run.ts'
import { placeCall } from '../../src/load/simulated-caller.ts'
import { dataDir } from '../support/data-dir.ts'
import { platformInEngineTime, whileTimePasses } from '../support/engine-time.ts'
import { until } from '../support/until.ts'

const RECORDINGS = join(import.meta.dirname, '../../media/calls')
const OWNER = { email: 'owner@example.com', password: 'listen closely to what is asked' }
const never = new AbortController().signal
/** What a call leaves behind is written by then. */
const WRITTEN_MS = 3000

t.test('the server with its own engines', async (t) => {
  const { platform, clock, transport, target } = await platformInEngineTime(dataDir(t), { ADMIN_EMAIL: OWNER.email, ADMIN_PASSWORD: OWNER.password })
  t.teardown(() => whileTimePasses(clock, platform.stop()))
  const call = async (script: LoadedScript): Promise<JudgedCall> => {
    const evidence = await clock.runUntil(placeCall({ clock, transport, target, script }, never))
    await clock.advance(WRITTEN_MS)
    return judge({ clock, target }, evidence, never)
  }
  const told = ({ records }: JudgedCall): string => (records?.turns ?? []).map((turn) => `${turn.heard} -> ${turn.delivered}`).join('\n')

  await t.test('a recorded caller is greeted, understood and answered with the company\'s own hours', async (t) => {
    const judged = await call(await loadScript(RECORDINGS, 'faq-hours'))
    t.same(judged.failures, [], told(judged))
    const turn = judged.records?.turns.at(-1)
    t.match(turn?.heard, /saturday/i)
    t.match(turn?.delivered, /Saturday from nine to two/)
    t.equal(turn?.stages.reduce((total, stage) => total + stage.ms, 0), turn?.gapMs, 'the stages add up to the measured gap')
    t.equal(platform.service.registry.liveCount, 0)
  })

  await t.test('a drink ordered in one sentence is read back, and kept as an order', async (t) => {
    const judged = await call(saidTwice(await loadScript(RECORDINGS, 'order-latte'), 'Yes.'))
    // Which words are heard is for other tests to say: they have changed with every 20 ms that a caller began sooner or later.
    t.same(judged.failures.filter(({ kind }) => kind === 'outcome' || kind === 'protocol'), [], told(judged))
    t.equal(judged.unjudged, 0, 'the server told what the call has made')

    const [opener, yes] = await turnsAsAnAdminSeesThem(target, judged.evidence.callSid)
    t.match(opener, { expectation: { kind: 'form', formId: 'order', asked: null }, reading: { source: 'audio' }, endpoint: { rule: String } }, 'what could be said was the whole form')
    const drink = opener?.reading?.slots.find((slot) => slot.slotId === 'coffeeDrink')
    t.match(drink, { value: 'latte', spoken: /latte/i })
    t.ok((drink?.confidence ?? 0) > 0 && (drink?.confidence ?? 0) <= 1, `understood with ${drink?.confidence}`)
    t.match(opener?.form, { formId: 'order', slots: { coffeeDrink: { value: 'latte', provenance: 'heard' }, size: { value: 'small' } } }, 'and stands in the form as it was understood')
    t.match(yes, { expectation: { kind: 'yes-no' }, reading: { slots: [{ slotId: 'answer', value: 'yes' }] } })
  })

  await t.test('a recogniser that is killed while the caller speaks still ends in words', async (t) => {
    const restartsBefore = platform.transcriber.stats.restarts
    let isOver = false
    const calling = call(await loadScript(RECORDINGS, 'faq-hours')).finally(() => {
      isOver = true
    })
    await until(() => isOver || platform.transcriber.stats.running > 0)
    await platform.transcriber.restartWorkers()
    const judged = await calling
    t.ok(platform.transcriber.stats.restarts > restartsBefore, 'it was killed in the middle of a decode')
    t.match(judged.records?.turns.find((turn) => turn.turn > 0), { heard: /saturday/i, delivered: /Saturday from nine to two/ }, 'and the next one heard all of it')
  })
})

/** A caller who is asked once more whether it is a latte says so once more; one who is not has said it for nothing. */
function saidTwice({ script, clips }: LoadedScript, text: string): LoadedScript {
  return { clips, script: { ...script, steps: script.steps.flatMap((step) => (step.do === 'say' && step.text === text ? [step, step] : [step])) } }
}

type TurnSeen = z.infer<typeof turnViewSchema>

/** The caller's turns, over the public API. */
async function turnsAsAnAdminSeesThem(target: string, callSid: string): Promise<TurnSeen[]> {
  const login = await fetch(`${target}/api/v1/auth/login`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(OWNER) })
  const { accessToken } = z.object({ accessToken: z.string() }).parse(await login.json())
  const shown = await fetch(`${target}/api/v1/calls/${callSid}`, { headers: { authorization: `Bearer ${accessToken}` } })
  return z.object({ turns: z.array(turnViewSchema) }).parse(await shown.json()).turns.filter((turn) => turn.input === 'speech')
}
