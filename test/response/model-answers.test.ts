import fc from 'fast-check'
import t from 'tap'
import type { Effect, EffectResult, Effects } from '../../src/booking/effect.ts'
import { ClientsViaError } from '../../src/core/errors.ts'
import { Scope } from '../../src/core/scope.ts'
import { AnswerCache } from '../../src/response/answer-cache.ts'
import { LINES } from '../../src/response/built-in-lines.ts'
import type { CompanyContext } from '../../src/response/company-context.ts'
import { hedged } from '../../src/response/hedge.ts'
import { createResponder } from '../../src/response/intelligence-loop.ts'
import type { ModelAnswer, ModelDeps } from '../../src/response/model-answer.ts'
import { ModelMeter } from '../../src/response/model-meter.ts'
import { PromptLibrary } from '../../src/response/prompts.ts'
import type { Question } from '../../src/response/responder.ts'
import { SpeculationPolicy } from '../../src/response/speculation-policy.ts'
import { CLOSED_AT, contextOf, demoCompany, questionOf, replyTo, type Reply } from '../support/fake-company.ts'
import { FakeModel, type FakePiece } from '../support/fake-model.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

const hvac = demoCompany('polar-bay-air')
const polar = contextOf(hvac)
const harbor = contextOf(demoCompany('harbor-lane-dental'))
const prompts = new PromptLibrary(new URL('../../prompts/', import.meta.url).pathname)
const UNKNOWN_QUESTION = 'do you have a recipe for lasagna'

type AskOptions = Omit<NonNullable<Parameters<typeof questionOf>[2]>, 'clock'> & Partial<Pick<Question, 'effects' | 'early' | 'history' | 'from'>>
type Ask = (text: string, options?: AskOptions, context?: CompanyContext) => Promise<Reply>
/** `ask` runs time until there is a reply; `begin` leaves time alone. */
type World = Readonly<{ ask: Ask; begin: Ask }>

function world(clock: VirtualClock, deps: Omit<ModelDeps, 'prompts'>): World {
  const loop = createResponder({ model: { prompts, ...deps } })
  const begin: Ask = (text, options = {}, context = polar) => {
    const { effects, early, history, from, ...rest } = options
    const extra = Object.fromEntries(Object.entries({ effects, early, history, from }).filter(([, value]) => value !== undefined))
    return replyTo(loop, { ...questionOf(context, text, { ...rest, clock }), ...extra })
  }
  return { begin, ask: (...question) => clock.runUntil(begin(...question)) }
}

const call = (name: string, args: unknown): FakePiece => ({ kind: 'call', name, argumentsJson: typeof args === 'string' ? args : JSON.stringify(args) })

/** Does what it is asked once `commit` is called, as a call does. */
class HeldEffects implements Effects {
  readonly done: Effect[] = []
  readonly #committed = Promise.withResolvers<void>()
  result: EffectResult = { kind: 'done', appointment: null }

  commit(): void {
    this.#committed.resolve()
  }

  async perform(effect: Effect, signal: AbortSignal): Promise<EffectResult> {
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      void this.#committed.promise.then(resolve)
    })
    signal.throwIfAborted()
    this.done.push(effect)
    return this.result
  }
}

