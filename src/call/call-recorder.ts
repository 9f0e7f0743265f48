import { FRAME_MS, type AudioFrame } from '../audio/frame.ts'
import { MULAW_SILENCE } from '../audio/g711.ts'
import type { Clock } from '../core/clock.ts'
import { uuidv7 } from '../core/ids.ts'
import type { SpeakableText } from '../core/speakable-text.ts'
import { RECORDING_BYTES_PER_MS, type RecordingEnd, type RecordingSink, type RecordingStore, type SilencedBecause } from './recording.ts'
import { refusesRecording } from './recording-policy.ts'
import { RecordingTape } from './recording-tape.ts'

export type CallRecorderDeps = Readonly<{
  clock: Clock
  store: RecordingStore
  call: Readonly<{ companyId: string; callSid: string; from: string; to: string }>
  /** What the caller has to hear before anything is kept. */
  notice: SpeakableText
  /** The disk would not take it; the call goes on. */
  onFailure: (error: unknown) => void
}>

/** That somebody reads out a card number is known when its words are recognised: until then their sound is in memory only. */
const HOLD_BACK_MS = 5000
/** One write a second and call: 16 KB. */
const WRITE_MS = 1000
/** What a disk that stands still may pile up in memory for one call: 20 s, 320 KB. Later sound is lost, and said to be. */
const MAX_UNWRITTEN_MS = 20_000
/** Keys are pressed a second or two apart. */
const KEYS_MS = 2500
/** Enough for a call of every kind; further stretches are added to the last one. */
const MAX_SILENCED = 200

type State = 'unannounced' | 'recording' | 'declined' | 'over'
type Silenced = { fromMs: number; toMs: number; because: SilencedBecause }

/**
 * Records one stream of a call, once the caller has heard that it does. Card numbers, keys and everything after "don't record me" are
 * not kept: what is still held back is silenced before it is written, what is already on the disk is written over. Never throws, never
 * waits: writing is asynchronous, one write at a time, with a bound on what may wait for it.
 */
export class CallRecorder {
  readonly #deps: CallRecorderDeps
  readonly #tape = new RecordingTape()
  #state: State = 'unannounced'
  /** Where the recording begins on the media clock; frames before it are not kept. */
  #startMs = 0
  /** Read from the tape, not yet due to be written. In order, without gaps. */
  #held: Uint8Array[] = []
  #heldBytes = 0
  /** Audio handed to the writer so far, in bytes: where the first held block goes. */
  #handed = 0
  #unwrittenBytes = 0
  #writes: Promise<void> = Promise.resolve()
  #sink: RecordingSink | null = null
  #failed = false
  #privateSince: number | null = null
  #keysUntilMs = -Infinity
  readonly #silenced: Silenced[] = []
  /** Places without sound, to be filled with silence when the disk takes something again. */
  readonly #owed: { from: number; to: number }[] = []

  constructor(deps: CallRecorderDeps) {
    this.#deps = deps
  }

  /** What has to be said before the recording may begin; null once it was heard, or where nobody wants it any more. */
  get notice(): SpeakableText | null {
    return this.#state === 'unannounced' ? this.#deps.notice : null
  }

