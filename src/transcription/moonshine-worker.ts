import { parentPort, workerData } from 'node:worker_threads'
import type { StopRequest } from '../core/stop-worker.ts'
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
await listener.hear({ samples: new Int16Array(8000), tailPadMs: 0 }, ANYTHING, () => false)
answer({ kind: 'ready', decoder: model.decoderKind })

async function decode(request: Extract<MoonshineRequest, { kind: 'decode' }>): Promise<void> {
  try {
    const { text, reading, steps } = await listener.hear(request, request.listenFor, () => cancelledId === request.id)
    answer({ kind: 'decoded', id: request.id, text, reading, steps })
  } catch (error) {
    if (!(error instanceof DecodeCancelled)) throw error
    answer({ kind: 'cancelled', id: request.id })
  }
}

function answer(reply: MoonshineReply): void {
  port.postMessage(reply)
}
