import fc from 'fast-check'
import t from 'tap'
import type { Clock } from '../../src/core/clock.ts'
import { ClientsViaError } from '../../src/core/errors.ts'
import type { Embedder } from '../../src/response/embedder.ts'
import { createKnowledgeIndex, type IndexedKnowledge } from '../../src/response/knowledge.ts'
import { VectorSync, type SyncState } from '../../src/response/vector-sync.ts'
import { OpenAiEmbedder } from '../../src/storage/openai-embedder.ts'
import { PineconeIndex } from '../../src/storage/pinecone-index.ts'
import { knowledgeEntrySchema, type KnowledgeEntry } from '../../src/tenancy/knowledge-entry.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { SteadyClock } from '../support/steady-clock.ts'
import { FAULTS, clock as vendorClock } from '../vendors/faults.ts'
import { OpenAiStandIn, embeddingOf } from '../vendors/openai.ts'
import { PineconeStandIn } from '../vendors/pinecone.ts'

const clock = new SteadyClock()
vendorClock.follow(clock)
const never = new AbortController().signal
const openai = await OpenAiStandIn.start()
const pinecone = await PineconeStandIn.start()
const embedder = new OpenAiEmbedder({ apiKey: 'key-1', baseUrl: openai.baseUrl, model: 'embed-test', dimensions: 256 })
const index = new PineconeIndex({ clock, apiKey: 'key-2', host: pinecone.host })
t.teardown(async () => {
  await Promise.all([embedder.close(), index.close(), openai.stop(), pinecone.stop()])
})

const entry = (companyId: string, id: string, question: string, answer: string, callerPhrases: readonly string[] = []): KnowledgeEntry =>
  knowledgeEntrySchema.parse({ id, companyId, question, answer, callerPhrases })

/** Two companies that are asked the same and answer differently: what one says must never be heard from the other. */
const NORTH = [
  entry('north', 'parking', 'Where can visitors leave their car?', 'North canary: behind the house.', ['is there parking', 'where do I park']),
  entry('north', 'warranty', 'How long is work guaranteed?', 'North canary: two years.', ['what is your warranty']),
]
const SOUTH = [
  entry('south', 'parking', 'Where can visitors leave their car?', 'South canary: across the street.', ['is there parking', 'where do I park']),
  entry('south', 'warranty', 'How long is work guaranteed?', 'South canary: five years.', ['what is your warranty']),
]

function syncOf(knowledge: Map<string, { version: number; entries: readonly KnowledgeEntry[] }>, states = new Map<string, unknown>(), failures: unknown[] = [], signal = never, onClock: Clock = clock): VectorSync {
  return new VectorSync({
    clock: onClock,
    embedder,
    index,
    signal,
    knowledge: { listAll: async (companyId) => knowledge.get(companyId)?.entries ?? [], version: async (companyId) => knowledge.get(companyId)?.version ?? 0 },
    state: {
      get: async (companyId) => states.get(companyId) ?? null,
      put: async (companyId, state: SyncState) => void states.set(companyId, structuredClone(state)),
      delete: async (companyId) => void states.delete(companyId),
    },
    mishearings: async () => ({}),
    onFailure: (_companyId, error) => failures.push(error),
  })
}

async function knowledgeOf(companyId: string, entries: readonly KnowledgeEntry[], fallback: Embedder | null = null): Promise<IndexedKnowledge> {
  const made = createKnowledgeIndex(companyId, entries, 1, embedder, { remote: index, fallback: fallback === null ? null : { embedder: fallback, vectors: null, afterMs: 60, clock } })
  await made.ready
  return made
}

t.test('texts become vectors once, in order, at unit length', async (t) => {
  const before = openai.embeddedTexts
  const vectors = await embedder.embed(['where do I park', 'what is your warranty', 'where do I park'], never)
  t.equal(openai.embeddedTexts - before, 2, 'the same text is asked once')
  t.same([...(vectors[0] ?? [])], [...(vectors[2] ?? [])])
  t.ok(Math.abs(Math.hypot(...(vectors[1] ?? [])) - 1) < 1e-5)
  t.same([...(vectors[1] ?? [])].map((value) => value.toFixed(4)), [...embeddingOf('what is your warranty')].map((value) => value.toFixed(4)))
  await embedder.embed(['where do I park'], never)
  t.equal(openai.embeddedTexts - before, 2, 'and never again')
  const wrong = new OpenAiEmbedder({ apiKey: null, baseUrl: openai.baseUrl, model: 'embed-test', dimensions: 512 })
  t.teardown(() => wrong.close())
  await t.rejects(wrong.embed(['hello'], never), { code: 'ENGINE_FAILED', message: /256 numbers where 512/ })
})

