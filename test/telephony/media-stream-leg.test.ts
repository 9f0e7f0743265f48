import t from 'tap'
import type { LegEvent } from '../../src/call/call-leg.ts'
import { instant } from '../../src/core/clock.ts'
import { Scope } from '../../src/core/scope.ts'
import { MediaStreamLeg, PLAYOUT_LEAD_MS, type LegCount } from '../../src/telephony/media-stream-leg.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { CarrierSocket, START, STREAM, TONE, VOICE, answeredCall, frames, never, reply } from './answered-call.ts'

t.test('C14 keys are heard at once and in order, also while the agent talks', async (t) => {
  const { clock, leg, events } = answeredCall()
  const talking = reply(leg, 0, 20)
  for (const digit of ['1', '*', '#', 'D', '1', '1']) leg.receive({ event: 'dtmf', streamSid: STREAM, digit })
  await clock.runUntil(talking.done)
  t.same(events.map((event) => event.kind === 'dtmf' && event.digit), ['1', '*', '#', 'D', '1', '1'])
})

t.test('C15 marks come back as they were played; strange, early and repeated echoes complete nothing', async (t) => {
  const { clock, leg, events, counts } = answeredCall()
  await clock.runUntil(leg.play(VOICE, 0, never))
  leg.mark('g0-1', 0)
  leg.mark('g0-2', 0)
  leg.receive({ event: 'mark', streamSid: STREAM, name: 'g0-3' })
  await clock.advance(0)
  t.equal(events.length, 0, 'a name from the future is ignored')
  leg.mark('g0-3', 0)
  leg.receive({ event: 'mark', streamSid: STREAM, name: 'g0-1' })
  leg.receive({ event: 'mark', streamSid: STREAM, name: 'g0-1' })
  await clock.advance(0)
  t.match(events, [{ kind: 'mark', name: 'g0-1', cleared: false }])
  leg.receive({ event: 'mark', streamSid: STREAM, name: 'g0-3' })
  await clock.advance(0)
  t.match(events.slice(1), [{ name: 'g0-2', cleared: false }, { name: 'g0-3', cleared: false }], 'an echo speaks for those before it')
  t.equal(counts.get('mark-unknown'), 2)
  t.equal(clock.pendingTimers, 1, 'only the idle timer is left')
})

t.test('C15 a mark that was pending at a clear is told apart from one that was played', async (t) => {
  const { clock, leg, events } = answeredCall()
  await leg.play(VOICE, 0, never)
  leg.mark('first', 0)
  leg.receive({ event: 'mark', streamSid: STREAM, name: 'first' })
  leg.mark('second', 0)
  leg.clear(1)
  leg.mark('stale', 0)
  leg.mark('third', 1)
  leg.receive({ event: 'mark', streamSid: STREAM, name: 'second' })
  leg.receive({ event: 'mark', streamSid: STREAM, name: 'third' })
  await clock.advance(0)
  t.match(events, [
    { name: 'first', cleared: false },
    { name: 'stale', cleared: true },
    { name: 'second', cleared: true },
    { name: 'third', cleared: false },
  ])
})

t.test('C15 an echo that never comes is given one second past the audio', async (t) => {
  const { clock, leg, events, counts } = answeredCall()
  for (let i = 0; i < 5; i += 1) await leg.play(VOICE, 0, never)
  leg.mark('lost', 0)
  await clock.advance(1099)
  t.equal(events.length, 0)
  await clock.advance(2)
  t.match(events, [{ kind: 'mark', name: 'lost', cleared: false, at: 1100 }])
  t.equal(counts.get('mark-echo-missing'), 1)
})

t.test('a mark name that is still pending cannot be used twice', async (t) => {
  const { leg } = answeredCall()
  leg.mark('once', 0)
  t.throws(() => leg.mark('once', 0), { code: 'INVALID_INPUT' })
})

