import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { runCli } from '../../src/cli.ts'
import { PLATFORM } from '../../src/security/roles.ts'
import { PASSWORD } from '../admin/admin-app.ts'
import { openCompanyWorld, type CompanyWorld } from '../admin-resources/company-world.ts'
import { lead } from '../events/fixtures.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

type Said = Readonly<{ status: number; out: string; err: string }>
type Cli = Readonly<{ run: (...args: string[]) => Promise<Said>; start: (...args: string[]) => Running; world: CompanyWorld; folder: string; url: string; env: Record<string, string> }>
type Running = Readonly<{ out: () => string; err: () => string; over: Promise<number>; end: AbortController; clock: VirtualClock }>

async function openCli(t: Readonly<{ teardown: (work: () => unknown) => void }>): Promise<Cli> {
  const world = await openCompanyWorld()
  await world.app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => world.app.close())
  const url = `http://127.0.0.1:${(world.app.server.address() as AddressInfo).port}`
  const folder = mkdtempSync(join(tmpdir(), 'clientsvia-cli-'))
  const env: Record<string, string> = { XDG_CONFIG_HOME: folder, CLIENTSVIA_PASSWORD: PASSWORD }
  const start: Cli['start'] = (...args) => {
    const text = { out: '', err: '' }
    const end = new AbortController()
    const clock = new VirtualClock()
    const over = runCli(args, {
      env, clock, signal: end.signal,
      write: (more) => void (text.out += more),
      writeError: (more) => void (text.err += more),
      askPassword: async () => 'not the password',
    })
    return { out: () => text.out, err: () => text.err, over, end, clock }
  }
  const run: Cli['run'] = async (...args) => {
    const running = start(...args)
    const status = await running.over
    return { status, out: running.out(), err: running.err() }
  }
  return { run, start, world, folder, url, env }
}

t.test('an operator signs in, makes a company from a file, and asks it something', async (t) => {
  const { run, world, url, folder } = await openCli(t)
  await world.addUser(PLATFORM, 'owner', 'owner@example.com')
  t.match(await run('company', 'list'), { status: 2, err: /sign in first/ })
  t.match(await run('login', '--url', `${url}/`, '--email', 'owner@example.com'), { status: 0, out: /signed in/ })
  const kept = join(folder, 'clientsvia', 'credentials.json')
  t.equal(statSync(kept).mode & 0o777, 0o600, 'nobody else can read it')
  t.notMatch(readFileSync(kept, 'utf8'), new RegExp(PASSWORD))
  t.match(await run('company', 'create', join(import.meta.dirname, '../../media/companies/polar-bay-air.json')), { status: 0, out: /company polar-bay-air\nagent .*, published\nknowledge: \d+ new/ })
  t.match(await run('company', 'create', join(import.meta.dirname, '../../media/companies/polar-bay-air.json')), { status: 1, err: /CONFLICT/ })
  t.match((await run('company', 'list')).out, /polar-bay-air\tactive\t/)
  t.match(await run('try', 'polar-bay-air', 'what', 'are', 'your', 'hours'), { status: 0, out: /\(.*\)\n {2}intent/ })
  t.match(await run('audit', 'verify', 'polar-bay-air'), { status: 0, out: /\d+ rows, whole/ })
  t.match(await run('logout'), { status: 0 })
  t.match(await run('company', 'list'), { status: 2, err: /sign in first/ })
})

t.test('a token that has run out is renewed without a word', async (t) => {
  const { run, world, url } = await openCli(t)
  await world.addUser(PLATFORM, 'owner', 'owner@example.com')
  await run('login', '--url', url, '--email', 'owner@example.com')
  await world.clock.advance(11 * 60_000)
  t.match(await run('company', 'list'), { status: 0, out: /polar-bay/ })
})

