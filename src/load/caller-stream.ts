import { FRAME_MS, FRAME_SAMPLES } from '../audio/frame.ts'
import { encodeMulaw } from '../audio/g711.ts'
import type { Clock, Instant } from '../core/clock.ts'
import { Scope } from '../core/scope.ts'
import type { CallerTransport, StreamConnection } from './caller-transport.ts'
import { PlayoutBuffer } from './playout-buffer.ts'
import { readServerMessage } from './server-message.ts'

export type StreamIdentity = Readonly<{ streamSid: string; callSid: string; accountSid: string; parameters: Readonly<Record<string, string>> }>

export type StreamEnd = Readonly<{ by: 'caller' | 'server'; closeCode: number }>

/** Everything the stream tells the call it belongs to. Times are ms on the call's clock. */
export type StreamObserver = Readonly<{
  agentPlayed: (samples: Int16Array, atSample: number) => void
  /** Audio arrived from the server, whatever becomes of it. */
  mediaArrived: (atMs: number, durationMs: number) => void
  cleared: (atMs: number, droppedMs: number) => void
  /** The server broke the carrier's rules. */
  problem: (atMs: number, problem: string) => void
  /** How far behind its own schedule the caller was when it sent a frame. */
  sentLate: (lateMs: number) => void
}>

/** What the caller does in the 20 ms before `nowMs`: sound, keys, or hanging up. */
export type CallerTick = (nowMs: number, playoutEmpty: boolean) => Readonly<{ samples: Int16Array; digit: string | null; hangUp: boolean }>

/**
 * One bidirectional media stream as the carrier runs it: `connected`, `start`, then a 20 ms frame every 20 ms on an absolute schedule
 * (a caller that was held up sends what is due at once and never slows down), marks echoed when played, `stop` at the end.
 */
export async function runCallerStream(
  call: Readonly<{
    clock: Clock
    transport: CallerTransport
    url: string
    identity: StreamIdentity
    /** Where the call's clock is 0. */
    epoch: Instant
    observer: StreamObserver
    tick: CallerTick
  }>,
  signal: AbortSignal,
): Promise<StreamEnd> {
  signal.throwIfAborted()
  const { clock, observer, identity } = call
  const scope = new Scope()
  const abandon = (): void => scope.end(signal.reason)
  signal.addEventListener('abort', abandon, { once: true })
  const callMs = (): number => clock.now() - call.epoch
  let closeCode: number | null = null
  let sequence = 0
  let connection: StreamConnection | null = null
  const send = (message: Readonly<Record<string, unknown>>): void => {
    sequence += 1
    connection?.send(JSON.stringify({ ...message, sequenceNumber: String(sequence), streamSid: identity.streamSid }))
  }
  const playout = new PlayoutBuffer({
    onPlayed: observer.agentPlayed,
    onMarkDue: (name) => send({ event: 'mark', mark: { name } }),
  })
  const receive = serverMessageReader(identity.streamSid, playout, observer, callMs)
  try {
    connection = await call.transport.connect(
      call.url,
      {
        text: receive,
        binary: () => observer.problem(callMs(), '31950 a binary message: the carrier takes text only'),
        closed: (code) => {
          closeCode = code
          scope.end(new StreamClosed())
        },
      },
      scope.signal,
    )
    connection.send(JSON.stringify({ event: 'connected', protocol: 'Call', version: '1.0.0' }))
    send({ event: 'start', start: startFields(identity) })
    const startedMs = callMs()
    for (let frame = 0; ; frame += 1) {
      const dueMs = startedMs + (frame + 1) * FRAME_MS
      const waitMs = dueMs - callMs()
      if (waitMs > 0) await clock.sleep(waitMs, scope.signal)
      scope.signal.throwIfAborted()
      observer.sentLate(Math.max(0, callMs() - dueMs))
      playout.advance(callMs())
      const act = call.tick(dueMs, playout.unplayedMs === 0)
      if (act.digit !== null) send({ event: 'dtmf', dtmf: { track: 'inbound_track', digit: act.digit } })
      if (act.hangUp) {
        send({ event: 'stop', stop: { accountSid: identity.accountSid, callSid: identity.callSid } })
        return { by: 'caller', closeCode: 1000 }
      }
      send({
        event: 'media',
        media: {
          track: 'inbound',
          chunk: String(frame + 1),
          timestamp: String(frame * FRAME_MS),
          payload: Buffer.from(encodeMulaw(act.samples.subarray(0, FRAME_SAMPLES))).toString('base64'),
        },
      })
    }
  } catch (error) {
    if (closeCode === null || !(scope.signal.reason instanceof StreamClosed)) throw error
    if (playout.unplayedMs >= FRAME_MS) {
      observer.problem(callMs(), `the server closed the stream with ${Math.round(playout.unplayedMs)} ms of speech unplayed`)
    }
    return { by: 'server', closeCode }
  } finally {
    signal.removeEventListener('abort', abandon)
    connection?.close()
    scope.end(new StreamClosed())
  }
}

function serverMessageReader(
  streamSid: string,
  playout: PlayoutBuffer,
  observer: StreamObserver,
  callMs: () => number,
): (text: string) => void {
  let ragged = false
  return (text) => {
    const nowMs = callMs()
    playout.advance(nowMs)
    let message
    try {
      message = readServerMessage(text, streamSid)
    } catch (error) {
      observer.problem(nowMs, error instanceof Error ? error.message : String(error))
      return
    }
    switch (message.event) {
      case 'media':
        // A short payload may end a reply, and then the buffer runs dry or a mark follows. In the middle of one it is heard as a click.
        if (ragged && playout.unplayedMs > 0) observer.problem(nowMs, 'a payload that is not whole 20 ms frames was followed by more audio')
        ragged = message.mulaw.length % FRAME_SAMPLES !== 0
        observer.mediaArrived(nowMs, (message.mulaw.length / FRAME_SAMPLES) * FRAME_MS)
        if (!playout.add(message.mulaw, nowMs)) observer.problem(nowMs, '31930 the server sent minutes more audio than was played')
        return
      case 'mark':
        ragged = false
        playout.mark(message.name, nowMs)
        return
      case 'clear':
        ragged = false
        observer.cleared(nowMs, playout.clear(nowMs))
        return
    }
  }
}

function startFields(identity: StreamIdentity): Readonly<Record<string, unknown>> {
  return {
    streamSid: identity.streamSid,
    accountSid: identity.accountSid,
    callSid: identity.callSid,
    tracks: ['inbound'],
    customParameters: identity.parameters,
    mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 },
  }
}

class StreamClosed extends Error {
  constructor() {
    super('the stream is over')
    this.name = 'StreamClosed'
  }
}