t.test('C16 after a clear not one frame of the old reply follows, wherever it was waiting', async (t) => {
  const { clock, leg, socket } = answeredCall()
  const old = reply(leg, 0)
  await clock.advance(1003)
  const before = socket.heard.length
  const { unplayedMs } = leg.clear(1)
  t.ok(unplayedMs > 0 && unplayedMs <= PLAYOUT_LEAD_MS, `${unplayedMs} ms were dropped`)
  t.equal(leg.bufferedMs, 0)
  await clock.runUntil(old.done)
  t.same(socket.heard.slice(before), [{ event: 'clear' }])
  t.equal(leg.clear(1).unplayedMs, 0, 'a second clear is harmless')
  await leg.play(VOICE, 1, never)
  t.match(socket.heard.at(-1), { event: 'media' }, 'the next reply is heard')
})

t.test('C17 what was sent is not what was heard: a mark stands for playback only after its echo', async (t) => {
  const { clock, leg, events } = answeredCall()
  const sentence = reply(leg, 0, 10)
  await clock.runUntil(sentence.done)
  leg.mark('sentence', 0)
  t.ok(leg.bufferedMs > 0)
  await clock.advance(60)
  t.equal(events.length, 0, 'sent, not yet heard')
  leg.receive({ event: 'mark', streamSid: STREAM, name: 'sentence' })
  await clock.advance(0)
  t.match(events, [{ name: 'sentence', cleared: false }])
})

t.test('C18 the carrier never holds more than the lead, and never runs dry while there is more to say', async (t) => {
  const { clock, leg, socket } = answeredCall()
  const talking = reply(leg, 0)
  await clock.advance(0)
  t.equal(socket.count('media'), PLAYOUT_LEAD_MS / 20, 'the lead is sent at once')
  let least = Infinity
  let most = 0
  for (let ms = 0; ms < 5000; ms += 5) {
    await clock.advance(5)
    least = Math.min(least, leg.bufferedMs)
    most = Math.max(most, leg.bufferedMs)
  }
  t.ok(most <= PLAYOUT_LEAD_MS, `at most ${most} ms ahead`)
  t.ok(least >= 70, `at least ${least} ms in hand`)
  t.ok(Math.abs(socket.count('media') * 20 - 5000 - PLAYOUT_LEAD_MS) <= 40, 'real time, neither slower nor faster')
  talking.stop()
  await clock.runUntil(talking.done)
  t.ok(leg.bufferedMs < PLAYOUT_LEAD_MS, 'who stops feeding is silent within the lead, without a clear')
})

t.test('X28 after a blocked event loop speech goes on at once and in real time, without a lasting lag', async (t) => {
  const { clock, leg, socket } = answeredCall()
  let blockedMs = 0
  // The loop stands still: time passes and no timer fires.
  const now = clock.now.bind(clock)
  clock.now = () => instant(now() + blockedMs)
  const talking = reply(leg, 0)
  await clock.advance(1000)
  const before = socket.count('media')
  blockedMs = 500
  await clock.advance(40)
  const burst = socket.count('media') - before
  t.ok(burst <= PLAYOUT_LEAD_MS / 20 + 2, `${burst} frames at once refill the lead and no more`)
  await clock.advance(1000)
  t.ok(Math.abs((socket.count('media') - before - burst) * 20 - 1000) <= 40)
  t.ok(leg.bufferedMs <= PLAYOUT_LEAD_MS)
  talking.stop()
  await clock.runUntil(talking.done)
})

t.test('T15 a peer that stops reading stops the reply, and is dropped after five seconds', async (t) => {
  const { clock, leg, socket, counts } = answeredCall()
  await leg.play(VOICE, 0, never)
  socket.bufferedAmount = 20_000
  const talking = reply(leg, 0)
  await clock.advance(3000)
  t.equal(socket.count('media'), 1)
  socket.bufferedAmount = 0
  await clock.advance(500)
  t.ok(socket.count('media') > 20, 'a peer that reads again hears on')
  socket.bufferedAmount = 20_000
  const speech = setSpeaking(leg, clock)
  await clock.advance(6000)
  t.equal(await leg.ended, 'connection-lost')
  t.ok(socket.terminated)
  t.equal(counts.get('slow-consumer'), 2)
  talking.stop()
  speech.abort()
})

