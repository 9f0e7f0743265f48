import t from 'tap'
import { instant } from '../../src/core/clock.ts'
import { CallerMedia } from '../../src/telephony/caller-media.ts'
import type { InboundMedia } from '../../src/telephony/media-stream-protocol.ts'
import { STREAM, TONE, answeredCall, frames, isSilence } from './answered-call.ts'

t.test('C9 frames that arrive twice or out of order are heard once and in order', async (t) => {
  const { clock, leg, events, counts, speak } = answeredCall()
  for (const chunk of [1, 2, 4, 3, 3, 2, 6, 7, 5, 8]) speak(chunk)
  await clock.advance(1)
  t.same(frames(events), [0, 20, 40, 60, 80, 100, 120, 140])
  t.equal(counts.get('media-duplicate'), 2)
  t.equal(leg.lostFrameCount, 0)
})

t.test('C9 a lost frame becomes silence of its length, after a window of five', async (t) => {
  const { clock, leg, events, speak } = answeredCall()
  for (const chunk of [1, 2, 4, 5, 6, 7, 8]) speak(chunk)
  await clock.advance(1)
  t.same(frames(events), [0, 20], 'a hole is not filled while its frame may still come')
  speak(9)
  await clock.advance(1)
  t.same(frames(events), [0, 20, 40, 60, 80, 100, 120, 140, 160])
  t.ok(isSilence(events[2]), 'the hole is silent')
  t.notOk(isSilence(events[3]))
  t.equal(leg.lostFrameCount, 1)
  speak(3)
  await clock.advance(1)
  t.equal(events.length, 9, 'the frame that came too late is not heard')
})

t.test('C9 audio that the carrier discarded is filled by timestamp, and a long outage only in part', async (t) => {
  const { clock, leg, events, speak } = answeredCall()
  speak(1)
  speak(2, { timestampMs: 100 })
  await clock.advance(1)
  t.same(frames(events), [0, 20, 40, 60, 80, 100], 'chunks in a row, time apart')
  await clock.advance(8000)
  speak(3, { timestampMs: 8100 })
  await clock.advance(1)
  t.equal(events.length, 6 + 100 + 1, 'two seconds of silence stand for eight')
  t.equal(frames(events).at(-1), 8100, 'and the media clock is right again')
  t.equal(leg.lostFrameCount, 4 + 399)
})

t.test('C9 a chunk or a timestamp from the far future cannot deafen the call', async (t) => {
  const { clock, events, counts, speak } = answeredCall()
  speak(1)
  speak(2, { timestampMs: 999_999_999_999 })
  speak(900_000_000_000, { timestampMs: 20 })
  speak(2)
  speak(3)
  await clock.advance(1)
  t.same(frames(events), [0, 20, 40])
  t.equal(counts.get('media-implausible'), 2)
})

t.test('C10 payloads of any length are cut to 20 ms frames without losing a sample', async (t) => {
  const { clock, events, speak } = answeredCall()
  const bytes = Uint8Array.from({ length: 40_480 }, (_, i) => (i * 7) & 0xff)
  let at = 0
  let chunk = 1
  for (const size of [1, 159, 320, 40_000]) {
    speak(chunk, { timestampMs: Math.floor(at / 8), payload: bytes.subarray(at, at + size) })
    chunk += 1
    at += size
  }
  await clock.advance(1)
  const heard = Buffer.concat(events.flatMap((event) => (event.kind === 'audio' ? [event.frame.mulaw] : [])))
  t.equal(events.length, 253)
  t.ok(heard.equals(bytes))
  t.ok(events.every((event) => event.kind !== 'audio' || (event.frame.mulaw.length === 160 && event.frame.samples.length === 160)))
})

t.test('C8 C12 media of another stream or of the outbound track never reaches the ear', async (t) => {
  const { clock, events, counts, speak } = answeredCall()
  speak(1, { streamSid: 'MZ9999' })
  speak(1, { track: 'outbound' })
  await clock.advance(1)
  t.equal(events.length, 0)
  t.equal(counts.get('media-wrong-stream'), 1)
  t.equal(counts.get('media-other-track'), 1)
})

t.test('X34 a stall and its burst leave the moments of capture where they were', async (t) => {
  const { clock, events, leg, speak } = answeredCall()
  for (let chunk = 1; chunk <= 50; chunk += 1) {
    await clock.advance(20)
    speak(chunk)
  }
  await clock.advance(400)
  for (let chunk = 51; chunk <= 70; chunk += 1) speak(chunk)
  await clock.advance(0)
  const captured = events.flatMap((event) => (event.kind === 'audio' ? [event.frame.capturedAt - event.frame.mediaMs] : []))
  t.equal(captured.length, 70)
  t.ok(Math.max(...captured) - Math.min(...captured) < 3, 'the mapping from media clock to ours moved less than 3 ms')
  t.ok(Math.abs(leg.mediaNowMs() - 1400) < 3)
  t.ok(Math.abs(leg.instantOf(1400) - clock.now()) < 3)
})

t.test('X34 a first packet that was late is forgiven as soon as a prompt one comes, and a slower route is learnt', async (t) => {
  const media = new CallerMedia(instant(0))
  const emit = (): void => undefined
  const packet = (chunk: number): InboundMedia => ({ event: 'media', streamSid: STREAM, track: 'inbound', chunk, timestampMs: (chunk - 1) * 20, payload: TONE })
  media.accept(packet(1), instant(420), emit)
  media.accept(packet(2), instant(420), emit)
  media.accept(packet(3), instant(60), emit)
  t.equal(media.instantOf(60), 60)
  for (let chunk = 4; chunk < 2000; chunk += 1) media.accept(packet(chunk), instant(chunk * 20 + 80), emit)
  t.equal(media.instantOf(0), 80, 'an 80 ms longer way is the new zero after a while')
})

t.test('C6 what waited for a lost frame is still heard when the call ends', async (t) => {
  const { clock, events, leg, speak } = answeredCall()
  for (const chunk of [1, 3, 4]) speak(chunk)
  leg.receive({ event: 'stop', streamSid: STREAM })
  await clock.advance(1)
  t.same(frames(events), [0, 20, 40, 60])
})

t.test('C25 a call of 100 minutes keeps its clock and leaves nothing behind', async (t) => {
  const media = new CallerMedia(instant(0))
  let heard = 0
  let lastMediaMs = 0
  const emit = (frame: { mediaMs: number }): void => {
    heard += 1
    lastMediaMs = frame.mediaMs
  }
  for (let chunk = 1; chunk <= 300_500; chunk += 1) {
    if (chunk % 1000 === 0) continue
    media.accept({ event: 'media', streamSid: STREAM, track: 'inbound', chunk, timestampMs: (chunk - 1) * 20, payload: TONE }, instant(chunk * 20), emit)
  }
  t.equal(heard, 300_500, 'every lost frame was filled')
  t.equal(lastMediaMs, 300_499 * 20)
  t.equal(media.lostFrameCount, 300)
  t.equal(media.instantOf(lastMediaMs + 20), 300_500 * 20)
})
