import t from 'tap'
import { appointmentSchema } from '../../src/booking/appointment.ts'
import { openCompanyWorld } from './company-world.ts'

t.test('an admin changes opening hours and the next question hears them', async (t) => {
  const { polarBay, savedCompanies } = await openCompanyWorld()
  const before = await polarBay('GET', '/companies/polar-bay')
  t.equal(before.statusCode, 200)
  const hours = { ...before.json().hours, monday: [{ opens: '08:00', closes: '17:00' }] }
  const etag = String(before.headers.etag)
  t.equal((await polarBay('PATCH', '/companies/polar-bay', { hours })).statusCode, 428, 'an edit must say which version it has seen')
  const saved = await polarBay('PATCH', '/companies/polar-bay', { hours }, { 'if-match': etag })
  t.equal(saved.statusCode, 200)
  t.same(saved.json().hours.monday, [{ opens: '08:00', closes: '17:00' }])
  t.equal(saved.json().variables.secret_word, 'glacierfox', 'what was not sent stays')
  t.same(savedCompanies, ['polar-bay'])
  t.equal((await polarBay('PATCH', '/companies/polar-bay', { name: 'Lost' }, { 'if-match': etag })).statusCode, 412)
  const asked = await polarBay('POST', '/companies/polar-bay/try', { text: 'when are you open on monday', at: '2026-03-02T15:00:00.000Z' })
  t.equal(asked.statusCode, 200, asked.body)
  t.match(asked.json().said.map((part: { text: string }) => part.text).join(' '), /eight/i)
})

t.test('a company that could not be called or called back is refused by the name of the field', async (t) => {
  const { polarBay } = await openCompanyWorld()
  const etag = String((await polarBay('GET', '/companies/polar-bay')).headers.etag)
  const cases: [object, string][] = [
    [{ phoneNumbers: ['+1555'] }, 'phoneNumbers.0'],
    [{ status: 'forward' }, 'forwardToE164'],
    [{ forwardToE164: '+19005550100' }, 'forwardToE164'],
    [{ forwardToE164: '+8816123456789' }, 'forwardToE164'],
    [{ transferTargets: [{ id: 'a', label: 'a', phoneNumberE164: '+12395550100' }] }, 'transferTargets.0.phoneNumberE164'],
    [{ timeZone: 'Mars/Olympus' }, 'timeZone'],
    [{ colour: 'blue' }, 'colour'],
    [{ version: 9 }, 'version'],
    [{ hours: { monday: [{ opens: '17:00', closes: '08:00' }] } }, 'hours.monday.0.closes'],
  ]
  for (const [change, field] of cases) {
    const answer = await polarBay('PATCH', '/companies/polar-bay', change, { 'if-match': etag })
    t.equal(answer.statusCode, 400, `${field}: ${answer.body}`)
    t.same(answer.json().errors[0].field, field)
    t.equal(answer.headers['content-type'], 'application/problem+json')
  }
})

t.test('a newcomer makes a company, an agent and three entries, and asks them something', async (t) => {
  const { as } = await openCompanyWorld()
  const owner = await as('platform', 'owner')
  const made = await owner('POST', '/companies', { name: 'Rivermark Plumbing', industry: 'plumbing', timeZone: 'America/Denver', id: 'rivermark' })
  t.equal(made.statusCode, 201, made.body)
  t.equal(made.headers.location, '/api/v1/companies/rivermark')
  t.equal((await owner('POST', '/companies', { name: 'Again', industry: 'x', timeZone: 'UTC', id: 'rivermark' })).statusCode, 409)
  t.equal((await owner('POST', '/companies', { name: 'P', industry: 'x', timeZone: 'UTC', id: 'platform' })).statusCode, 400)
  const agent = await owner('POST', '/companies/rivermark/agents', {
    name: 'Front desk', personality: { name: 'Robin' }, greeting: { text: 'Rivermark, hello.', emergencyText: 'Please call back.' },
  })
  t.equal(agent.statusCode, 201, agent.body)
  t.equal(agent.json().id, 'front-desk', 'the first agent is the one that answers')
  t.equal((await owner('POST', '/companies/rivermark/agents/front-desk/publish', {})).statusCode, 200)
  for (const [question, answer] of [['Do you fix toilets?', 'Yes, we fix running toilets.'], ['Do you clean drains?', 'We do.'], ['Do you have a license?', 'We are licensed.']]) {
    t.equal((await owner('POST', '/companies/rivermark/knowledge', { question, answer })).statusCode, 201)
  }
  const asked = await owner('POST', '/companies/rivermark/try', { text: 'do you fix toilets' })
  t.match(asked.json().said[0].text, /running toilets/)
  t.ok(asked.json().trace.length > 0, 'with the reasons for it')
  const readiness = await owner('GET', '/companies/rivermark/readiness')
  t.equal(readiness.json().canTakeCalls, false)
  t.same(readiness.json().parts.filter((part: { ok: boolean; blocks: boolean }) => !part.ok && part.blocks).map((part: { name: string }) => part.name), ['phone-number'])
  t.equal((await owner('DELETE', '/companies/rivermark')).statusCode, 204)
  t.equal((await owner('GET', '/companies/rivermark')).statusCode, 404)
})

