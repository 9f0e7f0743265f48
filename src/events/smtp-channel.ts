import { Readable } from 'node:stream'
import MailComposer from 'nodemailer/lib/mail-composer'
import SMTPConnection from 'nodemailer/lib/smtp-connection'
import type { Clock } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { isClientsViaError } from '../core/errors.ts'
import type { MessageChannel, OutgoingText, SendOutcome } from './channel.ts'

export type SmtpOptions = Readonly<{
  clock: Clock
  /** smtps://user:password@host:465, or smtp://host:587, which turns to TLS where the server offers it. */
  url: string
  /** What stands in From: "ClientsVia <voice@example.com>". */
  from: string
}>

const CONNECT_MS = 5000
/** Greylisting servers think for a while before they answer. */
const ANSWER_MS = 20_000
/** All of it, from the connection to the last word. */
const DEADLINE_MS = 40_000

/**
 * E-mail by one SMTP server, the same for every company. A connection of its own for every message: what broke and when must be
 * known, because a message that had not begun to be handed over can be sent again, and one that had cannot.
 */
export class SmtpChannel implements MessageChannel {
  readonly #clock: Clock
  readonly #url: URL
  readonly #from: string

  constructor(options: SmtpOptions) {
    this.#clock = options.clock
    this.#url = new URL(options.url)
    this.#from = options.from
  }

  async unavailable(): Promise<string | null> {
    return null
  }

  async send(_companyId: string, text: OutgoingText, signal: AbortSignal): Promise<SendOutcome> {
    signal.throwIfAborted()
    const composed = await this.#compose(text).catch(() => null)
    if (composed === null) return { kind: 'refused', reason: 'the message cannot be put together', optedOut: false }
    const { bytes, messageId, sender } = composed
    const connection = this.#connection()
    let handedOver = false
    // Read only once the server has said that it is listening.
    const message = new Readable({
      read() {
        handedOver = true
        this.push(bytes)
        this.push(null)
      },
    })
    try {
      await withDeadline(this.#clock, DEADLINE_MS, signal, (inTime) => talk(connection, this.#url, { from: sender, to: text.to }, message, inTime))
      return { kind: 'taken', providerId: messageId.slice(0, 100) }
    } catch (error) {
      return outcomeOf(error, handedOver)
    } finally {
      connection.close()
    }
  }

  async #compose(text: OutgoingText): Promise<Readonly<{ bytes: Buffer; messageId: string; sender: string }>> {
    const sender = this.#from.replace(/^.*<|>.*$/g, '')
    // The same message asked for again has the same id: mail programs show one.
    const messageId = `<${text.itemId}@${sender.replace(/^.*@/, '')}>`
    const mail = new MailComposer({
      from: this.#from,
      // An object, so that nothing in it makes two addresses of one.
      to: { name: '', address: text.to },
      subject: text.subject ?? '',
      text: text.text,
      messageId,
      // Our own text: nothing in it may name a file or an address to fetch.
      disableFileAccess: true,
      disableUrlAccess: true,
    })
    return { bytes: await mail.compile().build(), messageId, sender }
  }

  #connection(): SMTPConnection {
    const { protocol, hostname, port } = this.#url
    const secure = protocol === 'smtps:'
    return new SMTPConnection({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? (secure ? 465 : 587) : Number(port),
      secure,
      connectionTimeout: CONNECT_MS,
      greetingTimeout: CONNECT_MS,
      socketTimeout: ANSWER_MS,
    })
  }
}

async function talk(connection: SMTPConnection, url: URL, envelope: Readonly<{ from: string; to: string }>, message: Readable, signal: AbortSignal): Promise<void> {
  const onAbort = (): void => connection.close()
  signal.addEventListener('abort', onAbort, { once: true })
  const { promise: broken, reject } = Promise.withResolvers<never>()
  broken.catch(() => undefined)
  connection.on('error', reject)
  const step = (work: (done: (error?: Error | null) => void) => void): Promise<void> =>
    Promise.race([broken, new Promise<void>((resolve, fail) => work((error) => (error === undefined || error === null ? resolve() : fail(error))))])
  try {
    await step((done) => connection.connect(done))
    if (url.username !== '') {
      const credentials = { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) }
      await step((done) => connection.login({ credentials }, done))
    }
    await step((done) => connection.send({ from: envelope.from, to: [envelope.to] }, message, done))
    connection.quit()
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function outcomeOf(error: unknown, handedOver: boolean): SendOutcome {
  const facts = error instanceof Error ? (error as Error & { code?: string; command?: string; responseCode?: number }) : null
  const status = facts?.responseCode ?? 0
  const isLate = isClientsViaError(error, 'DEADLINE_PASSED')
  const reason = isLate ? 'the mail server has not answered in time' : `SMTP ${status > 0 ? String(status) : (facts?.code ?? 'broken')}${facts?.command === undefined ? '' : ` at ${facts.command}`}`
  // The server's own word on it counts at every step: 4xx is "not now", 5xx "never".
  if (status >= 500 || (!handedOver && facts?.code === 'EAUTH')) return { kind: 'refused', reason, optedOut: false }
  if (status >= 400 || !handedOver) return { kind: 'not-taken', reason, retryAfterMs: null }
  return { kind: 'unknown', reason }
}
