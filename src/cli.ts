#!/usr/bin/env node
import { readFileSync, realpathSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { z } from 'zod'
import { bookAppointment, cancelAppointment, confirmAppointment, listAppointments, moveAppointment, showAvailability } from './cli-booking.ts'
import { ApiClient, readCredentials, Refused } from './cli-client.ts'
import { listLeads, setLead } from './cli-leads.ts'
import { deleteThing, listTemplates, listThings, putMenu, putTemplate, putThings, SETUP_LISTS } from './cli-setup.ts'
import { configReport, loadConfig, publicBaseUrl } from './config.ts'
import { SystemClock, type Clock } from './core/clock.ts'
import { isClientsViaError } from './core/errors.ts'
import { MongoDatabase, PATIENT } from './storage/mongo-database.ts'
import { migrateMongo } from './storage/mongo-schema.ts'

const USAGE = `Administers a ClientsVia server.

  clientsvia login --url URL --email ADDRESS     sign in; the password is asked for, or read from CLIENTSVIA_PASSWORD
  clientsvia login --url URL --api-key KEY       use an API key instead
  clientsvia logout
  clientsvia company create FILE                 a company with its agent and knowledge, as in media/companies
  clientsvia company list
  clientsvia knowledge import COMPANY FILE       entries from .csv or .json; --dry-run only checks
  clientsvia knowledge export COMPANY            as CSV, to standard output
  clientsvia forms list COMPANY                  what callers are asked for
  clientsvia forms put COMPANY FILE              one form, or a list of them, from .json: new, or in place of what is there
  clientsvia forms menu COMPANY FILE --needed SLOT  a form that takes orders, from { "carriers": ["can I get"], "slots": { "size": ["small", ...] } };
                                                 no order is without SLOT
  clientsvia services list|put COMPANY [FILE]    what can be booked, in the same way
  clientsvia resources list|put COMPANY [FILE]   who or what does it
  clientsvia forms|services|resources delete COMPANY ID
  clientsvia templates list COMPANY              every text that is sent to people, and whose wording it is
  clientsvia templates put COMPANY KIND CHANNEL FILE  a wording of your own, { "subject", "text" }
  clientsvia try COMPANY "WORDS"                 what a caller who says that would hear, and why
  clientsvia calls tail COMPANY                  calls and turns as they happen
  clientsvia availability COMPANY SERVICE ["WORDS"]  what is free; "next Tuesday after four" asks as a caller would
  clientsvia appointments list COMPANY           by start; --status confirmed, --from NUMBER
  clientsvia appointments book COMPANY SERVICE "WHEN" --name NAME --phone NUMBER [--reason WORDS]
  clientsvia appointments move COMPANY ID "WHEN"  to the first time that is free then
  clientsvia appointments confirm|cancel COMPANY ID
  clientsvia leads list COMPANY                  what callers wanted, newest first; --status new for what is left to do
  clientsvia leads set COMPANY ID STATUS         contacted, converted or closed; --note WORDS
  clientsvia audit verify COMPANY                whether the audit log is whole; names the first bad row
  clientsvia migrate                             prepares the database of MONGODB_URL: collections and indexes
  clientsvia config check                        the server's environment, as the server would read it

CLIENTSVIA_URL and CLIENTSVIA_API_KEY stand before what login has kept.
Exit status: 0 done, 1 refused by the server or not found to be right, 2 the command is wrong or nobody answers.`

export type CliWorld = Readonly<{
  env: Readonly<Record<string, string | undefined>>
  clock: Clock
  write: (text: string) => void
  writeError: (text: string) => void
  askPassword: () => Promise<string>
  signal: AbortSignal
}>

class UsageError extends Error {}

const DONE = 0
const REFUSED = 1
const WRONG = 2

/** Runs one command; gives the exit status. Never throws. */
export async function runCli(args: readonly string[], world: CliWorld): Promise<number> {
  try {
    return await command(args, world)
  } catch (error) {
    if (world.signal.aborted) return DONE
    if (error instanceof UsageError) world.writeError(`${error.message}\n\n${USAGE}\n`)
    else world.writeError(`${messageOf(error)}\n`)
    return error instanceof Refused || error instanceof z.ZodError ? REFUSED : WRONG
  }
}

async function command(args: readonly string[], world: CliWorld): Promise<number> {
  const { values, positionals } = parse(args)
  if (values.help === true || positionals.length === 0) {
    world.write(`${USAGE}\n`)
    return values.help === true ? DONE : WRONG
  }
  const [first = '', second = '', ...rest] = positionals
  const list = SETUP_LISTS.find((name) => name === first)
  if (list !== undefined && second === 'list') {
    await listThings(await signedIn(world), one(rest, 'COMPANY'), list, world.write, world.signal)
    return DONE
  }
  if (list !== undefined && second === 'put') {
    await putThings(await signedIn(world), one(rest, 'COMPANY'), list, one(rest.slice(1), 'FILE'), world.write, world.signal)
    return DONE
  }
  if (list !== undefined && second === 'delete') {
    await deleteThing(await signedIn(world), one(rest, 'COMPANY'), list, one(rest.slice(1), 'ID'), world.write, world.signal)
    return DONE
  }
  switch (first === 'login' || first === 'logout' || first === 'try' || first === 'availability' || first === 'migrate' ? first : `${first} ${second}`) {
    case 'login':
      return login(values, world)
    case 'logout':
      return logout(world)
    case 'company create':
      return createCompany(await signedIn(world), one(rest, 'FILE'), world)
    case 'company list':
      return listCompanies(await signedIn(world), world)
    case 'knowledge import':
      return importKnowledge(await signedIn(world), one(rest, 'COMPANY'), one(rest.slice(1), 'FILE'), values['dry-run'] === true, world)
    case 'knowledge export':
      return exportKnowledge(await signedIn(world), one(rest, 'COMPANY'), world)
    case 'forms menu':
      await putMenu(await signedIn(world), one(rest, 'COMPANY'), one(rest.slice(1), 'FILE'), one([values.needed ?? ''], '--needed'), world.write, world.signal)
      return DONE
    case 'templates list':
      await listTemplates(await signedIn(world), one(rest, 'COMPANY'), world.write, world.signal)
      return DONE
    case 'templates put': {
      const [companyId, kind, channel, file] = [one(rest, 'COMPANY'), one(rest.slice(1), 'KIND'), one(rest.slice(2), 'CHANNEL'), one(rest.slice(3), 'FILE')]
      await putTemplate(await signedIn(world), companyId, kind, channel, file, world.write, world.signal)
      return DONE
    }
    case 'try':
      return tryWords(await signedIn(world), one([second], 'COMPANY'), rest.join(' '), world)
    case 'calls tail':
      return tail(await signedIn(world), one(rest, 'COMPANY'), world)
    case 'availability':
      await showAvailability(await signedIn(world), one([second], 'COMPANY'), one(rest, 'SERVICE'), rest.slice(1).join(' '), world.write, world.signal)
      return DONE
    case 'appointments list': {
      const { status, from } = values
      await listAppointments(await signedIn(world), one(rest, 'COMPANY'), { ...(status === undefined ? {} : { status }), ...(from === undefined ? {} : { from }) }, world.write, world.signal)
      return DONE
    }
    case 'appointments book': {
      const [companyId, serviceId, when] = [one(rest, 'COMPANY'), one(rest.slice(1), 'SERVICE'), one(rest.slice(2), 'WHEN')]
      const visitor = { name: one([values.name ?? ''], '--name'), phone: one([values.phone ?? ''], '--phone'), reason: values.reason ?? 'booked by hand' }
      return (await bookAppointment(await signedIn(world), companyId, serviceId, when, visitor, world.write, world.signal)) ? DONE : REFUSED
    }
    case 'appointments cancel':
      await cancelAppointment(await signedIn(world), one(rest, 'COMPANY'), one(rest.slice(1), 'ID'), world.write, world.signal)
      return DONE
    case 'appointments confirm':
      await confirmAppointment(await signedIn(world), one(rest, 'COMPANY'), one(rest.slice(1), 'ID'), world.write, world.signal)
      return DONE
    case 'appointments move': {
      const [companyId, id, when] = [one(rest, 'COMPANY'), one(rest.slice(1), 'ID'), one(rest.slice(2), 'WHEN')]
      return (await moveAppointment(await signedIn(world), companyId, id, when, world.write, world.signal)) ? DONE : REFUSED
    }
    case 'leads set': {
      const [companyId, id, status] = [one(rest, 'COMPANY'), one(rest.slice(1), 'ID'), one(rest.slice(2), 'STATUS')]
      await setLead(await signedIn(world), companyId, id, status, values.note, world.write, world.signal)
      return DONE
    }
    case 'leads list':
      await listLeads(await signedIn(world), one(rest, 'COMPANY'), values.status, world.write, world.signal)
      return DONE
    case 'audit verify':
      return verifyAudit(await signedIn(world), one(rest, 'COMPANY'), world)
    case 'migrate':
      return migrate(world)
    case 'config check':
      return checkConfig(world)
    default:
      throw new UsageError(`there is no command "${positionals.join(' ')}"`)
  }
}

type Options = { url?: string; email?: string; 'api-key'?: string; 'dry-run'?: boolean; status?: string; from?: string; name?: string; phone?: string; reason?: string; note?: string; needed?: string; help?: boolean }

function parse(args: readonly string[]): { values: Options; positionals: string[] } {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        url: { type: 'string' }, email: { type: 'string' }, 'api-key': { type: 'string' }, 'dry-run': { type: 'boolean' }, status: { type: 'string' },
        from: { type: 'string' }, name: { type: 'string' }, phone: { type: 'string' }, reason: { type: 'string' }, note: { type: 'string' }, needed: { type: 'string' }, help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new UsageError(messageOf(error))
  }
}

