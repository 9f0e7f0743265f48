import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { isClientsViaError } from '../core/errors.ts'
import { companyKey, sharedKey } from './redis-keys.ts'
import type { RedisLink } from './redis-link.ts'
import type { RedisListener } from './redis-listener.ts'

/** What one process has read from the database serves the others for this long. */
const ENTRY_MS = 3_600_000
/** Longer than any entry made under it: a generation that has been forgotten begins at 0 again, and nothing of then is left. */
const GENERATION_MS = 24 * 3_600_000
const CHANNEL = sharedKey('company-changed-channel')
/** Saves that could not be told while Redis was away. */
const MAX_UNTOLD = 10_000

const newsSchema = z.strictObject({ from: z.string(), companyId: z.string() })

export type CacheEntry = Readonly<{ generation: string; text: string | null }>

/**
 * The second level: documents of companies, in Redis, for an hour. Every save makes a new generation of the company, and the generation is part
 * of every key: what was read before a save, and written here after it, lies where nobody looks any more.
 */
export class RedisCompanyCache {
  readonly #link: RedisLink
  readonly #name = randomUUID()
  readonly #untold = new Set<string>()
  readonly #listeners: ((companyId: string) => void)[] = []

  constructor(link: RedisLink, listener: RedisListener) {
    this.#link = link
    listener.hear(CHANNEL, (message) => {
      const { from, companyId } = newsSchema.parse(JSON.parse(message))
      if (from !== this.#name) for (const hear of this.#listeners) hear(companyId)
    })
    link.onConnected(() => {
      const untold = [...this.#untold]
      this.#untold.clear()
      for (const companyId of untold) this.changed(companyId)
    })
  }

  /** Null while Redis is away: the database is asked. */
  async read(companyId: string, kind: string, signal?: AbortSignal): Promise<CacheEntry | null> {
    try {
      return await this.#link.run(async (redis) => {
        const generation = (await redis.get(generationKey(companyId))) ?? '0'
        return { generation, text: await redis.get(entryKey(companyId, generation, kind)) }
      }, signal)
    } catch (error) {
      return nullWhenAway(error)
    }
  }

  /** `generation`: as it was before the database was read. */
  async write(companyId: string, kind: string, generation: string, text: string): Promise<void> {
    await this.#link.run((redis) => redis.set(entryKey(companyId, generation, kind), text, 'PX', ENTRY_MS)).catch(nullWhenAway)
  }

  /** Which company a number led to when it was last looked up; the reader checks it. */
  async companyOfNumber(phoneNumberE164: string, signal?: AbortSignal): Promise<string | null> {
    try {
      return await this.#link.run((redis) => redis.get(numberKey(phoneNumberE164)), signal)
    } catch (error) {
      return nullWhenAway(error)
    }
  }

  async rememberNumber(phoneNumberE164: string, companyId: string): Promise<void> {
    await this.#link.run((redis) => redis.set(numberKey(phoneNumberE164), companyId, 'PX', ENTRY_MS)).catch(nullWhenAway)
  }

  /** Something of the company was saved by this process: everybody is told, at once or when Redis is back. */
  changed(companyId: string): void {
    const key = generationKey(companyId)
    void this.#link
      .run((redis) => redis.multi().incr(key).pexpire(key, GENERATION_MS).publish(CHANNEL, JSON.stringify({ from: this.#name, companyId })).exec())
      .catch(() => {
        if (this.#untold.size < MAX_UNTOLD) this.#untold.add(companyId)
      })
  }

  /** By another process. */
  onChangedElsewhere(listener: (companyId: string) => void): void {
    this.#listeners.push(listener)
  }
}

function generationKey(companyId: string): string {
  return companyKey(companyId, 'generation')
}

function entryKey(companyId: string, generation: string, kind: string): string {
  return companyKey(companyId, 'cache', generation, kind)
}

function numberKey(phoneNumberE164: string): string {
  return sharedKey('company-phone', phoneNumberE164)
}

function nullWhenAway(error: unknown): null {
  if (isClientsViaError(error, 'STORE_FAILED')) return null
  throw error
}
