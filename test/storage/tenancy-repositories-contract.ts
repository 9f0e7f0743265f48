import type { AgentRepository, CompanyRepository, KnowledgeRepository } from '../../src/tenancy/repositories.ts'
import { agent, company, entry } from './fixtures.ts'

/** What any store of companies, agents and knowledge must do. `make` gives an empty one. */
export type TenancyRepositories = Readonly<{ companies: CompanyRepository; agents: AgentRepository; knowledge: KnowledgeRepository }>
type Test = import('tap').Test
type Make = (t: Test) => Promise<TenancyRepositories>

export function companyRepositoryContract(t: Test, make: Make): void {
  t.test('a saved company is found by its id and by its phone numbers', async (t) => {
    const { companies } = await make(t)
    const saved = await companies.save('polar-bay', company('polar-bay', { phoneNumbers: ['+15550100000'], variables: { service_area: 'Fort Myers' } }))
    t.equal(saved.version, 1)
    t.ok(saved.createdAt)
    t.same(await companies.get('polar-bay'), saved)
    t.same(await companies.findByPhoneNumber('+15550100000'), saved)
    t.equal(await companies.get('nobody'), null)
    t.equal(await companies.findByPhoneNumber('+15550109999'), null)
  })

  t.test('a phone number belongs to one company until that company gives it up', async (t) => {
    const { companies } = await make(t)
    await companies.save('a', company('a', { phoneNumbers: ['+15550100000'] }))
    await t.rejects(companies.save('b', company('b', { phoneNumbers: ['+15550100001', '+15550100000'] })), { code: 'CONFLICT', message: /\+15550100000/ })
    t.equal(await companies.get('b'), null, 'nothing of the refused company was kept')
    t.equal(await companies.findByPhoneNumber('+15550100001'), null)
    await companies.save('a', company('a', { phoneNumbers: [] }))
    await companies.save('b', company('b', { phoneNumbers: ['+15550100000'] }))
    t.equal((await companies.findByPhoneNumber('+15550100000'))?.id, 'b')
  })

  t.test('of two admins who edit at once, the second is told instead of overwriting the first', async (t) => {
    const { companies } = await make(t)
    const first = await companies.save('a', company('a'), 0)
    const second = await companies.save('a', { ...first, name: 'Renamed' }, 1)
    t.equal(second.version, 2)
    t.equal(second.createdAt, first.createdAt)
    await t.rejects(companies.save('a', { ...first, name: 'Lost' }, 1), { code: 'CONFLICT', details: { stored: 2, expected: 1 } })
    await t.rejects(companies.save('a', first, 0), { code: 'CONFLICT' }, '0 means: there is none yet')
    t.equal((await companies.get('a'))?.name, 'Renamed')
  })

  t.test('companies are listed page by page', async (t) => {
    const { companies } = await make(t)
    for (const id of ['c', 'a', 'b']) await companies.save(id, company(id))
    const first = await companies.list({ after: null, limit: 2 })
    t.same(first.map((one) => one.id), ['a', 'b'])
    t.same((await companies.list({ after: 'b', limit: 2 })).map((one) => one.id), ['c'])
    await t.rejects(companies.list({ after: null, limit: 0 }), { code: 'INVALID_INPUT', message: /limit/ })
  })

  t.test('a company that does not fit its schema is refused by the name of the field', async (t) => {
    const { companies } = await make(t)
    await t.rejects(companies.save('a', { ...company('a'), timeZone: 'Mars/Olympus' }), { code: 'INVALID_INPUT', message: /timeZone/ })
    await t.rejects(companies.save('a', company('b')), { code: 'INVALID_INPUT', message: /company\.id/ })
    t.equal(await companies.get('a'), null)
  })

  t.test('nothing of a deleted company is left, and its neighbour has lost nothing', async (t) => {
    const { companies, agents, knowledge } = await make(t)
    for (const id of ['gone', 'stays']) {
      await companies.save(id, company(id, { phoneNumbers: [id === 'gone' ? '+15550100000' : '+15550100001'] }))
      await agents.saveDraft(id, agent(id))
      await agents.publish(id, 'front-desk')
      await knowledge.save(id, entry(id, 'hours'))
    }
    t.ok(await companies.delete('gone'))
    t.notOk(await companies.delete('gone'))
    t.equal(await companies.findByPhoneNumber('+15550100000'), null)
    t.equal(await agents.getPublished('gone', 'front-desk'), null)
    t.equal(await agents.getDraft('gone', 'front-desk'), null)
    t.same(await knowledge.listAll('gone'), [])
    t.same(await knowledge.list('gone', { text: 'open' }), [])
    t.ok(await companies.findByPhoneNumber('+15550100001'))
    t.ok(await agents.getPublished('stays', 'front-desk'))
    t.equal((await knowledge.list('stays', { text: 'open' })).length, 1)
  })
}

