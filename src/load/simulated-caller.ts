import { randomBytes } from 'node:crypto'
import { FRAME_SAMPLES, SAMPLE_RATE_HZ } from '../audio/frame.ts'
import type { Clock, Instant } from '../core/clock.ts'
import { CallRecording } from './call-recording.ts'
import { runCallerStream, type CallerTick, type StreamEnd } from './caller-stream.ts'
import type { CallerTransport, WebhookAnswer } from './caller-transport.ts'
import type { Clip, LoadedScript, ScriptStep } from './call-script.ts'
import { AGENT_AUDIBLE_DB, loudnessDb } from './ears.ts'
import { ScriptRunner } from './script-runner.ts'
import { CALLER_SPEECH_DB, lineNoise, seedOf, toPcm } from './telephone-line.ts'
import { readTwiml, type TwimlVerb } from './twiml.ts'

/** A call that is redirected in a circle ends here; the carrier gives up too (error 12400 family). */
const MOST_VERBS_FOLLOWED = 25
/** A keypad press lasts about this long, key to key. */
const KEY_MS = 250
/** The agent's speech is one stretch as long as its pauses stay below this. */
const AGENT_PAUSE_MS = 500
/** Problems kept a call; a server that breaks a rule breaks it with every frame. */
const MOST_PROBLEMS = 20
/** Enough noise that its repetition is not heard. */
const NOISE_LOOP_SAMPLES = 4 * SAMPLE_RATE_HZ
/** A script is over long before. */
const LONGEST_CALL_MS = 600_000

export type StepEvidence = Readonly<{
  index: number
  step: ScriptStep
  /** When the step's sound began and ended, ms on the call's clock. */
  startMs: number
  endMs: number
  /** First and last voiced moment of what was said; null for keys and silence. */
  voicedStartMs: number | null
  voicedEndMs: number | null
}>

export type CallEnd = 'caller-hung-up' | 'agent-hung-up' | 'transferred' | 'voicemail' | 'failed'

/** Everything one call left behind, on the caller's clock: 0 is the moment the first stream started. */
export type CallEvidence = Readonly<{
  callSid: string
  script: LoadedScript['script']
  recording: CallRecording
  steps: readonly StepEvidence[]
  /** `arrivalsBefore`: how many of `arrivals` came before it. */
  clears: readonly Readonly<{ atMs: number; droppedMs: number; arrivalsBefore: number }>[]
  arrivals: readonly Readonly<{ atMs: number; durationMs: number }>[]
  /** Broken rules and failures, in words. */
  problems: readonly string[]
  /** The carrier's side of the call after the streams: what was dialled, said or recorded. */
  verbs: readonly TwimlVerb[]
  end: CallEnd
  answeredInMs: number
  /** The worst delay of the caller's own 20 ms schedule: above 100 ms the machine, not the server, is being measured. */
  worstLateMs: number
  framesSent: number
}>

export type CallOptions = Readonly<{
  clock: Clock
  transport: CallerTransport
  /** The server, like http://127.0.0.1:3000. */
  target: string
  script: LoadedScript
  /** Whose call the carrier says it is; a server may take those of one account only. */
  accountSid?: string
  /** Told as soon as it is known, before the first webhook. */
  onDialled?: (callSid: string) => void
}>

/** Dials, speaks, listens and hangs up as a caller through a carrier does. Never rejects for what the server does wrong. */
export async function placeCall(options: CallOptions, signal: AbortSignal): Promise<CallEvidence> {
  const call = new SimulatedCall(options)
  options.onDialled?.(call.callSid)
  return call.run(signal)
}

const SOME_ACCOUNT = `AC${'0'.repeat(32)}`

