import t from 'tap'
import { SystemClock } from '../../src/core/clock.ts'
import { ClientsViaError } from '../../src/core/errors.ts'
import type { CompanyContext } from '../../src/response/company-context.ts'
import type { DialogueState } from '../../src/response/dialogue.ts'
import { LINES } from '../../src/response/built-in-lines.ts'
import { EmbeddedEmbedder } from '../../src/response/embedded-embedder.ts'
import type { Embedder } from '../../src/response/embedder.ts'
import { createResponder } from '../../src/response/intelligence-loop.ts'
import { createKnowledgeIndex } from '../../src/response/knowledge.ts'
import type { ModelAnswer } from '../../src/response/model-answer.ts'
import { phrasesToWarm } from '../../src/response/phrases.ts'
import { PromptLibrary } from '../../src/response/prompts.ts'
import { CLOSED_AT, OPEN_AT, contextOf, demoCompany, questionOf, replyTo, withoutForms, type Reply } from '../support/fake-company.ts'
import { FakeModel } from '../support/fake-model.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { HANDLED, HARBOR_LANE, POLAR_BAY, type Utterance } from './utterances.ts'
import { understand } from '../../src/response/intent.ts'

const hvac = withoutForms(demoCompany('polar-bay-air'))
const dental = withoutForms(demoCompany('harbor-lane-dental'))
const polar = contextOf(hvac)
const harbor = contextOf(dental)
const responder = createResponder({ model: null })
const prompts = new PromptLibrary(new URL('../../prompts/', import.meta.url).pathname)
const say = (text: string, options: Parameters<typeof questionOf>[2] = {}, context: CompanyContext = polar): Promise<Reply> =>
  replyTo(responder, questionOf(context, text, options))

function isRight(reply: Reply, expected: string): boolean {
  if (expected === 'zip') return reply.said.startsWith('Yes, we come to')
  if (expected === '-') return reply.gap
  if (expected.includes('+')) return expected.split('+').every((id) => reply.entryIds.includes(id))
  return expected.split('|').includes(reply.entryIds.join('+'))
}

async function wrongOnes(context: CompanyContext, table: readonly Utterance[]): Promise<string[]> {
  const wrong: string[] = []
  for (const [heard, expected] of table) {
    const reply = await replyTo(responder, questionOf(context, heard))
    if (!isRight(reply, expected)) wrong.push(`${heard} -> ${reply.entryIds.join('+')} instead of ${expected}`)
  }
  return wrong
}

t.test('callers are answered by words alone, whatever the recogniser made of them', async (t) => {
  const wrong = [...(await wrongOnes(polar, POLAR_BAY)), ...(await wrongOnes(harbor, HARBOR_LANE))]
  const total = POLAR_BAY.length + HARBOR_LANE.length
  t.ok(total >= 120, `${total} utterances`)
  t.ok(1 - wrong.length / total >= 0.9, `${total - wrong.length} of ${total}\n${wrong.join('\n')}`)
})

t.test('callers are answered better when their meaning is known too', async (t) => {
  const embedder = new EmbeddedEmbedder(new SystemClock())
  t.teardown(() => embedder.close())
  // A part of the knowledge: every phrase costs about 10 ms of a core here.
  const entries = dental.knowledge.slice(0, 30).map((entry) => ({ ...entry, callerPhrases: entry.callerPhrases.slice(0, 3) }))
  const knowledge = createKnowledgeIndex(dental.company.id, entries, 1, embedder)
  t.equal(await knowledge.ready, 'semantic')
  const signal = new AbortController().signal
  const unseen = [
    ['my gum is throbbing really badly', 'toothache'],
    ['could you make my teeth less yellow and more white', 'whitening'],
    ['who will be looking at my mouth', 'dentists'],
  ] as const
  for (const [heard, expected] of unseen) {
    const found = await knowledge.search(heard, { limit: 3 }, signal)
    t.ok(found.some((match) => match.entry.id === expected && match.semanticScore !== null && match.semanticScore > 0.3), `${heard}: ${found.map((match) => match.entry.id).join(' ')}`)
  }
  await embedder.crash()
  const after = await knowledge.search('will you treat my little children', { limit: 1 }, signal)
  t.match(after[0], { entry: { id: 'children' }, semanticScore: null }, 'a crashed encoder leaves the words')
})