async function login(values: Options, world: CliWorld): Promise<number> {
  const url = (values.url ?? world.env['CLIENTSVIA_URL'] ?? 'http://127.0.0.1:3000').replace(/\/+$/, '')
  if (!URL.canParse(url)) throw new UsageError(`--url: "${url}" is not a URL`)
  const client = new ApiClient(credentialsFile(world.env), { url }, world.clock)
  if (values['api-key'] !== undefined) {
    await client.keep({ url, apiKey: values['api-key'] })
    world.write(`the key is kept for ${url}\n`)
    return DONE
  }
  if (values.email === undefined) throw new UsageError('login needs --email or --api-key')
  await client.signIn(values.email, world.env['CLIENTSVIA_PASSWORD'] ?? (await world.askPassword()), world.signal)
  world.write(`signed in to ${url} as ${values.email}\n`)
  return DONE
}

async function logout(world: CliWorld): Promise<number> {
  const client = await signedIn(world)
  try {
    await client.ask('POST', '/auth/logout', {}, world.signal)
  } catch (error) {
    // A session that has ended, or a key, which has none.
    if (!(error instanceof Refused)) throw error
  }
  await client.forget()
  world.write('signed out\n')
  return DONE
}

/** What the store and other companies' files add; the server gives its own. */
const KEPT_BY_SERVER = ['companyId', 'version', 'publishedAt', 'draftVersion', 'createdAt', 'updatedAt', 'usage']
const documentSchema = z.record(z.string(), z.unknown()).transform((document) => Object.fromEntries(Object.entries(document).filter(([key]) => !KEPT_BY_SERVER.includes(key))))
const companyFileSchema = z.union([
  z.strictObject({ company: documentSchema, agent: documentSchema.optional(), knowledge: z.array(documentSchema).default([]) }),
  documentSchema.transform((company) => ({ company, agent: undefined, knowledge: [] })),
])
const madeSchema = z.looseObject({ id: z.string() })
const importedSchema = z.looseObject({
  stored: z.boolean(), created: z.int(), updated: z.int(), unchanged: z.int(), problems: z.array(z.object({ row: z.int(), field: z.string(), message: z.string() })),
})

