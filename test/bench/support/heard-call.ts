import { FRAME_SAMPLES } from '../../../src/audio/frame.ts'
import { newVoiceState, SileroModel, WINDOW_MS, WINDOW_SAMPLES } from '../../../src/audio/silero-model.ts'
import type { VoiceActivityEngine, VoiceActivitySession, VoiceProbability } from '../../../src/audio/voice-activity.ts'
import { SystemClock } from '../../../src/core/clock.ts'
import { EmbeddedSession } from '../../../src/transcription/embedded-session.ts'
import { MoonshinePool, type DecodeHandle, type DecodePool, type DecodeRequest, type DecodeResult } from '../../../src/transcription/moonshine-pool.ts'
import type { Transcriber, TranscriberOptions, TranscriptionSession } from '../../../src/transcription/transcriber.ts'
import { settle, VirtualClock } from '../../support/virtual-clock.ts'

/** What a decode takes on one quiet core: the encoder by the length of the audio, the beam by its words. */
const DECODE_MS = 70
const DECODE_MS_PER_SECOND = 25

/** Work of real engines that virtual time stands still for. */
class Workload {
  readonly #underWay = new Set<Promise<unknown>>()

  add(work: Promise<unknown>): void {
    this.#underWay.add(work)
    void work.finally(() => this.#underWay.delete(work)).catch(() => undefined)
  }

  readonly settled = async (): Promise<void> => {
    await settle()
    while (this.#underWay.size > 0) {
      await Promise.allSettled(this.#underWay)
      await settle()
    }
  }
}

/** The voice detector and the recogniser that come along, real, on a clock that waits for them: a call hears the same on a busy machine as on a quiet one. */
export class HeardEngines {
  readonly #workload = new Workload()
  readonly #pool: MoonshinePool
  readonly #voiceModel: SileroModel
  /** Told every decode, for a closer look at what was misheard. */
  onDecode: (request: DecodeRequest, result: DecodeResult) => void = () => undefined

  private constructor(pool: MoonshinePool, voiceModel: SileroModel) {
    this.#pool = pool
    this.#voiceModel = voiceModel
  }

  static async open(modelCacheDir: string): Promise<HeardEngines> {
    const pool = new MoonshinePool(new SystemClock(), 1, modelCacheDir)
    await pool.warm(new AbortController().signal)
    return new HeardEngines(pool, await SileroModel.load())
  }

  clock(wallTime?: Date): VirtualClock {
    return new VirtualClock(wallTime, this.#workload.settled)
  }

  voiceActivity(): VoiceActivityEngine {
    return { open: (onProbability) => this.#openVoice(onProbability), close: async () => undefined }
  }

  transcriber(clock: VirtualClock): Transcriber {
    const pool: DecodePool = { hasRoomForPartial: false, decode: (request, onResult) => this.#decode(clock, request, onResult) }
    return { name: 'embedded-moonshine', open: (options: TranscriberOptions, signal: AbortSignal): TranscriptionSession => new EmbeddedSession(pool, options.vocabulary, signal) }
  }

  close(): Promise<void> {
    return this.#pool.close()
  }

  #openVoice(onProbability: (voice: VoiceProbability) => void): VoiceActivitySession {
    const state = newVoiceState()
    const window = new Int16Array(WINDOW_SAMPLES)
    let filled = 0
    let windows = 0
    let last: Promise<void> = Promise.resolve()
    return {
      push: ({ samples }) => {
        for (let at = 0; at < FRAME_SAMPLES; at++) {
          window[filled++] = samples[at] as number
          if (filled < WINDOW_SAMPLES) continue
          filled = 0
          const mediaMs = ++windows * WINDOW_MS
          const judged = window.slice()
          last = last.then(async () => {
            const [probability] = await this.#voiceModel.probabilities([judged], [state])
            onProbability({ mediaMs, probability: probability ?? 0 })
          })
          this.#workload.add(last)
        }
      },
      close: () => undefined,
    }
  }

  /** The real decode begins when its result is due: what was withdrawn by then costs nothing. */
  #decode(clock: VirtualClock, request: DecodeRequest, onResult: (result: DecodeResult) => void): DecodeHandle {
    let withdrawn = false
    const takesMs = DECODE_MS + (request.samples.length / 8000) * DECODE_MS_PER_SECOND
    void clock.sleep(takesMs).then(() => {
      if (withdrawn) {
        onResult({ outcome: 'dropped' })
        return
      }
      this.#workload.add(
        new Promise<void>((resolve) => {
          this.#pool.decode({ ...request, urgency: 'final' }, (result) => {
            this.onDecode(request, result)
            onResult(result)
            resolve()
          })
        }),
      )
    })
    return {
      withdraw: () => {
        withdrawn = true
      },
    }
  }
}