t.test('a call is handled as a person would handle it', async (t) => {
  for (const [heard, expected] of HANDLED) {
    t.equal(understand(heard, hvac.company.mishearings, ['Robin', 'Polar Bay Air']).act, expected, heard)
  }
  t.equal(understand('wait a minute how much is it', {}, []).act, 'ask', 'a question after a hold phrase is not swallowed')
  t.equal(understand('Hi, I need emergency service', {}, []).act, 'ask', 'nor one after a greeting')
  t.equal(understand('transfer my appointment to Friday', {}, []).act, 'ask', 'an appointment is not transferred to')
})

t.test('an emergency outranks everything', async (t) => {
  const real = [
    'I smell gas', 'there is a really strong smell of gas in my kitchen', 'we have a gas leak', 'it smells like rotten eggs down here', 'I think my furnace is leaking gas',
    'my carbon monoxide alarm is going off', 'the CO detector keeps beeping', 'there is smoke coming out of the vent', 'the air handler is smoking the unit is smoking', 'my unit caught fire',
    'I smell something burning', 'there are sparks coming from the unit', 'the outlet is sparking', 'I got shocked by the unit... I got shocked when I touched it', 'I got an electric shock',
    'hi can I book a tune up oh wait I smell gas', "I'd like to know your hours and also my carbon monoxide detector went off", 'my ac is out and I have a newborn baby', 'there is no ac and my mother is elderly', 'my husband is having chest pain',
    'what are your hours? I smell smoke', 'um yeah so I smelled gas this morning', 'there was a burning smell from the vents last night', "there's no smoke but I smell gas",
  ]
  for (const heard of real) t.equal((await say(heard)).source, 'emergency', heard)
  const teeth = ['my tooth got knocked out', "my son's tooth was knocked out at soccer", 'my face is swollen', "it won't stop bleeding", 'I have trouble breathing and my jaw hurts', 'the pain is unbearable', 'my cheek is really swollen and I have a fever']
  for (const heard of teeth) t.equal((await say(heard, {}, harbor)).source, 'emergency', heard)
  const calm = [
    'is my furnace gas or electric', 'do you install carbon monoxide detectors... can you install a carbon monoxide detector', 'the smoke detector battery is beeping', 'do you fix refrigerant leaks', 'how much is a tune up for a gas furnace',
    'I was shocked at the price', 'do you work on fireplaces', "I don't smell gas but my furnace is out", 'what are your hours', 'do you have emergency service', 'my ac is not cooling', 'my ac is freon gas low', 'can I book a visit', 'my baby loves the new ac', 'the unit is burning through electricity',
    'I need a new gas line quote', 'does the elderly discount apply',
  ]
  for (const heard of calm) t.not((await say(heard)).source, 'emergency', heard)
  const calmTeeth = ['my baby tooth fell out', 'my crown fell out', 'my gums bleed when I brush', 'how much is a crown', 'no swelling just a chipped tooth']
  for (const heard of calmTeeth) t.not((await say(heard, {}, harbor)).source, 'emergency', heard)
  const gas = await say('I smell gas', { wallTime: CLOSED_AT })
  t.match(gas.said, /leave the house right now.*911/)
  const yes = await say('yes please', { dialogue: gas.dialogue, wallTime: CLOSED_AT })
  t.match(yes.action, { kind: 'transfer', phoneNumberE164: '+15550100019' }, 'a yes reaches the on-call technician at night')
})

