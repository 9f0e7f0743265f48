import { createHmac } from 'node:crypto'
import t from 'tap'
import { encodeMulaw } from '../../src/audio/g711.ts'
import { SystemClock } from '../../src/core/clock.ts'
import { measureCall } from '../../src/load/call-measures.ts'
import { parseCallScript, type Clip, type LoadedScript } from '../../src/load/call-script.ts'
import { callerSpans } from '../../src/load/ears.ts'
import { placeCall, type CallEvidence } from '../../src/load/simulated-caller.ts'
import { SocketTransport } from '../../src/load/socket-transport.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { CONNECT, MemoryServer, SocketServer, type ScriptedStream, type StreamScript } from './twilio-server.ts'

const QUICK_HANG_UP = [{ do: 'hang-up', when: { after: 'agent-finished', quietMs: 120 } }]

/** A call in virtual time: what is measured is exact, whatever the machine does. */
async function call(script: StreamScript, steps: unknown[] = QUICK_HANG_UP, more: { answers?: Record<string, string>; ends?: string; silenceMs?: number } = {}) {
  const clock = new VirtualClock()
  const server = new MemoryServer({ '/twilio/voice': CONNECT, ...more.answers }, script)
  const placed = placeCall({ clock, transport: server, target: server.url, script: loaded(steps, more.ends, more.silenceMs) }, new AbortController().signal)
  const evidence = await clock.runUntil(placed)
  return { evidence, posts: server.posts, streams: server.streams.map((stream) => stream.received), clock }
}

async function callOverSockets(script: StreamScript, authToken: string | null) {
  const server = await SocketServer.listen({ '/twilio/voice': CONNECT }, script)
  try {
    const clock = new SystemClock()
    const transport = new SocketTransport(clock, authToken)
    const evidence = await placeCall({ clock, transport, target: server.url, script: loaded(QUICK_HANG_UP) }, new AbortController().signal)
    return { evidence, posts: server.posts, streams: server.streams.map((stream) => stream.received), url: server.url }
  } finally {
    await server.close()
  }
}

t.test('a caller behaves as the carrier does: connected, start with its parameters, a frame every 20 ms, stop', async (t) => {
  const { evidence, posts, streams } = await call(async (stream) => stream.media(tone(300)))
  t.same(evidence.problems, [])
  t.equal(evidence.end, 'caller-hung-up')
  const [connected, start, first] = streams[0] as Record<string, unknown>[]
  t.same(connected, { event: 'connected', protocol: 'Call', version: '1.0.0' })
  t.match(start, {
    event: 'start',
    sequenceNumber: '1',
    start: { callSid: evidence.callSid, tracks: ['inbound'], customParameters: { token: 't-1' }, mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 } },
  })
  t.match(first, { event: 'media', sequenceNumber: '2', media: { track: 'inbound', chunk: '1', timestamp: '0' } })
  const frames = (streams[0] ?? []).filter((message) => message['event'] === 'media')
  t.same(
    frames.map((message) => (message['media'] as Record<string, unknown>)['timestamp']),
    frames.map((_, index) => String(index * 20)),
  )
  t.equal(payloadOf(frames[0] ?? {}).length, 160)
  t.match(streams[0]?.at(-1), { event: 'stop', stop: { callSid: evidence.callSid } })
  t.equal(posts[0]?.path, '/twilio/voice')
  t.equal(posts[0]?.fields.get('To'), '+15550100000')
  t.equal(posts.at(-1)?.path, '/twilio/status')
  t.equal(posts.at(-1)?.fields.get('CallStatus'), 'completed')
})

