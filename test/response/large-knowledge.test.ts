import t from 'tap'
import { plainText } from '../../src/response/words.ts'
import { createKnowledgeIndex, loadKnowledgeIndex } from '../../src/response/knowledge.ts'
import { knowledgeEntrySchema, type KnowledgeEntry } from '../../src/tenancy/knowledge-entry.ts'

const TOPICS = ['furnace', 'heat pump', 'duct', 'coil', 'thermostat', 'warranty', 'invoice', 'rebate', 'filter', 'compressor', 'drain', 'humidifier']
const QUESTIONS = ['What does a new %s cost?', 'How long does the %s last?', 'Do you repair the %s?', 'Is the %s noisy?']

function entries(count: number, changes: Partial<KnowledgeEntry> = {}): KnowledgeEntry[] {
  return Array.from({ length: count }, (_, n) => {
    const topic = `${TOPICS[n % TOPICS.length]} model ${n}`
    const question = (QUESTIONS[n % QUESTIONS.length] as string).replace('%s', topic)
    return knowledgeEntrySchema.parse({ id: `e-${n}`, companyId: 'a', question, answer: `About the ${topic}.`, callerPhrases: [`tell me about the ${topic}`, `the ${topic} please`], ...changes })
  })
}

const { signal } = new AbortController()

void t.test('two thousand entries are read with a turn for the calls after each few', async (t) => {
  let turns = 0
  let isReading = true
  const count = (): void => {
    turns += 1
    if (isReading) setImmediate(count)
  }
  setImmediate(count)
  await loadKnowledgeIndex('a', entries(2000), 1, null, {}, signal)
  isReading = false
  t.ok(turns >= 70, `${turns} turns of the event loop`)
})

void t.test('read at once or by pieces, it finds the same', async (t) => {
  const all = entries(60)
  const atOnce = createKnowledgeIndex('a', all, 1, null)
  const byPieces = await loadKnowledgeIndex('a', all, 1, null, {}, signal)
  for (const asked of ['what does a new coil model 27 cost', 'tell me about the drain', 'is it noisy']) {
    t.same(byPieces.searchByWords(asked, { limit: 5 }), atOnce.searchByWords(asked, { limit: 5 }), asked)
  }
  await t.rejects(loadKnowledgeIndex('b', all, 1, null, {}, signal), /belongs to another company/)
})

void t.test('a new version takes over what has not changed, and nothing that has', async (t) => {
  const earlier = await loadKnowledgeIndex('a', entries(40), 1, null, {}, signal)
  const changed = entries(40).map((entry) => (entry.id === 'e-7' ? { ...entry, question: 'Where may I park?', callerPhrases: [] } : entry))
  const next = await loadKnowledgeIndex('a', changed, 2, null, { earlier }, signal)
  t.equal(next.version, 2)
  t.equal(next.searchByWords('where may I park', { limit: 1 })[0]?.entry.id, 'e-7')
  t.same(next.searchByWords('where may I park', { limit: 3 }), createKnowledgeIndex('a', changed, 2, null).searchByWords('where may I park', { limit: 3 }))
  const mishearings = { 'hit pump': 'heat pump' }
  t.not(plainText('hit pump', mishearings), plainText('hit pump'))
  const corrected = await loadKnowledgeIndex('a', [...changed, ...entries(1, { id: 'm', question: 'A hit pump?', callerPhrases: [] })], 3, null, { earlier: next, mishearings }, signal)
  const known = createKnowledgeIndex('a', [...changed, ...entries(1, { id: 'm', question: 'A hit pump?', callerPhrases: [] })], 3, null, { mishearings })
  t.same(corrected.searchByWords('a heat pump', { limit: 3 }), known.searchByWords('a heat pump', { limit: 3 }), 'texts that were read with other corrections are read anew')
})
