import type { ServerResponse } from 'node:http'
import { resample } from '../../src/audio/resample.ts'
import { tonesOf, wavHead } from './deepgram.ts'
import { faultyPieces, VendorServer, type VendorRequest } from './faults.ts'

/** A piece of a chunked answer; odd, so that samples are cut in two. */
const PIECE_BYTES = 4001

export type SpeechRequest = Readonly<{ model: string; voice: string; input: string; response_format: string; speed?: number }>

/** OpenAI's POST /v1/audio/speech with `response_format: pcm`: 24 kHz, 16 bit, in chunks as it is made. */
export class OpenAiSpeechStandIn {
  readonly server: VendorServer
  readonly requests: SpeechRequest[] = []
  readonly delays: { firstAudioMs: number; pieceMs: number }

  constructor(delays: Readonly<{ firstAudioMs: number; pieceMs: number }> = { firstAudioMs: 120, pieceMs: 5 }) {
    this.delays = { ...delays }
    this.server = new VendorServer({
      http: (request, response, signal) => this.answer(request, response, signal),
      errorBody: (status) => ({ error: { message: `status ${status}`, type: 'invalid_request_error', code: null, param: null } }),
    })
  }

  static async start(): Promise<OpenAiSpeechStandIn> {
    const vendor = new OpenAiSpeechStandIn()
    await vendor.server.listen()
    return vendor
  }

  get baseUrl(): string {
    return `${this.server.url}/v1`
  }

  stop(): Promise<void> {
    return this.server.stop()
  }

  /** Also for a stand-in of the whole vendor that has this as one of its paths. */
  async answer(request: VendorRequest, response: ServerResponse, signal: AbortSignal): Promise<void> {
    if (request.method !== 'POST' || request.path !== '/v1/audio/speech') return void response.writeHead(404).end()
    const asked = JSON.parse(request.body.toString()) as SpeechRequest
    this.requests.push(asked)
    const samples = resample(tonesOf(asked.input), 8000, 24_000)
    const pcm = Buffer.alloc(samples.length * 2)
    samples.forEach((sample, i) => pcm.writeInt16LE(sample, i * 2))
    const pieces = Array.from({ length: Math.ceil(pcm.length / PIECE_BYTES) }, (_, i) => pcm.subarray(i * PIECE_BYTES, (i + 1) * PIECE_BYTES))
    response.writeHead(200, { 'content-type': 'audio/pcm' })
    const timing = { firstAfterMs: this.delays.firstAudioMs, eachAfterMs: this.delays.pieceMs }
    for await (const piece of faultyPieces<Uint8Array>(pieces, timing, () => this.server.fault, wavHead, signal)) response.write(piece)
    response.end()
  }
}