t.test('hedging: the better answer has a start, and the first good one speaks', async (t) => {
  const clock = new VirtualClock()
  const never = new AbortController().signal
  const failures: string[] = []
  const onFailure = (name: string): void => void failures.push(name)
  const way = (name: string, afterMs: number, tookMs: number, value: string | null | Error) => ({
    name,
    afterMs,
    run: async (signal: AbortSignal) => {
      await clock.sleep(tookMs, signal)
      if (value instanceof Error) throw value
      return value
    },
  })
  const race = async (deadlineMs: number, ...ways: Parameters<typeof hedged<string>>[1]) => {
    const startedAt = clock.now()
    const won = await clock.runUntil(hedged(clock, ways, deadlineMs, never, onFailure))
    won?.scope.end('read')
    return { name: won?.name ?? null, ms: clock.now() - startedAt }
  }
  t.same(await race(400, way('slow', 0, 150, 'a'), way('quick', 200, 50, 'b')), { name: 'slow', ms: 150 }, 'one that is in time is not hedged')
  t.same(await race(400, way('slow', 0, 390, 'a'), way('quick', 200, 50, 'b')), { name: 'quick', ms: 250 })
  t.same(await race(400, way('slow', 0, 10, new Error('broken')), way('quick', 200, 50, 'b')), { name: 'quick', ms: 60 }, 'a failure costs no time')
  t.same(await race(400, way('slow', 0, 10, null), way('quick', 200, 50, 'b')), { name: 'quick', ms: 60 }, 'nor does having nothing')
  t.same(await race(400, way('slow', 0, 10, null), way('quick', 200, 50, null)), { name: null, ms: 60 })
  failures.length = 0
  t.same(await race(400, way('slow', 0, 900, 'a'), way('quick', 200, 900, 'b')), { name: null, ms: 400 })
  t.same(failures, ['slow', 'quick'], 'both are told to have been late')
  t.equal(clock.pendingTimers, 0, 'nothing is left running')
  const call = new AbortController()
  const waiting = hedged(clock, [way('slow', 0, 900, 'a')], 1000, call.signal, onFailure)
  call.abort(new Error('hung up'))
  await t.rejects(waiting, { message: 'hung up' })
  await clock.advance(0)
  t.equal(clock.pendingTimers, 0)
})

t.test('a quick model is asked beside the slow one, and one of them is let go', async (t) => {
  const clock = new VirtualClock()
  const slow = new FakeModel(clock, () => ['We care for heating. '], { delayMs: 1900, name: 'slow' })
  const quick = new FakeModel(clock, () => ['We care for cooling. '], { delayMs: 100, name: 'quick' })
  const { ask } = world(clock, { answer: slow, quick })
  const reply = await ask(UNKNOWN_QUESTION)
  t.equal(reply.said, 'We care for cooling.')
  t.ok(clock.now() <= 1200, `${clock.now()} ms`)
  t.equal(slow.open + quick.open, 0)
  t.equal(clock.pendingTimers, 0)
})

t.test('a model that dribbles words but no sentence has failed when its time is over, and the company answers by itself', async (t) => {
  const clock = new VirtualClock()
  const dribbling = new FakeModel(clock, () => Array.from({ length: 100 }, () => 'well '), { delayMs: 100, name: 'dribbling' })
  const failed: unknown[] = []
  const log: string[] = []
  const breaker = { tryPass: () => true, succeeded: () => void log.push('well'), failed: () => void log.push('failed'), abandoned: () => void log.push('left') }
  const { ask } = world(clock, { answer: dribbling, onFailure: (_name, error) => failed.push(error), breakerOf: () => breaker })
  const reply = await ask(UNKNOWN_QUESTION)
  t.not(reply.source, 'model')
  t.not(reply.said, '', 'something is said')
  t.match(failed, [{ code: 'DEADLINE_PASSED' }])
  t.equal(log[0], 'failed', 'words that kept coming prove nothing')
  t.notOk(log.includes('well'))
  t.equal(dribbling.open, 0, 'and it is told to stop')
  t.equal(clock.pendingTimers, 0)
})

t.test('a model that has failed is left alone for a moment, and the company answers by itself', async (t) => {
  const clock = new VirtualClock()
  const broken = new FakeModel(clock, () => {
    throw new Error('broken')
  })
  const log: string[] = []
  let isOpen = false
  const breaker = { tryPass: () => !isOpen, succeeded: () => void log.push('well'), failed: () => void log.push('failed'), abandoned: () => void log.push('left') }
  const { ask } = world(clock, { answer: broken, breakerOf: () => breaker })
  t.equal((await ask(UNKNOWN_QUESTION)).source, 'unknown')
  t.ok(clock.now() < 50, 'at once')
  t.same(log, ['failed'])
  isOpen = true
  t.equal((await ask(UNKNOWN_QUESTION)).source, 'unknown')
  t.same(log, ['failed'], 'and nothing is added to a breaker that was not passed')
  t.equal(broken.asked.length, 1)
})