t.test('the call is greeted, prompted and ended', async (t) => {
  const input = { kind: 'answered', resumed: false } as const
  const opened = await replyTo(responder, questionOf(polar, input, { dialogue: { greeted: false } }))
  t.equal(opened.said, hvac.agent.greeting.text)
  const night = await replyTo(responder, questionOf(polar, input, { wallTime: CLOSED_AT }))
  t.equal(night.said, hvac.agent.greeting.afterHours)
  const storm = { ...polar, company: { ...hvac.company, emergencyMessage: 'Because of the storm we are closed today.' } }
  t.match((await replyTo(responder, questionOf(storm, input))).said, /^Because of the storm/)
  t.equal((await replyTo(responder, questionOf(polar, { kind: 'answered', resumed: true }))).said, hvac.agent.lines.resumed)
  const { silence } = hvac.agent.lines
  for (const count of [1, 2]) {
    const prompt = await replyTo(responder, questionOf(polar, { kind: 'silence', count }))
    t.equal(prompt.said, silence[count - 1])
    t.equal(prompt.action, null)
  }
  const last = await replyTo(responder, questionOf(polar, { kind: 'silence', count: 3 }))
  t.match(last.action, { kind: 'hang-up', reason: 'silence' })
  const held = await replyTo(responder, questionOf(polar, { kind: 'silence', count: 3 }, { dialogue: { onHold: true } }))
  t.equal(held.action, null, 'a caller who asked us to wait is waited for')
  t.match((await say('thanks, bye')).action, { kind: 'hang-up', reason: 'goodbye' })
  t.equal((await replyTo(responder, questionOf(polar, { kind: 'inaudible' }))).said, hvac.agent.lines.inaudible)
})

t.test('keys work: a person, a message, again, a menu and a ZIP code', async (t) => {
  const press = (digits: string): Promise<Reply> => replyTo(responder, questionOf(polar, { kind: 'dtmf', digits }, { dialogue: { lastReply: ['A tune-up is 89 dollars.'] } }))
  t.match((await press('0')).action, { kind: 'transfer', phoneNumberE164: '+15550100010' })
  t.match((await press('1')).action, { kind: 'voicemail' })
  t.equal((await press('9')).said, 'A tune-up is 89 dollars.')
  t.equal((await press('#')).said, 'A tune-up is 89 dollars.')
  t.equal((await press('*')).said, LINES.menu)
  t.match((await press('33901')).said, /^Yes, we come to/)
  t.match((await press('90210')).said, /outside our area/)
})

t.test('an offer is made only if it can be kept, and a yes or no is understood', async (t) => {
  const day = await say("I'd like to book a visit")
  t.equal(day.expectation, 'yes-no')
  t.match((await say('yeah sure', { dialogue: day.dialogue })).action, { kind: 'transfer', phoneNumberE164: '+15550100010' })
  const no = await say('no thanks', { dialogue: day.dialogue })
  t.ok(no.said.includes('anything else') || no.action?.kind === 'hang-up')
  const night = await say("I'd like to book a visit", { wallTime: CLOSED_AT })
  t.match(night.said, /leave a message\?$/)
  t.match((await say('yes please', { dialogue: night.dialogue, wallTime: CLOSED_AT })).action, { kind: 'voicemail' })
  t.match((await say('can I talk to Dana', { wallTime: CLOSED_AT })).said, /nobody can take your call/)
  t.match((await say('yes how much is a tune up', { dialogue: day.dialogue })).said, /89 dollars/, 'a question instead of a yes is answered')
})

t.test('the talk goes on from what it was about', async (t) => {
  const topic = await say('do you clean ducts')
  t.equal(topic.dialogue.topicEntryId, 'duct-cleaning')
  t.match((await say('and how much is that', { dialogue: topic.dialogue })).said, /299 dollars/)
  const contents = await say('what does a tune up include')
  t.match((await say('how much is it', { dialogue: contents.dialogue })).said, /89 dollars/)
  const hours = await say('what are your hours')
  t.match((await say('and on Sunday?', { dialogue: hours.dialogue })).said, /closed on Sunday/)
  const repeated = await say('say that again please', { dialogue: hours.dialogue })
  t.equal(repeated.said, hours.said)
  t.equal(repeated.source, 'repeat')
})

