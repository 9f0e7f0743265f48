import type { RefreshToken, Session, SessionEndReason } from '../security/records.ts'
import type { RefreshRotation, SessionOpening } from '../security/repositories.ts'

/**
 * All sessions of one person, each with the refresh tokens of its family. The stores read a book, let one of the functions below say
 * what it should be, and write it only if nobody has written it meanwhile: so each decision is one step, whatever the store can do.
 */
export type BookPage = Readonly<{ session: Session; tokens: readonly RefreshToken[] }>
export type SessionBook = readonly BookPage[]

/** A client without a device key is a new device at every sign-in; older ended sessions than these are forgotten. */
const MAX_PAGES = 60
/** A token every ten minutes over the longest session, and its repetitions. */
const MAX_TOKENS = 1100

export type BookChange<T> = Readonly<{ book: SessionBook; answer: T }>

export function openSession(
  book: SessionBook,
  opening: Readonly<{ session: Session; refreshHash: string; policy: 'newest-wins' | 'deny'; idleMs: number }>,
): BookChange<SessionOpening> {
  const { session } = opening
  const idleSince = new Date(Date.parse(session.loginTime) - opening.idleMs).toISOString()
  const live = book.map((page) => page.session).filter((other) => other.ended === null && other.expiresAt > session.loginTime && other.lastActivity > idleSince)
  const elsewhere = live.filter((other) => other.deviceId !== session.deviceId)
  if (opening.policy === 'deny' && elsewhere.length > 0) return { book, answer: { outcome: 'denied', live: elsewhere } }
  const { book: ended, answer: replaced } = endSessions(book, { deviceId: null, keepSessionId: null }, { at: session.loginTime, reason: 'replaced' })
  const first: RefreshToken = {
    hash: opening.refreshHash,
    companyId: session.companyId,
    userId: session.userId,
    deviceId: session.deviceId,
    sessionId: session.id,
    issuedAt: session.loginTime,
    spentAt: null,
    spentBy: null,
  }
  const kept = ended.filter((page) => page.session.deviceId !== session.deviceId).sort((a, b) => (a.session.loginTime < b.session.loginTime ? 1 : -1))
  return {
    book: [{ session, tokens: [first] }, ...kept.slice(0, MAX_PAGES - 1)],
    answer: { outcome: 'opened', replaced: replaced.filter((other) => live.some((one) => one.id === other.id)) },
  }
}

export function touchSession(book: SessionBook, deviceId: string, sessionId: string, at: string): BookChange<boolean> {
  const isIt = ({ session }: BookPage): boolean => session.deviceId === deviceId && session.id === sessionId && session.ended === null
  if (!book.some(isIt)) return { book, answer: false }
  return { book: book.map((page) => (isIt(page) ? { ...page, session: { ...page.session, lastActivity: at } } : page)), answer: true }
}

export function endSessions(
  book: SessionBook,
  which: Readonly<{ deviceId: string | null; keepSessionId: string | null }>,
  ended: Readonly<{ at: string; reason: SessionEndReason }>,
): BookChange<readonly Session[]> {
  const isChosen = ({ session }: BookPage): boolean =>
    session.ended === null && (which.deviceId === null || session.deviceId === which.deviceId) && session.id !== which.keepSessionId
  const answer = book.filter(isChosen).map((page) => page.session)
  if (answer.length === 0) return { book, answer }
  return { book: book.map((page) => (isChosen(page) ? { ...page, session: { ...page.session, ended } } : page)), answer }
}

export function rotateToken(
  book: SessionBook,
  rotation: Readonly<{ hash: string; nextHash: string; client: string; at: string; graceMs: number; graceTokens: number }>,
): BookChange<RefreshRotation> {
  const page = book.find(({ tokens }) => tokens.some((token) => token.hash === rotation.hash))
  const token = page?.tokens.find((one) => one.hash === rotation.hash)
  if (page === undefined || token === undefined) return { book, answer: { outcome: 'unknown' } }
  const next: RefreshToken = { ...token, hash: rotation.nextHash, issuedAt: rotation.at, spentAt: null, spentBy: null }
  const withTokens = (tokens: readonly RefreshToken[]): SessionBook => book.map((one) => (one === page ? { ...page, tokens: tokens.slice(-MAX_TOKENS) } : one))
  if (token.spentAt === null) {
    const spent: RefreshToken = { ...token, spentAt: rotation.at, spentBy: rotation.client }
    return { book: withTokens([...page.tokens.map((one) => (one === token ? spent : one)), next]), answer: { outcome: 'rotated', token: next } }
  }
  const sinceSpentMs = Date.parse(rotation.at) - Date.parse(token.spentAt)
  const unspentCount = page.tokens.filter((one) => one.spentAt === null).length
  const repeats = token.spentBy === rotation.client && sinceSpentMs <= rotation.graceMs && unspentCount < rotation.graceTokens
  if (!repeats) return { book, answer: { outcome: 'reused', token } }
  return { book: withTokens([...page.tokens, next]), answer: { outcome: 'repeated', token: next } }
}

/** By device, as the stores list them. */
export function sessionsOf(book: SessionBook): readonly Session[] {
  return book.map((page) => page.session).sort((a, b) => (a.deviceId < b.deviceId ? -1 : 1))
}
