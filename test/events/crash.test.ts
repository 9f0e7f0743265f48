import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { newEvent } from '../../src/events/event.ts'
import { EmbeddedDatabase } from '../../src/storage/embedded-database.ts'
import { MIGRATIONS } from '../../src/storage/embedded-migrations.ts'
import { makeRepositories, type EmbeddedRepositories } from '../../src/storage/embedded-repositories.ts'
import { MongoDatabase, PATIENT } from '../../src/storage/mongo-database.ts'
import { mongoRepositories } from '../../src/storage/mongo-repositories.ts'
import { COMPANY_COLLECTIONS, migrateMongo } from '../../src/storage/mongo-schema.ts'
import { mongoService } from '../support/services.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { company } from '../storage/fixtures.ts'
import { TwilioStandIn } from '../vendors/twilio-rest.ts'
import { visit } from './delivery-world.ts'
import { CALLER, item, noonZone } from './fixtures.ts'

/** Where a server may be killed while it sends a text, and how the text stands when the next server has looked at it. */
const STEPS = [
  { step: 'after the claim', taken: 0, state: 'waiting' },
  // Nobody can tell these two apart from outside, so neither is sent again.
  { step: 'before Twilio is asked', taken: 0, state: 'unknown' },
  { step: 'after Twilio has taken it', taken: 1, state: 'unknown' },
  { step: 'after it is settled', taken: 1, state: 'done' },
] as const

type Keeper = Readonly<{
  name: string
  /** What a victim is told about it. */
  args: readonly string[]
  /** Opened anew by a process that comes after another. */
  open: (folder: string) => { repositories: EmbeddedRepositories; close: () => Promise<void> | void }
  emptied: () => Promise<void>
}>
const tools = () => ({ clock: new VirtualClock(new Date()), report: (problem: Error): never => { throw problem } })

const EMBEDDED: Keeper = {
  name: 'the embedded store',
  args: [],
  emptied: async () => undefined,
  open: (folder) => {
    const database = EmbeddedDatabase.open(join(folder, 'clientsvia.db'))
    database.migrate(MIGRATIONS)
    return { repositories: makeRepositories(database, tools()), close: () => database.close() }
  },
}

function mongoKeeper(url: string): Keeper {
  const name = `clientsvia-crash-${process.pid}`
  const database = MongoDatabase.open(url, name, PATIENT)
  t.before(async () => migrateMongo(database, () => undefined))
  t.teardown(async () => {
    await database.run((db) => db.dropDatabase())
    await database.close()
  })
  return {
    name: 'MongoDB',
    args: [url, name],
    emptied: async () => {
      for (const collection of COMPANY_COLLECTIONS) await database.collection(collection).delete({})
    },
    open: () => ({ repositories: mongoRepositories(database, tools(), () => undefined), close: () => undefined }),
  }
}

const mongo = await mongoService()
const KEEPERS = [EMBEDDED, ...(mongo === null ? [] : [mongoKeeper(mongo.url)])]

async function crash(t: Test, keeper: Keeper, step: string, prepare: (repositories: EmbeddedRepositories) => Promise<void>): Promise<{ twilio: TwilioStandIn; repositories: EmbeddedRepositories }> {
  const folder = mkdtempSync(join(tmpdir(), 'clientsvia-crash-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const twilio = await TwilioStandIn.start()
  t.teardown(() => twilio.stop())
  await keeper.emptied()
  const before = keeper.open(folder)
  await before.repositories.companies.save('a', company('a', { timeZone: noonZone(), phoneNumbers: ['+12395550100'] }))
  await prepare(before.repositories)
  await before.close()
  const victim = spawn(process.execPath, [join(import.meta.dirname, 'crash-victim.ts'), folder, twilio.url, step, ...keeper.args], { stdio: ['ignore', 'ignore', 'inherit'] })
  const signal = await new Promise((resolve) => victim.once('exit', (_code, killedBy) => resolve(killedBy)))
  t.equal(signal, 'SIGKILL')
  const after = keeper.open(folder)
  t.teardown(() => after.close())
  return { twilio, repositories: after.repositories }
}

const inMinutes = (minutes: number): string => new Date(Date.now() + minutes * 60_000).toISOString()

for (const keeper of KEEPERS) for (const { step, taken, state } of STEPS) {
  t.test(`over ${keeper.name} a server killed ${step} sends no text twice, and none is forgotten`, async (t) => {
    const one = item('x', { dueAt: new Date().toISOString() })
    const { twilio, repositories } = await crash(t, keeper, step, async ({ outbox }) => void (await outbox.add('a', [one], new Date().toISOString())))
    t.equal(twilio.messages.length, taken)
    const due = await repositories.outbox.due(inMinutes(5), 10)
    t.match(await repositories.outbox.get('a', one.id), { state })
    t.equal(due.length, state === 'waiting' ? 1 : 0, 'what another server would take up')
    const told = (await repositories.eventLog.list('a', { after: null, limit: 10 })).map((event) => event.type)
    t.same(told, state === 'waiting' ? [] : state === 'unknown' ? ['message.unknown'] : ['message.sent'])
  })
}

for (const keeper of KEEPERS) for (const step of ['before a task is settled']) {
  t.test(`over ${keeper.name} a server killed ${step} leaves a booking with each of its messages once`, async (t) => {
    // Far enough ahead to have both reminders.
    const startsAt = new Date(Math.ceil(Date.now() / 3_600_000) * 3_600_000 + 72 * 3_600_000).toISOString()
    const booked = newEvent(new Date(), { companyId: 'a', type: 'appointment.booked', subject: 'appointment/A1', data: { appointment: visit(startsAt) } })
    const { repositories } = await crash(t, keeper, step, ({ eventLog }) => eventLog.append('a', [booked]))
    const { outbox } = repositories
    const now = inMinutes(5)
    for (const { itemId } of await outbox.due(now, 10)) {
      const lease = await outbox.claim('a', itemId, { token: 'next', now, leaseUntil: inMinutes(10) })
      if (lease?.item.work.kind !== 'event') continue
      const { followUpOf } = await import('../../src/events/follow-up.ts')
      const stored = await repositories.companies.get('a')
      if (stored === null) throw new Error('the company is gone')
      await outbox.settle('a', itemId, 'next', { state: 'done', reason: '', providerId: null, add: followUpOf(lease.item.work.event, stored, new Date()).add }, now)
    }
    const messages = await outbox.list('a', { before: null, limit: 10, kind: 'message', to: CALLER })
    t.same(messages.map((one) => (one.work.kind === 'message' ? one.work.message.kind : '')).sort(), ['appointment_confirmed', 'reminder_day_before', 'reminder_hour_before'])
  })
}
