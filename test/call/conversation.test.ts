import t from 'tap'
import { VirtualClock } from '../support/virtual-clock.ts'
import { GREETING, say, spokenMs, virtualCall } from '../support/virtual-call.ts'
import type { FakeLeg } from '../support/fake-leg.ts'

const { signal } = new AbortController()
const GREETING_MS = spokenMs(GREETING)
const ANSWER = 'We are open Monday to Friday from eight to five.'

/** When the caller heard sound of any reply begin again after `afterMs`. */
function heardFrom(leg: FakeLeg, afterMs: number): number | null {
  return leg.heard.find((frame) => frame.atMs >= afterMs)?.atMs ?? null
}

/** The longest stretch in which nothing of the agent was heard between two moments. */
function longestSilence(leg: FakeLeg, fromMs: number, toMs: number): number {
  const edges = [fromMs, ...leg.heard.map((frame) => frame.atMs).filter((at) => at > fromMs && at < toMs), toMs]
  let longest = 0
  for (let i = 1; i < edges.length; i++) longest = Math.max(longest, (edges[i] as number) - (edges[i - 1] as number))
  return longest
}

t.test('a caller is greeted at once and gets an answer within the budget', async (t) => {
  const call = virtualCall({ answer: () => [say(ANSWER)], says: () => 'What are your hours?' })
  const { leg, over } = call.dial()
  await call.clock.advance(GREETING_MS + 500)
  t.equal(leg.heard[0]?.atMs, 0, 'the greeting is ready before anybody calls')
  const spokeUntil = leg.mediaNowMs() + 1200
  leg.speak(0, 1200)
  await call.clock.advance(1200 + 4000)
  const answeredAt = heardFrom(leg, spokeUntil) as number
  t.ok(answeredAt - spokeUntil <= 400, `heard ${answeredAt - spokeUntil} ms after the last word`)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  const turn = call.turns()[1]
  t.equal(turn?.heard, 'What are your hours?')
  t.equal(turn?.delivered, ANSWER)
  t.same(turn?.speculation, { started: 1, wasted: 0, used: true, aheadMs: 80 }, 'prepared during the pause')
  const sum = turn?.stages.reduce((total, stage) => total + stage.ms, 0) ?? 0
  t.ok(Math.abs(sum - (turn?.gapMs ?? 0)) < 1, 'the stages add up to the gap')
  t.ok(Math.abs((turn?.gapMs ?? 0) - (answeredAt - spokeUntil)) <= 40, 'and the gap is what the caller heard')
  t.equal(call.calls.calls.get('polar-bay-air/CA00000000000000000000000000000001')?.outcome, 'caller-hung-up')
})

t.test('a caller who goes on before the reply is heard is answered once, for everything said', async (t) => {
  const call = virtualCall({
    answer: (question) => [say(question.input.kind === 'speech' ? `You said ${question.input.text}` : 'Hm')],
    says: (spoken) => (spoken > 1500 ? 'What are your hours on Saturday?' : 'What are your hours?'),
    thinkingMs: 300,
  })
  const { leg, over } = call.dial()
  await call.clock.advance(GREETING_MS + 500)
  leg.speak(0, 900)
  leg.speak(900 + 380, 900)
  await call.clock.advance(6000)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  t.same(call.turns().map((turn) => turn.heard), ['', 'What are your hours on Saturday?'])
  t.ok((call.turns()[1]?.speculation.wasted ?? 0) >= 1, 'what was prepared for half the sentence was thrown away')
})

t.test('a caller whose last words are late is answered for all of them, not for those before the pause', async (t) => {
  for (const firstDelayMs of [120, 700]) {
    const call = virtualCall({
      answer: (question) => [say(question.input.kind === 'speech' ? `You said ${question.input.text}` : 'Hm')],
      says: (spoken) => (spoken > 1500 ? 'I would like to schedule an appointment.' : 'I would like to skip.'),
    })
    call.transcriber.delayMs = firstDelayMs
    const { leg, over } = call.dial()
    await call.clock.advance(GREETING_MS + 500)
    leg.speak(0, 900)
    leg.speak(900 + 300, 900)
    await call.clock.advance(900 + 300)
    call.transcriber.delayMs = 1200
    await call.clock.advance(6000)
    leg.callerHangsUp()
    await call.clock.runUntil(over)
    t.same(call.turns().map((turn) => turn.heard), ['', 'I would like to schedule an appointment.'], `the first words ${firstDelayMs} ms after the pause`)
  }
})