  /** The carrier has played the notice to its end. `atMs`: now, on the media clock. */
  noticeHeard(atMs: number): void {
    if (this.#state !== 'unannounced') return
    this.#state = 'recording'
    this.#startMs = atMs
    const { clock, store, call, notice } = this.#deps
    const wallTime = clock.wallTime()
    const facts = { id: uuidv7(wallTime), ...call, startedAt: wallTime.toISOString(), notice }
    this.#then(async () => {
      this.#sink = await store.create(call.companyId, facts)
    })
  }

  /** One frame of the agent on its way to the carrier. */
  agent(mulaw: Uint8Array, heardAtMs: number): void {
    if (this.#state === 'unannounced' || this.#state === 'recording') this.#tape.agent(mulaw, heardAtMs)
  }

  /** What the carrier holds was dropped at `atMs`: it was not heard. */
  cut(atMs: number): void {
    this.#tape.cut(atMs)
  }

  caller(frame: Pick<AudioFrame, 'mulaw' | 'mediaMs'>): void {
    if (this.#state !== 'unannounced' && this.#state !== 'recording') return
    const read = this.#tape.caller(frame)
    if (this.#state === 'unannounced' || frame.mediaMs < this.#startMs) return
    const isFirst = this.#positionMs === 0
    // A hole in front of the first frame reaches back to before the notice.
    const stereo = isFirst ? read.subarray(-frame.mulaw.length * 2) : read
    if (isFirst) this.#startMs = frame.mediaMs
    const because = this.#privateSince !== null ? 'private' : frame.mediaMs < this.#keysUntilMs ? 'keys' : null
    if (because !== null) {
      stereo.fill(MULAW_SILENCE)
      this.#noteSilenced(this.#positionMs, this.#positionMs + stereo.length / RECORDING_BYTES_PER_MS, because)
    }
    this.#held.push(stereo)
    this.#heldBytes += stereo.length
    if (this.#heldBytes >= (HOLD_BACK_MS + WRITE_MS) * RECORDING_BYTES_PER_MS) this.#handOver(this.#heldBytes - HOLD_BACK_MS * RECORDING_BYTES_PER_MS)
  }

  /** What was just recognised, private parts taken out. `isPrivate`: it, or what is likely to come, must not be kept. `fromMs`: where the utterance began. */
  words(text: string, isPrivate: boolean, fromMs: number): void {
    if (this.#state !== 'unannounced' && this.#state !== 'recording') return
    if (refusesRecording(text)) {
      this.#decline()
      return
    }
    if (!isPrivate) {
      this.#privateSince = null
      return
    }
    if (this.#privateSince === null || fromMs < this.#privateSince) {
      this.#privateSince = fromMs
      this.#silenceFrom(fromMs, 'private')
    }
  }

  /** A key was pressed: its tone may be in the sound. */
  key(atMs: number): void {
    if (this.#state !== 'unannounced' && this.#state !== 'recording') return
    this.#keysUntilMs = atMs + KEYS_MS
    this.#silenceFrom(atMs - FRAME_MS * 10, 'keys')
  }

  /** Writes what is left; settles once it is on the disk. Idempotent. */
  async close(): Promise<void> {
    if (this.#state === 'recording') this.#finish('call')
    this.#state = this.#state === 'declined' ? 'declined' : 'over'
    await this.#writes
  }

  #decline(): void {
    const recorded = this.#state === 'recording'
    this.#state = 'declined'
    if (recorded) this.#finish('declined')
  }

  #finish(endedBy: RecordingEnd['endedBy']): void {
    this.#handOver(this.#heldBytes)
    const end: RecordingEnd = { endedAt: this.#deps.clock.wallTime().toISOString(), endedBy, silenced: this.#silenced }
    this.#then(async () => {
      await this.#writeOwed()
      await this.#sink?.finish({ ...end, endedBy: this.#failed ? 'failed' : endedBy })
    })
  }

  /** Where the next block goes, from the first sample. */
  get #positionMs(): number {
    return (this.#handed + this.#heldBytes) / RECORDING_BYTES_PER_MS
  }

  /** Everything from `fromMs` of the media clock until now, on both sides: the agent may have read it back. */
  #silenceFrom(fromMs: number, because: SilencedBecause): void {
    if (this.#state !== 'recording') return
    const fromByte = Math.max(0, Math.floor(fromMs - this.#startMs)) * RECORDING_BYTES_PER_MS
    const end = this.#handed + this.#heldBytes
    if (fromByte >= end) return
    this.#noteSilenced(fromByte / RECORDING_BYTES_PER_MS, end / RECORDING_BYTES_PER_MS, because)
    let at = this.#handed
    for (const block of this.#held) {
      block.fill(MULAW_SILENCE, Math.min(block.length, Math.max(0, fromByte - at)))
      at += block.length
    }
    if (fromByte < this.#handed) this.#writeSilence(fromByte, this.#handed)
  }

  #handOver(bytes: number): void {
    const blocks: Uint8Array[] = []
    let taken = 0
    while (taken < bytes) {
      const block = this.#held.shift()
      if (block === undefined) break
      blocks.push(block)
      taken += block.length
    }
    this.#heldBytes -= taken
    const at = this.#handed
    this.#handed += taken
    if (taken === 0) return
    if (this.#unwrittenBytes + taken > MAX_UNWRITTEN_MS * RECORDING_BYTES_PER_MS) {
      // Its place stays, so that what comes after keeps its time.
      this.#noteSilenced(at / RECORDING_BYTES_PER_MS, (at + taken) / RECORDING_BYTES_PER_MS, 'disk')
      this.#owed.push({ from: at, to: at + taken })
      return
    }
    const joined = Buffer.concat(blocks)
    this.#unwrittenBytes += taken
    this.#then(async () => {
      this.#unwrittenBytes -= taken
      await this.#sink?.write(at, joined)
    })
  }

  async #writeOwed(): Promise<void> {
    for (const { from, to } of this.#owed.splice(0)) await this.#fill(from, to)
  }

  #writeSilence(fromByte: number, toByte: number): void {
    this.#then(() => this.#fill(fromByte, toByte))
  }

  async #fill(fromByte: number, toByte: number): Promise<void> {
    for (let at = fromByte; at < toByte; at += SILENCE.length) await this.#sink?.write(at, SILENCE.subarray(0, Math.min(SILENCE.length, toByte - at)))
  }

  /** One write after another; the first that fails ends the recording, not the call. */
  #then(write: () => Promise<void>): void {
    this.#writes = this.#writes.then(async () => {
      if (this.#failed) return
      try {
        await write()
      } catch (error) {
        this.#failed = true
        if (this.#state === 'recording') this.#state = 'over'
        this.#held = []
        this.#heldBytes = 0
        this.#deps.onFailure(error)
        await this.#sink?.finish({ endedAt: this.#deps.clock.wallTime().toISOString(), endedBy: 'failed', silenced: this.#silenced }).catch(() => undefined)
      }
    })
  }

  #noteSilenced(fromMs: number, toMs: number, because: SilencedBecause): void {
    const last = this.#silenced.at(-1)
    const joins = last !== undefined && last.because === because && fromMs <= last.toMs && toMs >= last.fromMs
    if (last !== undefined && (joins || this.#silenced.length >= MAX_SILENCED)) {
      last.fromMs = Math.min(last.fromMs, fromMs)
      last.toMs = Math.max(last.toMs, toMs)
    } else this.#silenced.push({ fromMs, toMs, because })
  }
}

const SILENCE = new Uint8Array(64 * 1024).fill(MULAW_SILENCE)