t.test('knowledge goes out as CSV and comes in again, and a wrong row is named', async (t) => {
  const { run, world, folder, url, env } = await openCli(t)
  const owner = await world.as('polar-bay', 'owner')
  const { secret } = (await owner('POST', '/companies/polar-bay/api-keys', { label: 'cli', scopes: ['config:read', 'config:write', 'calls:read'] })).json()
  env['CLIENTSVIA_URL'] = url
  env['CLIENTSVIA_API_KEY'] = secret
  const exported = await run('knowledge', 'export', 'polar-bay')
  t.match(exported.out, /^id,question,answer/)
  const csv = join(folder, 'entries.csv')
  writeFileSync(csv, `${exported.out.replace('Our mascot', 'The mascot')}`)
  t.match(await run('knowledge', 'import', 'polar-bay', csv, '--dry-run'), { status: 0, out: /nothing stored: 0 new, 1 changed, 1 as they were/ })
  t.match(await run('knowledge', 'import', 'polar-bay', csv), { status: 0, out: /knowledge: 0 new, 1 changed/ })
  writeFileSync(csv, 'question,answer\nQ?,')
  t.match(await run('knowledge', 'import', 'polar-bay', csv), { status: 1, err: /row 2, answer/ })
  const json = join(folder, 'entries.json')
  writeFileSync(json, JSON.stringify([{ question: 'New?', answer: 'Yes.', companyId: 'elsewhere', version: 4 }]))
  t.match(await run('knowledge', 'import', 'polar-bay', json), { status: 0, out: /1 new/ })
  t.match(await run('knowledge', 'import', 'harbor-lane', json), { status: 1, err: /NOT_FOUND/ })
  t.match(await run('knowledge', 'import', 'polar-bay', join(folder, 'none.csv')), { status: 2, err: /ENOENT/ })
})

t.test('calls are watched as they happen; a lost connection is taken up where it broke', async (t) => {
  const { start, world, url, env } = await openCli(t)
  const owner = await world.as('polar-bay', 'owner')
  const { secret } = (await owner('POST', '/companies/polar-bay/api-keys', { label: 'cli', scopes: ['calls:read', 'transcripts:read'] })).json()
  env['CLIENTSVIA_URL'] = url
  env['CLIENTSVIA_API_KEY'] = secret
  const running = start('calls', 'tail', 'polar-bay')
  const { events } = world.ports
  const until = async (done: () => boolean): Promise<void> => {
    while (!done()) await new Promise((resolve) => setImmediate(resolve))
  }
  await until(() => events.readerCount('polar-bay') === 1)
  events.publish('polar-bay', { kind: 'turn.finished', at: '2026-03-02T15:00:00.000Z', callSid: 'CA1', data: { turn: 1, heard: 'hello' } })
  await until(() => running.out().includes('CA1'))
  t.match(running.out(), /^2026-03-02T15:00:00\.000Z {2}CA1 {2}turn\.finished {2}turn=1 {2}heard="hello"\n$/)
  world.app.server.closeAllConnections()
  await until(() => events.readerCount('polar-bay') === 0)
  events.publish('polar-bay', { kind: 'call.ended', at: '2026-03-02T15:00:09.000Z', callSid: 'CA1', data: { outcome: 'completed' } })
  await until(() => running.clock.pendingTimers > 0)
  await running.clock.advance(2000)
  await until(() => running.out().includes('call.ended'))
  running.end.abort()
  t.equal(await running.over, 0)
  await until(() => events.readerCount('polar-bay') === 0)
})