t.test('an embedder or an index that fails says so in the words of the catalogue, in time', async (t) => {
  const inTime = (): AbortSignal => {
    const call = new AbortController()
    void clock.sleep(200).then(() => call.abort(new ClientsViaError('DEADLINE_PASSED', 'late')))
    return call.signal
  }
  for (const fault of FAULTS) {
    await Promise.all([openai.fail(fault), pinecone.fail(fault)])
    const startedAt = clock.now()
    const errors = await Promise.all([
      embedder.embed([`new words ${fault}`], inTime()).then(() => null, (error: unknown) => error),
      index.query('north', embedder.name, new Float32Array(256).fill(1), 3, never).then(() => null, (error: unknown) => error),
    ])
    for (const error of errors) {
      t.ok(error instanceof ClientsViaError, `${fault}: ${String(error)}`)
      if (error instanceof ClientsViaError) t.ok(['ENGINE_UNAVAILABLE', 'ENGINE_FAILED', 'DEADLINE_PASSED'].includes(error.code), `${fault}: ${error.code} ${error.message}`)
    }
    t.ok(clock.now() - startedAt < 800, `${fault}: ${Math.round(clock.now() - startedAt)} ms`)
    await Promise.all([openai.fail(null), pinecone.fail(null)])
  }
})

t.test('the index follows every edit of the knowledge, and only what changed is embedded', async (t) => {
  pinecone.namespaces.clear()
  const knowledge = new Map([['north', { version: 1, entries: NORTH as readonly KnowledgeEntry[] }]])
  const states = new Map<string, unknown>()
  const sync = syncOf(knowledge, states)
  sync.changed('north')
  await sync.settled()
  t.equal(pinecone.idsOf('north').length, 5)
  const before = openai.embeddedTexts
  knowledge.set('north', { version: 2, entries: [{ ...(NORTH[0] as KnowledgeEntry), callerPhrases: ['is there parking', 'may I leave my truck with you'] }] })
  sync.changed('north')
  await sync.settled()
  t.equal(openai.embeddedTexts - before, 1, 'one new phrase')
  const texts = [...(pinecone.namespaces.get('north')?.values() ?? [])].map((record) => String(record.metadata['text'])).sort()
  t.same(texts, ['Where can visitors leave their car?', 'is there parking', 'may I leave my truck with you'])
  t.ok([...(pinecone.namespaces.get('north')?.values() ?? [])].every((record) => record.metadata['companyId'] === 'north'))
  // A restart: somebody has tampered with the namespace, and the state of before still says that all is well.
  const [first] = pinecone.idsOf('north')
  pinecone.namespaces.get('north')?.delete(first ?? '')
  pinecone.namespaces.get('north')?.set('stray', { id: 'stray', values: [...embeddingOf('stray')], metadata: { companyId: 'north', model: embedder.name, entryId: 'x', text: 'stray' } })
  const restarted = syncOf(knowledge, states)
  restarted.changed('north')
  await restarted.settled()
  t.equal(pinecone.idsOf('north').length, 3, 'compared with the truth once a start')
  t.notOk(pinecone.idsOf('north').includes('stray'))
  await restarted.forget('north')
  t.same(pinecone.idsOf('north'), [])
})

t.test('an edit made while the index is away is brought over when it is back', async (t) => {
  pinecone.namespaces.clear()
  const virtual = new VirtualClock()
  const failures: unknown[] = []
  const sync = syncOf(new Map([['north', { version: 1, entries: NORTH as readonly KnowledgeEntry[] }]]), new Map(), failures, never, virtual)
  await pinecone.fail('500')
  sync.changed('north')
  while (failures.length === 0) await clock.sleep(5)
  t.same(pinecone.idsOf('north'), [])
  await pinecone.fail(null)
  while (pinecone.idsOf('north').length < 5) {
    await virtual.advance(1000)
    await clock.sleep(5)
  }
  t.equal(pinecone.idsOf('north').length, 5)
})

