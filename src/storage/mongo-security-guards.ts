import { z } from 'zod'
import { oneUseLinkSchema, type OneUseLink } from '../security/records.ts'
import type {
  AttemptAnswer, AttemptLimit, AttemptRepository, IdempotencyAnswer, IdempotencyRepository, KeptReply, OneUseRepository, StoredReply,
} from '../security/repositories.ts'
import { checkDocument } from './embedded-documents.ts'
import { idOf, type MongoDatabase, type MongoRecords } from './mongo-database.ts'
import { readRecord } from './mongo-documents.ts'

export class MongoOneUseRepository implements OneUseRepository {
  readonly #links: MongoRecords
  readonly #nonces: MongoRecords

  constructor(database: MongoDatabase) {
    this.#links = database.collection('one_use_links')
    this.#nonces = database.collection('spent_nonces')
  }

  /** The key is person and purpose: a newer link takes the older one's place. */
  async create(companyId: string, link: OneUseLink, signal?: AbortSignal): Promise<void> {
    const checked = checkDocument(oneUseLinkSchema, link, 'one-use link')
    const { userId, purpose, hash } = checked
    await this.#links.put({ _id: idOf(companyId, userId, purpose), companyId, userId, hash, expiresAt: new Date(checked.expiresAt), document: checked }, signal)
  }

  async take(companyId: string, hash: string, now: string, signal?: AbortSignal): Promise<OneUseLink | null> {
    const found = (await this.#links.find({ companyId, hash }, { sort: { _id: 1 }, limit: 1 }, signal))[0]
    if (found === undefined) return null
    const taken = await this.#links.take({ _id: found._id, hash }, signal)
    if (taken === null) return null
    const link = readRecord(oneUseLinkSchema, taken, 'one-use link')
    return link.expiresAt > now ? link : null
  }

  async spend(companyId: string, nonce: string, _now: string, expiresAt: string, signal?: AbortSignal): Promise<boolean> {
    return this.#nonces.insert({ _id: idOf(companyId, nonce), companyId, expiresAt: new Date(expiresAt) }, signal)
  }
}

const triesSchema = z.object({ attempts: z.number(), blockedUntilMs: z.number(), forgetAtMs: z.number() })

export class MongoAttemptRepository implements AttemptRepository {
  readonly #tries: MongoRecords

  constructor(database: MongoDatabase) {
    this.#tries = database.collection('attempts')
  }

  begin(companyId: string, key: string, limit: AttemptLimit, nowMs: number, signal?: AbortSignal): Promise<AttemptAnswer> {
    return this.#tries.change<AttemptAnswer>(
      idOf(companyId, key),
      (record) => {
        const kept = record === null ? null : triesSchema.parse(record)
        const known = kept !== null && kept.forgetAtMs > nowMs ? kept : { attempts: 0, blockedUntilMs: 0 }
        if (known.blockedUntilMs > nowMs) return { record: null, answer: { allowed: false, retryAfterMs: known.blockedUntilMs - nowMs, attempts: known.attempts } }
        const attempts = known.attempts + 1
        const beyond = attempts - limit.free
        const delayMs = beyond < 0 ? 0 : Math.min(limit.maxDelayMs, limit.firstDelayMs * 2 ** Math.min(beyond, 40))
        const forgetAtMs = Math.round(nowMs + delayMs + limit.forgetAfterMs)
        const next = { companyId, attempts, blockedUntilMs: Math.round(nowMs + delayMs), forgetAtMs, expiresAt: new Date(forgetAtMs) }
        return { record: next, answer: { allowed: true, retryAfterMs: 0, attempts } }
      },
      signal,
    )
  }

  async clear(companyId: string, key: string, signal?: AbortSignal): Promise<void> {
    await this.#tries.delete({ _id: idOf(companyId, key) }, signal)
  }
}

const replySchema = z.object({ status: z.number(), body: z.string().nullable(), etag: z.string().nullable(), location: z.string().nullable().default(null) })
const requestSchema = z.object({ fingerprint: z.string(), runningUntil: z.string(), expiresAt: z.date(), reply: replySchema.nullable() })

export class MongoIdempotencyRepository implements IdempotencyRepository {
  readonly #requests: MongoRecords

  constructor(database: MongoDatabase) {
    this.#requests = database.collection('idempotency')
  }

  begin(
    companyId: string,
    key: string,
    request: Readonly<{ fingerprint: string; now: string; expiresAt: string; runningUntil: string }>,
    signal?: AbortSignal,
  ): Promise<IdempotencyAnswer> {
    const begun = {
      companyId,
      fingerprint: request.fingerprint,
      runningUntil: request.runningUntil,
      expiresAt: new Date(request.expiresAt),
      reply: null,
    }
    return this.#requests.change<IdempotencyAnswer>(
      idOf(companyId, key),
      (record) => {
        const known = record === null ? null : requestSchema.parse(record)
        if (known !== null && known.expiresAt > new Date(request.now)) {
          if (known.fingerprint !== request.fingerprint) return { record: null, answer: { outcome: 'mismatch' } }
          if (known.reply !== null) return { record: null, answer: { outcome: 'replay', reply: known.reply } }
          // A process that died in the middle must not hold the key for a day.
          if (known.runningUntil > request.now) return { record: null, answer: { outcome: 'running' } }
        }
        return { record: begun, answer: { outcome: 'begun' } }
      },
      signal,
    )
  }

  async finish(companyId: string, key: string, reply: StoredReply, signal?: AbortSignal): Promise<void> {
    await this.#requests.update({ _id: idOf(companyId, key) }, { $set: { reply: { ...reply } }, $inc: { revision: 1 } }, signal)
  }

  async abandon(companyId: string, key: string, signal?: AbortSignal): Promise<void> {
    await this.#requests.delete({ _id: idOf(companyId, key), reply: null }, signal)
  }

  async kept(companyId: string, signal?: AbortSignal): Promise<readonly KeptReply[]> {
    const kept: KeptReply[] = []
    const prefix = idOf(companyId, '')
    for (let after = prefix; ; ) {
      const page = await this.#requests.find({ companyId, _id: { $gt: after } }, { sort: { _id: 1 }, limit: KEPT_PAGE }, signal)
      for (const record of page) {
        const body = requestSchema.parse(record).reply?.body ?? ''
        if (body !== '') kept.push({ key: record._id.slice(prefix.length), body })
      }
      const last = page.at(-1)
      if (last === undefined || page.length < KEPT_PAGE) return kept
      after = last._id
    }
  }

  async withhold(companyId: string, key: string, signal?: AbortSignal): Promise<boolean> {
    return (await this.#requests.update({ _id: idOf(companyId, key), 'reply.body': { $ne: null } }, { $set: { 'reply.body': null }, $inc: { revision: 1 } }, signal)) > 0
  }
}

/** Replies are a few KiB; a page of them is well under a megabyte. */
const KEPT_PAGE = 200
