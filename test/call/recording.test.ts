import t from 'tap'
import { levelDb } from '../../src/audio/level.ts'
import { decodeMulaw, MULAW_SILENCE } from '../../src/audio/g711.ts'
import { onlyRefusesRecording, recordingNotice, refusesRecording } from '../../src/call/recording-policy.ts'
import { RecordingTape } from '../../src/call/recording-tape.ts'
import type { ReplyPart } from '../../src/response/responder.ts'
import { companySchema } from '../../src/tenancy/company.ts'
import type { FakeLeg } from '../support/fake-leg.ts'
import { MemoryRecordings } from '../support/memory-recordings.ts'
import { GREETING, say, spokenMs, virtualCall } from '../support/virtual-call.ts'

const NOTICE = 'This call is recorded.'
const ANSWER = 'We are open Monday to Friday from eight to five.'
const OPENING_MS = spokenMs(NOTICE) + spokenMs(GREETING)
const policy = (changes: object = {}) => companySchema.parse({ id: 'polar-bay-air', name: 'P', industry: 'hvac', timeZone: 'UTC', agentId: 'a', recording: { mode: 'announce', notice: NOTICE, ...changes }, retention: { audioDays: 30 } })

type Script = Readonly<{ says?: (spokenMs: number) => string; answer?: readonly ReplyPart[]; company?: object }>

function recorded({ says = () => 'What are your hours?', answer = [say(ANSWER)], company = {} }: Script = {}) {
  const recordings = new MemoryRecordings()
  const { recording, retention } = policy(company)
  const call = virtualCall({ answer: () => answer, says, company: { recording, retention }, recordings })
  call.voice.ready.add(NOTICE)
  return { ...call, recordings, only: () => [...recordings.kept.values()][0] }
}

/** The two voices of what was kept. */
function channels(audio: Uint8Array): { caller: Uint8Array; agent: Uint8Array } {
  return { caller: audio.filter((_, index) => index % 2 === 0), agent: audio.filter((_, index) => index % 2 === 1) }
}

const loudAt = (channel: Uint8Array, ms: number): number => levelDb(decodeMulaw(channel.subarray(ms * 8, ms * 8 + 160)))

/** The agent's side as the caller heard it, 20 ms by 20 ms, from `fromMs`. */
function heardLine(leg: FakeLeg, fromMs: number, lengthMs: number): Uint8Array {
  const line = new Uint8Array(lengthMs * 8).fill(MULAW_SILENCE)
  for (const { atMs, mulaw } of leg.heard) if (atMs >= fromMs && atMs - fromMs + 20 <= lengthMs) line.set(mulaw, (atMs - fromMs) * 8)
  return line
}

t.test('T41: no mark, no bytes: nothing is kept until the carrier says that the notice was played to its end', async (t) => {
  const call = recorded()
  const { leg, over } = call.dial()
  leg.echoesNoMarks = true
  await call.clock.advance(OPENING_MS + 3000)
  leg.speak(0, 1000)
  await call.clock.advance(6000)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  t.match(call.turns()[0]?.delivered, NOTICE, 'it was said')
  t.equal(call.recordings.kept.size, 0, 'but nobody knows that it was heard')
})

t.test('T41: a call that ends during the notice leaves nothing behind', async (t) => {
  const call = recorded()
  const { leg, over } = call.dial()
  await call.clock.advance(spokenMs(NOTICE) - 200)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  t.equal(call.recordings.kept.size, 0)
})

t.test('a call is recorded from the moment the notice was heard: caller left, agent right, on one clock', async (t) => {
  const call = recorded()
  const { leg, over } = call.dial()
  await call.clock.advance(OPENING_MS + 400)
  const spokeAt = leg.mediaNowMs()
  leg.speak(0, 1200)
  await call.clock.advance(8000)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  const kept = call.only()
  t.ok(kept !== undefined)
  if (kept === undefined) return
  t.equal(kept.facts.notice, NOTICE)
  t.equal(kept.end?.endedBy, 'call')
  const { caller, agent } = channels(kept.audio)
  const startMs = leg.mediaNowMs() - caller.length / 8
  const wanted = spokenMs(NOTICE)
  t.ok(startMs >= wanted && startMs <= wanted + 40, `begins ${startMs - wanted} ms after the notice`)
  t.ok(loudAt(caller, spokeAt - startMs - 40) < -50 && loudAt(caller, spokeAt - startMs + 40) > -30, 'the caller is where they spoke')
  const heard = heardLine(leg, startMs, agent.length / 8)
  const differ = agent.reduce((count, sample, index) => count + (sample === heard[index] ? 0 : 1), 0)
  t.equal(differ, 0, 'the agent is, sample by sample, what the caller heard')
})