async function createCompany(client: ApiClient, file: string, world: CliWorld): Promise<number> {
  const { company, agent, knowledge } = companyFileSchema.parse(JSON.parse(await readFile(file, 'utf8')))
  const { id } = madeSchema.parse(await client.ask('POST', '/companies', company, world.signal))
  world.write(`company ${id}\n`)
  if (agent !== undefined) {
    const made = madeSchema.parse(await client.ask('POST', `/companies/${id}/agents`, agent, world.signal))
    await client.ask('POST', `/companies/${id}/agents/${made.id}/publish`, {}, world.signal)
    world.write(`agent ${made.id}, published\n`)
  }
  if (knowledge.length === 0) return DONE
  return reportImport(await client.ask('POST', `/companies/${id}/knowledge-import`, { format: 'json', entries: knowledge }, world.signal), false, world)
}

async function listCompanies(client: ApiClient, world: CliWorld): Promise<number> {
  const page = z.object({ items: z.array(z.looseObject({ id: z.string(), name: z.string(), status: z.string() })), nextCursor: z.string().nullable() })
  for (let cursor: string | null = ''; cursor !== null; ) {
    const reply: z.infer<typeof page> = page.parse(await client.ask('GET', `/companies?limit=200${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`, undefined, world.signal))
    for (const company of reply.items) world.write(`${company.id}\t${company.status}\t${company.name}\n`)
    cursor = reply.nextCursor
  }
  return DONE
}