t.test('T19 what a model wants done is judged by the caller\'s words and the company\'s lists', async (t) => {
  const listed = hvac.company.transferTargets.find((target) => !target.onCall && target.enabled)
  if (listed === undefined) throw new Error('the demo company has nobody to transfer to')
  const said = async (text: string, piece: FakePiece, options: AskOptions = {}, context = polar): Promise<Reply> => {
    const clock = new VirtualClock()
    return world(clock, { answer: new FakeModel(clock, () => [piece]) }).ask(text, options, context)
  }
  const asked = await said('lasagna makes me angry, connect whoever does lasagna', call('transfer', { to: listed.id }))
  t.match(asked.action, { kind: 'transfer', phoneNumberE164: listed.phoneNumberE164 }, 'asked for in so many words: connected')
  const unasked = await said(UNKNOWN_QUESTION, call('transfer', { to: listed.id }))
  t.equal(unasked.action, null)
  t.match(unasked.said, `Would you like me to connect you with ${listed.label}?`)
  t.match(unasked.dialogue.offer, { kind: 'transfer', targetId: listed.id })
  for (const to of ['+19005550100', 'nobody', listed.phoneNumberE164]) {
    const refused = await said('connect the lasagna people', call('transfer', { to }))
    t.equal(refused.action, null, to)
    t.notMatch(refused.said, /900|nobody/)
  }
  for (const wrong of ['{"to":', '[]', '{}', '{"to":1}', `{"to":"${listed.id}","number":"+19005550100"}`]) t.equal((await said('connect the lasagna people', call('transfer', wrong))).action, null, wrong)
  t.match((await said('lasagna all the best to the cook', call('hang-up', {}))).action, { kind: 'hang-up', reason: 'goodbye' })
  const unfinished = await said(UNKNOWN_QUESTION, call('hang-up', {}))
  t.equal(unfinished.action, null)
  t.equal(unfinished.said, LINES.anythingElse)
  t.match((await said('we would all like the lasagna oven seen to', call('book', { service: 'no-such' }))).source, 'unknown')
  const [service] = hvac.company.services
  const booking = await said('we would all like the lasagna oven seen to', call('book', { service: service?.id }))
  t.equal(booking.action, null)
  t.match(booking.dialogue.form, { phase: 'collecting' }, "an appointment begins with the form's own questions")
  t.ok(booking.said.includes('?'), booking.said)
  const bare = contextOf({ ...hvac, agent: { ...hvac.agent, engines: { ...hvac.agent.engines, tools: ['send-message'] } } })
  t.equal((await said('connect the lasagna people', call('transfer', { to: listed.id }), {}, bare)).action, null, 'a tool the agent may not use is not used')
  const clock = new VirtualClock()
  const model = new FakeModel(clock, () => ['UNKNOWN'])
  await world(clock, { answer: model }).ask(UNKNOWN_QUESTION)
  t.same(model.asked[0]?.tools.map((tool) => tool.name), hvac.agent.engines.tools.filter((name) => name !== 'book' || hvac.company.services.length > 0))
  for (const { parameters } of model.asked[0]?.tools ?? []) t.match(parameters, { type: 'object', additionalProperties: false, required: Object.keys((parameters['properties'] ?? {}) as object) }, 'strict')
  t.notMatch(JSON.stringify(model.asked[0]), /\+1555/, 'no number is told to the model')
})

