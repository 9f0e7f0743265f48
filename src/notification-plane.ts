import { createHash } from 'node:crypto'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import type { CallOutcome } from './call/call-record.ts'
import type { CarrierControl } from './call/carrier-control.ts'
import type { Config } from './config.ts'
import type { Clock } from './core/clock.ts'
import { Scope } from './core/scope.ts'
import { DASHBOARD_PATH } from './dashboard/dashboard.ts'
import type { MessageChannel } from './events/channel.ts'
import type { DispatchQueue } from './events/dispatch-queue.ts'
import { zonesOfNumber } from './events/callee-zones.ts'
import { EmbeddedQueue } from './events/embedded-queue.ts'
import { InboundTexts, type InboundTextsDeps } from './events/inbound-texts.ts'
import { keepEvents } from './events/keep-events.ts'
import { MailNotifier } from './events/mail-notifier.ts'
import { missedCall } from './events/missed-call.ts'
import { MessageDelivery } from './events/message-delivery.ts'
import { OutboxWorker } from './events/outbox-worker.ts'
import { SmsChannel } from './events/sms-channel.ts'
import { SmtpChannel } from './events/smtp-channel.ts'
import type { Logger } from './observability/logger.ts'
import type { Metrics } from './observability/metrics.ts'
import type { SecurityNotifier } from './security/notifier.ts'
import type { CompanySecrets } from './security/secret-box.ts'
import { BullMqQueue } from './storage/bullmq-queue.ts'
import type { EmbeddedStore } from './storage/embedded-store.ts'
import { TwilioCallControl } from './telephony/call-control.ts'
import type { MessageChannelName } from './tenancy/notifications.ts'

export type NotificationPlaneDeps = Readonly<{
  config: Config
  logger: Logger
  clock: Clock
  store: Pick<EmbeddedStore, 'companies' | 'eventLog' | 'outbox' | 'leads' | 'contacts' | 'messageTemplates' | 'appointments' | 'calls'> &
    /** Whose number a text is for is known also while the store is away. */
    Readonly<{ forCalls: Readonly<{ companies: Pick<EmbeddedStore['companies'], 'findByPhoneNumber'> }>; reports: InboundTextsDeps['reports'] }>
  metrics: Metrics
  publicBaseUrl: () => string
  /** Known once the administration is there. */
  secrets: () => CompanySecrets | null
}>

export type NotificationPlane = Readonly<{
  texts: InboundTexts
  control: CarrierControl
  sms: SmsChannel
  channels: Readonly<Record<MessageChannelName, MessageChannel | null>>
  /** Null: no mail server is configured. */
  notifier: SecurityNotifier | null
  /** Tells of a caller who spoke to nobody. Never rejects. */
  callEnded: (companyId: string, callSid: string, outcome: CallOutcome) => Promise<void>
  /** Begins to send what is due; `sweeps`: and to forget what is old, which one process of several does. */
  start: (sweeps: boolean) => void
  /** What is being sent is waited for. */
  stop: () => Promise<void>
}>

/** What follows from events, and how it reaches people. */
export function createNotificationPlane(deps: NotificationPlaneDeps): NotificationPlane {
  const { config, logger, clock, store, metrics } = deps
  const { twilio, mail } = config
  const sms = new SmsChannel({
    clock,
    companies: store.companies,
    account: twilio === null || twilio.accountSid === null ? null : { accountSid: twilio.accountSid, authToken: twilio.authToken.reveal() },
    secrets: { reveal: async (companyId, name, signal) => (await deps.secrets()?.reveal(companyId, name, signal)) ?? null },
    publicBaseUrl: deps.publicBaseUrl,
    baseUrl: twilio?.baseUrl ?? null,
  })
  const email = mail === null ? null : new SmtpChannel({ clock, url: mail.smtpUrl.reveal(), from: mail.from })
  const channels = { sms, email }
  const delivery = new MessageDelivery({
    clock,
    outbox: store.outbox,
    companies: store.companies,
    templates: store.messageTemplates,
    contacts: store.contacts,
    appointments: store.appointments,
    channels,
    zonesOf: zonesOfNumber,
    onOutcome: (channel, outcome) => metrics.messageEnded(channel, outcome),
  })
  const queue = queueOf(deps)
  const worker = new OutboxWorker({
    clock,
    outbox: store.outbox,
    queue,
    delivery,
    companies: store.companies,
    onDepth: ({ oldestDueAt, ...states }) => metrics.outboxDepth(states, oldestDueAt === null ? 0 : (clock.wallTime().getTime() - Date.parse(oldestDueAt)) / 1000),
    onProblem: (facts, problem) => logger.error(facts, problem),
  })
  const scope = new Scope()
  const running: Promise<void>[] = []
  const control = new TwilioCallControl({
    publicBaseUrl: deps.publicBaseUrl,
    clientOf: async (companyId, signal) => {
      const account = await sms.accountOf(companyId, signal)
      return account === null ? null : sms.clientOf(account)
    },
  })
  return {
    sms,
    control,
    channels,
    texts: new InboundTexts({
      clock,
      companies: store.forCalls.companies,
      reports: store.reports,
      contacts: store.contacts,
      eventLog: store.eventLog,
      leads: store.leads,
      outbox: store.outbox,
      appointments: store.appointments,
    }),
    notifier: email === null ? null : new MailNotifier({ clock, mail: email, linkOf: passwordLinks(config.passwordPageUrl, deps.publicBaseUrl) }),
    callEnded: async (companyId, callSid, outcome) => {
      try {
        const call = await store.calls.get(companyId, callSid)
        const missed = call === null ? null : missedCall({ ...call, outcome }, await store.calls.turns(companyId, callSid), clock.wallTime())
        if (missed !== null) await store.eventLog.append(companyId, [missed])
      } catch (error) {
        logger.error({ companyId, callSid, error: String(error) }, 'missed call not told')
      }
    },
    start: (sweeps) => {
      running.push(worker.run(scope.signal).catch((error: unknown) => logger.error({ error: String(error) }, 'the outbox has stopped')))
      if (!sweeps) return
      const onFailure = (companyId: string, error: unknown): void => logger.error({ companyId, error: String(error) }, 'old events not deleted')
      running.push(keepEvents({ ...store, clock, onFailure }, scope.signal).catch((error: unknown) => void (scope.ended || logger.error({ error: String(error) }, 'old events are kept'))))
    },
    stop: async () => {
      scope.end('the server stops')
      await Promise.all(running)
      await queue.close()
    },
  }
}

/** The dashboard sets passwords, unless another page does. The token follows a #, which no browser sends on. */
export function passwordLinks(pageUrl: string | null, publicBaseUrl: () => string): (token: string) => string {
  return (token) => (pageUrl === null ? `${publicBaseUrl()}${DASHBOARD_PATH}#/password/${encodeURIComponent(token)}` : `${pageUrl}#${token}`)
}

function queueOf({ config, logger }: NotificationPlaneDeps): DispatchQueue {
  const { cache } = config.stores
  if (cache.kind === 'memory') return new EmbeddedQueue()
  // Only processes that share an outbox may share its work: one database, or one file on this machine.
  const { store } = config.stores
  const shared = store.kind === 'mongodb' ? ['mongodb', store.database] : [hostname(), resolve(config.dataDir)]
  const outbox = createHash('sha256').update(JSON.stringify(shared)).digest('base64url').slice(0, 16)
  return new BullMqQueue({ url: cache.url.reveal(), prefix: `clientsvia:outbox:${outbox}`, onProblem: (error) => logger.warn({ error: String(error) }, 'the shared queue does not answer: this process works for itself') })
}