t.test('two questions in one breath get two answers in their order', async (t) => {
  const both = await say('how much is a tune up and what are your hours')
  t.ok(both.said.indexOf('89 dollars') < both.said.indexOf('Monday'), both.said)
  t.same(both.entryIds, ['tune-up-price', 'hours'])
})

t.test('two things asked for with one verb are two questions, and one thing with two words is one', async (t) => {
  const answered = async (text: string, context = polar): Promise<string> => (await say(text, {}, context)).entryIds.join('+')
  t.equal(await answered('Can you tell me your hours, and the price of a tune up?'), 'hours+tune-up-price')
  t.equal(await answered('can you tell me your hours end the price of a tune-up'), 'hours+tune-up-price', 'as the recogniser hears it')
  t.equal(await answered('how much is a tune up and a duct cleaning'), 'tune-up-price+duct-cleaning')
  t.equal(await answered('do you do mini splits and do you take credit cards'), 'mini-split+payment')
  t.equal(await answered('do you clean ducts and how much is it'), 'duct-cleaning', 'its price is in the same answer')
  t.equal(await answered('are your guys licensed and insured'), 'licensed')
  t.equal(await answered('do you do whitening and how much is it', harbor), 'whitening')
  t.equal((await answered('do you do root canals and do you take Cigna', harbor)), 'root-canal+insurance')
})

t.test('a long story is answered for the question at its end', async (t) => {
  const story = 'Hi there. My name is Carl, and we moved into our house last spring. The system was already old back then, and my wife said we should have somebody look at it, but then the summer was not so hot, and the kids were away at camp, so we never did. Anyway, now we would like to take better care of it.'
  t.match((await say(`${story} So, what is the price of a tune up?`)).said, /^\W*(?:\w+, )?A tune-up is 89 dollars/)
  t.match((await say(`${story.replaceAll('.', ' ').replaceAll(',', '')} so what is the price of a tune up`)).said, /89 dollars/, 'without a full stop in it')
})

const SHORT_YES = ['yes', 'yes please', 'yeah', 'sure', 'okay', 'uh yes', 'please do', 'go ahead', 'Yes, please, thank you.']
const SHORT_NO = ['no', 'no thanks', 'no thank you', 'nope', 'not right now', 'no not now']
const THAT_IS_ALL = ["no that's all", "no, that's it, thank you", "that's all thanks bye"]

t.test('a short answer is an answer to what was offered, whatever it was', async (t) => {
  const offers = [
    { from: (await say('I smell gas')).dialogue, yes: 'transfer' },
    { from: (await say("I'd like to book a visit")).dialogue, yes: 'transfer' },
    { from: (await say("I'd like to book a visit", { wallTime: CLOSED_AT })).dialogue, yes: 'voicemail' },
    { from: (await say('thank you')).dialogue, yes: null },
  ]
  for (const { from, yes } of offers) {
    t.not(from.offer, null)
    for (const heard of SHORT_YES) t.equal((await say(heard, { dialogue: from })).action?.kind ?? null, yes, `${from.offer?.kind}: ${heard}`)
    for (const heard of SHORT_NO) {
      const { action, said } = await say(heard, { dialogue: from })
      t.ok(action?.kind === 'hang-up' || (action === null && said.includes('anything else')), `${from.offer?.kind}: ${heard}`)
    }
    for (const heard of THAT_IS_ALL) t.match((await say(heard, { dialogue: from })).action, { kind: 'hang-up', reason: 'goodbye' }, `${from.offer?.kind}: ${heard}`)
  }
  t.match((await say('yes please', { dialogue: offers[0]?.from ?? {} })).action, { phoneNumberE164: '+15550100019' }, 'after an emergency it is the on-call line')
})