t.test('a message is left once the turn is the agent\'s, in the caller\'s name and number only', async (t) => {
  const clock = new VirtualClock()
  const message = (name: string | null): FakePiece => call('send-message', { summary: 'Wants to know about the <b>lasagna</b>.', caller_name: name })
  const effects = new HeldEffects()
  const history = [{ who: 'caller' as const, text: 'hello, Maria Lopez here' }]
  const { begin } = world(clock, { answer: new FakeModel(clock, () => [message('Maria Lopez')]) })
  const reply = begin(UNKNOWN_QUESTION, { effects, history })
  await clock.advance(500)
  t.same(effects.done, [], 'nothing before the commit')
  effects.commit()
  t.match((await reply).said, LINES.messageTaken)
  t.same(effects.done, [
    { kind: 'lead', lead: { kind: 'message', formId: null, callerName: 'Maria Lopez', phoneNumberE164: '+15550109999', summary: 'Wants to know about the lasagna.', slots: {} } },
  ])
  const stranger = new HeldEffects()
  stranger.commit()
  await world(clock, { answer: new FakeModel(clock, () => [message('Elvis Presley')]) }).ask(UNKNOWN_QUESTION, { effects: stranger, history, from: 'anonymous' })
  t.match(stranger.done, [{ lead: { callerName: null, phoneNumberE164: null } }], 'a name nobody said, and a number nobody called from, are nobody\'s')
  const failing = new HeldEffects()
  failing.commit()
  failing.result = { kind: 'failed', reason: 'away' }
  const honest = await world(clock, { answer: new FakeModel(clock, () => [message(null)]) }).ask(UNKNOWN_QUESTION, { effects: failing })
  t.notMatch(honest.said, LINES.messageTaken)
  t.match(honest.action, { kind: 'voicemail' }, 'what could not be noted can be spoken')
})

t.test('in the middle of a form a model answers what was asked beside it, whole, and the form goes on', async (t) => {
  const clock = new VirtualClock()
  const model = new FakeModel(clock, () => ['We do not cook. ', 'We heat and cool.'], { delayMs: 100 })
  const { ask } = world(clock, { answer: model })
  const opened = await ask("I'd like to book a visit for a tune up")
  t.match(opened.dialogue.form, { phase: 'collecting' })
  const between = await ask('what is the best recipe for lasagna?', { dialogue: opened.dialogue })
  t.match(between.said, /We do not cook. We heat and cool. .*\?$/)
  t.match(between.dialogue.form, { phase: 'collecting' })
  t.same(model.asked.at(-1)?.tools, [], 'a form has its own ways to a person and an end')
  t.equal(model.open, 0)
  t.equal(clock.pendingTimers, 0)
})

t.test('no deed is done before its turn is committed, however starts, retractions and commits follow each other', async (t) => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('speculate' as const), delayMs: fc.integer({ min: 1, max: 60 }) }),
    fc.constant({ kind: 'retract' as const }),
    fc.constant({ kind: 'commit' as const }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 120 }) }),
  )
  let deeds = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const clock = new VirtualClock()
      type Start = { effects: HeldEffects; call: AbortController; committed: boolean; over: Promise<unknown> }
      const starts: Start[] = []
      let current: Start | null = null
      for (const one of steps) {
        if (one.kind === 'wait') await clock.advance(one.ms)
        if (one.kind === 'retract' || one.kind === 'speculate') {
          if (current !== null && !current.committed) current.call.abort(new Error('the words changed'))
          current = null
        }
        if (one.kind === 'speculate') {
          const effects = new HeldEffects()
          const abort = new AbortController()
          const model = new FakeModel(clock, () => ['One thing. ', call('send-message', { summary: 'Wants lasagna.', caller_name: null })], { delayMs: one.delayMs })
          const loop = createResponder({ model: { prompts, answer: model } })
          const over = replyTo(loop, { ...questionOf(polar, UNKNOWN_QUESTION, { clock }), effects }, abort.signal).catch(() => null)
          current = { effects, call: abort, committed: false, over }
          starts.push(current)
        }
        if (one.kind === 'commit' && current !== null) {
          current.committed = true
          current.effects.commit()
        }
        for (const start of starts) if (!start.committed && start.effects.done.length > 0) return false
      }
      await clock.advance(10_000)
      for (const start of starts) {
        deeds += start.effects.done.length
        if (start.effects.done.length > (start.committed ? 1 : 0)) return false
        start.call.abort(new Error('the call is over'))
        await start.over
      }
      return clock.pendingTimers === 0
    }),
    { numRuns: 150 },
  )
  t.ok(deeds > 20, `${deeds} deeds were done once they might be`)
})