t.test('leads are listed, those that are left to do first of all', async (t) => {
  const { run, world, url, env } = await openCli(t)
  const owner = await world.as('polar-bay', 'owner')
  env['CLIENTSVIA_URL'] = url
  env['CLIENTSVIA_API_KEY'] = (await owner('POST', '/companies/polar-bay/api-keys', { label: 'cli', scopes: ['bookings:read', 'bookings:write', 'transcripts:read'] })).json().secret
  await world.repositories.leads.create('polar-bay', lead('polar-bay', 'L1'))
  await world.repositories.leads.create('polar-bay', lead('polar-bay', 'L2', { status: 'closed', callerName: null, phoneNumberE164: null }))
  t.match(await run('leads', 'list', 'polar-bay'), { status: 0, out: /\tclosed\tcallback\t-\t-\t.*\n.*\tnew\tcallback\t\+12395550143\tDana\tWants a call about a furnace\.\n$/ })
  t.notMatch((await run('leads', 'list', 'polar-bay', '--status', 'new')).out, /closed/)
  t.match(await run('leads', 'list', 'polar-bay', '--status', 'odd'), { status: 1, err: /status/ })
  t.match(await run('leads', 'set', 'polar-bay', 'L1', 'contacted', '--note', 'called back at ten'), { status: 0, out: 'lead L1, contacted\n' })
  t.match(await world.repositories.leads.get('polar-bay', 'L1'), { status: 'contacted', notes: [{ text: 'called back at ten' }] })
  t.match(await run('leads', 'set', 'polar-bay', 'L1', 'forgotten'), { status: 1, err: /status/ })
  t.match(await run('leads', 'set', 'polar-bay', 'L9', 'closed'), { status: 1, err: /NOT_FOUND/ })
})

t.test('the environment of a server is checked without starting it', async (t) => {
  const { run, env } = await openCli(t)
  t.match(await run('config', 'check'), { status: 0, out: /PORT +3000 +\(default\)[\s\S]*the configuration is right/ })
  env['PORT'] = 'many'
  t.match(await run('config', 'check'), { status: 1, err: /PORT/ })
})

t.test('a command that is wrong says what would be right', async (t) => {
  const { run, url } = await openCli(t)
  t.match(await run(), { status: 2, out: /clientsvia login/ })
  t.match(await run('--help'), { status: 0, out: /clientsvia login/ })
  t.match(await run('sing'), { status: 2, err: /there is no command "sing"/ })
  t.match(await run('company', 'list', '--loud'), { status: 2, err: /--loud/ })
  t.match(await run('login', '--url', url), { status: 2, err: /--email or --api-key/ })
  t.match(await run('login', '--url', url, '--email', 'nobody@example.com'), { status: 1, err: /LOGIN_INVALID_CREDENTIALS/ })
  t.match(await run('login', '--url', 'http://127.0.0.1:1', '--email', 'nobody@example.com'), { status: 2, err: /does not answer/ })
})

t.test('services, resources and texts are put from files and listed, and what is wrong is refused by name', async (t) => {
  const { run, world, folder, url } = await openCli(t)
  await world.addUser(PLATFORM, 'owner', 'owner@example.com')
  await run('login', '--url', url, '--email', 'owner@example.com')
  const file = join(folder, 'setup.json')
  const put = (what: string, content: unknown) => {
    writeFileSync(file, JSON.stringify(content))
    return run(what, 'put', 'polar-bay', file)
  }
  t.match(await put('resources', { resources: [{ id: 'crew', name: 'Crew', capacity: 2, skills: ['gas'] }] }), { status: 0, out: 'resource crew, new\n' })
  t.match(await put('services', { id: 'visit', name: 'Visit', durationMinutes: 60, resourceIds: ['crew'] }), { status: 0, out: 'service visit, new\n' })
  t.match(await put('services', [{ id: 'visit', name: 'House visit', durationMinutes: 90, resourceIds: ['crew'] }]), { status: 0, out: 'service visit, changed\n' })
  t.match(await put('services', { id: 'odd', name: 'Odd', durationMinutes: 7 }), { status: 1, err: /durationMinutes/ })
  t.match(await run('services', 'list', 'polar-bay'), { status: 0, out: 'visit\t90 min\ton\tcrew\tHouse visit\n' })
  t.match(await run('resources', 'list', 'polar-bay'), { status: 0, out: 'crew\t2 at once\ton\tgas\tCrew\n' })
  t.match(await run('resources', 'put', 'polar-bay'), { status: 2, err: /FILE is missing/ })

  const listed = await run('templates', 'list', 'polar-bay')
  t.equal(listed.status, 0, listed.err)
  const [kind = '', channel = ''] = listed.out.split('\n').find((line) => line.includes('\tsms\t'))?.split('\t') ?? []
  writeFileSync(file, JSON.stringify({ subject: '', text: 'See you soon at {{ company.name }}. Reply STOP to opt out.' }))
  t.match(await run('templates', 'put', 'polar-bay', kind, channel, file), { status: 0, out: new RegExp(`^template ${kind} sms, kept`) })
  t.match((await run('templates', 'list', 'polar-bay')).out, new RegExp(`${kind}\tsms\tcompany\tSee you soon`))
  writeFileSync(file, JSON.stringify({ subject: '', text: 'Hello {{ password }}.' }))
  t.match(await run('templates', 'put', 'polar-bay', kind, channel, file), { status: 1, err: /password/ })
})

