import { encodeMulaw, MULAW_SILENCE } from '../../src/audio/g711.ts'
import type { LegEvent } from '../../src/call/call-leg.ts'
import { Scope } from '../../src/core/scope.ts'
import { MediaStreamLeg, type LegCount, type MediaSocket } from '../../src/telephony/media-stream-leg.ts'
import { assertOutboundMessage, type InboundMedia, type OutboundMessage } from '../../src/telephony/media-stream-protocol.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

export const STREAM = 'MZ0001'
export const START = { companyId: 'c1', callSid: 'CA1', accountSid: 'AC1', streamSid: STREAM, from: '+15550109999', to: '+15550100000', resumed: false }
export const TONE = encodeMulaw(Int16Array.from({ length: 160 }, (_, i) => Math.round(8000 * Math.sin(i / 3))))
export const VOICE = encodeMulaw(Int16Array.from({ length: 160 }, (_, i) => Math.round(4000 * Math.cos(i / 5))))

/** The carrier's end of the socket: refuses any message that Twilio would warn of. */
export class CarrierSocket implements MediaSocket {
  readonly heard: OutboundMessage[] = []
  closed: { code: number; reason: string } | null = null
  terminated = false
  bufferedAmount = 0

  send(text: string): void {
    if (this.closed !== null) throw new Error('sent after close')
    this.heard.push(assertOutboundMessage(text, STREAM))
  }

  close(code: number, reason: string): void {
    this.closed ??= { code, reason }
  }

  terminate(): void {
    this.terminated = true
  }

  count(event: OutboundMessage['event']): number {
    return this.heard.filter((message) => message.event === event).length
  }
}

export type Call = Readonly<{
  clock: VirtualClock
  socket: CarrierSocket
  scope: Scope
  leg: MediaStreamLeg
  events: LegEvent[]
  counts: Map<LegCount, number>
  /** 20 ms of the caller's voice, numbered from 1. */
  speak: (chunk: number, over?: Partial<InboundMedia>) => void
}>

export function answeredCall(): Call {
  const clock = new VirtualClock()
  const socket = new CarrierSocket()
  const scope = new Scope()
  const counts = new Map<LegCount, number>()
  const leg = new MediaStreamLeg({ clock, socket, start: START, scope, count: (what) => counts.set(what, (counts.get(what) ?? 0) + 1) })
  const events: LegEvent[] = []
  void (async () => {
    for await (const event of leg.events) events.push(event)
  })()
  const speak = (chunk: number, over: Partial<InboundMedia> = {}): void =>
    leg.receive({ event: 'media', streamSid: STREAM, track: 'inbound', chunk, timestampMs: (chunk - 1) * 20, payload: TONE, ...over })
  return { clock, socket, scope, leg, events, counts, speak }
}

export const frames = (events: readonly LegEvent[]): number[] => events.flatMap((event) => (event.kind === 'audio' ? [event.frame.mediaMs] : []))
export const isSilence = (event: LegEvent | undefined): boolean => event?.kind === 'audio' && event.frame.mulaw.every((byte) => byte === MULAW_SILENCE)
export const never = new AbortController().signal

/** Plays a long reply until told to stop; the returned count is of frames that `play` accepted. */
export function reply(leg: MediaStreamLeg, generation: number, frameCount = 500): { done: Promise<void>; stop: () => void } {
  let feeding = true
  const done = (async () => {
    for (let i = 0; i < frameCount && feeding; i += 1) await leg.play(VOICE, generation, never)
  })()
  return { done, stop: () => (feeding = false) }
}
