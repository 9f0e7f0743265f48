import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import { refreshTokenSchema, sessionSchema, type Session } from '../security/records.ts'
import { BookedSessions, type SessionShelf } from './booked-sessions.ts'
import { KeyedTurns } from './keyed-turns.ts'
import { companyKey } from './redis-keys.ts'
import type { RedisLink } from './redis-link.ts'
import type { BookChange, BookPage, SessionBook } from './session-book.ts'

/** Processes that race for one person's sessions; each round one of them wins. */
const MAX_TRIES = 32

/**
 * A person's book with its revision: the index names the devices. KEYS: revision, index. ARGV: how a session's key begins. Never KEYS:
 * that reads the whole server.
 */
const READ = `
local found = { redis.call('GET', KEYS[1]) or '0' }
for _, device in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  local page = redis.call('GET', ARGV[1] .. device)
  if page then found[#found + 1] = page else redis.call('SREM', KEYS[2], device) end
end
return found`

/**
 * Writes the pages that changed, if the revision is still the one that was read. KEYS: revision, index, then keys of pages and tokens.
 * ARGV: revision, ms the person's book lives, then for each key: value ('' deletes), its life in ms, the device of a page or ''.
 */
const WRITE = `
if (redis.call('GET', KEYS[1]) or '0') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1] + 1, 'PX', ARGV[2])
for i = 3, #KEYS do
  local at = 3 + (i - 3) * 3
  local device = ARGV[at + 2]
  if ARGV[at] == '' then
    redis.call('DEL', KEYS[i])
    if device ~= '' then redis.call('SREM', KEYS[2], device) end
  else
    redis.call('SET', KEYS[i], ARGV[at], 'PX', ARGV[at + 1])
    if device ~= '' then redis.call('SADD', KEYS[2], device) end
  end
end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1`

const pageSchema = z.strictObject({ session: sessionSchema, tokens: z.array(refreshTokenSchema) })
/** A token's key says whose book it is in. */
const ownerSchema = z.strictObject({ userId: z.string() })

/**
 * Sessions that several processes share: `session:{userId}:{deviceId}` of the company, an index a person, and the tokens' owners.
 * Redis drops them when they end. Not for a Redis Cluster: a person's keys lie in several slots.
 */
export class RedisSessionRepository extends BookedSessions {
  constructor(link: RedisLink, clock: Clock) {
    super(new RedisSessionShelf(link, clock))
  }
}

class RedisSessionShelf implements SessionShelf {
  readonly #link: RedisLink
  readonly #clock: Clock
  readonly #turns = new KeyedTurns()

  constructor(link: RedisLink, clock: Clock) {
    this.#link = link
    this.#clock = clock
  }

  async read(companyId: string, userId: string, signal?: AbortSignal): Promise<SessionBook> {
    return (await this.#read(companyId, userId, signal)).book
  }

  async session(companyId: string, userId: string, deviceId: string, signal?: AbortSignal): Promise<Session | null> {
    const text = await this.#link.run((redis) => redis.get(sessionKey(companyId, userId, deviceId)), signal)
    return text === null ? null : readPage(companyId, text).session
  }

  /** Nothing to do: each key ends with its session. */
  async sweep(_now: string, signal?: AbortSignal): Promise<number> {
    signal?.throwIfAborted()
    return 0
  }

  async ownerOf(companyId: string, hash: string, signal?: AbortSignal): Promise<string | null> {
    const text = await this.#link.run((redis) => redis.get(tokenKey(companyId, hash)), signal)
    return text === null ? null : ownerSchema.parse(JSON.parse(text)).userId
  }

  async #read(companyId: string, userId: string, signal?: AbortSignal): Promise<Readonly<{ revision: string; book: SessionBook }>> {
    const found = await this.#link.script(READ, [revisionKey(companyId, userId), indexKey(companyId, userId)], [sessionKey(companyId, userId, '')], signal)
    const [revision, ...pages] = z.array(z.string()).parse(found)
    return { revision: revision ?? '0', book: pages.map((page) => readPage(companyId, page)) }
  }

  change<T>(companyId: string, userId: string, decide: (book: SessionBook) => BookChange<T>, signal?: AbortSignal): Promise<T> {
    const attempt = async (): Promise<T> => {
      for (let tries = 0; tries < MAX_TRIES; tries += 1) {
        const { revision, book } = await this.#read(companyId, userId, signal)
        const change = decide(book)
        if (change.book === book || (await this.#write(companyId, userId, revision, book, change.book, signal))) return change.answer
      }
      throw new ClientsViaError('OVERLOADED', 'too many sign-ins of one person at once')
    }
    return this.#turns.take(`${companyId} ${userId}`, attempt, signal)
  }

  async #write(companyId: string, userId: string, revision: string, before: SessionBook, after: SessionBook, signal?: AbortSignal): Promise<boolean> {
    const keys: string[] = []
    const values: (string | number)[] = []
    const put = (key: string, value: string, lifeMs: number, device: string): void => {
      keys.push(key)
      values.push(value, lifeMs, device)
    }
    const knownHashes = new Set(before.flatMap((page) => page.tokens.map((token) => token.hash)))
    for (const page of after) {
      if (before.includes(page)) continue
      const lifeMs = this.#lifeMs(page.session)
      put(sessionKey(companyId, userId, page.session.deviceId), JSON.stringify(page), lifeMs, encodeURIComponent(page.session.deviceId))
      for (const { hash } of page.tokens) if (!knownHashes.has(hash)) put(tokenKey(companyId, hash), JSON.stringify({ userId }), lifeMs, '')
    }
    for (const page of before) {
      const { deviceId } = page.session
      if (!after.some((other) => other.session.deviceId === deviceId)) put(sessionKey(companyId, userId, deviceId), '', 0, encodeURIComponent(deviceId))
    }
    const bookLifeMs = Math.max(1, ...after.map((page) => this.#lifeMs(page.session)))
    const written = await this.#link.script(WRITE, [revisionKey(companyId, userId), indexKey(companyId, userId), ...keys], [revision, bookLifeMs, ...values], signal)
    return written === 1
  }

  #lifeMs(session: Session): number {
    return Math.max(1, Math.ceil(Date.parse(session.expiresAt) - this.#clock.wallTime().getTime()))
  }
}

function readPage(companyId: string, text: string): BookPage {
  const page = pageSchema.parse(JSON.parse(text))
  if (page.session.companyId !== companyId) throw new ClientsViaError('STORE_FAILED', 'a session of another company lies under this key')
  return page
}

function sessionKey(companyId: string, userId: string, deviceId: string): string {
  return companyKey(companyId, 'session', userId, deviceId)
}

function indexKey(companyId: string, userId: string): string {
  return companyKey(companyId, 'sessions-of', userId)
}

function revisionKey(companyId: string, userId: string): string {
  return companyKey(companyId, 'sessions-revision', userId)
}

function tokenKey(companyId: string, hash: string): string {
  return companyKey(companyId, 'refresh-token', hash)
}