t.test('what runs is shown with where it comes from', async (t) => {
  const { polarBay, as } = await openCompanyWorld()
  const effective = (await polarBay('GET', '/companies/polar-bay/effective-config')).json()
  t.equal(effective.current, true)
  const of = (path: string) => effective.settings.find((setting: { path: string }) => setting.path === path)
  t.same(of('company.limits.callMinutes'), { path: 'company.limits.callMinutes', value: 30, source: 'default' })
  t.same(of('company.variables'), { path: 'company.variables', value: { secret_word: 'glacierfox' }, source: 'company' })
  t.equal(of('agent.greeting.text').source, 'agent')
  t.equal((await polarBay('GET', '/effective-config')).statusCode, 403, "the server's settings are the platform's")
  t.same((await (await as('platform', 'admin'))('GET', '/effective-config')).json().settings, [{ name: 'PORT', value: '3000', source: 'default' }])
  t.equal((await (await as('platform', 'admin'))('GET', '/health')).json().ok, true)
})

t.test('callers hear a draft only once it is published, and an older version after a roll-back', async (t) => {
  const { polarBay, ports } = await openCompanyWorld()
  const base = '/companies/polar-bay/agents/front-desk'
  const draft = await polarBay('GET', base)
  const greeting = { ...draft.json().greeting, text: 'A new hello from {{ agent.name }}.' }
  const saved = await polarBay('PATCH', base, { greeting }, { 'if-match': String(draft.headers.etag) })
  t.equal(saved.statusCode, 200, saved.body)
  const heard = async (agent = 'published') =>
    (await polarBay('POST', '/companies/polar-bay/try', { input: { kind: 'answered' }, agent })).json().said.map((part: { text: string }) => part.text).join(' ')
  t.notMatch(await heard(), /A new hello/)
  t.match(await heard('draft'), /A new hello from Robin/)
  t.same((await polarBay('GET', `${base}/diff?from=1`)).json().changes.map((change: { path: string }) => change.path), ['greeting.text'])
  t.same((await polarBay('GET', `${base}/diff`)).json(), (await polarBay('GET', `${base}/diff?from=1`)).json(), 'what publishing would change')
  t.equal((await polarBay('POST', `${base}/publish`, { draftVersion: 1 })).statusCode, 409, 'somebody has saved since')
  t.equal((await polarBay('POST', `${base}/publish`, {})).json().version, 2)
  t.match(await heard(), /A new hello from Robin/)
  const rolledBack = await polarBay('POST', `${base}/rollback`, { version: 1 })
  t.equal(rolledBack.json().version, 3)
  t.notMatch(await heard(), /A new hello/)
  t.same((await polarBay('GET', `${base}/versions`)).json().items.map((item: { version: number }) => item.version), [3, 2, 1])
  t.equal((await polarBay('GET', `${base}/versions/2`)).json().greeting.text, greeting.text)
  t.equal((await polarBay('GET', `${base}/versions/9`)).statusCode, 404)
  t.same((await polarBay('GET', `${base}/diff?from=1&to=3`)).json().changes, [])
  t.equal((await ports.agents.getPublished('polar-bay', 'front-desk'))?.version, 3)
  t.equal((await polarBay('DELETE', base)).statusCode, 409, 'the agent that answers stays')
})

t.test('an agent whose words cannot be said is not published', async (t) => {
  const { polarBay } = await openCompanyWorld()
  const base = '/companies/polar-bay/agents/front-desk'
  const refused = async (change: object): Promise<string> => {
    const etag = String((await polarBay('GET', base)).headers.etag)
    t.equal((await polarBay('PATCH', base, change, { 'if-match': etag })).statusCode, 200)
    const answer = await polarBay('POST', `${base}/publish`, {})
    t.equal(answer.statusCode, 400, answer.body)
    return answer.json().errors[0].field
  }
  t.equal(await refused({ greeting: { text: 'Hello {{ variables.nobody }}', emergencyText: 'Hold on.' } }), 'greeting.text')
  t.equal(await refused({ greeting: { text: 'Hello', emergencyText: 'Hold on {{ company.name }}.' } }), 'greeting.emergencyText')
  t.equal(await refused({ greeting: { text: 'Hello', emergencyText: 'Hold on.' }, templates: [{ id: 'a', intent: 'hours', text: '{% if %}' }] }), 'templates.0.text')
})