t.test('T24 a question that stands alone is answered a second time without the model, by its own company alone', async (t) => {
  const clock = new VirtualClock()
  const model = new FakeModel(clock, () => ['We look after heating and cooling. ', 'We do not cook.'], { delayMs: 200 })
  const cache = new AnswerCache()
  const { ask } = world(clock, { answer: model, cache })
  const history = [{ who: 'caller' as const, text: 'my name is Carl Jones and my card ends in 4417' }]
  const first = await ask('do you guys have a recipe for lasagna?', { history })
  t.equal(model.asked.length, 1)
  t.notMatch(`${model.asked[0]?.prompt.system}${model.asked[0]?.prompt.user}`, /Carl|4417/, 'what others could not say again is not in the prompt')
  const before = clock.now()
  for (const text of ['do you guys have a recipe for lasagna?', 'Um, hi, do you guys have a recipe for lasagna please']) {
    const again = await ask(text)
    t.equal(again.said, first.said)
    t.equal(again.source, 'model')
  }
  t.equal(model.asked.length, 1)
  t.equal(clock.now(), before, 'in no time')
  const asks = async (what: string, run: () => Promise<Reply>, isAsked: boolean): Promise<void> => {
    const count = model.asked.length
    await run()
    t.equal(model.asked.length - count, isAsked ? 1 : 0, what)
  }
  const text = 'do you guys have a recipe for lasagna?'
  await asks('another company', () => ask(text, {}, harbor), true)
  await asks('and that one again', () => ask(text, {}, harbor), false)
  await asks('a new version of the knowledge', () => ask(text, {}, { ...polar, knowledge: Object.assign(Object.create(polar.knowledge) as typeof polar.knowledge, { version: 2, companyId: 'polar-bay-air', search: polar.knowledge.search.bind(polar.knowledge), searchByWords: polar.knowledge.searchByWords.bind(polar.knowledge), meaningOf: polar.knowledge.meaningOf.bind(polar.knowledge) }) }), true)
  await asks('a new version of the agent', () => ask(text, {}, { ...polar, agent: { ...hvac.agent, version: hvac.agent.version + 1 } }), true)
  await asks('a saved company', () => ask(text, {}, { ...polar, company: { ...hvac.company, version: hvac.company.version + 1 } }), true)
  await asks('after closing time', () => ask(text, { wallTime: CLOSED_AT }), true)
  await asks('an open offer', () => ask(text, { dialogue: { offer: { kind: 'message', entryId: null } } }), true)
  for (const own of ['my name is Carl do you have a recipe for lasagna', 'do you have a recipe for that lasagna', 'do you have the lasagna recipe 123456', 'do you have a recipe for it']) {
    await ask(own)
    await asks(own, () => ask(own), true)
  }
})

t.test('an answer that was cut short, censored or interrupted is not kept', async (t) => {
  const clock = new VirtualClock()
  const cache = new AnswerCache()
  const text = 'do you guys have a recipe for lasagna?'
  for (const pieces of [['We cook. ', 'It is 9 dollars. '], ['We cook. ', call('hang-up', {})], ['UNKNOWN']] as const) {
    await world(clock, { answer: new FakeModel(clock, () => pieces), cache }).ask(text)
    t.equal(cache.size, 0, JSON.stringify(pieces))
  }
  const abort = new AbortController()
  const loop = createResponder({ model: { prompts, cache, answer: new FakeModel(clock, () => ['We cook. ', 'And we bake. '], { delayMs: 300 }) } })
  const reply = replyTo(loop, questionOf(polar, text, { clock }), abort.signal)
  await clock.advance(400)
  abort.abort(new Error('interrupted'))
  await t.rejects(reply)
  t.equal(cache.size, 0)
})