t.test('what the carrier was told to drop is not in the recording', async (t) => {
  const long = 'A tune up takes about an hour and includes cleaning the coils and checking the refrigerant and the drain line.'
  const call = recorded({ answer: [say(long)], says: () => 'No, what are your hours?' })
  const { leg, over } = call.dial()
  await call.clock.advance(OPENING_MS + 400)
  leg.speak(0, 1000)
  await call.clock.advance(1000 + 2500)
  leg.speak(0, 1500)
  await call.clock.advance(1500 + 100)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  t.equal(leg.clears.length, 1, 'the caller talked over the agent')
  const { agent } = channels(call.only()?.audio ?? new Uint8Array())
  const startMs = leg.mediaNowMs() - agent.length / 8
  const heard = heardLine(leg, startMs, agent.length / 8)
  t.same(agent.findIndex((sample, index) => sample !== heard[index]), -1, 'to the sample where it was cut')
  t.ok(agent.subarray(Math.ceil((leg.clears[0] ?? 0) - startMs) * 8).every((sample) => sample === MULAW_SILENCE), 'silence after it')
})

t.test('a caller who talks over the notice hears it again, and is recorded only after that', async (t) => {
  const call = recorded()
  const { leg, over } = call.dial()
  leg.speak(100, 1600)
  await call.clock.advance(1800)
  t.equal(leg.clears.length, 1)
  t.equal(call.recordings.kept.size, 0, 'not yet')
  await call.clock.advance(9000)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  t.match(call.turns()[1]?.delivered, new RegExp(`^${NOTICE} ${ANSWER}`))
  t.equal(call.recordings.kept.size, 1)
})

t.test('T41: "don\'t record me" ends the recording at once, and the caller is told so', async (t) => {
  const call = recorded({ says: () => "Please don't record me." })
  const { leg, over } = call.dial()
  await call.clock.advance(OPENING_MS + 400)
  leg.speak(0, 1000)
  const spokeUntil = leg.mediaNowMs() + 1000
  await call.clock.advance(6000)
  leg.speak(0, 1000)
  await call.clock.advance(4000)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  const kept = call.only()
  t.equal(kept?.end?.endedBy, 'declined')
  const endMs = spokenMs(NOTICE) + (kept?.audio.length ?? 0) / 16
  t.ok(endMs <= spokeUntil + 250, `ended ${endMs - spokeUntil} ms after they had said so`)
  t.match(call.turns()[1]?.delivered, /not being recorded any more/)
  t.equal(call.recordings.kept.size, 1, 'and does not begin again')
})

t.test('a caller who does not want it, said before the notice ends, is never recorded', async (t) => {
  const call = recorded({ says: () => 'Do not record this call.' })
  const { leg, over } = call.dial()
  leg.speak(100, 1600)
  await call.clock.advance(12_000)
  leg.speak(0, 800)
  await call.clock.advance(6000)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  t.equal(call.recordings.kept.size, 0)
})

t.test('a card number that is read out is silence in the recording, and so is what follows it', async (t) => {
  let utterance = 0
  const call = recorded({ says: () => (utterance === 0 ? 'My card number is 4111 1111 1111 1111.' : 'Thank you.') })
  const { leg, over } = call.dial()
  await call.clock.advance(OPENING_MS + 400)
  const from = leg.mediaNowMs()
  leg.speak(0, 9000)
  // Longer than what is held back: its beginning is on the disk by the time that it is recognised.
  await call.clock.advance(9000 + 5000)
  utterance = 1
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  const kept = call.only()
  const { caller } = channels(kept?.audio ?? new Uint8Array())
  const startMs = leg.mediaNowMs() - caller.length / 8
  const loud = Array.from({ length: 440 }, (_, frame) => loudAt(caller, from - startMs + 100 + frame * 20)).filter((db) => db > -60)
  t.equal(loud.length, 0, 'not one frame of it')
  t.same(kept?.end?.silenced.map(({ because }) => because), ['private'])
})

t.test('keys that are pressed leave no tone behind', async (t) => {
  const call = recorded()
  const { leg, over } = call.dial()
  await call.clock.advance(OPENING_MS + 400)
  leg.speak(0, 400)
  leg.press('4')
  const from = leg.mediaNowMs()
  await call.clock.advance(6000)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  const kept = call.only()
  const { caller } = channels(kept?.audio ?? new Uint8Array())
  const startMs = leg.mediaNowMs() - caller.length / 8
  t.ok(loudAt(caller, from - startMs + 60) < -60)
  t.same(kept?.end?.silenced[0]?.because, 'keys')
})

t.test('a disk that fails ends the recording, not the call', async (t) => {
  const call = recorded()
  call.recordings.failing = true
  const { leg, over } = call.dial()
  await call.clock.advance(OPENING_MS + 400)
  leg.speak(0, 1000)
  await call.clock.advance(8000)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  t.match(call.turns()[1]?.delivered, ANSWER)
  t.equal(call.errors.length, 1, 'and it is in the log, once')
})

