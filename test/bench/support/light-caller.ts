/**
 * Hundreds of callers in one process: each says one recorded sentence, listens to the answer, waits and says it again. Much less work a
 * call than the load harness, which judges what it hears; this one only keeps time. Speaks the carrier's protocol: paced frames,
 * marks echoed when played, `clear` obeyed.
 */
import { randomBytes } from 'node:crypto'
import { WebSocket } from 'ws'
import { decodeMulaw } from '../../../src/audio/g711.ts'
import { AGENT_AUDIBLE_DB, loudnessDb } from '../../../src/load/ears.ts'
import { readTwiml } from '../../../src/load/twiml.ts'

const FRAME_MS = 20
const FRAME_BYTES = 160
/** µ-law silence. */
const SILENT_FRAME = Buffer.alloc(FRAME_BYTES, 0xff).toString('base64')
/** The server keeps 120 ms with the carrier and refills it by 40. */
const MEANT_TO_BE_HELD_MS = 80
/** The pause after an answer before the next question; callers think. */
const THINK_MS = 1500
/** A caller who gets no answer at all asks again. */
const GIVE_UP_MS = 6000

export type Sentence = Readonly<{
  /** One base64 payload a frame. */
  frames: readonly string[]
  /** Where the voice ends within them, ms. */
  voicedEndMs: number
}>

/** Cuts µ-law into frames and finds the end of the voice. */
export function sentenceOf(mulaw: Uint8Array): Sentence {
  const frames: string[] = []
  let voicedEndMs = 0
  for (let at = 0; at + FRAME_BYTES <= mulaw.length; at += FRAME_BYTES) {
    const frame = mulaw.subarray(at, at + FRAME_BYTES)
    frames.push(Buffer.from(frame).toString('base64'))
    if (loudnessDb(decodeMulaw(frame)) > AGENT_AUDIBLE_DB) voicedEndMs = frames.length * FRAME_MS
  }
  return { frames, voicedEndMs }
}

export type LightFigures = {
  calls: number
  refused: number
  /** Closed by the server while the caller was still there. */
  dropped: number
  gapsMs: number[]
  greetingsMs: number[]
  unanswered: number
  /** How late each frame of a reply came: by how much the carrier's buffer had fallen below what the server means to leave in it; ms. */
  sendLagsMs: number[]
  /** Times the carrier's buffer ran dry inside a reply. */
  underruns: number
  framesSent: number
  framesHeard: number
  /** How late this process itself was, ms, at worst. */
  worstLateMs: number
}

type State = 'greeting' | 'thinking' | 'speaking' | 'listening'

/** One call. `tick` is called every 20 ms by whoever runs many of them. */
export class LightCall {
  readonly callSid = `CA${randomBytes(16).toString('hex')}`
  readonly #target: string
  readonly #to: string
  readonly #nextSentence: () => Sentence
  #sentence: Sentence
  readonly #figures: LightFigures
  readonly #streamSid = `MZ${randomBytes(16).toString('hex')}`
  #socket: WebSocket | null = null
  #state: State = 'greeting'
  #stateSince = 0
  #startedAt = 0
  #frame = 0
  #sequence = 0
  #spoken = 0
  #voicedEndAt = 0
  #answered = false
  #playoutEndsAt = 0
  #marks: { name: string; dueAt: number }[] = []
  /**
   * The stretch of audio that is coming in. It is filling until the carrier holds what it is meant to. A mark may be its end, or that of a
   * sentence in the middle of it: whether the next one followed at once is known when it comes.
   */
  #stretch: { filling: boolean; mayBeOver: boolean } | null = null
  #closing = false

  /** `sentence`: what is asked, again and again, or what is asked next. */
  constructor(target: string, to: string, sentence: Sentence | (() => Sentence), figures: LightFigures) {
    this.#target = target
    this.#to = to
    this.#nextSentence = typeof sentence === 'function' ? sentence : () => sentence
    this.#sentence = this.#nextSentence()
    this.#figures = figures
  }

