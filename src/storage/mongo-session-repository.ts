import { z } from 'zod'
import { refreshTokenSchema, sessionSchema, type RefreshToken, type Session, type SessionEndReason } from '../security/records.ts'
import type { RefreshRotation, SessionOpening, SessionRepository } from '../security/repositories.ts'
import { checkDocument, checkSame } from './embedded-documents.ts'
import { idOf, type MongoDatabase, type MongoRecords, type Stored } from './mongo-database.ts'
import { endSessions, openSession, rotateToken, sessionsOf, touchSession, type BookChange, type SessionBook } from './session-book.ts'

const bookSchema = z.array(z.strictObject({ session: sessionSchema, tokens: z.array(refreshTokenSchema) }))
/** People whose last session has ended, found in one round of the sweep. */
const MAX_SWEPT = 1000

/** Where there is no Redis: a person's sessions are one record, which MongoDB drops when the last of them has ended. */
export class MongoSessionRepository implements SessionRepository {
  readonly #people: MongoRecords

  constructor(database: MongoDatabase) {
    this.#people = database.collection('user_sessions')
  }

  async open(
    companyId: string,
    opening: Readonly<{ session: Session; refreshHash: string; policy: 'newest-wins' | 'deny'; idleMs: number }>,
    signal?: AbortSignal,
  ): Promise<SessionOpening> {
    const session = checkDocument(sessionSchema, opening.session, 'session')
    checkSame('session.companyId', companyId, session.companyId)
    return this.#change(companyId, session.userId, (book) => openSession(book, { ...opening, session }), signal)
  }

  async get(companyId: string, userId: string, deviceId: string, signal?: AbortSignal): Promise<Session | null> {
    const book = bookOf(await this.#people.get(idOf(companyId, userId), signal))
    return book.find((page) => page.session.deviceId === deviceId)?.session ?? null
  }

  async listByUser(companyId: string, userId: string, signal?: AbortSignal): Promise<readonly Session[]> {
    return sessionsOf(bookOf(await this.#people.get(idOf(companyId, userId), signal)))
  }

  touch(companyId: string, userId: string, deviceId: string, sessionId: string, at: string, signal?: AbortSignal): Promise<boolean> {
    return this.#change(companyId, userId, (book) => touchSession(book, deviceId, sessionId, at), signal)
  }

  end(
    companyId: string,
    userId: string,
    which: Readonly<{ deviceId: string | null; keepSessionId: string | null }>,
    ended: Readonly<{ at: string; reason: SessionEndReason }>,
    signal?: AbortSignal,
  ): Promise<readonly Session[]> {
    return this.#change(companyId, userId, (book) => endSessions(book, which, ended), signal)
  }

  async getRefresh(companyId: string, hash: string, signal?: AbortSignal): Promise<RefreshToken | null> {
    const record = await this.#withToken(companyId, hash, signal)
    return bookOf(record).flatMap((page) => page.tokens).find((token) => token.hash === hash) ?? null
  }

  async rotateRefresh(
    companyId: string,
    rotation: Readonly<{ hash: string; nextHash: string; client: string; at: string; graceMs: number; graceTokens: number }>,
    signal?: AbortSignal,
  ): Promise<RefreshRotation> {
    const record = await this.#withToken(companyId, rotation.hash, signal)
    if (record === null) return { outcome: 'unknown' }
    return this.#change(companyId, String(record['userId']), (book) => rotateToken(book, rotation), signal)
  }

  async sweep(now: string, signal?: AbortSignal): Promise<number> {
    const ended = await this.#people.find({ expiresAt: { $lt: new Date(now) } }, { sort: { _id: 1 }, limit: MAX_SWEPT }, signal)
    let gone = 0
    for (const record of ended) {
      gone += bookOf(record).length
      // Not when somebody has signed in meanwhile.
      await this.#people.delete({ _id: record._id, revision: record['revision'] }, signal)
    }
    return gone
  }

  async #withToken(companyId: string, hash: string, signal?: AbortSignal): Promise<Stored | null> {
    return (await this.#people.find({ companyId, hashes: hash }, { sort: { _id: 1 }, limit: 1 }, signal))[0] ?? null
  }

  #change<T>(companyId: string, userId: string, decide: (book: SessionBook) => BookChange<T>, signal?: AbortSignal): Promise<T> {
    return this.#people.change<T>(
      idOf(companyId, userId),
      (record) => {
        const before = bookOf(record)
        const { book, answer } = decide(before)
        return { record: book === before ? null : recordOf(companyId, userId, book), answer }
      },
      signal,
    )
  }
}

function recordOf(companyId: string, userId: string, book: SessionBook): Readonly<Record<string, unknown>> {
  const ends = book.map((page) => Date.parse(page.session.expiresAt))
  return { companyId, userId, book, hashes: book.flatMap((page) => page.tokens.map((token) => token.hash)), expiresAt: new Date(Math.max(0, ...ends)) }
}

function bookOf(record: Stored | null): SessionBook {
  return bookSchema.parse(record?.['book'] ?? [])
}