t.test('an answer that breaks off is finished in the company\'s own words, and one that goes on is not', async (t) => {
  const worded = contextOf({ ...hvac, knowledge: hvac.knowledge.map((entry) => (entry.id === 'hours' ? { ...entry, mode: 'generated' as const } : entry)) })
  for (const broken of [true, false]) {
    const clock = new VirtualClock()
    const model = new FakeModel(clock, () => ['Happy to tell you. ', 'We are here all week. '], { delayMs: 20 })
    const failing: ModelAnswer = {
      name: 'fake',
      model: 'fake',
      async *answer(...asked) {
        for await (const piece of model.answer(...asked)) {
          yield piece
          if (broken) throw new ClientsViaError('ENGINE_FAILED', 'broke off')
        }
      },
    }
    const reply = await world(clock, { answer: failing }).ask('what are your hours', {}, worded)
    t.match(reply.said, /^Happy to tell you\./)
    if (broken) t.match(reply.said, /eight to five/)
    else t.equal(reply.said, 'Happy to tell you. We are here all week.')
  }
})

t.test('the meter counts every request, and what nobody was to hear as wasted', async (t) => {
  const clock = new VirtualClock()
  const spent: unknown[] = []
  const meter = new ModelMeter({ prices: { fake: { input: 100, cachedInput: 50, output: 1000 } }, onSpent: (companyId, cost) => spent.push({ companyId, ...cost }) })
  const usage: FakePiece = { kind: 'usage', usage: { inputTokens: 1000, cachedInputTokens: 400, outputTokens: 20, isEstimate: false } }
  const model = new FakeModel(clock, () => ['We care for heating. ', usage], { delayMs: 50 })
  const loop = createResponder({ model: { prompts, answer: model, meter } })
  const abort = new AbortController()
  const early = replyTo(loop, questionOf(polar, UNKNOWN_QUESTION, { clock, turn: 3 }), abort.signal)
  await clock.advance(60)
  abort.abort(new Error('the words changed'))
  await t.rejects(early)
  await clock.runUntil(replyTo(loop, questionOf(polar, UNKNOWN_QUESTION, { clock, turn: 3 })))
  t.match(spent, [
    { companyId: 'polar-bay-air', isEstimate: true, outputTokens: 6 },
    { inputTokens: 1000, cachedInputTokens: 400, outputTokens: 20, isEstimate: false, cents: (600 * 100 + 400 * 50 + 20 * 1000) / 1e6 },
  ])
  const turn = meter.take('polar-bay-air', 'CA00000000000000000000000000000001', 3, true)
  t.match(turn, { requests: 2, wastedRequests: 1, wastedOutputTokens: 6, isEstimate: true })
  t.ok((turn?.cents ?? 0) > 0.1)
  t.equal(meter.take('polar-bay-air', 'CA00000000000000000000000000000001', 3, true), null, 'asked once')
  t.equal(meter.take('harbor-lane-dental', 'CA00000000000000000000000000000001', 3, true), null)
})

t.test('a company whose money for the day is spent is answered from its own data', async (t) => {
  const clock = new VirtualClock()
  const model = new FakeModel(clock, () => ['We care for heating.'])
  let mayAsk = true
  const { ask } = world(clock, { answer: model, mayAsk: (company) => company.id !== 'polar-bay-air' || mayAsk })
  t.equal((await ask(UNKNOWN_QUESTION)).source, 'model')
  mayAsk = false
  t.equal((await ask(UNKNOWN_QUESTION)).source, 'unknown')
  t.match((await ask('what are your hours')).said, /eight to five/)
  t.equal((await ask(UNKNOWN_QUESTION, {}, harbor)).source, 'model', 'the others go on')
})

