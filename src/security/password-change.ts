import { ClientsViaError } from '../core/errors.ts'
import type { AuditNote } from './audit-log.ts'
import type { ClientFacts } from './client.ts'
import type { SecurityNotifier } from './notifier.ts'
import { passwordProblem } from './passwords.ts'
import type { Principal } from './principal.ts'
import type { User } from './records.ts'
import { Refusal } from './refusals.ts'
import { PLATFORM } from './roles.ts'
import { formatBearer, hashSecret, parseBearer, randomSecret } from './secrets.ts'
import type { UsersDeps } from './users.ts'

const RESET_PREFIX = 'cvl'
/** Messages under way at once; a channel that hangs must not collect them without end. */
const MAX_SENDING = 50

/** Three ways to a new password; each ends every session of its owner. */
export class PasswordChange {
  readonly #deps: UsersDeps
  readonly #notifier: SecurityNotifier
  readonly #sending = new Set<Promise<void>>()

  constructor(deps: UsersDeps, notifier: SecurityNotifier) {
    this.#deps = deps
    this.#notifier = notifier
  }

  /** Throws PASSWORD_WRONG, LOGIN_TOO_MANY_ATTEMPTS, INVALID_INPUT. The session that asks ends with the others: sign in with the new password. */
  async change(actor: Principal, current: string, next: string, signal?: AbortSignal): Promise<void> {
    const { store, hasher, policy, clock } = this.#deps
    const user = await store.users.get(actor.companyId, actor.id, signal)
    if (user === null) throw new Refusal('SESSION_ENDED')
    const counter = `password-change:${user.id}`
    const answer = await store.attempts.begin(user.companyId, counter, policy.limits.account, clock.wallTime().getTime(), signal)
    if (!answer.allowed) throw new Refusal('LOGIN_TOO_MANY_ATTEMPTS', {}, answer.retryAfterMs)
    if (!(await hasher.verify(user.passwordHash, current, signal))) throw new Refusal('PASSWORD_WRONG')
    await store.attempts.clear(user.companyId, counter, signal)
    await this.#set(user, next, signal)
  }

  /** Answers the same whether the account exists or not: what differs (a link is made and sent) happens after it has answered. */
  async forgot(email: string, client: ClientFacts, signal?: AbortSignal): Promise<void> {
    const { store, policy, clock } = this.#deps
    const counter = `password-reset:${hashSecret(email.toLowerCase())}`
    const answer = await store.attempts.begin(PLATFORM, counter, policy.limits.passwordReset, clock.wallTime().getTime(), signal)
    const user = await store.users.findByEmail(email.toLowerCase(), signal)
    if (!answer.allowed || user === null || user.status !== 'active' || this.#sending.size >= MAX_SENDING) return
    const sending = clock
      .sleep(1)
      .then(() => this.#sendLink(user, client))
      .catch((error: unknown) => this.#noteFailure(user, client, error))
      .finally(() => this.#sending.delete(sending))
    this.#sending.add(sending)
  }

  /** When every link that was promised has been handed to the notifier: for shutting down. */
  async settled(): Promise<void> {
    await Promise.all(this.#sending)
  }

  /** Throws LINK_INVALID for a token that is not ours, old or used, and INVALID_INPUT (the token stays good) for a poor password. */
  async reset(token: string, next: string, signal?: AbortSignal): Promise<User> {
    const { store, policy, clock } = this.#deps
    const companyId = parseBearer(RESET_PREFIX, 1, token)?.companyId
    if (companyId === undefined) throw new Refusal('LINK_INVALID')
    // Before the link is used up: who forgot a password should not lose the link to a rule they did not know.
    const problem = passwordProblem(next, { minLength: policy.passwordMinLength, email: '', name: '' })
    if (problem !== null) throw new ClientsViaError('INVALID_INPUT', `password ${problem}`, { field: 'password' })
    const link = await store.links.take(companyId, hashSecret(token), clock.wallTime().toISOString(), signal)
    const user = link === null ? null : await store.users.get(companyId, link.userId, signal)
    if (user === null || user.status !== 'active') throw new Refusal('LINK_INVALID')
    return this.#set(user, next, signal)
  }

  async #sendLink(user: User, client: ClientFacts): Promise<void> {
    const { store, policy, clock, audit } = this.#deps
    const token = formatBearer(RESET_PREFIX, user.companyId, randomSecret())
    const nowMs = clock.wallTime().getTime()
    await store.links.create(user.companyId, {
      hash: hashSecret(token), companyId: user.companyId, purpose: 'password-reset', userId: user.id,
      createdAt: new Date(nowMs).toISOString(), expiresAt: new Date(nowMs + policy.resetLinkMs).toISOString(),
    })
    await audit.record(user.companyId, resetNote(user, client, 'done', ''))
    await this.#notifier.passwordReset({ email: user.email, name: user.name, token, expiresInMinutes: Math.round(policy.resetLinkMs / 60_000) })
  }

  async #noteFailure(user: User, client: ClientFacts, error: unknown): Promise<void> {
    const why = error instanceof Error ? error.message : String(error)
    await this.#deps.audit.record(user.companyId, resetNote(user, client, 'failed', `not sent: ${why}`))
  }

  async #set(user: User, next: string, signal?: AbortSignal): Promise<User> {
    const { store, hasher, sessions, policy, clock } = this.#deps
    const problem = passwordProblem(next, { minLength: policy.passwordMinLength, email: user.email, name: user.name })
    if (problem !== null) throw new ClientsViaError('INVALID_INPUT', `password ${problem}`, { field: 'password' })
    const at = clock.wallTime().toISOString()
    const changed: User = {
      ...user, passwordHash: await hasher.hash(next, signal), passwordChangedAt: at, updatedAt: at, sessionVersion: user.sessionVersion + 1,
    }
    const saved = await store.users.save(user.companyId, changed, user.version, signal)
    await sessions.end(user.companyId, user.id, {}, 'password-changed', signal)
    return saved
  }
}

function resetNote(user: User, client: ClientFacts, result: AuditNote['result'], reason: string): AuditNote {
  return {
    action: 'auth.password_reset_asked', result, reason, actor: { kind: 'nobody', id: '', companyId: '' }, target: `user/${user.id}`,
    address: client.address, userAgent: client.userAgent, traceId: client.traceId, details: {},
  }
}