export function agentRepositoryContract(t: Test, make: Make): void {
  t.test('calls run on the published agent while its draft is edited', async (t) => {
    const { agents } = await make(t)
    await agents.saveDraft('a', agent('a'))
    t.equal(await agents.getPublished('a', 'front-desk'), null, 'nothing answers before the first publish')
    const first = await agents.publish('a', 'front-desk')
    t.equal(first.version, 1)
    t.ok(first.publishedAt)
    const draft = await agents.saveDraft('a', agent('a', 'front-desk', 'Good morning.'), 1)
    t.match(draft, { draftVersion: 2, version: 1, publishedAt: first.publishedAt })
    t.same(await agents.getPublished('a', 'front-desk'), first)
    const second = await agents.publish('a', 'front-desk')
    t.match(second, { version: 2, greeting: { text: 'Good morning.' } })
    t.same(await agents.getVersion('a', 'front-desk', 1), first, 'an old version stays what it was')
    t.same((await agents.listVersions('a', 'front-desk')).map((one) => one.version), [2, 1])
    t.equal(await agents.getVersion('a', 'front-desk', 3), null)
  })

  t.test('a draft has an optimistic lock and a caller of another company never sees it', async (t) => {
    const { agents } = await make(t)
    await agents.saveDraft('a', agent('a'), 0)
    await t.rejects(agents.saveDraft('a', agent('a'), 0), { code: 'CONFLICT' })
    await t.rejects(agents.saveDraft('b', agent('a')), { code: 'INVALID_INPUT', message: /companyId/ })
    t.equal(await agents.getDraft('b', 'front-desk'), null)
    t.same(await agents.list('b'), [])
    await t.rejects(agents.publish('b', 'front-desk'), { code: 'NOT_FOUND' })
    t.equal((await agents.list('a')).length, 1)
    t.notOk(await agents.delete('b', 'front-desk'))
    t.ok(await agents.delete('a', 'front-desk'))
    t.equal(await agents.getDraft('a', 'front-desk'), null)
  })
}

export function knowledgeRepositoryContract(t: Test, make: Make): void {
  t.test('knowledge is searched by words, category and tag within one company', async (t) => {
    const { knowledge } = await make(t)
    await knowledge.save('a', entry('a', 'tune-up', { question: 'What is in a tune-up?', answer: 'Cleaning and a check.', category: 'service', tags: ['ac'] }))
    await knowledge.save('a', entry('a', 'hours', { callerPhrases: ['are you there on Saturdays'] }))
    await knowledge.save('b', entry('b', 'cleaning', { question: 'Teeth cleaning?', category: 'service', tags: ['ac'] }))
    const ids = async (filter: Parameters<typeof knowledge.list>[1]): Promise<string[]> => (await knowledge.list('a', filter)).map((one) => one.id)
    t.same(await ids({ text: 'clean' }), ['tune-up'])
    t.same(await ids({ text: 'cleaned' }), ['tune-up'], 'another form of the word')
    t.same(await ids({ text: 'satur' }), ['hours'], 'a word being typed')
    t.same(await ids({ text: 'cleaning saturday' }), [], 'every word must be there')
    t.same(await ids({ category: 'service' }), ['tune-up'])
    t.same(await ids({ tag: 'ac' }), ['tune-up'])
    t.same(await ids({ tag: 'ac', text: 'hours' }), [])
    t.same(await ids({}), ['hours', 'tune-up'])
    t.same(await ids({ after: 'hours', limit: 1 }), ['tune-up'])
    t.same(await ids({ text: 'company : x OR "clean" NEAR(' }), [], 'a search is words, never a query')
    t.same(await ids({ text: '??' }), [])
  })

  t.test('a search finds what an entry says now, not what it said', async (t) => {
    const { knowledge } = await make(t)
    const saved = await knowledge.save('a', entry('a', 'hours', { question: 'Are you open on Sunday?' }))
    await knowledge.save('a', { ...saved, question: 'Are you open at night?' })
    t.same(await knowledge.list('a', { text: 'sunday' }), [])
    t.equal((await knowledge.list('a', { text: 'night' })).length, 1)
    t.ok(await knowledge.delete('a', 'hours'))
    t.same(await knowledge.list('a', { text: 'night' }), [])
    t.notOk(await knowledge.delete('a', 'hours'))
  })

  t.test('every save and delete makes a new version of the knowledge, a use does not', async (t) => {
    const { knowledge } = await make(t)
    t.equal(await knowledge.version('a'), 0)
    const saved = await knowledge.save('a', entry('a', 'hours'), 0)
    t.equal(await knowledge.version('a'), 1)
    await knowledge.recordUse('a', 'hours', { at: '2026-03-02T15:00:00.000Z', success: true })
    await knowledge.recordUse('a', 'hours', { at: '2026-03-02T14:00:00.000Z', success: false })
    await knowledge.recordUse('b', 'hours', { at: '2026-03-02T16:00:00.000Z', success: false })
    const used = await knowledge.get('a', 'hours')
    t.same(used?.usage, { accessCount: 2, lastAccessed: '2026-03-02T15:00:00.000Z', successRate: 0.5 })
    t.equal(used?.version, 1, 'an admin who edits meanwhile is not disturbed')
    t.equal(await knowledge.version('a'), 1)
    const edited = await knowledge.save('a', { ...saved, answer: 'Always.' }, 1)
    t.equal(edited.usage.accessCount, 2, 'counts are not taken back by an editor that was opened before')
    await t.rejects(knowledge.save('a', saved, 1), { code: 'CONFLICT' })
    await knowledge.delete('a', 'hours')
    t.equal(await knowledge.version('a'), 3)
    t.equal(await knowledge.version('b'), 0)
  })

  t.test('an entry cannot be saved for another company', async (t) => {
    const { knowledge } = await make(t)
    await t.rejects(knowledge.save('b', entry('a', 'hours')), { code: 'INVALID_INPUT', message: /companyId/ })
    await knowledge.save('a', entry('a', 'hours'))
    t.equal(await knowledge.get('b', 'hours'), null)
  })
}