/** Keeps the idle timer quiet. */
function setSpeaking(leg: MediaStreamLeg, clock: VirtualClock): AbortController {
  const stop = new AbortController()
  void (async () => {
    for (let chunk = 1; !stop.signal.aborted; chunk += 1) {
      leg.receive({ event: 'media', streamSid: STREAM, track: 'inbound', chunk, timestampMs: clock.now(), payload: TONE })
      await clock.sleep(1000, stop.signal)
    }
  })().catch(() => undefined)
  return stop
}

t.test('a reply that is cut short rejects in the same tick, and a frame of the wrong length is refused', async (t) => {
  const { clock, leg } = answeredCall()
  const turn = new Scope()
  const speaking = (async () => {
    for (;;) await leg.play(VOICE, 0, turn.signal)
  })()
  await clock.advance(300)
  turn.end(new Error('the caller interrupted'))
  await t.rejects(speaking, { message: 'the caller interrupted' })
  await t.rejects(leg.play(VOICE, 0, turn.signal), { message: 'the caller interrupted' })
  await t.rejects(leg.play(new Uint8Array(161), 0, never), { code: 'AUDIO_MALFORMED' })
})

t.test('C6 C7 a leg ends once: by stop, by a clean close, by a broken line or by the agent', async (t) => {
  const byStop = answeredCall()
  byStop.speak(1)
  byStop.leg.receive({ event: 'stop', streamSid: STREAM })
  byStop.leg.receive({ event: 'stop', streamSid: STREAM })
  byStop.speak(2)
  byStop.leg.hangUp()
  t.equal(await byStop.leg.ended, 'caller-hung-up')
  t.equal(byStop.socket.closed?.code, 1000)
  await byStop.clock.advance(1)
  t.same(frames(byStop.events), [0], 'nothing is heard after stop')

  for (const [code, end] of [
    [1000, 'caller-hung-up'],
    [1005, 'caller-hung-up'],
    [1006, 'connection-lost'],
    [1011, 'connection-lost'],
  ] as const) {
    const call = answeredCall()
    call.leg.connectionClosed(code)
    t.equal(await call.leg.ended, end, `close code ${code}`)
  }
  const byAgent = answeredCall()
  byAgent.leg.hangUp()
  t.equal(await byAgent.leg.ended, 'agent-ended')
  t.equal(byAgent.leg.clear(5).unplayedMs, 0)
  byAgent.leg.mark('late', 5)
  await byAgent.leg.play(VOICE, 5, never)
  t.equal(byAgent.socket.heard.length, 0, 'nothing is sent after the end')
})

t.test('X37 a caller who vanished without a word frees everything after ten seconds', async (t) => {
  const { clock, socket, scope, leg, speak } = answeredCall()
  await clock.advance(6000)
  speak(1)
  leg.mark('pending', 0)
  const talking = reply(leg, 0)
  await clock.advance(9900)
  t.equal(socket.closed, null)
  await clock.advance(200)
  t.equal(await leg.ended, 'connection-lost')
  t.equal(socket.closed?.code, 1008)
  await clock.runUntil(talking.done)
  t.equal(clock.pendingTimers, 0)
  t.equal(scope.openChildren, 0)
})

t.test('C21 a server that shuts down ends its legs with 1001', async (t) => {
  const { leg, socket, scope } = answeredCall()
  scope.end('shutdown')
  t.equal(await leg.ended, 'connection-lost')
  t.equal(socket.closed?.code, 1001)
})

t.test('an ear that does not listen costs ten seconds of frames and no more', async (t) => {
  const clock = new VirtualClock()
  const counts: LegCount[] = []
  const leg = new MediaStreamLeg({ clock, socket: new CarrierSocket(), start: START, scope: new Scope(), count: (what) => counts.push(what) })
  for (let chunk = 1; chunk <= 600; chunk += 1) {
    await clock.advance(20)
    leg.receive({ event: 'media', streamSid: STREAM, track: 'inbound', chunk, timestampMs: (chunk - 1) * 20, payload: TONE })
  }
  leg.hangUp()
  const heard: LegEvent[] = []
  for await (const event of leg.events) heard.push(event)
  t.equal(heard.length, 512)
  t.equal(frames(heard).at(-1), 11_980, 'the newest are kept')
  t.equal(counts.length, 88)
})
