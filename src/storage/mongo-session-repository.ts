import { z } from 'zod'
import { refreshTokenSchema, sessionSchema, type Session } from '../security/records.ts'
import { BookedSessions, type SessionShelf } from './booked-sessions.ts'
import { idOf, type MongoDatabase, type MongoRecords, type Stored } from './mongo-database.ts'
import type { BookChange, SessionBook } from './session-book.ts'

const bookSchema = z.array(z.strictObject({ session: sessionSchema, tokens: z.array(refreshTokenSchema) }))
/** People whose last session has ended, found in one round of the sweep. */
const MAX_SWEPT = 1000

/** Where there is no Redis: a person's sessions are one record, which MongoDB drops when the last of them has ended. */
export class MongoSessionRepository extends BookedSessions {
  constructor(database: MongoDatabase) {
    super(new MongoSessionShelf(database))
  }
}

class MongoSessionShelf implements SessionShelf {
  readonly #people: MongoRecords

  constructor(database: MongoDatabase) {
    this.#people = database.collection('user_sessions')
  }

  async read(companyId: string, userId: string, signal?: AbortSignal): Promise<SessionBook> {
    return bookOf(await this.#people.get(idOf(companyId, userId), signal))
  }

  async session(companyId: string, userId: string, deviceId: string, signal?: AbortSignal): Promise<Session | null> {
    return (await this.read(companyId, userId, signal)).find((page) => page.session.deviceId === deviceId)?.session ?? null
  }

  async ownerOf(companyId: string, hash: string, signal?: AbortSignal): Promise<string | null> {
    const [record] = await this.#people.find({ companyId, hashes: hash }, { sort: { _id: 1 }, limit: 1 }, signal)
    return record === undefined ? null : String(record['userId'])
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

  change<T>(companyId: string, userId: string, decide: (book: SessionBook) => BookChange<T>, signal?: AbortSignal): Promise<T> {
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