t.test('T23 a company is answered from its own namespace alone, whatever the index sends back', async (t) => {
  pinecone.namespaces.clear()
  const sync = syncOf(new Map([['north', { version: 1, entries: NORTH as readonly KnowledgeEntry[] }], ['south', { version: 1, entries: SOUTH as readonly KnowledgeEntry[] }]]))
  sync.changed('north')
  sync.changed('south')
  await sync.settled()
  const companies = { north: await knowledgeOf('north', NORTH), south: await knowledgeOf('south', SOUTH) }
  const words = ['parking', 'park', 'car', 'warranty', 'guaranteed', 'where', 'what', 'your', 'long', 'visitors', 'ignore', 'south', 'north', 'canary']
  const before = pinecone.queries
  let answered = 0
  const check = async (companyId: 'north' | 'south', text: string): Promise<boolean> => {
    const matches = await companies[companyId].search(text, { limit: 5 }, never)
    answered += matches.length
    return matches.every((match) => match.entry.companyId === companyId && match.entry.answer.toLowerCase().startsWith(companyId))
  }
  const text = fc.array(fc.constantFrom(...words), { minLength: 1, maxLength: 6 }).map((parts) => parts.join(' '))
  await fc.assert(fc.asyncProperty(fc.constantFrom('north' as const, 'south' as const), text, check), { numRuns: 300 })
  t.ok(answered > 300 && pinecone.queries > before + 200, `${answered} answers from ${pinecone.queries - before} queries`)
  pinecone.leaksFrom = 'south'
  t.teardown(() => (pinecone.leaksFrom = null))
  await t.rejects(index.query('north', embedder.name, embeddingOf('where do I park'), 5, never), { code: 'ENGINE_FAILED', message: /another company/ }, 'another company\'s mark is an error')
  await fc.assert(fc.asyncProperty(text, (said) => check('north', said)), { numRuns: 50 })
})

t.test('where the index is late or away, what is in memory answers; where the encoder is, another one', async (t) => {
  pinecone.namespaces.clear()
  const sync = syncOf(new Map([['north', { version: 1, entries: NORTH as readonly KnowledgeEntry[] }]]))
  sync.changed('north')
  await sync.settled()
  let asked = 0
  const second: Embedder = { name: 'second', dimensions: 256, embed: async (texts) => texts.map((text) => ((asked += 1), embeddingOf(text))) }
  const knowledge = await knowledgeOf('north', NORTH, second)
  const best = async (text: string): Promise<Readonly<{ id: string | undefined; semantic: number | null | undefined; ms: number }>> => {
    const startedAt = clock.now()
    const [match] = await knowledge.search(text, { limit: 1 }, never)
    return { id: match?.entry.id, semantic: match?.semanticScore, ms: clock.now() - startedAt }
  }
  await best('where can visitors park their car')
  const whole = await best('where can visitors leave a car')
  t.match(whole, { id: 'parking' })
  t.ok((whole.semantic ?? 0) > 0.3)
  for (const fault of ['hang', '500', 'refused', 'garbage', 'slow'] as const) {
    await pinecone.fail(fault)
    const without = await best(`where can visitors leave a car ${fault}`)
    t.equal(without.id, 'parking', fault)
    t.ok((without.semantic ?? 0) > 0.2, `${fault}: ${without.semantic}`)
    t.ok(without.ms < 450, `${fault}: ${Math.round(without.ms)} ms`)
    await pinecone.fail(null)
  }
  asked = 0
  for (const fault of ['hang', '401', 'refused'] as const) {
    await openai.fail(fault)
    const without = await best(`may visitors leave a car ${fault}`)
    t.equal(without.id, 'parking', fault)
    t.ok((without.semantic ?? 0) > 0.2, `${fault}: ${without.semantic}`)
    t.ok(without.ms < 400, `${fault}: ${Math.round(without.ms)} ms`)
    await openai.fail(null)
  }
  t.ok(asked >= 3, 'the second encoder was asked')
})