t.test('noise that never becomes words is asked less and less, and then left alone', async (t) => {
  const unheard = (dialogue: Partial<DialogueState>, wallTime = OPEN_AT): Promise<Reply> => replyTo(responder, questionOf(polar, { kind: 'inaudible' }, { dialogue, wallTime }))
  const first = await unheard({})
  const second = await unheard(first.dialogue)
  const third = await unheard(second.dialogue)
  const fourth = await unheard(third.dialogue)
  t.equal(first.said, hvac.agent.lines.inaudible)
  t.ok(second.said.length < first.said.length && second.action === null, second.said)
  t.match(third.said, /person\?$/)
  t.match((await say('yes', { dialogue: third.dialogue })).action, { kind: 'transfer' })
  t.match(fourth.action, { kind: 'voicemail' })
  t.match((await unheard(second.dialogue, CLOSED_AT)).said, /leave a message\?$/, 'nobody is offered at night')
  const silence = await replyTo(responder, questionOf(polar, { kind: 'silence', count: 1 }, { dialogue: second.dialogue }))
  t.match((await unheard(silence.dialogue)).said, /person\?$/, 'silence between two noises starts nothing afresh')
  const answered = await say('what are your hours', { dialogue: second.dialogue })
  t.equal((await unheard(answered.dialogue)).said, hvac.agent.lines.inaudible, 'words do')
  const offered = await say('I smell gas')
  t.match((await say('yes', { dialogue: (await unheard(offered.dialogue)).dialogue })).action, { kind: 'transfer', phoneNumberE164: '+15550100019' }, 'a yes that was lost is asked for again')
})

t.test('a caller who may mean either of two things is asked which, and only once', async (t) => {
  const asked = await say('Do you accept segment?', {}, harbor)
  const offer = asked.dialogue.offer
  if (offer === null || offer.kind !== 'which') return t.fail(asked.said)
  t.match(asked.said, /^Did you mean, .+, or, .+\?$/)
  t.notOk(asked.gap)
  const then = async (heard: string): Promise<string> => (await say(heard, { dialogue: asked.dialogue }, harbor)).entryIds.join('+')
  t.equal(await then('the first one'), offer.entryId)
  t.equal(await then('yes'), offer.entryId)
  t.equal(await then('the second one please'), offer.otherEntryId)
  t.equal(await then('how much is a crown'), 'crown', 'or something else altogether')
  t.match((await say('no', { dialogue: asked.dialogue }, harbor)).said, /What can I do for you/)
  t.not((await say('Do you accept segment?', { dialogue: asked.dialogue }, harbor)).dialogue.offer?.kind, 'which')
})

t.test('trade words that a recogniser spelt by ear are understood', async (t) => {
  const lines = [
    ['How much for a tune upon two systems?', 'tune-up-price'], ["What's the price of Dutch cleaning?", 'duct-cleaning'], ['What does the diagnostic visit cause?', 'diagnostic-fee'],
    ['Found much to clean the drain-line.', 'drain-line-price'], ['I need to re-schedule my appointment.', 'reschedule'], ['Do you service train units?', 'brands'],
  ] as const
  for (const [heard, expected] of lines) t.equal((await say(heard)).entryIds.join('+'), expected, heard)
  const teeth = [['My guns are pleading.', 'gum-disease|diagnosis'], ['Do you take del to dental?', 'insurance'], ['I have a tooth hack,', 'toothache'], ['Is there parting?', 'parking'], ['Can you send my ex-raise to another office?', 'records']] as const
  for (const [heard, expected] of teeth) {
    const reply = await say(heard, {}, harbor)
    t.ok(expected.split('|').includes(reply.entryIds.join('+')), `${heard} -> ${reply.said}`)
  }
})

