import type { ServerResponse } from 'node:http'
import { z } from 'zod'
import { VendorServer, faultyPieces, type Fault, type VendorRequest } from './faults.ts'

const recordSchema = z.object({ id: z.string(), values: z.array(z.number()), metadata: z.record(z.string(), z.unknown()).default({}) })
type StoredRecord = z.infer<typeof recordSchema>

const filterSchema = z.record(z.string(), z.object({ $eq: z.unknown() })).default({})
const querySchema = z.looseObject({ namespace: z.string(), topK: z.number(), vector: z.array(z.number()), includeMetadata: z.boolean().default(false), filter: filterSchema })
const upsertSchema = z.looseObject({ namespace: z.string(), vectors: z.array(recordSchema) })
const deleteSchema = z.looseObject({ namespace: z.string(), ids: z.array(z.string()).optional(), deleteAll: z.boolean().optional() })

/** Pinecone's data plane on loopback: query, upsert, delete, list and describe, with namespaces that are kept apart. */
export class PineconeStandIn {
  queryMs = 0
  /** Answers from this namespace whatever was asked: a vendor, or a proxy, that mixes tenants up. */
  leaksFrom: string | null = null
  readonly namespaces = new Map<string, Map<string, StoredRecord>>()
  queries = 0
  #server!: VendorServer

  static async start(): Promise<PineconeStandIn> {
    const standIn = new PineconeStandIn()
    standIn.#server = await VendorServer.start({
      http: (request, response, signal) => standIn.#serve(request, response, signal),
      errorBody: (status) => ({ code: 2, message: `status ${status}`, details: [] }),
    })
    return standIn
  }

  get host(): string {
    return this.#server.url
  }

  fail(fault: Fault | null): Promise<void> {
    return this.#server.fail(fault)
  }

  stop(): Promise<void> {
    return this.#server.stop()
  }

  idsOf(namespace: string): string[] {
    return [...(this.namespaces.get(namespace)?.keys() ?? [])].sort()
  }

  async #serve(request: VendorRequest, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const whole = JSON.stringify(this.#answer(request))
    response.writeHead(200, { 'content-type': 'application/json' })
    const half = Math.floor(whole.length / 2)
    const timing = { firstAfterMs: request.path === '/query' ? this.queryMs : 0, eachAfterMs: 0 }
    for await (const piece of faultyPieces([whole.slice(0, half), whole.slice(half)], timing, () => this.#server.fault, () => '<html>', signal)) response.write(piece)
    response.end()
  }

  #answer(request: VendorRequest): unknown {
    const body: unknown = request.body.length === 0 ? {} : JSON.parse(request.body.toString('utf8'))
    switch (request.path) {
      case '/query': {
        const { namespace, topK, vector, includeMetadata, filter } = querySchema.parse(body)
        this.queries += 1
        const records = [...(this.namespaces.get(this.leaksFrom ?? namespace)?.values() ?? [])]
        const fits = (record: StoredRecord): boolean => this.leaksFrom !== null || Object.entries(filter).every(([field, { $eq }]) => record.metadata[field] === $eq)
        const matches = records
          .filter(fits)
          .map((record) => ({ id: record.id, score: cosine(record.values, vector), ...(includeMetadata ? { metadata: record.metadata } : {}) }))
          .sort((a, b) => b.score - a.score)
          .slice(0, topK)
        return { matches, namespace, usage: { readUnits: 1 } }
      }
      case '/vectors/upsert': {
        const { namespace, vectors } = upsertSchema.parse(body)
        const kept = this.namespaces.get(namespace) ?? new Map<string, StoredRecord>()
        this.namespaces.set(namespace, kept)
        for (const record of vectors) kept.set(record.id, record)
        return { upsertedCount: vectors.length }
      }
      case '/vectors/delete': {
        const { namespace, ids, deleteAll } = deleteSchema.parse(body)
        if (deleteAll === true) this.namespaces.delete(namespace)
        for (const id of ids ?? []) this.namespaces.get(namespace)?.delete(id)
        return {}
      }
      case '/vectors/list': {
        const ids = this.idsOf(request.query.get('namespace') ?? '')
        const limit = Number(request.query.get('limit') ?? '100')
        const from = Number(request.query.get('paginationToken') ?? '0')
        const page = ids.slice(from, from + limit)
        return { vectors: page.map((id) => ({ id })), ...(from + limit < ids.length ? { pagination: { next: String(from + limit) } } : {}), namespace: request.query.get('namespace') }
      }
      case '/describe_index_stats':
        return { namespaces: Object.fromEntries([...this.namespaces].map(([name, records]) => [name, { vectorCount: records.size }])), dimension: 0, indexFullness: 0, totalVectorCount: 0 }
      default:
        throw new Error(`${request.method} ${request.path} is not part of the data plane`)
    }
  }
}

function cosine(a: readonly number[], b: readonly number[]): number {
  let dot = 0
  for (let index = 0; index < a.length; index++) dot += (a[index] as number) * (b[index] as number)
  const length = Math.hypot(...a) * Math.hypot(...b)
  return length === 0 ? 0 : dot / length
}