t.test('forms are put from a file, new or in place of what is there, and listed', async (t) => {
  const { run, world, folder, url } = await openCli(t)
  await world.addUser(PLATFORM, 'owner', 'owner@example.com')
  await run('login', '--url', url, '--email', 'owner@example.com')
  const file = join(folder, 'callback.json')
  const form = { id: 'callback', name: 'Callback', slots: [{ id: 'name', label: 'the name', type: 'name', prompt: 'May I have your name?' }] }
  writeFileSync(file, JSON.stringify(form))
  t.match(await run('forms', 'put', 'polar-bay', file), { status: 0, out: 'form callback, new\n' })
  writeFileSync(file, JSON.stringify([{ ...form, name: 'Call me back', enabled: false }]))
  t.match(await run('forms', 'put', 'polar-bay', file), { status: 0, out: 'form callback, changed\n' })
  t.match(await run('forms', 'list', 'polar-bay'), { status: 0, out: 'callback\tlead\toff\tname\tCall me back\n' })
  writeFileSync(file, JSON.stringify({ ...form, readBack: 'You are {{ nickname }}.' }))
  t.match(await run('forms', 'put', 'polar-bay', file), { status: 1, err: /readBack.*nickname/ })
})

t.test('a menu becomes a form that takes orders by one sentence, and goes again', async (t) => {
  const { run, world, folder, url } = await openCli(t)
  await world.addUser(PLATFORM, 'owner', 'owner@example.com')
  await run('login', '--url', url, '--email', 'owner@example.com')
  const file = join(folder, 'menu.json')
  writeFileSync(file, JSON.stringify({ source: 'a counter', carriers: ['can I get'], slots: { size: ['small', 'large'], coffeeDrink: ['latte', 'iced mocha'] } }))
  t.match(await run('forms', 'menu', 'polar-bay', file), { status: 2, err: /--needed is missing/ })
  t.match(await run('forms', 'menu', 'polar-bay', file, '--needed', 'tea'), { status: 2, err: /no slot "tea": size, coffeeDrink/ })
  t.match(await run('forms', 'menu', 'polar-bay', file, '--needed', 'coffeeDrink'), { status: 0, out: 'form order, new\n' })
  const company = await world.repositories.companies.get('polar-bay')
  t.match(company?.forms, [{ id: 'order', outcome: 'order', opensBySlots: true, carriers: ['can I get'], slots: [{ id: 'size', required: false, options: [{ value: 'small' }, { value: 'large' }] }, { id: 'coffeeDrink', required: true, label: 'coffee drink' }] }])
  t.match(await run('forms', 'delete', 'polar-bay', 'order'), { status: 0, out: 'form order, gone\n' })
  t.equal((await run('forms', 'list', 'polar-bay')).out, '')
  t.match(await run('forms', 'delete', 'polar-bay', 'order'), { status: 1, err: /NOT_FOUND/ })
})

