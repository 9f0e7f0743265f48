import { parentPort, workerData } from 'node:worker_threads'
import type { StopRequest } from '../core/stop-worker.ts'
import { resample } from '../audio/resample.ts'
import type { Reading } from '../core/reading.ts'
import { ANYTHING, Listener, type ListenFor } from './listener.ts'
import { DecodeCancelled, MoonshineModel } from './moonshine-model.ts'

export type MoonshineRequest =
  /** 8 kHz speech, trimmed to where the voice is; `tailPadMs` of faint noise is put behind it. */
  | Readonly<{ kind: 'decode'; id: number; samples: Int16Array; tailPadMs: number; listenFor: ListenFor }>
  | Readonly<{ kind: 'cancel'; id: number }>
  | StopRequest
export type MoonshineReply =
  | Readonly<{ kind: 'ready'; decoder: 'split' | 'merged' }>
  | Readonly<{ kind: 'decoded'; id: number; text: string; reading: Reading | null; steps: number }>
  | Readonly<{ kind: 'cancelled'; id: number }>
export type MoonshineWorkerData = Readonly<{ cacheDir: string | null }>

const PHONE_HZ = 8000
const MODEL_HZ = 16000
const SHORTEST_SAMPLES = MODEL_HZ
const PAD_NOISE = 0.001

if (parentPort === null) throw new Error('moonshine-worker runs as a worker thread')
const port = parentPort
const { cacheDir } = workerData as MoonshineWorkerData
const model = await MoonshineModel.load(cacheDir)
const listener = new Listener(model)
let cancelledId = -1

port.on('message', (request: MoonshineRequest) => {
  // Messages are read between two native steps, so nothing native is under way here.
  if (request.kind === 'stop') process.exit(0)
  if (request.kind === 'cancel') cancelledId = request.id
  // A failing run rejects, is not caught, and ends the worker: the pool starts another one and asks again once.
  else void decode(request)
})
// The first run allocates the arena; a caller should not pay for it.
await listener.hear(toModel(new Int16Array(8000), 0), ANYTHING, () => false)
answer({ kind: 'ready', decoder: model.decoderKind })

async function decode(request: Extract<MoonshineRequest, { kind: 'decode' }>): Promise<void> {
  try {
    const { text, reading, steps } = await listener.hear(toModel(request.samples, request.tailPadMs), request.listenFor, () => cancelledId === request.id)
    answer({ kind: 'decoded', id: request.id, text, reading, steps })
  } catch (error) {
    if (!(error instanceof DecodeCancelled)) throw error
    answer({ kind: 'cancelled', id: request.id })
  }
}

function answer(reply: MoonshineReply): void {
  port.postMessage(reply)
}

/** Isolated words below a second are heard far better with faint noise around them (77 -> 89 % of single digits); longer speech is not. */
function toModel(samples: Int16Array, tailPadMs: number): Float32Array {
  const tail = Math.round((tailPadMs * MODEL_HZ) / 1000)
  const speech = resample(samples, PHONE_HZ, MODEL_HZ)
  const missing = Math.max(0, SHORTEST_SAMPLES - speech.length - tail)
  const lead = missing >> 1
  const padded = new Float32Array(lead + speech.length + tail + (missing - lead))
  // A fixed sequence: the same audio must give the same text on every day.
  let noise = 1
  for (let i = 0; i < padded.length; i += 1) {
    noise = Math.imul(noise, 48271) & 0x7fffffff
    const inSpeech = i >= lead && i < lead + speech.length
    padded[i] = inSpeech ? (speech[i - lead] as number) / 32768 : (noise / 0x40000000 - 1) * PAD_NOISE
  }
  return padded
}