async function importKnowledge(client: ApiClient, companyId: string, file: string, dryRun: boolean, world: CliWorld): Promise<number> {
  const text = await readFile(file, 'utf8')
  const entries = z.union([z.array(documentSchema), z.object({ entries: z.array(documentSchema) }).transform((exported) => exported.entries)])
  const body = file.toLowerCase().endsWith('.csv') ? { format: 'csv', csv: text, dryRun } : { format: 'json', entries: entries.parse(JSON.parse(text)), dryRun }
  return reportImport(await client.ask('POST', `/companies/${encodeURIComponent(companyId)}/knowledge-import`, body, world.signal), dryRun, world)
}

function reportImport(reply: unknown, dryRun: boolean, world: CliWorld): number {
  const { stored, created, updated, unchanged, problems } = importedSchema.parse(reply)
  for (const problem of problems) world.writeError(`row ${problem.row}, ${problem.field}: ${problem.message}\n`)
  const what = `${created} new, ${updated} changed, ${unchanged} as they were`
  world.write(stored ? `knowledge: ${what}\n` : `nothing stored${problems.length === 0 ? '' : `, ${problems.length} problems`}: ${what}\n`)
  return problems.length === 0 && (stored || dryRun) ? DONE : REFUSED
}

async function exportKnowledge(client: ApiClient, companyId: string, world: CliWorld): Promise<number> {
  const response = await client.open('GET', `/companies/${encodeURIComponent(companyId)}/knowledge-export.csv`, undefined, {}, world.signal)
  world.write(await response.text())
  return DONE
}

async function tryWords(client: ApiClient, companyId: string, text: string, world: CliWorld): Promise<number> {
  if (text === '') throw new UsageError('WORDS is missing')
  const schema = z.looseObject({ said: z.array(z.object({ text: z.string(), source: z.string(), entryId: z.string().nullable() })), trace: z.array(z.object({ step: z.string(), detail: z.unknown() })) })
  const { said, trace } = schema.parse(await client.ask('POST', `/companies/${encodeURIComponent(companyId)}/try`, { text }, world.signal))
  for (const part of said) world.write(`${part.text}  (${part.source}${part.entryId === null ? '' : `: ${part.entryId}`})\n`)
  for (const { step, detail } of trace) world.write(`  ${step}  ${JSON.stringify(detail)}\n`)
  return DONE
}

/** Comes back after a lost connection this often; then the server is gone, not restarting. */
const MAX_RECONNECTS = 10
const RECONNECT_MS = 2000

async function tail(client: ApiClient, companyId: string, world: CliWorld): Promise<number> {
  let lastId = ''
  let lost = 0
  while (!world.signal.aborted) {
    let ended = false
    const parser = createParser({
      onEvent: (event: EventSourceMessage) => {
        lost = 0
        lastId = event.id ?? lastId
        ended = event.event === 'session.ended'
        if (!ended) world.write(`${lineOf(event)}\n`)
      },
    })
    try {
      const response = await client.open('GET', `/companies/${encodeURIComponent(companyId)}/events`, undefined, lastId === '' ? {} : { 'last-event-id': lastId }, world.signal)
      const decoder = new TextDecoder()
      for await (const chunk of response.body ?? []) parser.feed(decoder.decode(chunk, { stream: true }))
    } catch (error) {
      world.signal.throwIfAborted()
      if (error instanceof Refused || lost >= MAX_RECONNECTS) throw error
    }
    if (ended) {
      world.writeError('the session has ended: sign in again\n')
      return REFUSED
    }
    lost += 1
    if (lost > MAX_RECONNECTS) return WRONG
    await world.clock.sleep(RECONNECT_MS, world.signal)
  }
  return DONE
}