class SimulatedCall {
  readonly callSid = `CA${randomBytes(16).toString('hex')}`
  readonly #accountSid: string
  readonly #options: CallOptions
  readonly #runner: ScriptRunner
  readonly #noise: Int16Array
  readonly #recording = new CallRecording()
  readonly #steps: StepEvidence[] = []
  readonly #clears: { atMs: number; droppedMs: number; arrivalsBefore: number }[] = []
  readonly #arrivals: { atMs: number; durationMs: number }[] = []
  readonly #problems: string[] = []
  readonly #verbs: TwimlVerb[] = []
  #epoch: Instant | null = null
  #agentOnsetMs: number | null = null
  #agentLastAudibleMs: number | null = null
  #speaking: { samples: Int16Array; offset: number } | null = null
  #keys: { digits: string; nextAtMs: number } | null = null
  #answeredInMs = 0
  #worstLateMs = 0
  #framesSent = 0

  constructor(options: CallOptions) {
    this.#options = options
    this.#accountSid = options.accountSid ?? SOME_ACCOUNT
    const { script } = options.script
    this.#runner = new ScriptRunner(script)
    this.#noise = toPcm(lineNoise(NOISE_LOOP_SAMPLES, CALLER_SPEECH_DB - script.line.snrDb, seedOf(script.name)))
  }

  async run(signal: AbortSignal): Promise<CallEvidence> {
    let end: CallEnd = 'failed'
    try {
      end = await this.#follow(signal)
    } catch (error) {
      signal.throwIfAborted()
      this.#problem(error instanceof Error ? error.message : String(error))
    }
    await this.#reportStatus(signal)
    return {
      callSid: this.callSid,
      script: this.#options.script.script,
      recording: this.#recording,
      steps: this.#steps,
      clears: this.#clears,
      arrivals: this.#arrivals,
      problems: this.#problems,
      verbs: this.#verbs,
      end,
      answeredInMs: this.#answeredInMs,
      worstLateMs: this.#worstLateMs,
      framesSent: this.#framesSent,
    }
  }