t.test('a caller who barges in is heard at once and the agent knows what it had said', async (t) => {
  const long = 'A tune up takes about an hour and includes cleaning the coils and checking the refrigerant and the drain line.'
  let asked = 0
  const call = virtualCall({ answer: () => [say(asked++ === 0 ? long : ANSWER)], says: () => (asked === 0 ? 'What is a tune up?' : 'No, what are your hours?') })
  const { leg, over } = call.dial()
  await call.clock.advance(GREETING_MS + 500)
  leg.speak(0, 1000)
  await call.clock.advance(1000 + 400 + 2000)
  const bargedAt = leg.mediaNowMs()
  leg.speak(0, 1500)
  await call.clock.advance(1500)
  t.equal(leg.clears.length, 1)
  const lastHeard = Math.max(...leg.heard.filter((frame) => frame.atMs < bargedAt + 1500).map((frame) => frame.atMs)) + 20
  t.ok(lastHeard - bargedAt <= 450, `still heard ${lastHeard - bargedAt} ms after the first word`)
  await call.clock.advance(5000)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  const cut = call.turns()[1]
  t.ok(cut?.interruption !== null, 'the record says so')
  t.ok(cut !== undefined && long.startsWith(cut.delivered) && cut.delivered.length < long.length, `delivered: ${cut?.delivered}`)
  const generations = leg.heard.map((frame) => frame.generation)
  t.same(generations, [...generations].sort((a, b) => a - b), 'no frame of a dropped reply is heard after a newer one')
  t.equal(call.questions.at(-1)?.history.at(-1)?.text, cut?.delivered, 'what was not heard was not said')
})

t.test('a caller who says "yeah" while the agent speaks hears the sentence to its end', async (t) => {
  let asked = 0
  const long = 'A tune up takes about an hour and includes cleaning the coils and checking the refrigerant and the drain line.'
  const call = virtualCall({ answer: () => [say(asked++ === 0 ? long : ANSWER)], says: () => (asked === 0 ? 'What is a tune up?' : 'Yeah.') })
  const { leg, over } = call.dial()
  await call.clock.advance(GREETING_MS + 500)
  leg.speak(0, 1000)
  await call.clock.advance(1000 + 400 + 1500)
  const saidAt = leg.mediaNowMs()
  leg.speak(0, 350)
  await call.clock.advance(8000)
  t.equal(leg.clears.length, 0)
  const resumedAt = heardFrom(leg, saidAt + 350) as number
  t.ok(resumedAt - (saidAt + 350) <= 400, `resumed after ${resumedAt - saidAt - 350} ms`)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  t.equal(call.turns()[1]?.delivered, long)
  t.equal(call.turns().length, 2, 'and is not answered for it')
})

t.test('a word over the agent that does not stop it is answered when it has finished', async (t) => {
  let asked = 0
  const long = 'A tune up takes about an hour and includes cleaning the coils and checking the refrigerant and the drain line.'
  const call = virtualCall({ answer: () => [say(asked++ === 0 ? long : ANSWER)], says: () => (asked === 0 ? 'What is a tune up?' : 'Saturday.') })
  const { leg, over } = call.dial()
  await call.clock.advance(GREETING_MS + 500)
  leg.speak(0, 1000)
  await call.clock.advance(1000 + 400 + 1500)
  leg.speak(0, 400)
  await call.clock.advance(12_000)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  t.same(call.turns().slice(1).map((turn) => [turn.heard, turn.delivered]), [['What is a tune up?', long], ['Saturday.', ANSWER]])
  t.equal(leg.clears.length, 0)
})

t.test('an answer that is late is bridged, and never with more than 1.2 s of silence', async (t) => {
  const call = virtualCall({ answer: () => [say(ANSWER)], says: () => 'What are your hours?', thinkingMs: 3500 })
  const { leg, over } = call.dial()
  await call.clock.advance(GREETING_MS + 500)
  const spokeUntil = leg.mediaNowMs() + 1000
  leg.speak(0, 1000)
  await call.clock.advance(1000 + 8000)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  const first = heardFrom(leg, spokeUntil) as number
  t.ok(first - spokeUntil <= 760, `first sound after ${first - spokeUntil} ms`)
  t.ok(longestSilence(leg, spokeUntil, spokeUntil + 4500) <= 1200, `longest silence ${longestSilence(leg, spokeUntil, spokeUntil + 4500)} ms`)
  t.equal(call.turns()[1]?.stalled, true)
  t.match(call.turns()[1]?.delivered, /We are open/)
})