function lineOf(event: EventSourceMessage): string {
  const { at = '', callSid = '', ...data } = z.looseObject({ at: z.string().optional(), callSid: z.string().optional() }).parse(JSON.parse(event.data))
  const facts = Object.entries(data).map(([key, value]) => `${key}=${JSON.stringify(value)}`)
  return [at, callSid, event.event ?? 'message', ...facts].join('  ')
}

async function verifyAudit(client: ApiClient, companyId: string, world: CliWorld): Promise<number> {
  const schema = z.looseObject({ rows: z.int(), intact: z.boolean(), problem: z.string().optional() })
  const report = schema.parse(await client.ask('POST', `/companies/${encodeURIComponent(companyId)}/audit/verify`, {}, world.signal))
  if (report.intact) world.write(`${report.rows} rows, whole\n`)
  else world.writeError(`${report.problem ?? 'the log is not whole'}, after ${report.rows} good rows\n`)
  return report.intact ? DONE : REFUSED
}

function checkConfig(world: CliWorld): number {
  try {
    const config = loadConfig(world.env)
    world.write(`${configReport(config)}\n\nthe configuration is right; calls would come to ${publicBaseUrl(config, config.server.port)}/twilio/voice\n`)
    return DONE
  } catch (error) {
    if (!isClientsViaError(error, 'CONFIG_INVALID')) throw error
    world.writeError(`${error.message}\n`)
    return REFUSED
  }
}

async function signedIn(world: CliWorld): Promise<ApiClient> {
  const file = credentialsFile(world.env)
  const credentials = await readCredentials(file, world.env)
  if (credentials === null) throw new UsageError('sign in first: clientsvia login')
  return new ApiClient(file, credentials, world.clock)
}

/** Against the database itself: the server that uses it need not run, and refuses to before this. */
async function migrate(world: CliWorld): Promise<number> {
  const { store } = loadConfig(world.env).stores
  if (store.kind !== 'mongodb') throw new UsageError('MONGODB_URL is not set: the embedded store prepares itself when the server starts')
  const database = MongoDatabase.open(store.url.reveal(), store.database, PATIENT)
  try {
    await migrateMongo(database, (line) => world.write(`${line}\n`), world.signal)
    return DONE
  } catch (error) {
    if (isClientsViaError(error, 'STORE_FAILED')) world.writeError(`${String(error.details['detail'])}\n`)
    throw error
  } finally {
    await database.close()
  }
}

function credentialsFile(env: Readonly<Record<string, string | undefined>>): string {
  return join(env['XDG_CONFIG_HOME'] ?? join(env['HOME'] ?? homedir(), '.config'), 'clientsvia', 'credentials.json')
}

function one(given: readonly string[], name: string): string {
  const [value] = given
  if (value === undefined || value === '') throw new UsageError(`${name} is missing`)
  return value
}

function messageOf(error: unknown): string {
  if (error instanceof z.ZodError) return error.issues.map((issue) => `${issue.path.join('.') || 'file'}: ${issue.message}`).join('\n')
  return error instanceof Error ? error.message : String(error)
}

/** Without showing what is typed: the terminal's echo is muted, not the question. */
async function passwordFromTerminal(): Promise<string> {
  if (!process.stdin.isTTY) return readFileSync(0, 'utf8').replace(/\r?\n$/, '')
  process.stdout.write('Password: ')
  const terminal = createInterface({ input: process.stdin, terminal: true })
  try {
    return await terminal.question('')
  } finally {
    terminal.close()
    process.stdout.write('\n')
  }
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  // Whoever reads on (`| head`) may have read enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? DONE : WRONG))
  const interrupted = new AbortController()
  process.once('SIGINT', () => interrupted.abort(new Error('interrupted')))
  process.exitCode = await runCli(process.argv.slice(2), {
    env: process.env,
    clock: new SystemClock(),
    write: (text) => void process.stdout.write(text),
    writeError: (text) => void process.stderr.write(text),
    askPassword: passwordFromTerminal,
    signal: interrupted.signal,
  })
}