  /** Runs the verbs one after the other, as the carrier does. */
  async #follow(signal: AbortSignal): Promise<CallEnd> {
    const { clock, target } = this.#options
    const dialledAt = clock.now()
    let verbs = await this.#ask(new URL('/twilio/voice', target).href, { CallStatus: 'ringing' }, signal)
    this.#answeredInMs = clock.now() - dialledAt
    let end: CallEnd = 'agent-hung-up'
    for (let followed = 0; followed < MOST_VERBS_FOLLOWED; followed += 1) {
      const verb = verbs.shift()
      if (verb === undefined) return end
      this.#verbs.push(verb)
      switch (verb.verb) {
        case 'connect-stream': {
          const stream = await this.#stream(verb, signal)
          if (stream.by === 'caller') return 'caller-hung-up'
          if (stream.closeCode !== 1000) this.#problem(`31924 the server closed the stream with code ${stream.closeCode}`)
          if (verb.action !== null) verbs = await this.#ask(verb.action, { CallStatus: 'in-progress' }, signal)
          break
        }
        case 'redirect':
          verbs = await this.#ask(verb.url, { CallStatus: 'in-progress' }, signal)
          break
        case 'dial':
          end = 'transferred'
          if (verb.action === null) return end
          verbs = await this.#ask(verb.action, { CallStatus: 'in-progress', DialCallStatus: 'completed', DialCallDuration: '20' }, signal)
          break
        case 'record':
          end = 'voicemail'
          if (verb.action === null) return end
          verbs = await this.#ask(
            verb.action,
            { CallStatus: 'in-progress', RecordingSid: `RE${randomBytes(16).toString('hex')}`, RecordingUrl: 'https://example.com/recording', RecordingDuration: '5' },
            signal,
          )
          break
        case 'hang-up':
          return end
        case 'pause':
          await clock.sleep(Math.min(verb.seconds * 1000, LONGEST_CALL_MS), signal)
          break
        case 'say':
          break
      }
    }
    this.#problem(`more than ${MOST_VERBS_FOLLOWED} verbs: the call goes round in a circle`)
    return 'failed'
  }

  async #stream(verb: Extract<TwimlVerb, { verb: 'connect-stream' }>, signal: AbortSignal): Promise<StreamEnd> {
    const { clock, transport } = this.#options
    const streamSid = `MZ${randomBytes(16).toString('hex')}`
    this.#epoch ??= clock.now()
    await this.#streamStatus(verb.statusCallback, streamSid, 'stream-started', signal)
    // The webhook before the stream takes its time; the call's clock starts with the first stream.
    if (this.#framesSent === 0) this.#epoch = clock.now()
    const end = await runCallerStream(
      {
        clock,
        transport,
        url: verb.url,
        identity: { streamSid, callSid: this.callSid, accountSid: this.#accountSid, parameters: verb.parameters },
        epoch: this.#epoch,
        observer: {
          agentPlayed: (samples, atSample) => this.#hear(samples, atSample),
          mediaArrived: (atMs, durationMs) => this.#arrivals.push({ atMs, durationMs }),
          cleared: (atMs, droppedMs) => this.#clears.push({ atMs, droppedMs, arrivalsBefore: this.#arrivals.length }),
          problem: (atMs, problem) => this.#problem(`${(atMs / 1000).toFixed(2)} s: ${problem}`),
          sentLate: (lateMs) => {
            this.#worstLateMs = Math.max(this.#worstLateMs, lateMs)
          },
        },
        tick: (nowMs, playoutEmpty) => this.#tick(nowMs, playoutEmpty),
      },
      signal,
    )
    await this.#streamStatus(verb.statusCallback, streamSid, 'stream-stopped', signal)
    return end
  }

  #tick(nowMs: number, playoutEmpty: boolean): ReturnType<CallerTick> {
    const ear = { agentOnsetMs: this.#agentOnsetMs, agentLastAudibleMs: this.#agentLastAudibleMs, playoutEmpty }
    const act = nowMs > LONGEST_CALL_MS ? ({ kind: 'hang-up' } as const) : this.#runner.tick(nowMs, ear, (step) => this.#durationMs(step))
    const atSample = this.#framesSent * FRAME_SAMPLES
    if (act?.kind === 'hang-up') return { samples: EMPTY_FRAME, digit: null, hangUp: true }
    if (act !== null) this.#begin(act.index, act.step, nowMs)
    const samples = this.#nextFrame(atSample)
    // What was said between two ticks lies before the later one.
    this.#recording.writeCaller(samples, Math.round(((nowMs * SAMPLE_RATE_HZ) / 1000) - FRAME_SAMPLES))
    this.#framesSent += 1
    return { samples, digit: this.#nextKey(nowMs), hangUp: false }
  }

  #begin(index: number, step: ScriptStep, nowMs: number): void {
    const startMs = nowMs - (FRAME_SAMPLES * 1000) / SAMPLE_RATE_HZ
    const clip = this.#clipOf(step)
    if (clip !== null) {
      const factor = step.do === 'say' || step.do === 'noise' ? 10 ** (step.gainDb / 20) : 1
      this.#speaking = { samples: clip.samples.map((sample) => Math.max(-32768, Math.min(32767, sample * factor))), offset: 0 }
    }
    if (step.do === 'press') this.#keys = { digits: step.digits, nextAtMs: nowMs }
    const first = clip?.spans[0] ?? null
    const last = clip?.spans.at(-1) ?? null
    this.#steps.push({
      index,
      step,
      startMs,
      endMs: startMs + this.#durationMs(step),
      voicedStartMs: first === null ? null : startMs + first.startMs,
      voicedEndMs: last === null ? null : startMs + last.endMs,
    })
  }

  #nextFrame(atSample: number): Int16Array {
    const start = atSample % NOISE_LOOP_SAMPLES
    const frame = this.#noise.slice(start, start + FRAME_SAMPLES)
    if (this.#speaking === null) return frame
    // Recordings carry the noise of their line already.
    frame.set(this.#speaking.samples.subarray(this.#speaking.offset, this.#speaking.offset + FRAME_SAMPLES))
    this.#speaking.offset += FRAME_SAMPLES
    if (this.#speaking.offset >= this.#speaking.samples.length) this.#speaking = null
    return frame
  }

  #nextKey(nowMs: number): string | null {
    if (this.#keys === null || nowMs < this.#keys.nextAtMs) return null
    const digit = this.#keys.digits.charAt(0)
    const rest = this.#keys.digits.slice(1)
    this.#keys = rest === '' ? null : { digits: rest, nextAtMs: nowMs + KEY_MS }
    return digit
  }

  #hear(samples: Int16Array, atSample: number): void {
    this.#recording.writeAgent(samples, atSample)
    if (loudnessDb(samples) < AGENT_AUDIBLE_DB) return
    const atMs = (atSample * 1000) / SAMPLE_RATE_HZ
    if (this.#agentLastAudibleMs === null || atMs - this.#agentLastAudibleMs > AGENT_PAUSE_MS) this.#agentOnsetMs = atMs
    this.#agentLastAudibleMs = atMs + (samples.length * 1000) / SAMPLE_RATE_HZ
  }

  #durationMs(step: ScriptStep): number {
    if (step.do === 'stay-silent') return step.durationMs
    if (step.do === 'press') return step.digits.length * KEY_MS
    return clipMs(step, this.#clipOf(step))
  }

  #clipOf(step: ScriptStep): Clip | null {
    return step.do === 'say' || step.do === 'noise' ? (this.#options.script.clips.get(step.wav) ?? null) : null
  }

  async #ask(url: string, fields: Readonly<Record<string, string>>, signal: AbortSignal): Promise<TwimlVerb[]> {
    const answer = await this.#post(url, fields, signal)
    if (answer.status !== 200) throw new Error(`11200 ${url} answered ${answer.status}: ${answer.body.slice(0, 200)}`)
    if (!/^(text|application)\/xml/.test(answer.contentType)) throw new Error(`12300 ${url} answered "${answer.contentType}", TwiML is text/xml`)
    return readTwiml(answer.body, url)
  }

  #post(url: string, fields: Readonly<Record<string, string>>, signal: AbortSignal): Promise<WebhookAnswer> {
    const { script } = this.#options.script
    const common = { AccountSid: this.#accountSid, CallSid: this.callSid, From: script.from, To: script.to, Direction: 'inbound', ApiVersion: '2010-04-01' }
    return this.#options.transport.post(url, { ...common, ...fields }, signal)
  }

  async #streamStatus(url: string | null, streamSid: string, event: string, signal: AbortSignal): Promise<void> {
    if (url === null) return
    await this.#notify(url, { StreamSid: streamSid, StreamEvent: event, Timestamp: this.#options.clock.wallTime().toISOString() }, signal)
  }

  async #reportStatus(signal: AbortSignal): Promise<void> {
    const seconds = this.#epoch === null ? 0 : Math.round((this.#options.clock.now() - this.#epoch) / 1000)
    await this.#notify(new URL('/twilio/status', this.#options.target).href, { CallStatus: 'completed', CallDuration: String(seconds) }, signal)
  }

  async #notify(url: string, fields: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void> {
    try {
      const answer = await this.#post(url, fields, signal)
      if (answer.status >= 300) this.#problem(`15003 ${url} answered ${answer.status}`)
    } catch (error) {
      signal.throwIfAborted()
      this.#problem(`15003 ${url}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  #problem(problem: string): void {
    if (this.#problems.length < MOST_PROBLEMS) this.#problems.push(problem)
  }
}

/** A caller has spoken when the voice ends: a recording may go on in silence, and the agent answer into it. */
function clipMs(step: ScriptStep, clip: Clip | null): number {
  if (clip === null) return 0
  const voiceMs = step.do === 'say' ? clip.spans.at(-1)?.endMs : undefined
  return voiceMs ?? (clip.samples.length * 1000) / SAMPLE_RATE_HZ
}

const EMPTY_FRAME = new Int16Array(FRAME_SAMPLES)
