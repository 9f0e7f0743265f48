import { encodeMulaw } from '../audio/g711.ts'
import { StreamingResampler } from '../audio/resample.ts'
import { ClientsViaError } from '../core/errors.ts'
import type { SpeakableText } from '../core/speakable-text.ts'
import { openAiClient } from '../engines/openai-client.ts'
import { foreignFormat, SNIFF_BYTES } from './audio-sniffing.ts'
import type { PrioritySynthesizer } from './speaking.ts'
import type { Voice } from './synthesizer.ts'

/** To the first byte; the sentence's own deadline is shorter and cuts in first. */
const HEADERS_WITHIN_MS = 5000
const SOURCE_HZ = 24_000
const TELEPHONE_HZ = 8000

/** OpenAI's speech, or a server that speaks the same protocol: 24 kHz PCM in, telephone audio out, as it arrives. */
export class OpenAiSynthesizer implements PrioritySynthesizer {
  readonly name: string
  readonly #openai: ReturnType<typeof openAiClient>
  readonly #model: string

  constructor(options: Readonly<{ apiKey: string | null; baseUrl: string | null; model: string }>) {
    this.name = `openai ${options.model}`
    this.#model = options.model
    this.#openai = openAiClient(options, HEADERS_WITHIN_MS)
  }

  async *synthesize(text: SpeakableText, voice: Voice, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    signal.throwIfAborted()
    const speed = voice.speed === 1 ? {} : { speed: voice.speed }
    const response = await this.#openai.client.audio.speech.create({ model: this.#model, voice: voice.id, input: text, response_format: 'pcm', ...speed }, { signal })
    if (response.body === null) throw new ClientsViaError('ENGINE_FAILED', 'the voice sent no audio')
    const telephone = new TelephoneStream(this.name)
    for await (const bytes of response.body) {
      const mulaw = telephone.push(bytes)
      if (mulaw.length > 0) yield mulaw
    }
    // An aborted body ends without an error.
    signal.throwIfAborted()
    yield telephone.flush()
  }

  close(): Promise<void> {
    return this.#openai.close()
  }
}

/** 16-bit samples in pieces that may end in the middle of one, made into µ-law. Throws ENGINE_FAILED for what is no bare PCM. */
class TelephoneStream {
  readonly #engine: string
  readonly #resampler = new StreamingResampler(SOURCE_HZ, TELEPHONE_HZ)
  #head: Buffer | null = Buffer.alloc(0)
  #odd: Buffer = Buffer.alloc(0)

  constructor(engine: string) {
    this.#engine = engine
  }

  push(bytes: Uint8Array): Uint8Array {
    if (this.#head === null) return this.#convert(Buffer.from(bytes))
    this.#head = Buffer.concat([this.#head, bytes])
    if (this.#head.length < SNIFF_BYTES) return new Uint8Array(0)
    return this.#convert(this.#judgedHead(this.#head))
  }

  flush(): Uint8Array {
    const head = this.#head === null ? new Uint8Array(0) : this.#convert(this.#judgedHead(this.#head))
    return Buffer.concat([head, encodeMulaw(this.#resampler.flush())])
  }

  #judgedHead(head: Buffer): Buffer {
    this.#head = null
    const format = foreignFormat(head)
    if (format !== null) throw new ClientsViaError('ENGINE_FAILED', `${this.#engine} sent ${format} instead of PCM`)
    return head
  }

  #convert(bytes: Buffer): Uint8Array {
    const whole = this.#odd.length === 0 ? bytes : Buffer.concat([this.#odd, bytes])
    const samples = new Int16Array(whole.length >> 1)
    for (let i = 0; i < samples.length; i += 1) samples[i] = whole.readInt16LE(i * 2)
    this.#odd = whole.subarray(samples.length * 2)
    return encodeMulaw(this.#resampler.push(samples))
  }
}