t.test('knowledge is written, found, changed and deleted', async (t) => {
  const { polarBay } = await openCompanyWorld()
  const base = '/companies/polar-bay/knowledge'
  const made = await polarBay('POST', base, { question: 'Do you clean ducts?', answer: 'We clean ducts.', category: 'ducts', tags: ['air'], callerPhrases: ['dusty vents'] })
  t.equal(made.statusCode, 201)
  const { id } = made.json()
  t.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/)
  const ids = async (query: string) => (await polarBay('GET', `${base}?${query}`)).json().items.map((entry: { id: string }) => entry.id)
  t.same(await ids('category=ducts'), [id])
  t.same(await ids('tag=air'), [id])
  t.same(await ids('text=dusty'), [id])
  t.same(await ids('text=nothing'), [])
  const first = await polarBay('GET', `${base}?limit=2`)
  t.equal(first.json().items.length, 2)
  t.equal((await polarBay('GET', `${base}?limit=2&cursor=${first.json().nextCursor}`)).json().items.length, 1)
  t.equal((await polarBay('GET', `${base}?cursor=nonsense`)).statusCode, 400)
  const unsayable = await polarBay('POST', base, { question: 'q', answer: 'It is {{ prices.moon_trip }}.' })
  t.equal(unsayable.statusCode, 400)
  t.same(unsayable.json().errors[0].field, 'answer')
  const changed = await polarBay('PATCH', `${base}/${id}`, { answer: 'We clean ducts twice.' }, { 'if-match': String(made.headers.etag) })
  t.equal(changed.json().answer, 'We clean ducts twice.')
  t.same(changed.json().tags, ['air'])
  t.equal((await polarBay('DELETE', `${base}/${id}`)).statusCode, 204)
  t.equal((await polarBay('DELETE', `${base}/${id}`)).statusCode, 404)
})

t.test('an answer sent twice by a nervous finger is stored once', async (t) => {
  const { polarBay } = await openCompanyWorld()
  const send = () => polarBay('POST', '/companies/polar-bay/knowledge', { question: 'Twice?', answer: 'Once.' }, { 'idempotency-key': 'the-same-key' })
  const [first, second] = [await send(), await send()]
  t.equal(first.json().id, second.json().id)
  t.equal((await polarBay('GET', '/companies/polar-bay/knowledge?text=twice')).json().items.length, 1)
})