  /** False: the server had no room. */
  async dial(): Promise<boolean> {
    const fields = { AccountSid: `AC${'0'.repeat(32)}`, CallSid: this.callSid, From: '+15550109999', To: this.#to, CallStatus: 'ringing', Direction: 'inbound', ApiVersion: '2010-04-01' }
    const url = new URL('/twilio/voice', this.#target).href
    const response = await fetch(url, { method: 'POST', body: new URLSearchParams(fields) })
    const verb = readTwiml(await response.text(), url)[0]
    this.#figures.calls += 1
    if (verb?.verb !== 'connect-stream') {
      this.#figures.refused += 1
      return false
    }
    const socket = new WebSocket(verb.url, { perMessageDeflate: false })
    await new Promise<void>((resolve, reject) => {
      socket.once('open', () => resolve())
      socket.once('error', reject)
    })
    this.#socket = socket
    socket.on('message', (data) => this.#receive(String(data)))
    socket.on('close', () => {
      if (!this.#closing) this.#figures.dropped += 1
      this.#socket = null
    })
    socket.send(JSON.stringify({ event: 'connected', protocol: 'Call', version: '1.0.0' }))
    this.#startedAt = performance.now()
    this.#send({
      event: 'start',
      start: {
        streamSid: this.#streamSid,
        accountSid: fields.AccountSid,
        callSid: this.callSid,
        tracks: ['inbound'],
        customParameters: verb.parameters,
        mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 },
      },
    })
    this.#enter('greeting', this.#startedAt)
    return true
  }

  get live(): boolean {
    return this.#socket !== null
  }

  tick(now: number): void {
    if (this.#socket === null) return
    const dueAt = this.#startedAt + this.#frame * FRAME_MS
    if (now < dueAt) return
    this.#figures.worstLateMs = Math.max(this.#figures.worstLateMs, now - dueAt - FRAME_MS)
    while (this.#marks[0] !== undefined && this.#marks[0].dueAt <= now) this.#echo(this.#marks.shift()?.name ?? '')
    this.#advance(now)
    // A caller that was held up sends what is due at once and never slows down.
    while (this.#startedAt + this.#frame * FRAME_MS <= now) {
      const payload = this.#state === 'speaking' ? (this.#sentence.frames[this.#spoken++] ?? SILENT_FRAME) : SILENT_FRAME
      this.#frame += 1
      this.#figures.framesSent += 1
      this.#send({ event: 'media', media: { track: 'inbound', chunk: String(this.#frame), timestamp: String((this.#frame - 1) * FRAME_MS), payload } })
      if (this.#state === 'speaking' && this.#spoken * FRAME_MS === this.#sentence.voicedEndMs) this.#voicedEndAt = this.#startedAt + this.#frame * FRAME_MS
      if (this.#state === 'speaking' && this.#spoken >= this.#sentence.frames.length) {
        this.#answered = false
        this.#enter('listening', now)
      }
    }
  }

  async hangUp(): Promise<void> {
    this.#closing = true
    const socket = this.#socket
    if (socket !== null) {
      this.#send({ event: 'stop', stop: { accountSid: `AC${'0'.repeat(32)}`, callSid: this.callSid } })
      socket.close(1000)
      await new Promise<void>((resolve) => socket.once('close', () => resolve()))
    }
    await fetch(new URL('/twilio/status', this.#target), {
      method: 'POST',
      body: new URLSearchParams({ AccountSid: `AC${'0'.repeat(32)}`, CallSid: this.callSid, To: this.#to, From: '+15550109999', CallStatus: 'completed', CallDuration: '1' }),
    }).then((response) => response.arrayBuffer())
  }

  #advance(now: number): void {
    const isQuiet = now >= this.#playoutEndsAt
    switch (this.#state) {
      case 'greeting':
        if (this.#playoutEndsAt > 0 && isQuiet) this.#enter('thinking', now)
        return
      case 'thinking':
        if (now - this.#stateSince < THINK_MS || !isQuiet) return
        this.#spoken = 0
        this.#sentence = this.#nextSentence()
        this.#enter('speaking', now)
        return
      case 'listening':
        if (this.#answered && isQuiet) this.#enter('thinking', now)
        else if (!this.#answered && now - this.#stateSince > GIVE_UP_MS) {
          this.#figures.unanswered += 1
          this.#enter('thinking', now)
        }
        return
      case 'speaking':
        return
    }
  }

  #receive(text: string): void {
    const now = performance.now()
    const message = JSON.parse(text) as { event: string; media?: { payload: string }; mark?: { name: string } }
    if (message.event === 'mark' && message.mark !== undefined) {
      if (this.#playoutEndsAt <= now) this.#echo(message.mark.name)
      else this.#marks.push({ name: message.mark.name, dueAt: this.#playoutEndsAt })
      if (this.#stretch !== null) this.#stretch.mayBeOver = true
    } else if (message.event === 'clear') {
      this.#playoutEndsAt = now
      for (const { name } of this.#marks.splice(0)) this.#echo(name)
      this.#stretch = null
    } else if (message.event === 'media' && message.media !== undefined) this.#hear(message.media.payload, now)
  }

  #hear(payload: string, now: number): void {
    this.#figures.framesHeard += 1
    const heldMs = this.#playoutEndsAt - now
    if (this.#stretch === null || (this.#stretch.mayBeOver && heldMs < MEANT_TO_BE_HELD_MS)) this.#stretch = { filling: true, mayBeOver: false }
    else if (heldMs < 0) this.#figures.underruns += 1
    this.#stretch.mayBeOver = false
    if (heldMs >= MEANT_TO_BE_HELD_MS) this.#stretch.filling = false
    this.#figures.sendLagsMs.push(this.#stretch.filling ? 0 : Math.max(0, MEANT_TO_BE_HELD_MS - heldMs))
    this.#playoutEndsAt = Math.max(this.#playoutEndsAt, now) + FRAME_MS
    const isWaiting = this.#state === 'greeting' ? this.#figures.greetingsMs : this.#state === 'listening' || this.#state === 'speaking' ? this.#figures.gapsMs : null
    if (isWaiting === null || this.#answered) return
    if (loudnessDb(decodeMulaw(Buffer.from(payload, 'base64'))) < AGENT_AUDIBLE_DB) return
    this.#answered = true
    if (this.#state === 'greeting') this.#figures.greetingsMs.push(now - this.#startedAt)
    else this.#figures.gapsMs.push(now - this.#voicedEndAt)
  }

  #enter(state: State, now: number): void {
    this.#state = state
    this.#stateSince = now
    if (state !== 'listening') this.#answered = state === 'thinking'
  }

  #echo(name: string): void {
    this.#send({ event: 'mark', mark: { name } })
  }

  #send(message: Readonly<Record<string, unknown>>): void {
    this.#sequence += 1
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ ...message, sequenceNumber: String(this.#sequence), streamSid: this.#streamSid }))
  }
}

export function emptyFigures(): LightFigures {
  return { calls: 0, refused: 0, dropped: 0, gapsMs: [], greetingsMs: [], unanswered: 0, sendLagsMs: [], underruns: 0, framesSent: 0, framesHeard: 0, worstLateMs: 0 }
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}