t.test('what the server sends is heard at 8 kHz on the caller\'s clock, and marks come back when they were played', async (t) => {
  const at: Record<string, number> = {}
  const { evidence } = await call(async (stream) => {
    stream.media(tone(300))
    stream.mark('first')
    stream.media(tone(200))
    stream.mark('second')
    for (const name of ['first', 'second']) {
      await stream.wait((message) => message['event'] === 'mark' && (message['mark'] as Record<string, unknown>)['name'] === name)
      // The frame of the same instant has been sent by now: frames count the time since the start.
      at[name] = stream.received.filter((message) => message['event'] === 'media').length * 20
    }
  })
  t.same(at, { first: 300, second: 500 })
  const heard = evidence.recording.agent.reduce((count, sample) => count + (sample === 0 ? 0 : 1), 0)
  t.equal(heard, 4000)
})

t.test('clear drops what was not played and returns every pending mark at once', async (t) => {
  const { evidence } = await call(async (stream) => {
    stream.media(tone(200))
    stream.media(tone(3000))
    stream.mark('never-heard')
    await stream.wait((message) => message['event'] === 'media' && (message['media'] as Record<string, unknown>)['timestamp'] === '200')
    t.notOk(stream.received.some((message) => message['event'] === 'mark'))
    stream.clear()
    t.match(stream.received.at(-1), { event: 'mark', mark: { name: 'never-heard' } }, 'in the same instant')
  })
  t.equal(evidence.clears.length, 1)
  const heardMs = evidence.recording.agent.filter((sample) => sample !== 0).length / 8
  // The frame stamped 200 leaves 220 ms into the call.
  t.equal(heardMs, 220)
  t.equal(Math.round(heardMs + (evidence.clears[0]?.droppedMs ?? 0)), 3200, 'heard and dropped add up to what was sent')
})

t.test('a server that breaks the carrier\'s rules is caught every time', async (t) => {
  const rules: [string, RegExp, (stream: ScriptedStream) => void][] = [
    ['an extra field', /31951.*unrecognized|31951.*extra/i, (stream) => stream.send({ event: 'clear', streamSid: stream.streamSid, extra: 1 })],
    ['another call\'s stream', /31951 addressed to stream MZother/, (stream) => stream.send({ event: 'clear', streamSid: 'MZother' })],
    ['an event the carrier does not know', /31951/, (stream) => stream.send({ event: 'stop', streamSid: stream.streamSid })],
    ['text that is not JSON', /31951 not JSON/, (stream) => stream.send('{')],
    ['audio that is not base64', /31951 media.payload: not base64/, (stream) => stream.send({ event: 'media', streamSid: stream.streamSid, media: { payload: '!!!' } })],
    ['a binary message', /31950/, (stream) => stream.sendBinary()],
    ['a ragged payload in the middle of a reply', /not whole 20 ms frames/, (stream) => {
      stream.media(tone(100).subarray(0, 500))
      stream.media(tone(100))
    }],
  ]
  for (const [name, expected, misbehave] of rules) {
    const { evidence } = await call(async (stream) => {
      misbehave(stream)
      stream.media(tone(60))
    })
    t.equal(evidence.problems.length, 1, name)
    t.match(evidence.problems[0], expected, name)
  }
})

t.test('the gap is measured by ear, from the caller\'s last voiced frame to the first audible sound', async (t) => {
  for (const delayMs of [200, 500]) {
    const { evidence } = await call(
      async (stream) => {
        stream.media(tone(200))
        // The clip starts some 300 ms into the call; the answer is timed by the frames that carry its end.
        const last = await stream.wait(quietAfterSpeech())
        const endMs = Number((last['media'] as Record<string, unknown>)['timestamp'])
        const due = endMs + delayMs
        await stream.wait((message) => message['event'] === 'media' && Number((message['media'] as Record<string, unknown>)['timestamp']) >= due)
        stream.media(tone(300))
      },
      [{ do: 'say', wav: 'clip.wav', text: 'said', voice: 'any', when: { after: 'agent-finished', quietMs: 60 } }, { do: 'hang-up', when: { after: 'agent-finished', quietMs: 60 } }],
    )
    const gapMs = measureCall(evidence).steps[0]?.gapMs ?? Infinity
    // The frame that shows the quiet, and the one that carries the due time, are each known 20 ms after they began.
    t.ok(Math.abs(gapMs - delayMs - 20) <= 10, `answered ${delayMs} ms after the end, heard ${gapMs} ms`)
  }
})

