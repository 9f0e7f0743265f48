import { sessionSchema, type RefreshToken, type Session, type SessionEndReason } from '../security/records.ts'
import type { RefreshRotation, SessionOpening, SessionRepository } from '../security/repositories.ts'
import { checkDocument, checkSame } from './embedded-documents.ts'
import { endSessions, openSession, rotateToken, sessionsOf, touchSession, type BookChange, type SessionBook } from './session-book.ts'

/** How a store keeps books of sessions: one a person, changed in one step. */
export type SessionShelf = Readonly<{
  read: (companyId: string, userId: string, signal?: AbortSignal) => Promise<SessionBook>
  /** `decide` may be asked several times; a book it gives back as it was is not written. */
  change: <T>(companyId: string, userId: string, decide: (book: SessionBook) => BookChange<T>, signal?: AbortSignal) => Promise<T>
  session: (companyId: string, userId: string, deviceId: string, signal?: AbortSignal) => Promise<Session | null>
  /** Whose book a refresh token is in. */
  ownerOf: (companyId: string, hash: string, signal?: AbortSignal) => Promise<string | null>
  /** Forgets those that have ended; how many. */
  sweep: (now: string, signal?: AbortSignal) => Promise<number>
}>

/** Sessions over any store that can keep a person's book: what is decided is the same everywhere. */
export class BookedSessions implements SessionRepository {
  readonly #shelf: SessionShelf

  constructor(shelf: SessionShelf) {
    this.#shelf = shelf
  }

  async open(
    companyId: string,
    opening: Readonly<{ session: Session; refreshHash: string; policy: 'newest-wins' | 'deny'; idleMs: number }>,
    signal?: AbortSignal,
  ): Promise<SessionOpening> {
    const session = checkDocument(sessionSchema, opening.session, 'session')
    checkSame('session.companyId', companyId, session.companyId)
    return this.#shelf.change(companyId, session.userId, (book) => openSession(book, { ...opening, session }), signal)
  }

  get(companyId: string, userId: string, deviceId: string, signal?: AbortSignal): Promise<Session | null> {
    return this.#shelf.session(companyId, userId, deviceId, signal)
  }

  async listByUser(companyId: string, userId: string, signal?: AbortSignal): Promise<readonly Session[]> {
    return sessionsOf(await this.#shelf.read(companyId, userId, signal))
  }

  touch(companyId: string, userId: string, deviceId: string, sessionId: string, at: string, signal?: AbortSignal): Promise<boolean> {
    return this.#shelf.change(companyId, userId, (book) => touchSession(book, deviceId, sessionId, at), signal)
  }

  end(
    companyId: string,
    userId: string,
    which: Readonly<{ deviceId: string | null; keepSessionId: string | null }>,
    ended: Readonly<{ at: string; reason: SessionEndReason }>,
    signal?: AbortSignal,
  ): Promise<readonly Session[]> {
    return this.#shelf.change(companyId, userId, (book) => endSessions(book, which, ended), signal)
  }

  async getRefresh(companyId: string, hash: string, signal?: AbortSignal): Promise<RefreshToken | null> {
    const userId = await this.#shelf.ownerOf(companyId, hash, signal)
    const book = userId === null ? [] : await this.#shelf.read(companyId, userId, signal)
    return book.flatMap((page) => page.tokens).find((token) => token.hash === hash) ?? null
  }

  async rotateRefresh(
    companyId: string,
    rotation: Readonly<{ hash: string; nextHash: string; client: string; at: string; graceMs: number; graceTokens: number }>,
    signal?: AbortSignal,
  ): Promise<RefreshRotation> {
    const userId = await this.#shelf.ownerOf(companyId, rotation.hash, signal)
    if (userId === null) return { outcome: 'unknown' }
    return this.#shelf.change(companyId, userId, (book) => rotateToken(book, rotation), signal)
  }

  sweep(now: string, signal?: AbortSignal): Promise<number> {
    return this.#shelf.sweep(now, signal)
  }
}