t.test('a reply that never comes ends in an apology, not in silence', async (t) => {
  const call = virtualCall({ answer: () => [say(ANSWER)], says: () => 'What are your hours?', thinkingMs: 600_000 })
  const { leg, over } = call.dial()
  await call.clock.advance(GREETING_MS + 500)
  const spokeUntil = leg.mediaNowMs() + 1000
  leg.speak(0, 1000)
  await call.clock.advance(1000 + 9500)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  t.match(call.turns()[1]?.delivered, /Sorry, could you say that again/)
  t.ok(longestSilence(leg, spokeUntil, spokeUntil + 5500) <= 1200)
})

t.test('words that come late are waited for with a line, not with silence, and then answered', async (t) => {
  const call = virtualCall({ answer: (question) => [say(question.input.kind === 'speech' ? ANSWER : 'Could you say that again?')], says: () => 'What are your hours?' })
  call.transcriber.delayMs = 1600
  const { leg, over } = call.dial()
  await call.clock.advance(GREETING_MS + 500)
  const spokeUntil = leg.mediaNowMs() + 1000
  leg.speak(0, 1000)
  await call.clock.advance(8000)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  t.ok((heardFrom(leg, spokeUntil) as number) - spokeUntil <= 760)
  t.ok(longestSilence(leg, spokeUntil, spokeUntil + 3500) <= 1200)
  const turn = call.turns()[1]
  t.equal(turn?.heard, 'What are your hours?')
  t.equal(turn?.delivered, `One moment, please. ${ANSWER}`)
  t.ok((turn?.work.find((work) => work.stage === 'transcript')?.ms ?? 0) > 500, 'the wait for words is a stage of its own')
})

t.test('a caller who talks into "one moment, please" has not lost the question', async (t) => {
  let spokenTurns = 0
  const call = virtualCall({ answer: () => [say(ANSWER)], says: () => (spokenTurns++ === 0 ? 'What are your hours?' : 'Stop, I mean on Saturday?'), thinkingMs: 2000 })
  const { leg, over } = call.dial()
  await call.clock.advance(GREETING_MS + 500)
  leg.speak(0, 1000)
  leg.speak(1000 + 800, 1400)
  await call.clock.advance(9000)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  t.equal(call.turns().at(-1)?.heard, 'What are your hours? Stop, I mean on Saturday?')
  t.equal(call.turns().at(-1)?.delivered.endsWith(ANSWER), true)
})

t.test('words that the recogniser lost are asked for again', async (t) => {
  const call = virtualCall({ answer: (question) => [say(question.input.kind === 'inaudible' ? 'Could you say that again?' : ANSWER)], says: () => 'What are your hours?' })
  const { leg, over } = call.dial()
  await call.clock.advance(GREETING_MS + 500)
  call.transcriber.broken = true
  leg.speak(0, 1000)
  await call.clock.advance(6000)
  call.transcriber.broken = false
  leg.speak(0, 1000)
  await call.clock.advance(6000)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  t.same(call.turns().map((turn) => turn.input), ['answered', 'inaudible', 'speech'])
})

t.test('a silent caller is asked, asked again, and let go', async (t) => {
  const call = virtualCall({
    answer: (question) =>
      question.input.kind === 'silence' && question.input.count >= 3
        ? [say('Goodbye.'), { kind: 'act', action: { kind: 'hang-up', reason: 'silence' } }]
        : [say('Are you still there?')],
    says: () => '',
  })
  const { over } = call.dial()
  await call.clock.runUntil(over)
  t.same(call.turns().map((turn) => turn.input), ['answered', 'silence', 'silence', 'silence'])
  t.equal(call.calls.calls.get('polar-bay-air/CA00000000000000000000000000000001')?.outcome, 'completed')
  t.same(await call.service.continuation('polar-bay-air', 'CA00000000000000000000000000000001', signal), { kind: 'hang-up' })
})

