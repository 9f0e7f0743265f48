import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { loadConfig } from '../../src/config.ts'
import { SystemClock } from '../../src/core/clock.ts'
import { newEvent, type DomainEvent } from '../../src/events/event.ts'
import { liveFacts } from '../../src/events/live-facts.ts'
import { createNotificationPlane } from '../../src/notification-plane.ts'
import { createLogger } from '../../src/observability/logger.ts'
import { createMetrics } from '../../src/observability/metrics.ts'
import { CompanySecrets } from '../../src/security/secret-box.ts'
import { openEmbeddedStore } from '../../src/storage/embedded-store.ts'
import { company } from '../storage/fixtures.ts'
import { ACCOUNT, TwilioStandIn } from '../vendors/twilio-rest.ts'
import { visit } from './delivery-world.ts'
import { lead, noonZone } from './fixtures.ts'

t.test('a visit and a lead become texts, over the real store and Twilio\'s protocol, and are seen live', async (t) => {
  const twilio = await TwilioStandIn.start()
  t.teardown(() => twilio.stop())
  const folder = mkdtempSync(join(tmpdir(), 'clientsvia-plane-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const live: DomainEvent[] = []
  const store = await openEmbeddedStore({ dataDir: folder, onProblem: (problem) => t.fail(problem.message), onEvent: (event) => live.push(event) })
  const clock = new SystemClock()
  const metrics = createMetrics({ process: false })
  // The platform's account is one that Twilio does not know; the company has its own.
  const config = loadConfig({ DATA_DIR: folder, TWILIO_ACCOUNT_SID: `AC${'0'.repeat(32)}`, TWILIO_AUTH_TOKEN: 'not the right one', TWILIO_BASE_URL: twilio.url })
  const secrets = new CompanySecrets(store.documents, [{ id: 'k', secret: new Uint8Array(32).fill(7) }], clock)
  await store.companies.save('a', company('a', { timeZone: noonZone(), phoneNumbers: ['+12395550100'], notifications: { people: [{ name: 'Desk', phoneNumberE164: '+12395550188', about: ['lead'], anyHour: true }] } }))
  await store.companies.save('b', company('b', { phoneNumbers: ['+16175550100'], notifications: { people: [{ name: 'Desk', phoneNumberE164: '+16175550188', anyHour: true }] } }))
  await secrets.set('a', 'twilio_account_sid', ACCOUNT.accountSid)
  await secrets.set('a', 'twilio_auth_token', ACCOUNT.authToken)
  const plane = createNotificationPlane({ config, logger: createLogger({ level: 'silent', speech: false, version: '0' }), clock, store: { ...store, forCalls: store, reports: null }, metrics, publicBaseUrl: () => 'https://voice.example.com', secrets: () => secrets })
  plane.start(true)
  const startsAt = new Date(Math.ceil(Date.now() / 3_600_000) * 3_600_000 + 72 * 3_600_000).toISOString()
  const booked = visit(startsAt, { idempotencyKey: 'k1' })
  await store.appointments.create('a', booked, { capacity: 1, now: new Date().toISOString() }, [newEvent(new Date(), { companyId: 'a', type: 'appointment.booked', subject: 'appointment/A1', data: { appointment: booked } })])
  await store.leads.create('a', lead('a', 'L1'))
  await store.leads.create('b', lead('b', 'L1'))
  const giveUpAt = performance.now() + 15_000
  const settled = async (): Promise<number> => live.filter((event) => event.type === 'message.sent' || event.type === 'message.failed').length
  while ((await settled()) < 3 && performance.now() < giveUpAt) await new Promise((resolve) => setTimeout(resolve, 20))
  await plane.stop()
  t.same(twilio.messages.map((message) => message.to).sort(), ['+12395550143', '+12395550188'], 'the customer of the one, and its people')
  t.match(twilio.messages[0]?.statusCallback, /^https:\/\/voice\.example\.com\/twilio\/sms-status\?company=a&message=/)
  t.match(await store.outbox.list('b', { before: null, limit: 10, kind: 'message' }), [{ state: 'failed', reason: /20003/ }], 'without an account that Twilio knows it is a dead letter')
  t.same(live.map((event) => event.type).sort(), ['appointment.booked', 'lead.created', 'lead.created', 'message.failed', 'message.sent', 'message.sent'], 'each seen once')
  t.notMatch(JSON.stringify(live.map(liveFacts)), /Dana|555/, 'and of nobody by name or number')
  t.match(await metrics.text(), /clientsvia_messages_total\{channel="sms",outcome="sent"\} 2/)
  t.match((await store.outbox.list('a', { before: null, limit: 10, kind: 'message' })).filter((one) => one.state === 'waiting').length, 2, 'the reminders wait')
  await store.close()
})
