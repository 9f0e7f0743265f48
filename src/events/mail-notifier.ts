import type { Clock } from '../core/clock.ts'
import { uuidv7 } from '../core/ids.ts'
import { ClientsViaError } from '../core/errors.ts'
import type { SecurityNotifier } from '../security/notifier.ts'
import type { MessageChannel } from './channel.ts'
import { builtInTemplate, plainFact, renderMessage } from './message-texts.ts'

export type MailNotifierDeps = Readonly<{
  clock: Clock
  mail: MessageChannel
  /** The page that sets a password with this token. */
  linkOf: (token: string) => string
}>

const ATTEMPTS = 3
const RETRY_MS = 2000
const PLATFORM_FACTS = { name: 'ClientsVia', industry: '', phoneNumbers: [] }

/**
 * Password links by e-mail. They do not go through the outbox: a one-use secret is kept nowhere but in its message. The token follows a
 * #, which no browser sends to a server and no proxy logs.
 */
export class MailNotifier implements SecurityNotifier {
  readonly #deps: MailNotifierDeps

  constructor(deps: MailNotifierDeps) {
    this.#deps = deps
  }

  /** Throws ENGINE_UNAVAILABLE or ENGINE_FAILED when it could not be sent; the caller writes that down. */
  async passwordReset(message: Readonly<{ email: string; name: string; token: string; expiresInMinutes: number }>, signal: AbortSignal = NEVER): Promise<void> {
    const { clock, mail, linkOf } = this.#deps
    const facts = { person_name: plainFact(message.name), link: linkOf(message.token), minutes: String(message.expiresInMinutes) }
    const { subject, text } = renderMessage(PLATFORM_FACTS, 'email', builtInTemplate(PLATFORM_FACTS, 'password_link', 'email'), facts)
    const itemId = uuidv7(clock.wallTime())
    for (let attempt = 1; ; attempt++) {
      const outcome = await mail.send('platform', { itemId, to: message.email, subject, text }, signal)
      if (outcome.kind === 'taken') return
      // The same link twice harms nobody, but a mail server that hangs is not asked again: the person can.
      if (outcome.kind !== 'not-taken' || attempt === ATTEMPTS) {
        throw new ClientsViaError(outcome.kind === 'not-taken' ? 'ENGINE_UNAVAILABLE' : 'ENGINE_FAILED', outcome.reason)
      }
      await clock.sleep(RETRY_MS * attempt, signal)
    }
  }
}

const NEVER = new AbortController().signal