t.test('a key is answered, and stops the agent', async (t) => {
  const call = virtualCall({ answer: (question) => [say(question.input.kind === 'dtmf' ? `You pressed ${question.input.digits}` : ANSWER)], says: () => '' })
  const { leg, over } = call.dial()
  await call.clock.advance(400)
  leg.press('0')
  await call.clock.advance(3000)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  t.equal(leg.clears.length, 1)
  t.equal(call.turns()[1]?.delivered, 'You pressed 0')
})

t.test('a transfer happens after it was announced, and the carrier is told where to', async (t) => {
  const action = { kind: 'transfer', phoneNumberE164: '+15550100099', label: 'the service desk', timeoutSeconds: 20 } as const
  const call = virtualCall({ answer: () => [say('I will connect you now.'), { kind: 'act', action }], says: () => 'A person please' })
  const { leg, over } = call.dial()
  await call.clock.advance(GREETING_MS + 500)
  leg.speak(0, 900)
  await call.clock.runUntil(over)
  t.equal(call.turns()[1]?.delivered, 'I will connect you now.')
  t.match(await call.service.continuation('polar-bay-air', leg.start.callSid, signal), { kind: 'transfer', phoneNumberE164: '+15550100099' })
  t.equal(await call.service.transferResult('polar-bay-air', leg.start.callSid, 'no-answer'), 'return-to-agent')
  t.equal(await call.service.continuation('polar-bay-air', leg.start.callSid, signal), null, 'and then the call is ours again')
})

t.test('a call whose stream broke comes back and knows what was said', async (t) => {
  const call = virtualCall({ answer: () => [say(ANSWER)], says: () => 'What are your hours?' })
  const first = call.dial()
  await call.clock.advance(GREETING_MS + 500)
  first.leg.speak(0, 900)
  await call.clock.advance(5000)
  const second = call.dial({ resumed: true, streamSid: 'MZ00000000000000000000000000000002' })
  await call.clock.advance(3000)
  t.equal(await call.clock.runUntil(first.leg.ended), 'agent-ended', 'exactly one voice')
  await call.clock.runUntil(first.over)
  second.leg.callerHangsUp()
  await call.clock.runUntil(second.over)
  const resumed = call.questions.find((question) => question.input.kind === 'answered' && question.input.resumed)
  t.same(resumed?.history.map((exchange) => exchange.text), [GREETING, 'What are your hours?', ANSWER])
  t.same(call.turns().map((turn) => turn.turn), [0, 1, 2], 'turns go on counting')
})

t.test('a caller who has called before is known by the number, another is not', async (t) => {
  const call = virtualCall({ answer: () => [say(ANSWER)], says: () => '', returningCaller: 'Welcome back to Polar Bay Air.' })
  for (const [callSid, from] of [['CA1', '+15550109999'], ['CA2', '+15550109999'], ['CA3', '+15550108888']] as const) {
    const { leg, over } = call.dial({ callSid, from })
    await call.clock.advance(1000)
    leg.callerHangsUp()
    await call.clock.runUntil(over)
  }
  const answered = call.questions.flatMap((question) => (question.input.kind === 'answered' ? [question.input.returning] : []))
  t.same(answered, [false, true, false])
})

t.test('a company that has talked its minutes for today is refused politely until tomorrow', async (t) => {
  const limits = { concurrentCalls: 5, callMinutes: 30, minutesPerDay: 1, turnsPerCall: 200, dailySpendCents: null }
  const call = virtualCall({ answer: () => [say(ANSWER)], says: () => '', company: { limits, forwardToE164: '+15550100077' } })
  const asked = (callSid: string) => call.service.route({ callSid, accountSid: 'AC1', from: '+15550109999', to: '+15550100000' }, call.scope.signal)
  t.match(await asked('CA1'), { kind: 'answer' })
  const { leg, over } = call.dial({ callSid: 'CA1' })
  leg.speak(20_000, 500)
  leg.speak(45_000, 500)
  await call.clock.advance(61_000)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  t.match(await asked('CA2'), { kind: 'refuse', forwardToE164: '+15550100077' })
  await call.clock.advance(24 * 60 * 60_000)
  t.match(await asked('CA3'), { kind: 'answer' })
})