t.test('a recording that goes on in silence is answered into, and the caller hangs up when the answer is over', async (t) => {
  const { evidence } = await call(
    async (stream) => {
      stream.media(tone(200))
      const last = await stream.wait(quietAfterSpeech())
      const due = Number((last['media'] as Record<string, unknown>)['timestamp']) + 300
      await stream.wait((message) => message['event'] === 'media' && Number((message['media'] as Record<string, unknown>)['timestamp']) >= due)
      stream.media(tone(500))
    },
    [{ do: 'say', wav: 'clip.wav', text: 'said', voice: 'any', when: { after: 'agent-finished', quietMs: 60 } }],
    { silenceMs: 3000 },
  )
  t.equal(evidence.end, 'caller-hung-up')
  t.ok(evidence.recording.durationMs < 6000, `hung up after ${evidence.recording.durationMs} ms`)
})

t.test('a caller who barges in times the agent\'s silence, and counts frames that come after clear', async (t) => {
  const steps = [
    { do: 'say', wav: 'clip.wav', text: 'said', voice: 'any', when: { after: 'agent-speaks', forMs: 200 }, expect: { agent: 'stops' } },
    { do: 'hang-up', when: { after: 'previous', forMs: 100 } },
  ]
  const { evidence } = await call(async (stream) => {
    stream.media(tone(5000))
    const first = await stream.wait((message) => message['event'] === 'media' && isSpeech(message))
    const due = Number((first['media'] as Record<string, unknown>)['timestamp']) + 160
    await stream.wait((message) => message['event'] === 'media' && Number((message['media'] as Record<string, unknown>)['timestamp']) >= due)
    stream.clear()
    stream.media(tone(40))
  }, steps)
  const measured = measureCall(evidence).steps[0]
  t.ok((measured?.silentAfterMs ?? Infinity) >= 160 && (measured?.silentAfterMs ?? Infinity) <= 280, `silent after ${measured?.silentAfterMs} ms`)
  t.equal(measured?.staleFrames, 2)
})

t.test('keys are pressed one by one', async (t) => {
  const { streams } = await call(async (stream) => stream.media(tone(100)), [{ do: 'press', digits: '4#', when: { after: 'agent-finished', quietMs: 60 } }, { do: 'hang-up', when: { after: 'previous', forMs: 60 } }])
  t.same(
    (streams[0] ?? []).filter((message) => message['event'] === 'dtmf').map((message) => message['dtmf']),
    [{ track: 'inbound_track', digit: '4' }, { track: 'inbound_track', digit: '#' }],
  )
})

t.test('when the server ends the stream the caller follows the verbs after Connect, as the carrier does', async (t) => {
  const answers = {
    '/twilio/voice': '<Response><Connect action="/twilio/voice/continue"><Stream url="{ws}"/></Connect></Response>',
    '/twilio/voice/continue': '<Response><Dial action="/twilio/voice/dial-result"><Number>+15550100019</Number></Dial></Response>',
    '/twilio/voice/dial-result': '<Response><Hangup/></Response>',
  }
  const { evidence, posts } = await call(async (stream) => {
    stream.media(tone(100))
    stream.mark('bye')
    await stream.wait((message) => message['event'] === 'mark')
    stream.close()
  }, QUICK_HANG_UP.map((step) => ({ ...step, when: { after: 'previous', forMs: 5000 } })), { answers, ends: 'transfer' })
  t.equal(evidence.end, 'transferred')
  t.same(evidence.problems, [])
  t.same(posts.map((post) => post.path), ['/twilio/voice', '/twilio/voice/continue', '/twilio/voice/dial-result', '/twilio/status'])
  t.equal(posts[2]?.fields.get('DialCallStatus'), 'completed')
})