t.test('knowledge goes to a spreadsheet and comes back the same', async (t) => {
  const { polarBay } = await openCompanyWorld()
  await polarBay('POST', '/companies/polar-bay/knowledge', {
    question: 'Which "brands"?', answer: 'Trane, Carrier\nand others.', tags: ['a|b', 'c\\d'], callerPhrases: ['=brands', 'do you, service trane'], priority: 7,
  })
  const exported = await polarBay('GET', '/companies/polar-bay/knowledge-export.csv')
  t.equal(exported.headers['content-disposition'], 'attachment; filename="knowledge-polar-bay.csv"')
  const csv = exported.payload
  t.equal((await polarBay('GET', '/companies/polar-bay/knowledge-export')).headers['content-type'], 'application/json')
  t.notMatch(csv, /(^|,)"?=/m, 'no cell is a formula')
  const send = (body: object) => polarBay('POST', '/companies/polar-bay/knowledge-import', body)
  t.match((await send({ format: 'csv', csv })).json(), { stored: true, created: 0, updated: 0, unchanged: 3, problems: [] })
  const { entries } = (await polarBay('GET', '/companies/polar-bay/knowledge-export')).json()
  t.match((await send({ format: 'json', entries })).json(), { created: 0, updated: 0, unchanged: 3 })
  const edited = csv.replace('Trane, Carrier', 'Rheem, Carrier')
  t.match((await send({ format: 'csv', csv: edited, dryRun: true })).json(), { stored: false, updated: 1 })
  t.match((await send({ format: 'csv', csv: edited })).json(), { stored: true, updated: 1, unchanged: 2 })
  t.match((await send({ format: 'csv', csv: 'question,answer\nNew one?,Yes.\nwhat is your mascot called,It is a fox.' })).json(), { created: 1, updated: 1 })
  t.match((await polarBay('GET', '/companies/polar-bay/knowledge/mascot')).json(), { answer: 'It is a fox.', tags: ['fun'], version: 2 })
})

t.test('an import with one wrong row stores nothing and names the row and the field', async (t) => {
  const { polarBay } = await openCompanyWorld()
  const send = (body: object) => polarBay('POST', '/companies/polar-bay/knowledge-import', body)
  const answer = await send({ format: 'csv', csv: 'question,answer,priority,enabled\nGood?,Yes.,5,yes\nBad?,,5,yes\nWorse?,"Say {{ prices.none }}",eleven,perhaps' })
  t.equal(answer.json().stored, false)
  t.same(answer.json().problems.map(({ row, field }: { row: number; field: string }) => `${row} ${field}`), ['3 answer', '4 priority', '4 enabled'])
  t.equal((await polarBay('GET', '/companies/polar-bay/knowledge')).json().items.length, 2)
  t.same((await send({ format: 'json', entries: [{ question: 'q', answer: 'a', usage: {} }, { question: 'q', answer: 'a', sparkle: 1 }] })).json().problems, [
    { row: 1, field: 'usage', message: 'is kept by the store and cannot be imported' },
    { row: 2, field: 'sparkle', message: 'is not a known field' },
  ])
  t.equal((await send({ format: 'csv', csv: 'question,colour\na,b' })).statusCode, 400)
  t.equal((await send({ format: 'csv', csv: 'question,answer\n"a,b' })).statusCode, 400)
  t.equal((await send({ format: 'csv', csv: 'question,answer\na,b,c' })).statusCode, 400)
})

t.test('a file of two thousand entries does not hold up the calls beside it', async (t) => {
  const { polarBay } = await openCompanyWorld()
  const rows = Array.from({ length: 1998 }, (_, n) => `Question ${n}?,"We do. {{ company.name }} does it, ${'word '.repeat(100)}"`)
  const csv = `question,answer\n${rows.join('\n')}\n`
  let turns = 0
  let running = true
  const watch = (): void => {
    turns += 1
    if (running) setImmediate(watch)
  }
  watch()
  const answer = await polarBay('POST', '/companies/polar-bay/knowledge-import', { format: 'csv', csv, dryRun: true })
  running = false
  t.match(answer.json(), { created: 1998, problems: [] }, answer.body)
  t.ok(turns >= 1998 / 25, `${turns} turns of the event loop while it was read`)
  const more = await polarBay('POST', '/companies/polar-bay/knowledge-import', { format: 'csv', csv: `${csv}a?,b\n`, dryRun: true })
  t.equal(more.statusCode, 409, 'more than a company may have')
  t.equal((await polarBay('POST', '/companies/polar-bay/knowledge-import', { format: 'csv', csv: `question,answer\n${'a,b\n'.repeat(3000)}` })).statusCode, 400)
})

t.test('an utterance shows which entries it finds and why', async (t) => {
  const { polarBay } = await openCompanyWorld()
  const answer = await polarBay('POST', '/companies/polar-bay/knowledge-test', { text: 'how much is a tune up' })
  t.equal(answer.statusCode, 200, answer.body)
  t.equal(answer.json().matches[0].entry.id, 'tune-up')
  t.match(answer.json().answer.said[0].text, /eighty-nine dollars|89 dollars/)
})

t.test('a talk in the test console goes on where it was', async (t) => {
  const { polarBay, as } = await openCompanyWorld()
  const first = (await polarBay('POST', '/companies/polar-bay/try', { text: 'tell me about quantum gravity' })).json()
  t.equal(first.dialogue.unansweredCount, 1)
  const second = (await polarBay('POST', '/companies/polar-bay/try', { text: 'and about black holes', continueWith: first.continueWith })).json()
  t.not(second.said[0].text, undefined)
  t.equal(second.dialogue.offer?.kind ?? 'none', 'message', 'the second miss offers help: a message, since nobody is in')
  t.equal((await polarBay('POST', '/companies/polar-bay/try', { text: 'a', continueWith: `${first.continueWith}x` })).statusCode, 400)
  const other = await as('harbor-lane', 'owner')
  t.equal((await other('POST', '/companies/harbor-lane/try', { text: 'a', continueWith: first.continueWith })).statusCode, 400, "another company's talk is none of ours")
  t.equal((await polarBay('POST', '/companies/polar-bay/try', { text: 'a', input: { kind: 'inaudible' } })).statusCode, 400)
})

t.test('transfer targets are edited one by one under the company\'s own version', async (t) => {
  const { polarBay } = await openCompanyWorld()
  const base = '/companies/polar-bay/transfer-targets'
  const made = await polarBay('POST', base, { label: 'the owner', phoneNumberE164: '+12395550188', priority: 90 })
  t.equal(made.statusCode, 201, made.body)
  const list = await polarBay('GET', base)
  t.same(list.json().items.map((target: { label: string }) => target.label), ['the owner', 'the glacierfox desk'])
  t.equal((await polarBay('POST', base, { id: 'desk', label: 'x', phoneNumberE164: '+12395550189' })).statusCode, 409)
  t.equal((await polarBay('POST', base, { label: 'x', phoneNumberE164: '+19005550100' })).statusCode, 400, 'nobody is connected to a number that costs by the minute')
  const path = `${base}/${made.json().id}`
  const changed = await polarBay('PATCH', path, { enabled: false }, { 'if-match': String(list.headers.etag) })
  t.match(changed.json(), { enabled: false, label: 'the owner' })
  t.equal((await polarBay('PATCH', path, { enabled: true }, { 'if-match': String(list.headers.etag) })).statusCode, 412)
  t.equal((await polarBay('DELETE', path)).statusCode, 204)
  t.equal((await polarBay('GET', path)).statusCode, 404)
})

t.test('a secret goes in and never comes out', async (t) => {
  const { polarBay, repositories, ports } = await openCompanyWorld()
  const put = await polarBay('PUT', '/companies/polar-bay/secrets/twilio_auth_token', { value: 'sesame-canary' })
  t.equal(put.statusCode, 200, put.body)
  t.match(put.json(), { name: 'twilio_auth_token', keyId: 'm1' })
  const listed = await polarBay('GET', '/companies/polar-bay/secrets')
  const audit = await polarBay('GET', '/companies/polar-bay/audit')
  const stored = JSON.stringify(await repositories.documents.list('polar-bay', 'secrets', { after: null, limit: 10 }))
  for (const text of [put.body, listed.body, audit.body, stored]) t.notMatch(text, /sesame-canary/)
  t.equal(await ports.secrets?.reveal('polar-bay', 'twilio_auth_token'), 'sesame-canary')
  t.equal((await polarBay('PUT', '/companies/polar-bay/secrets/Bad-Name', { value: 'x' })).statusCode, 400)
  t.equal((await polarBay('DELETE', '/companies/polar-bay/secrets/twilio_auth_token')).statusCode, 204)
  t.same((await polarBay('GET', '/companies/polar-bay/secrets')).json().items, [])
})

t.test('an appointment that ends before it begins, or with nobody to call back, is none', async (t) => {
  const good = {
    id: 'a', companyId: 'polar-bay', resourceId: 'crew-1', startsAt: '2026-03-02T15:00:00.000Z', endsAt: '2026-03-02T16:00:00.000Z', reason: 'no cooling',
    customer: { name: 'Pat Doe', phoneNumberE164: '+12395550143' }, idempotencyKey: 'CA1:4:book',
  }
  t.match(appointmentSchema.parse(good), { status: 'requested', callSid: null, customer: { address: null } })
  const fieldOf = (change: object): string => appointmentSchema.safeParse({ ...good, ...change }).error?.issues[0]?.path.join('.') ?? 'none'
  t.equal(fieldOf({ endsAt: good.startsAt }), 'endsAt')
  t.equal(fieldOf({ customer: { name: 'Pat Doe', phoneNumberE164: '239 555 0143' } }), 'customer.phoneNumberE164')
  t.equal(fieldOf({ startsAt: 'tomorrow at ten' }), 'startsAt')
})

t.test('T25 a company that is gone leaves no way in: not by its sessions, not by its keys, and not by a new company of the same id', async (t) => {
  const world = await openCompanyWorld()
  const { as, app } = world
  const platform = await as('platform', 'owner')
  const owner = await as('harbor-lane', 'owner')
  const made = (await owner('POST', '/companies/harbor-lane/api-keys', { label: 'script', scopes: ['config:read'] })).json()
  const byKey = () => app.inject({ url: '/api/v1/companies/harbor-lane', headers: { authorization: `Bearer ${String(made.secret)}` } })
  t.equal((await byKey()).statusCode, 200)
  const before = (await platform('GET', '/companies/harbor-lane')).json()
  t.equal((await platform('DELETE', '/companies/harbor-lane')).statusCode, 204)
  t.same([(await owner('GET', '/auth/me')).statusCode, (await byKey()).statusCode], [401, 401])
  const { name, industry, timeZone } = before
  const again = await platform('POST', '/companies', { id: 'harbor-lane', name, industry, timeZone })
  t.match([again.statusCode, again.json().errors], [409, [{ field: 'id' }]])
  t.equal((await platform('POST', '/companies', { id: 'harbor-two', name, industry, timeZone })).statusCode, 201)
})