t.test("the carrier's word moves a call forward only, also for a call from before a restart", async (t) => {
  const call = virtualCall({ answer: () => [say(ANSWER)], says: () => '' })
  const { leg, over } = call.dial()
  await call.clock.advance(GREETING_MS)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  const { callSid, to } = leg.start
  const tell = (status: 'ringing' | 'in-progress' | 'completed', durationSeconds: number | null = null) =>
    call.service.carrierStatus({ callSid, to, status, durationSeconds, sequenceNumber: null }, call.scope.signal)
  await tell('completed', 12)
  await tell('in-progress')
  await tell('ringing')
  const record = call.calls.calls.get(`polar-bay-air/${callSid}`)
  t.equal(record?.carrierStatus, 'completed')
  t.equal(record?.durationSeconds, 12)
})

t.test('a store that dribbles does not keep the carrier waiting, and is written to all the same', async (t) => {
  const call = virtualCall({ answer: () => [say(ANSWER)], says: () => '' })
  const { leg, over } = call.dial()
  await call.clock.advance(GREETING_MS)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  const { callSid, to } = leg.start
  const read = call.calls.get.bind(call.calls)
  call.calls.get = async (...asked) => {
    await call.clock.sleep(7000)
    return read(...asked)
  }
  const toldAt = call.clock.now()
  await call.clock.runUntil(call.service.carrierStatus({ callSid, to, status: 'completed', durationSeconds: 12, sequenceNumber: null }, call.scope.signal))
  t.ok(call.clock.now() - toldAt <= 3000, 'twice as long and the carrier would count it as failed')
  t.not(call.calls.calls.get(`polar-bay-air/${callSid}`)?.carrierStatus, 'completed')
  await call.clock.advance(5000)
  t.match(call.calls.calls.get(`polar-bay-air/${callSid}`), { carrierStatus: 'completed', durationSeconds: 12 })
})

t.test('a store that is away costs records, never the call', async (t) => {
  const call = virtualCall({ answer: () => [say(ANSWER)], says: () => 'What are your hours?' })
  call.calls.failing = true
  const { leg, over } = call.dial()
  await call.clock.advance(GREETING_MS + 500)
  leg.speak(0, 900)
  await call.clock.advance(4000)
  t.ok(leg.heard.length > (GREETING_MS + spokenMs(ANSWER)) / 20 - 5)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  t.ok(call.errors.length > 0, 'and it is said in the log')
})

t.test('a hundred calls leave no timer, listener, session or place behind', async (t) => {
  const call = virtualCall({ answer: () => [say(ANSWER)], says: () => 'What are your hours?' })
  const dialled = Array.from({ length: 100 }, (_, index) => call.dial({ callSid: `CA${String(index).padStart(32, '0')}` }))
  await call.clock.advance(GREETING_MS + 500)
  for (const [index, { leg }] of dialled.entries()) leg.speak(index * 7, 800)
  await call.clock.advance(1500)
  for (const [index, { leg }] of dialled.entries()) if (index % 2 === 0) leg.callerHangsUp()
  await call.clock.advance(4000)
  for (const { leg } of dialled) leg.callerHangsUp()
  await call.clock.runUntil(Promise.all(dialled.map(({ over }) => over)))
  t.equal(call.clock.pendingTimers, 0, 'timers')
  t.equal(call.scope.openChildren, 0, 'scopes')
  t.equal(call.transcriber.openSessions, 0, 'recogniser sessions')
  t.equal(call.voiceActivity.openSessions, 0, 'voice activity sessions')
  t.equal(call.service.registry.liveCount, 0, 'places')
  t.same(call.errors, [])
})

t.test('a whole call costs no more time than it lasts, on the slowest machine', async (t) => {
  const started = performance.now()
  const call = virtualCall({ answer: () => [say(ANSWER)], says: () => 'What are your hours?' })
  const { leg, over } = call.dial()
  await call.clock.advance(GREETING_MS + 500)
  for (let turn = 0; turn < 5; turn++) {
    leg.speak(0, 1200)
    await call.clock.advance(7000)
  }
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  t.equal(call.turns().length, 6)
  const tookMs = performance.now() - started
  t.ok(tookMs < leg.mediaNowMs(), `${Math.round(leg.mediaNowMs() / 1000)} s of call in ${Math.round(tookMs)} ms`)
  t.type(call.clock, VirtualClock)
})
