import { createConfig, lintFromString } from '@redocly/openapi-core'
import fc from 'fast-check'
import t from 'tap'
import { PLATFORM } from '../../src/security/roles.ts'
import { END, recordingFacts } from '../storage/recording-store-contract.ts'
import { COMPANIES, openCompanyWorld, type CompanyWorld } from './company-world.ts'

type Schema = Readonly<{
  type?: string
  enum?: readonly unknown[]
  const?: unknown
  anyOf?: readonly Schema[]
  oneOf?: readonly Schema[]
  allOf?: readonly Schema[]
  properties?: Readonly<Record<string, Schema>>
  required?: readonly string[]
  additionalProperties?: Schema | boolean
  propertyNames?: Schema
  items?: Schema
  minItems?: number
  maxItems?: number
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  pattern?: string
  format?: string
}>
type Parameter = Readonly<{ name: string; in: 'path' | 'query'; required?: boolean; schema: Schema }>
type Operation = Readonly<{ parameters?: readonly Parameter[]; requestBody?: { content: Readonly<Record<string, { schema: Schema }>> }; responses: Readonly<Record<string, unknown>> }>
type Document = Readonly<{ paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> }>

/** Values that fit a schema, often at its edges. */
function valid(schema: Schema): fc.Arbitrary<unknown> {
  const options = schema.anyOf ?? schema.oneOf
  if (options !== undefined) return fc.oneof(...options.map(valid))
  if (schema.allOf !== undefined) return fc.tuple(...schema.allOf.map(valid)).map((parts) => Object.assign({}, ...parts) as unknown)
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum)
  switch (schema.type) {
    case 'string':
      return text(schema)
    case 'integer':
      return fc.integer({ min: Math.max(schema.minimum ?? 0, -1e9), max: Math.min(schema.maximum ?? 1000, 1e9) })
    case 'number':
      return fc.double({ min: schema.minimum ?? 0, max: schema.maximum ?? 1000, noNaN: true })
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
    case 'array':
      return fc.array(valid(schema.items ?? {}), { minLength: schema.minItems ?? 0, maxLength: Math.min(schema.maxItems ?? 3, Math.max(3, schema.minItems ?? 0)) })
    case 'object':
      return object(schema)
    default:
      return fc.jsonValue({ maxDepth: 2 })
  }
}

function text(schema: Schema): fc.Arbitrary<string> {
  if (schema.format === 'date-time') return fc.date({ min: new Date('2020-01-01'), max: new Date('2030-01-01'), noInvalidDate: true }).map((date) => date.toISOString())
  if (schema.format === 'date') return fc.date({ min: new Date('2020-01-01'), max: new Date('2030-01-01'), noInvalidDate: true }).map((date) => date.toISOString().slice(0, 10))
  if (schema.format === 'email') return fc.integer({ min: 1, max: 1e9 }).map((n) => `person-${n}@example.com`)
  if (schema.pattern?.startsWith('^\\+[1-9]') === true) return fc.constantFrom('+12395550143', '+12395550144', '+442079460958', '+19005550100', '+15')
  if (schema.pattern !== undefined) return fc.stringMatching(new RegExp(schema.pattern))
  const maxLength = Math.min(schema.maxLength ?? 40, 60)
  return fc.string({ unit: fc.constantFrom(...'abc XYZ09-_./\'"%<>=+&é漢😀\n'), minLength: Math.min(schema.minLength ?? 0, maxLength), maxLength })
}

const zone = fc.constantFrom('UTC', 'America/New_York', 'Asia/Kolkata', 'Mars/Olympus')

function object(schema: Schema): fc.Arbitrary<Record<string, unknown>> {
  const model = Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, property]) => [name, name === 'timeZone' ? zone : valid(property)]))
  const known = fc.record(model, { requiredKeys: [...(schema.required ?? [])] })
  const { additionalProperties } = schema
  if (typeof additionalProperties !== 'object') return known
  return fc.tuple(known, fc.dictionary(text(schema.propertyNames ?? {}), valid(additionalProperties), { maxKeys: 3 })).map(([fixed, free]) => ({ ...free, ...fixed }))
}

/** What clients really send when they are wrong. */
const junk = fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.constantFrom<unknown>(null, [], '', 0, -1, true, { __proto__: null, constructor: {} }, { companyId: 'harbor-lane', role: 'owner', version: 9 }, 'x'.repeat(5000)))

/** The first is the one that is there: a request that goes nowhere breaks nothing. */
const IDS: Readonly<Record<string, readonly [string, ...string[]]>> = {
  companyId: ['polar-bay', ...COMPANIES, 'nowhere', PLATFORM],
  agentId: ['front-desk', 'none'],
  version: ['1', '0', 'x'],
  entryId: ['mascot', 'tune-up', 'none'],
  targetId: ['desk', 'none'],
  callSid: ['CA-polar-bay', 'CA-harbor-lane', 'LIVE'],
  recordingId: ['0195b2f0-0000-7000-8000-000000000001', 'none'],
  gapId: ['gap-polar-bay', 'gap-harbor-lane'],
  name: ['twilio_auth_token', 'Bad Name'],
}

function idOf(name: string, schema: Schema): fc.Arbitrary<string> {
  const known = IDS[name] ?? ['none']
  return fc.oneof({ weight: 8, arbitrary: fc.constant(known[0]) }, { weight: 3, arbitrary: fc.constantFrom(...known) }, { weight: 1, arbitrary: text(schema) })
}

type Sent = Readonly<{ path: string; query: string; body: unknown; headers: Record<string, string> }>