t.test('a colleague sees what is free, books it in words, and calls it off', async (t) => {
  const { run, world, url, env } = await openCli(t)
  const owner = await world.as('polar-bay', 'owner')
  const { secret } = (await owner('POST', '/companies/polar-bay/api-keys', { label: 'cli', scopes: ['config:read', 'config:write', 'bookings:read', 'bookings:write', 'transcripts:read'] })).json()
  env['CLIENTSVIA_URL'] = url
  env['CLIENTSVIA_API_KEY'] = secret
  const company = await owner('GET', '/companies/polar-bay')
  await owner('PATCH', '/companies/polar-bay', { hours: { tuesday: [{ opens: '09:00', closes: '17:00' }] } }, { 'if-match': String(company.headers.etag) })
  await owner('POST', '/companies/polar-bay/resources', { id: 'crew-1', name: 'Crew one' })
  await owner('POST', '/companies/polar-bay/services', { id: 'repair', name: 'Repair', durationMinutes: 60 })
  t.match(await run('availability', 'polar-bay', 'repair', 'tomorrow', 'after', 'three'), { status: 0, out: /^tomorrow after 3 in the afternoon:\n2026-03-03T20:00:00.000Z\tcrew-1\ttomorrow at 3 in the afternoon\n/ })
  t.match(await run('availability', 'polar-bay', 'repair', 'tomorrow', 'evening'), { status: 0, out: /nothing is free/ })
  t.match(await run('availability', 'polar-bay', 'nothing'), { status: 1, err: /no service/ })
  const booked = await run('appointments', 'book', 'polar-bay', 'repair', 'tomorrow at ten', '--name', 'Dana Reyes', '--phone', '+12395550143')
  t.match(booked, { status: 0, out: /^2026-03-03T15:00:00.000Z\t[\w-]+\tconfirmed\tcrew-1\trepair\tDana Reyes\t\+12395550143\n$/ })
  t.match(await run('appointments', 'book', 'polar-bay', 'repair', '2026-03-03T15:30:00Z', '--name', 'Lee', '--phone', '+12395550199'), { status: 1, err: /taken/ })
  t.match(await run('appointments', 'book', 'polar-bay', 'repair', 'tomorrow evening', '--name', 'Lee', '--phone', '+12395550199'), { status: 1, out: /nothing is free then/ })
  t.match(await run('appointments', 'book', 'polar-bay', 'repair', 'tomorrow'), { status: 2, err: /--name is missing/ })
  t.equal((await run('appointments', 'list', 'polar-bay', '--from', '239-555-0143')).out, booked.out)
  const id = booked.out.split('\t')[1] ?? ''
  t.match(await run('appointments', 'move', 'polar-bay', id, 'tomorrow after three'), { status: 0, out: /^2026-03-03T20:00:00.000Z\t/ })
  t.match(await run('appointments', 'move', 'polar-bay', id, 'tomorrow evening'), { status: 1, out: /nothing is free then/ })
  t.match(await run('appointments', 'move', 'polar-bay', id, '2026-03-03T14:00:00Z'), { status: 0, out: /^2026-03-03T14:00:00.000Z\t/ })
  t.match(await run('appointments', 'confirm', 'polar-bay', id), { status: 0, out: /\tconfirmed\t/ })
  t.match(await run('appointments', 'cancel', 'polar-bay', id), { status: 0, out: /\tcancelled\t/ })
  t.match(await run('appointments', 'confirm', 'polar-bay', id), { status: 1, err: /cancelled/ }, 'what is off stays off')
  t.equal((await run('appointments', 'list', 'polar-bay', '--status', 'confirmed')).out, '')
  t.match(await run('appointments', 'cancel', 'polar-bay', 'nobody'), { status: 1, err: /NOT_FOUND/ })
})