t.test('a goodbye cut off by closing the stream too early is a failure', async (t) => {
  const { evidence } = await call(async (stream) => {
    stream.media(tone(2000))
    stream.close()
  })
  t.match(evidence.problems[0], /closed the stream with (1\d{3}|2000) ms of speech unplayed/)
})

t.test('over real sockets a call is the same, and it is signed when the caller has the account\'s token', async (t) => {
  const { evidence, posts, streams, url } = await callOverSockets(async (stream) => stream.media(tone(60)), 'secret')
  const post = posts[0]
  const fields = [...(post?.fields ?? [])].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => name + value)
  const expected = createHmac('sha1', 'secret').update(`${url}/twilio/voice${fields.join('')}`).digest('base64')
  t.equal(post?.signature, expected)
  t.same(evidence.problems, [])
  t.equal(evidence.end, 'caller-hung-up')
  t.match(streams[0]?.at(-1), { event: 'stop' })
  const heard = evidence.recording.agent.filter((sample) => sample !== 0).length
  t.equal(heard, 480, 'every sample that was sent was heard')
})

t.test('a binary message on a real socket is caught', async (t) => {
  const { evidence } = await callOverSockets(async (stream) => {
    stream.sendBinary()
    stream.media(tone(60))
  }, null)
  t.match(evidence.problems, [/31950/])
})

t.test('a call leaves no timer behind', async (t) => {
  const { clock } = await call(async (stream) => stream.media(tone(300)))
  t.equal(clock.pendingTimers, 0)
})

t.test('a server that answers no TwiML, or not at all, fails the call with the reason', async (t) => {
  const refused = await call(async () => undefined, QUICK_HANG_UP, { answers: { '/twilio/voice': '<Response><Connect></Response>' } })
  t.equal(refused.evidence.end, 'failed')
  t.match(refused.evidence.problems[0], /TwiML/)
  const clock = new SystemClock()
  const nobody: CallEvidence = await placeCall(
    { clock, transport: new SocketTransport(clock, null), target: 'http://127.0.0.1:9', script: loaded(QUICK_HANG_UP) },
    new AbortController().signal,
  )
  t.equal(nobody.end, 'failed')
  t.ok(nobody.problems.length > 0)
})

/** The clip's voice lasts 600 ms, its silence `silenceMs`. */
function loaded(steps: unknown[], ends = 'caller-hangs-up', silenceMs = 100): LoadedScript {
  const script = parseCallScript({ name: 'test', description: 'A call made by a test', to: '+15550100000', line: { snrDb: 40 }, steps, ends }, 'test.json')
  const samples = new Int16Array(8000 * 0.6 + 8 * silenceMs)
  for (let i = 0; i < 8000 * 0.6; i += 1) samples[i] = Math.round(4000 * Math.sin((2 * Math.PI * 440 * i) / 8000))
  const clip: Clip = { samples, spans: callerSpans(samples) }
  return { script, clips: new Map([['clip.wav', clip]]) }
}

/** A tone of -9 dBFS: no sample of it is silence for more than an instant. */
function tone(durationMs: number): Uint8Array {
  return encodeMulaw(Int16Array.from({ length: durationMs * 8 }, (_, i) => Math.round(12_000 * Math.cos((2 * Math.PI * 300 * i) / 8000 + 0.1))))
}

function payloadOf(message: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.from(String((message['media'] as Record<string, unknown>)['payload']), 'base64')
}

function loudest(message: Readonly<Record<string, unknown>>): number {
  // In µ-law the smaller the byte without its sign, the louder.
  return Math.max(...payloadOf(message).map((byte) => 0x7f - (byte & 0x7f)))
}

function isSpeech(message: Readonly<Record<string, unknown>>): boolean {
  return loudest(message) > 0x40
}

/** Told every message once, in order: true at the first quiet frame after speech. */
function quietAfterSpeech(): (message: Readonly<Record<string, unknown>>) => boolean {
  let spoke = false
  return (message) => {
    if (message['event'] !== 'media') return false
    if (isSpeech(message)) spoke = true
    return spoke && !isSpeech(message)
  }
}
