import { parentPort } from 'node:worker_threads'
import type { StopRequest } from '../core/stop-worker.ts'
import { decodeMulaw } from './g711.ts'
import { newVoiceState, SileroModel, WINDOW_SAMPLES, type VoiceState } from './silero-model.ts'

/** One window each of several calls, µ-law; `fresh` asks for a new state (first window, or a jump in the stream). */
export type VoiceRequest =
  | Readonly<{ kind: 'windows'; sessions: readonly number[]; fresh: readonly boolean[]; mulaw: Uint8Array }>
  | Readonly<{ kind: 'forget'; session: number }>
  | StopRequest
export type VoiceReply = Readonly<{ kind: 'ready' }> | Readonly<{ kind: 'probabilities'; probabilities: Float32Array }>

if (parentPort === null) throw new Error('silero-worker runs as a worker thread')
const port = parentPort
const model = await SileroModel.load()
const states = new Map<number, VoiceState>()

port.on('message', (request: VoiceRequest) => {
  // Read between two native runs, so nothing native is under way here.
  if (request.kind === 'stop') process.exit(0)
  if (request.kind === 'forget') {
    states.delete(request.session)
    return
  }
  const inBatch = request.sessions.map((session, i) => {
    const known = request.fresh[i] === true ? undefined : states.get(session)
    const state = known ?? newVoiceState()
    states.set(session, state)
    return state
  })
  const samples = decodeMulaw(request.mulaw)
  const windows = inBatch.map((_, i) => samples.subarray(i * WINDOW_SAMPLES, (i + 1) * WINDOW_SAMPLES))
  // A failing run rejects, is not caught, and ends the worker: the engine starts another one.
  void model.probabilities(windows, inBatch).then((probabilities) => {
    const reply: VoiceReply = { kind: 'probabilities', probabilities }
    port.postMessage(reply)
  })
})
const ready: VoiceReply = { kind: 'ready' }
port.postMessage(ready)