t.test('what the company does not know is said, learned, and help is offered the second time', async (t) => {
  const first = await say('do you have a recipe for lasagna')
  t.ok(first.gap)
  t.equal(first.source, 'unknown')
  const second = await say('who painted the Mona Lisa', { dialogue: first.dialogue })
  t.match(second.dialogue.offer, { kind: 'transfer' })
  t.match((await say('we had')).said, LINES.clarify, 'thin words get a short question back')
})

t.test('a word that rules an entry out rules it out, and one it needs it needs', async (t) => {
  t.notOk((await say('can you top me off')).entryIds.includes('refrigerant'))
  t.notOk((await say('I need to cancel')).entryIds.includes('booking'))
})

const never: Embedder = { name: 'hanging', dimensions: 2, embed: () => new Promise(() => undefined) }
const failing: Embedder = { name: 'failing', dimensions: 2, embed: async () => Promise.reject(new ClientsViaError('ENGINE_FAILED', 'broken')) }

t.test('an encoder that hangs or fails never makes a reply late', async (t) => {
  for (const slow of [never, failing]) {
    let isReady = false
    const switching: Embedder = { name: 'x', dimensions: 2, embed: (texts, signal) => (isReady ? slow.embed(texts, signal) : Promise.resolve(texts.map(() => Float32Array.of(1, 0)))) }
    const context = contextOf(hvac, switching)
    await (context.knowledge as ReturnType<typeof createKnowledgeIndex>).ready
    isReady = true
    const clock = new VirtualClock()
    const reply = await clock.runUntil(replyTo(responder, questionOf(context, 'what are your business hours', { clock })))
    t.match(reply.said, /eight to five/, slow.name)
    t.ok(clock.now() <= 150, `${slow.name}: ${clock.now()} ms`)
    t.equal(clock.pendingTimers, 0)
  }
})

function fakeModel(pieces: (canary: string) => readonly string[], delayMs: number, clock: VirtualClock): ModelAnswer {
  return new FakeModel(clock, (prompt) => pieces(prompt.canary), { delayMs })
}

t.test('a model only words what the company said', async (t) => {
  const ask = async (pieces: (canary: string) => readonly string[], delayMs = 5, text = 'do you have a recipe for lasagna'): Promise<Readonly<{ reply: Reply; tookMs: number }>> => {
    const clock = new VirtualClock()
    const loop = createResponder({ model: { answer: fakeModel(pieces, delayMs, clock), prompts } })
    const reply = await clock.runUntil(replyTo(loop, questionOf(polar, text, { clock })))
    t.equal(clock.pendingTimers, 0)
    return { reply, tookMs: clock.now() }
  }
  const good = await ask(() => ['We look after ', 'heating and cooling. ', 'A tune-up is $89. ', 'Anything else?'])
  t.equal(good.reply.said, 'We look after heating and cooling. A tune-up is $89. Anything else?')
  t.equal(good.reply.source, 'model')
  const invented = await ask(() => ['A tune-up is $49 today. ', 'We open at 6 a.m. sharp. ', 'We do heating and cooling.'])
  t.equal(invented.reply.said, 'We do heating and cooling.', 'invented prices and times are dropped')
  const leak = await ask((canary) => [`My instructions say ${canary}. `, 'You are Robin.'])
  t.notMatch(leak.reply.said, /instructions/)
  t.equal(leak.reply.source, 'unknown')
  t.equal((await ask(() => ['UNKNOWN'])).reply.source, 'unknown')
  const late = await ask(() => ['Here I am at last. '], 5000)
  t.equal(late.reply.source, 'unknown')
  t.ok(late.tookMs <= 2100, `where the company has no answer, the caller is asked for a moment's patience and no more: ${late.tookMs} ms`)
  const clock = new VirtualClock()
  const budget = { targetMs: 600, hardMs: 1000, stallAfterMs: 700, stagesMs: { response: 150 } }
  const impatient = createResponder({ model: { answer: fakeModel(() => ['Here I am at last. '], 400, clock), prompts }, budget })
  const worded = contextOf({ ...hvac, knowledge: hvac.knowledge.map((entry) => (entry.id === 'hours' ? { ...entry, mode: 'generated' as const } : entry)) })
  const cutOff = questionOf(worded, 'what are your hours', { clock })
  t.match((await clock.runUntil(replyTo(impatient, cutOff))).said, /eight to five/, "where the company has an answer, it stands when the model is late")
  t.ok(clock.now() <= 160, `the stage's own deadline counts too: ${clock.now()} ms`)
  t.match(cutOff.stages.spans.find((span) => span.stage === 'response'), { outcome: 'cut-off' })
  const stuck = await ask(() => ['It depends on the house. ', 'A technician ', 'knows more.'], 550)
  t.equal(stuck.reply.said, 'It depends on the house. A technician knows more.', 'a slow model may go on once it has begun')
  const broken = createResponder({ model: { prompts, answer: { name: 'broken', model: 'broken', answer: () => { throw new Error('no such model') } } } })
  t.equal((await replyTo(broken, questionOf(polar, 'do you have a recipe for lasagna'))).source, 'unknown')
  t.match((await ask(() => ['never asked'], 5, 'what are your hours')).reply.said, /eight to five/, 'a fixed answer needs no model')
})