t.test('a company with an account of its own is answered on it alone', async (t) => {
  const clock = new VirtualClock()
  const [server, quick, own] = ['server', 'quick', 'own'].map((name) => new FakeModel(clock, () => ['We care for teeth.'], { name, delayMs: 1800 })) as [FakeModel, FakeModel, FakeModel]
  const { ask } = world(clock, { answer: server, quick, ownAnswer: (company) => (company.id === 'harbor-lane-dental' ? own : null) })
  t.equal((await ask(UNKNOWN_QUESTION, {}, harbor)).source, 'model')
  t.same([server.asked.length, quick.asked.length, own.asked.length], [0, 0, 1])
  await ask(UNKNOWN_QUESTION)
  t.same([server.asked.length, quick.asked.length, own.asked.length], [1, 1, 1], 'the others on the server\'s')
  const without = world(clock, { answer: null, ownAnswer: (company) => (company.id === 'harbor-lane-dental' ? own : null) })
  t.equal((await without.ask(UNKNOWN_QUESTION)).source, 'unknown')
  t.equal((await without.ask(UNKNOWN_QUESTION, {}, harbor)).source, 'model')
})

t.test('where guesses have been dear, one that looks unfinished waits for the end of the turn before it costs money', async (t) => {
  const clock = new VirtualClock()
  const model = new FakeModel(clock, () => ['We care for heating.'])
  const policy = new SpeculationPolicy()
  const { ask, begin } = world(clock, { answer: model, policy })
  const undecided = new Promise<void>(() => undefined)
  await ask(UNKNOWN_QUESTION, { early: { score: -0.9, committed: undecided } })
  t.equal(model.asked.length, 1, 'the first guesses are free')
  policy.settled(300, true)
  const committed = Promise.withResolvers<void>()
  const reply = begin(UNKNOWN_QUESTION, { early: { score: 0.4, committed: committed.promise } })
  await clock.advance(300)
  t.equal(model.asked.length, 1)
  committed.resolve()
  await clock.advance(50)
  t.equal((await reply).source, 'model')
  await ask('do you bake bread on a stone', { early: { score: 1.4, committed: undecided } })
  t.equal(model.asked.length, 3, 'one that sounds finished is prepared at once')
  const given = new Scope()
  const waiting = replyTo(createResponder({ model: { prompts, answer: model, policy } }), { ...questionOf(polar, UNKNOWN_QUESTION, { clock }), early: { score: 0, committed: undecided } }, given.signal)
  await clock.advance(10)
  given.end(new Error('the caller went on'))
  await t.rejects(waiting, { message: 'the caller went on' })
  t.equal(model.asked.length, 3)
})

t.test('where no token may be generated in vain, a model is asked when the turn is over, with a prompt that is ready by then', async (t) => {
  const clock = new VirtualClock()
  const model = new FakeModel(clock, () => ['We care for heating.'])
  const { begin } = world(clock, { answer: model, policy: new SpeculationPolicy(false) })
  const committed = Promise.withResolvers<void>()
  const reply = begin(UNKNOWN_QUESTION, { early: { score: 2, committed: committed.promise } })
  await clock.advance(300)
  t.equal(model.asked.length, 0, 'however finished the words sound')
  committed.resolve()
  await clock.advance(50)
  t.equal((await reply).source, 'model')
  t.equal(model.asked.length, 1)
})

t.test('early starts are paid for out of what was used: never much more than a fifth', (t) => {
  fc.assert(
    fc.property(fc.array(fc.record({ score: fc.double({ min: -1, max: 1, noNaN: true }), wasted: fc.boolean(), tokens: fc.integer({ min: 0, max: 40 }) }), { maxLength: 400 }), (turns) => {
      const policy = new SpeculationPolicy()
      let used = 0
      let wasted = 0
      for (const turn of turns) {
        if (turn.wasted && policy.mayStart(turn.score)) {
          policy.settled(turn.tokens, true)
          wasted += turn.tokens
        }
        policy.settled(20, false)
        used += 20
      }
      return wasted <= 0.25 * used + 120
    }),
  )
  t.end()
})