function requests(path: string, operation: Operation): fc.Arbitrary<Sent> {
  const parameters = operation.parameters ?? []
  const ofPath = parameters.filter((parameter) => parameter.in === 'path')
  const ofQuery = parameters.filter((parameter) => parameter.in === 'query')
  const ids = fc.record(Object.fromEntries(ofPath.map(({ name, schema }) => [name, idOf(name, schema)])))
  const query = fc.record(Object.fromEntries(ofQuery.map(({ name, schema }) => [name, fc.oneof({ weight: 4, arbitrary: valid(schema) }, { weight: 1, arbitrary: junk })])), { requiredKeys: ofQuery.filter((one) => one.required === true).map((one) => one.name) })
  const schema = operation.requestBody?.content['application/json']?.schema
  const body = schema === undefined ? fc.constant(undefined) : fc.oneof({ weight: 5, arbitrary: valid(schema) }, { weight: 2, arbitrary: junk }, { weight: 1, arbitrary: fc.constant(undefined) })
  const headers = fc.record({ 'if-match': fc.constantFrom('"v1"', '"v2"', '*', 'W/"v1"'), 'idempotency-key': fc.stringMatching(/^[a-z0-9]{7,20}$/) }, { requiredKeys: [] })
  return fc.record({ ids, query, body, headers }).map((parts) => ({
    path: path.replace(/\{(\w+)\}/g, (_match, name: string) => encodeURIComponent(parts.ids[name] ?? '')),
    query: new URLSearchParams(Object.entries(parts.query).map(([name, value]): [string, string] => [name, typeof value === 'string' ? value : JSON.stringify(value)])).toString(),
    body: parts.body,
    headers: Object.fromEntries(Object.entries(parts.headers).filter((entry): entry is [string, string] => entry[1] !== undefined)),
  }))
}

/** Enough for a thousand requests in all; `FAST_CHECK_RUNS` for a long night. */
const RUNS = Number(process.env['FAST_CHECK_RUNS'] ?? 14)

t.test('whatever is sent to any operation, nothing breaks and every answer is one that the document names', async (t) => {
  let world = await openCompanyWorld()
  const document = (await world.app.inject('/openapi.json')).json() as Document
  let sent = 0
  const seen = new Map<number, number>()
  const unexpected: string[] = []
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      // Wrong passwords lock a door for a while; a deleted company is put back.
      if (path.includes('/auth/login') || path.includes('/auth/password')) world = await openCompanyWorld()
      await world.refill('polar-bay')
      await (await world.recordings.create('polar-bay', recordingFacts('polar-bay', { id: '0195b2f0-0000-7000-8000-000000000001' }))).finish(END)
      let headers = await ownerOf(world)
      const documented = new Set(Object.keys(operation.responses))
      await fc.assert(
        fc.asyncProperty(requests(path, operation), async (request) => {
          const response = await world.app.inject({
            method: method.toUpperCase() as 'GET',
            url: `${request.path}${request.query === '' ? '' : `?${request.query}`}`,
            headers: { ...headers, ...request.headers },
            ...(request.body === undefined ? {} : { payload: JSON.stringify(request.body), headers: { ...headers, ...request.headers, 'content-type': 'application/json' } }),
            payloadAsStream: true,
          })
          sent += 1
          seen.set(response.statusCode, (seen.get(response.statusCode) ?? 0) + 1)
          const stream = response.stream()
          if (path.endsWith('/events')) stream.destroy()
          const body = path.endsWith('/events') ? '' : await textOf(stream)
          if (response.statusCode >= 500 || !documented.has(String(response.statusCode))) {
            throw new Error(`${method} ${request.path}?${request.query} ${JSON.stringify(request.body)}: ${response.statusCode} ${body.slice(0, 300)} ${String(world.errors.at(-1))}`)
          }
          if (response.statusCode >= 400 && !path.endsWith('/events')) {
            const problem = JSON.parse(body) as Record<string, unknown>
            if (typeof problem['code'] !== 'string' || typeof problem['traceId'] !== 'string' || problem['status'] !== response.statusCode) throw new Error(`not a problem: ${body}`)
          }
          // Some operations end the session that asked for them.
          if (response.statusCode === 401) headers = await ownerOf(world)
        }),
        { numRuns: RUNS, seed: 20_261_122 + sent, endOnFailure: false },
      ).catch((error: unknown) => unexpected.push(error instanceof Error ? error.message.slice(0, 1500) : String(error)))
    }
  }
  t.same(unexpected, [])
  t.ok(sent >= 1000, `${sent} requests`)
  t.comment(`${sent} requests: ${[...seen].sort(([a], [b]) => a - b).map(([status, count]) => `${status} x ${count}`).join(', ')}`)
})

async function ownerOf(world: CompanyWorld): Promise<Readonly<{ authorization: string }>> {
  return world.bearer(await world.addUser(PLATFORM, 'owner', `owner-${process.hrtime.bigint()}@example.com`))
}

async function textOf(stream: AsyncIterable<Uint8Array | string>): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of stream) parts.push(Buffer.from(part))
  return Buffer.concat(parts).toString('utf8')
}

t.test('the document is clean by the rules of a linter that is not ours', async (t) => {
  const { app } = await openCompanyWorld()
  const config = await createConfig({
    extends: ['recommended'],
    rules: {
      // Served from wherever it is installed: the one server is this one.
      'no-server-example.com': 'off',
      'operation-4xx-response': 'error',
    },
  })
  const problems = await lintFromString({ source: (await app.inject('/openapi.json')).payload, absoluteRef: 'openapi.json', config })
  t.same(problems.map((problem) => `${problem.severity} ${problem.ruleId}: ${problem.message} at ${problem.location[0]?.pointer ?? ''}`), [])
})
