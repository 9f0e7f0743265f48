import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { PLATFORM } from '../../src/security/roles.ts'
import { PASSWORD } from './admin-app.ts'
import { openCompanyWorld } from '../admin-resources/company-world.ts'

const ROOT = join(import.meta.dirname, '../..')
const GUIDE = readFileSync(join(ROOT, 'deploy/docs/first-agent.md'), 'utf8')
const SHELL = [...GUIDE.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? '').join('\n')

/** `api PATH` or `api PATH -d 'BODY'`, in the order of the guide. */
const COMMANDS = [...SHELL.matchAll(/^api (\/\S*)(?: -d '([^']*)')?$/gm)].map((match) => ({ path: match[1] ?? '', body: match[2] }))

t.test('a newcomer who types the guide\'s commands has a company, an agent and three answers, and is told what the guide says', async (t) => {
  const world = await openCompanyWorld()
  await world.addUser(PLATFORM, 'owner', 'owner@localhost.local')
  const body = /-d "(\{\\"email.*?\})"/.exec(SHELL)?.[1]?.replaceAll('\\"', '"').replace('$PASSWORD', PASSWORD)
  const login = await world.app.inject({ method: 'POST', url: '/api/v1/auth/login', headers: { 'content-type': 'application/json' }, payload: body ?? '' })
  t.equal(login.statusCode, 200, login.body)
  const token = /"accessToken":"([^"]*)"/.exec(login.body)?.[1] ?? ''
  t.equal(COMMANDS.length, 13)
  const said: string[] = []
  for (const { path, body } of COMMANDS) {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const reply = await world.app.inject(body === undefined ? { url: `/api/v1${path}`, headers: { authorization: headers.authorization } } : { method: 'POST', url: `/api/v1${path}`, headers, payload: body })
    t.ok(reply.statusCode === 200 || reply.statusCode === 201, `${path}: ${reply.statusCode} ${reply.statusCode >= 400 ? reply.body : ''}`)
    if (path.endsWith('/try')) said.push(String(reply.json().said[0].text))
    if (path.endsWith('/readiness')) t.match(reply.json(), { canTakeCalls: true, percent: Number(/"percent":(\d+)/.exec(GUIDE)?.[1]) })
  }
  t.equal(said.length, 3)
  for (const text of said) t.ok(GUIDE.includes(`"text":"${text}"`), text)
})

t.test('the recordings and pages that the guide points at are there', async (t) => {
  const recordings = [...GUIDE.matchAll(/media\/calls\/[\w-]+\.wav/g)].map(([path]) => path)
  t.equal(recordings.length, 3)
  for (const path of recordings) t.ok(existsSync(join(ROOT, path)), path)
  for (const [, path = ''] of GUIDE.matchAll(/\]\(([\w./-]+)\)/g)) t.ok(existsSync(join(ROOT, 'deploy/docs', path)), path)
})