t.test('a disk that stands still costs sound, not memory: what was lost is silence in its place', async (t) => {
  const call = recorded()
  const { promise: moves, resolve: moveAgain } = Promise.withResolvers<void>()
  call.recordings.stuck = moves
  const { leg, over } = call.dial()
  await call.clock.advance(OPENING_MS + 60_000)
  call.recordings.stuck = null
  moveAgain()
  await call.clock.advance(10_000)
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  const kept = call.only()
  const lostMs = kept?.end?.silenced.filter(({ because }) => because === 'disk').reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0) ?? 0
  t.ok(lostMs > 25_000 && lostMs < 45_000, `${lostMs} ms were lost of 60 s`)
  t.ok(Math.abs((kept?.audio.length ?? 0) / 16 - (leg.mediaNowMs() - spokenMs(NOTICE))) < 60, 'the clock goes on')
  t.notOk(kept?.audio.includes(0), 'and no hole is noise')
})

t.test('only a company that asks for it is recorded, and where a state is strict only as the company says', async (t) => {
  const off = policy({ mode: 'off' })
  const strict = policy({ allPartyStates: 'do-not-record' })
  const florida = { from: '+12395550111', to: '+12125550100' }
  const newYork = { from: '+12125550111', to: '+12125550100' }
  t.equal(recordingNotice(off, newYork), null)
  t.equal(recordingNotice(policy(), florida), NOTICE)
  t.equal(recordingNotice(strict, newYork), NOTICE)
  t.equal(recordingNotice(strict, florida), null, 'the caller is in a state of two-party consent')
  t.equal(recordingNotice(strict, { from: '+12125550111', to: '+12395550100' }), null, 'the company is')
  t.equal(recordingNotice(strict, { from: 'anonymous', to: '+12125550100' }), null, 'nobody knows where the caller is')
  t.equal(recordingNotice({ ...policy(), retention: { ...policy().retention, audioDays: 0 } }, newYork), null, 'nothing is made that may not be kept')
  const silent = virtualCall({ answer: () => [say(ANSWER)], says: () => 'Hello', recordings: new MemoryRecordings() })
  const { leg, over } = silent.dial()
  await silent.clock.advance(4000)
  leg.callerHangsUp()
  await silent.clock.runUntil(over)
  t.equal(silent.turns()[0]?.delivered, GREETING, 'and nobody is told of what does not happen')
})

t.test('the ways people say that they do not want it, and what only sounds like it', async (t) => {
  const refusals = ["don't record me", 'please do not record this call', 'stop recording', "I don't want to be recorded", 'I would rather not be recorded', 'no recording please', 'turn off the recording', 'can you stop taping this', 'I do not consent to being recorded', "I don't agree to this", 'not recorded thanks', 'keep this off the record']
  for (const text of refusals) t.ok(refusesRecording(text), text)
  for (const text of ['do you have a record of my last visit', 'there is no record of my payment', 'my record player is broken', 'is this call recorded', 'yes you may record', "I don't agree to that price", 'what are your hours']) t.notOk(refusesRecording(text), text)
  t.ok(onlyRefusesRecording("Please don't record me."))
  t.notOk(onlyRefusesRecording("Don't record me. What are your hours?"), 'a question is still answered')
})

t.test('the tape keeps a reply in one piece though the estimate of when it is heard moves', async (t) => {
  const tape = new RecordingTape()
  const frame = (value: number): Uint8Array => new Uint8Array(160).fill(value)
  for (const [index, at] of [100, 123, 137, 161].entries()) tape.agent(frame(index + 1), at)
  const read = Array.from({ length: 12 }, (_, index) => tape.caller({ mulaw: frame(0x7f), mediaMs: index * 20 }))
  const agent = Buffer.concat(read).filter((_, index) => index % 2 === 1)
  t.same([...agent.subarray(800, 800 + 640)].filter((sample, index) => sample !== Math.floor(index / 160) + 1), [])
  t.equal(agent[799], MULAW_SILENCE)
  t.equal(agent[1440], MULAW_SILENCE)
})

t.test('the tape forgets what was laid on it ahead and then cut', async (t) => {
  const tape = new RecordingTape()
  for (let at = 0; at < 120; at += 20) tape.agent(new Uint8Array(160).fill(1), at)
  const first = tape.caller({ mulaw: new Uint8Array(160).fill(0x7f), mediaMs: 0 })
  tape.cut(50)
  const rest = [20, 40, 60, 80, 100].map((mediaMs) => tape.caller({ mulaw: new Uint8Array(160).fill(0x7f), mediaMs }))
  const agent = Buffer.concat([first, ...rest]).filter((_, index) => index % 2 === 1)
  t.equal(agent.lastIndexOf(1), 50 * 8 - 1)
})
