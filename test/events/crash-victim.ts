/**
 * Sends what is due in the store in argv[2] through the Twilio stand-in at argv[3], and kills itself without a word at the step that
 * argv[4] names. argv[5] and argv[6]: the MongoDB and the database to use instead of the store.
 */
import { SystemClock } from '../../src/core/clock.ts'
import { EmbeddedQueue } from '../../src/events/embedded-queue.ts'
import { MessageDelivery } from '../../src/events/message-delivery.ts'
import { OutboxWorker } from '../../src/events/outbox-worker.ts'
import type { Outbox } from '../../src/events/outbox.ts'
import { SmsChannel } from '../../src/events/sms-channel.ts'
import { openEmbeddedStore } from '../../src/storage/embedded-store.ts'
import { MongoDatabase, PATIENT } from '../../src/storage/mongo-database.ts'
import { mongoRepositories } from '../../src/storage/mongo-repositories.ts'
import { ACCOUNT } from '../vendors/twilio-account.ts'

const [, , folder = '', twilioUrl = '', step = '', mongoUrl, mongoName = ''] = process.argv
const die = (): never => {
  process.kill(process.pid, 'SIGKILL')
  throw new Error('unreachable')
}
const clock = new SystemClock()
const report = (problem: Error): void => void process.stderr.write(`${problem.message}\n`)
const store =
  mongoUrl === undefined
    ? await openEmbeddedStore({ dataDir: folder, onProblem: report })
    : mongoRepositories(MongoDatabase.open(mongoUrl, mongoName, PATIENT), { clock, report }, () => undefined)

/** The store, with a trapdoor before and after each step of a message. */
const outbox: Outbox = {
  ...Object.fromEntries(['add', 'due', 'delivered', 'get', 'list', 'retry', 'drop', 'sentSince', 'rewrite', 'delete', 'deleteEndedBefore', 'depth'].map((name) => [name, (...given: never[]) => (Reflect.get(store.outbox, name) as (...given: never[]) => unknown).apply(store.outbox, given)])),
  claim: async (...given: Parameters<Outbox['claim']>) => {
    const lease = await store.outbox.claim(...given)
    if (step === 'after the claim' && lease?.item.work.kind === 'message') die()
    if (step === 'after the claim of a task' && lease?.item.work.kind === 'event') die()
    return lease
  },
  beginSending: async (...given: Parameters<Outbox['beginSending']>) => {
    const begun = await store.outbox.beginSending(...given)
    if (step === 'before Twilio is asked') die()
    return begun
  },
  settle: async (...given: Parameters<Outbox['settle']>) => {
    const isMessage = given[3].state !== 'done' || given[3].add === undefined
    if (step === 'after Twilio has taken it' && isMessage) die()
    if (step === 'before a task is settled' && !isMessage) die()
    const settled = await store.outbox.settle(...given)
    if (step === 'after it is settled' && isMessage) die()
    if (step === 'after a task is settled' && !isMessage) die()
    return settled
  },
} as Outbox

const sms = new SmsChannel({ clock, companies: store.companies, account: ACCOUNT, secrets: null, publicBaseUrl: () => 'http://127.0.0.1', baseUrl: twilioUrl })
const delivery = new MessageDelivery({
  clock, outbox, companies: store.companies, templates: store.messageTemplates, contacts: store.contacts, appointments: null, channels: { sms, email: null }, zonesOf: async () => [], onOutcome: () => undefined,
})
const worker = new OutboxWorker({ clock, outbox, queue: new EmbeddedQueue(), delivery, companies: store.companies, onDepth: () => undefined, onProblem: (facts, problem) => process.stderr.write(`${problem} ${JSON.stringify(facts)}\n`) })
await worker.run(new AbortController().signal)
