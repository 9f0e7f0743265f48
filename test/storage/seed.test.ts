import t from 'tap'
import { EmbeddedAgentRepository } from '../../src/storage/embedded-agent-repository.ts'
import { EmbeddedDatabase } from '../../src/storage/embedded-database.ts'
import { MIGRATIONS } from '../../src/storage/embedded-migrations.ts'
import { makeRepositories, type EmbeddedRepositories } from '../../src/storage/embedded-repositories.ts'
import { seedCompanies, type SeedFile } from '../../src/storage/seed.ts'
import type { Agent } from '../../src/tenancy/agent.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

const tools = { clock: new VirtualClock(), report: () => undefined }

function emptyDatabase(): EmbeddedDatabase {
  const database = EmbeddedDatabase.open(':memory:')
  database.migrate(MIGRATIONS)
  return database
}

function store(): EmbeddedRepositories {
  return makeRepositories(emptyDatabase(), tools)
}

class KilledAtPublish extends EmbeddedAgentRepository {
  override publish(): Promise<Agent> {
    return Promise.reject(new Error('killed'))
  }
}

function file(changes: Partial<{ name: string; greeting: string; answer: string; entries: string[] }> = {}): SeedFile {
  const { name = 'Polar Bay Air', greeting = 'Polar Bay Air, how can I help?', answer = 'From eight to five.', entries = ['hours', 'area'] } = changes
  return {
    company: { id: 'polar-bay', name, industry: 'hvac', timeZone: 'America/New_York', agentId: 'front-desk', phoneNumbers: ['+15550100000'] },
    agent: {
      id: 'front-desk',
      name: 'Front desk',
      personality: { name: 'Robin' },
      greeting: { text: greeting, emergencyText: 'Please hold.' },
      voice: {},
    },
    knowledge: entries.map((id) => ({ id, question: `What about ${id}?`, answer })),
  }
}

async function outcomes(repositories: EmbeddedRepositories, seed: SeedFile): Promise<Record<string, string>> {
  const results = await seedCompanies(repositories, [seed])
  return Object.fromEntries(results.map((one) => [one.document, one.outcome]))
}

t.test('a first start brings the demo company in, published; a second start changes nothing', async (t) => {
  const repositories = store()
  t.same(await outcomes(repositories, file()), { 'knowledge/hours': 'created', 'knowledge/area': 'created', 'agent/front-desk': 'created', company: 'created' })
  t.equal((await repositories.companies.findByPhoneNumber('+15550100000'))?.id, 'polar-bay')
  t.equal((await repositories.agents.getPublished('polar-bay', 'front-desk'))?.version, 1)
  await repositories.knowledge.recordUse('polar-bay', 'hours', { at: '2026-03-02T15:00:00.000Z', success: true })
  t.same(await outcomes(repositories, file()), { file: 'unchanged' }, 'the file as a whole is known')
  t.equal((await repositories.agents.getPublished('polar-bay', 'front-desk'))?.version, 1)
  t.equal((await repositories.companies.get('polar-bay'))?.version, 1)
})

t.test('a newer file updates what nobody has touched and publishes it', async (t) => {
  const repositories = store()
  await seedCompanies(repositories, [file()])
  t.same(await outcomes(repositories, file({ greeting: 'Good day.', entries: ['hours', 'plans'] })), {
    'knowledge/hours': 'unchanged',
    'knowledge/plans': 'created',
    'knowledge/area': 'removed',
    'agent/front-desk': 'updated',
    company: 'unchanged',
  })
  t.match(await repositories.agents.getPublished('polar-bay', 'front-desk'), { version: 2, greeting: { text: 'Good day.' } })
  t.equal(await repositories.knowledge.get('polar-bay', 'area'), null)
  t.equal((await outcomes(repositories, file({ greeting: 'Good day.', answer: 'Always.', entries: ['hours', 'plans'] })))['knowledge/hours'], 'updated')
})

t.test('what an admin has edited or deleted is never touched again', async (t) => {
  const repositories = store()
  await seedCompanies(repositories, [file({ entries: ['hours', 'area', 'plans'] })])
  const { companies, agents, knowledge } = repositories
  const company = await companies.get('polar-bay')
  const hours = await knowledge.get('polar-bay', 'hours')
  const draft = await agents.getDraft('polar-bay', 'front-desk')
  if (company === null || hours === null || draft === null) throw new Error('the seed is not there')
  await companies.save('polar-bay', { ...company, name: 'Renamed' })
  await knowledge.save('polar-bay', { ...hours, answer: 'By appointment.' })
  await knowledge.delete('polar-bay', 'area')
  await agents.saveDraft('polar-bay', { ...draft, lines: { ...draft.lines, goodbye: 'Bye now.' } })
  const again = await outcomes(repositories, file({ name: 'New name', greeting: 'New greeting', answer: 'New answer', entries: ['hours', 'area', 'plans'] }))
  t.same(again, { 'knowledge/hours': 'kept', 'knowledge/area': 'kept', 'knowledge/plans': 'updated', 'agent/front-desk': 'kept', company: 'kept' })
  t.equal((await companies.get('polar-bay'))?.name, 'Renamed')
  t.equal((await knowledge.get('polar-bay', 'hours'))?.answer, 'By appointment.')
  t.equal((await agents.getPublished('polar-bay', 'front-desk'))?.version, 1, 'an unfinished draft is not published behind the admin')
  await companies.delete('polar-bay')
  t.same(await outcomes(repositories, file()), { company: 'kept' })
  t.equal(await companies.get('polar-bay'), null, 'a deleted demo company stays deleted')
})

t.test('a seed that was killed half-way carries on', async (t) => {
  const database = emptyDatabase()
  const repositories = makeRepositories(database, tools)
  const { agents } = repositories
  const killed = { ...repositories, agents: new KilledAtPublish(database, tools) }
  await t.rejects(seedCompanies(killed, [file()]), { message: 'killed' })
  t.equal(await repositories.companies.findByPhoneNumber('+15550100000'), null, 'callers are let in last')
  t.same(await outcomes(repositories, file()), {
    'knowledge/hours': 'unchanged',
    'knowledge/area': 'unchanged',
    'agent/front-desk': 'unchanged',
    company: 'created',
  })
  t.equal((await agents.getPublished('polar-bay', 'front-desk'))?.version, 1)
  await t.rejects(seedCompanies(killed, [file({ greeting: 'Good day.' })]), { message: 'killed' })
  await seedCompanies(repositories, [file({ greeting: 'Good day.' })])
  t.match(await agents.getPublished('polar-bay', 'front-desk'), { version: 2, greeting: { text: 'Good day.' } })
})

t.test('a data file that does not fit is refused by the name of the field and stores nothing', async (t) => {
  const repositories = store()
  const wrong: SeedFile = { ...file(), knowledge: [{ id: 'hours', question: 'When?', anwser: 'typo' }] }
  await t.rejects(seedCompanies(repositories, [wrong]), { code: 'INVALID_INPUT', message: /knowledge entry 1 of polar-bay.*(answer|anwser)/ })
  await t.rejects(seedCompanies(repositories, [file({ entries: ['hours', 'hours'] })]), { message: /hours of polar-bay is there twice/ })
  await t.rejects(seedCompanies(repositories, [{ ...file(), agent: { ...Object(file().agent), id: 'other' } }]), { message: /answered by agent front-desk/ })
  await t.rejects(seedCompanies(repositories, [{ ...file(), knowledge: [{ id: 'x', companyId: 'other', question: 'Q?', answer: 'A.' }] }]), {
    message: /holds a document of other/,
  })
  t.same(await repositories.knowledge.listAll('polar-bay'), [])
})