t.test('a caller who hangs up ends the reply with the reason and nothing else', async (t) => {
  const call = new AbortController()
  const reason = new Error('hung up')
  const clock = new VirtualClock()
  const model: ModelAnswer = { name: 'hanging', model: 'hanging', answer: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }) }) }
  const reply = replyTo(createResponder({ model: { answer: model, prompts } }), questionOf(polar, 'do you have a recipe for lasagna', { clock }), call.signal)
  await clock.advance(10)
  call.abort(reason)
  await t.rejects(reply, reason)
  t.equal(clock.pendingTimers, 0)
})

t.test('another company\'s data is never spoken', async (t) => {
  const mixed = { ...polar, knowledge: harbor.knowledge }
  const reply = await replyTo(responder, questionOf(mixed, 'what are your hours'))
  t.equal(reply.said, LINES.unsafeToSay)
  t.throws(() => createKnowledgeIndex('polar-bay-air', dental.knowledge, 1, null), /belongs to another company/)
})

t.test('a reply thrown away leaves no trace: the same question is answered the same', async (t) => {
  const question = questionOf(polar, 'how much is a tune up')
  const before = JSON.stringify([question.dialogue, question.context.agent, question.context.company])
  const [first, second] = [await replyTo(responder, question), await replyTo(responder, question)]
  t.same(first.parts, second.parts)
  t.equal(JSON.stringify([question.dialogue, question.context.agent, question.context.company]), before)
})

t.test('every step leaves its time behind', async (t) => {
  const question = questionOf(polar, 'how much is a tune up')
  await replyTo(responder, question)
  const seen = new Set(question.stages.spans.map((span) => span.stage))
  for (const stage of ['context', 'intent', 'knowledge', 'template', 'personality', 'quality'] as const) t.ok(seen.has(stage), stage)
})

t.test('everything an agent says without thinking can be made ready', async (t) => {
  for (const context of [polar, harbor]) {
    const ready = phrasesToWarm(context, questionOf(context, '').wallTime)
    t.equal(ready[0], context.agent.greeting.emergencyText.split(/(?<=\.) /)[0])
    t.equal(new Set(ready).size, ready.length)
    const table = context === polar ? POLAR_BAY : HARBOR_LANE
    for (const [heard, expected] of table) {
      if (expected === 'zip') continue
      const reply = await replyTo(responder, questionOf(context, heard))
      for (const part of reply.parts) {
        if (part.kind === 'say' && part.source === 'fixed-answer') t.ok(ready.includes(part.text), `${heard}: ${part.text}`)
      }
    }
  }
})
