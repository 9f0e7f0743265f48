import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import { deriveKey } from './secrets.ts'

/** First the key that encrypts; the others still open what they once closed. At least 32 bytes each. */
export type MasterKeys = readonly Readonly<{ id: string; secret: Uint8Array }>[]

const SECRETS = 'secrets'
/** A Twilio token has 32 characters, a service account file a few thousand. */
const MAX_SECRET_CHARS = 8192
/** A company has a handful of vendors. */
const MAX_SECRETS = 50

export const secretNameSchema = z.string().regex(/^[a-z][a-z0-9_]{0,62}$/, 'must be a lower-case name such as twilio_auth_token')
export const secretValueSchema = z.string().min(1).max(MAX_SECRET_CHARS)

const boxSchema = z.strictObject({
  keyId: z.string(),
  nonce: z.string(),
  ciphertext: z.string(),
  tag: z.string(),
  setAt: z.iso.datetime(),
})
type Box = Readonly<z.infer<typeof boxSchema>>
/** What may be shown of a secret. */
export type SecretFacts = Readonly<{ name: string; keyId: string; setAt: string }>

/** Where the boxes are kept: documents by company and collection. */
export interface SecretDocuments {
  get(companyId: string, collection: string, documentId: string, signal?: AbortSignal): Promise<unknown>
  list(
    companyId: string,
    collection: string,
    page: Readonly<{ after: string | null; limit: number }>,
    signal?: AbortSignal,
  ): Promise<readonly Readonly<{ documentId: string; document: unknown }>[]>
  put(companyId: string, collection: string, documentId: string, document: unknown, signal?: AbortSignal): Promise<void>
  delete(companyId: string, collection: string, documentId: string, signal?: AbortSignal): Promise<boolean>
}

/**
 * A company's own tokens and keys, AES-256-GCM. The key is derived for the company, and company and name are authenticated with the
 * text: a box moved to another company or another name does not open.
 */
export class CompanySecrets {
  readonly #documents: SecretDocuments
  readonly #keys: MasterKeys
  readonly #clock: Clock

  /** Throws CONFIG_INVALID for a missing, short or doubled master key. */
  constructor(documents: SecretDocuments, keys: MasterKeys, clock: Clock) {
    if (keys.length === 0) throw new ClientsViaError('CONFIG_INVALID', 'secrets need a master key', { field: 'masterKeys' })
    for (const key of keys) {
      if (key.secret.byteLength < 32) throw new ClientsViaError('CONFIG_INVALID', `master key ${key.id} must have at least 32 bytes`, { field: 'masterKeys' })
    }
    if (new Set(keys.map((key) => key.id)).size < keys.length) throw new ClientsViaError('CONFIG_INVALID', 'two master keys have the same id', { field: 'masterKeys' })
    this.#documents = documents
    this.#keys = keys
    this.#clock = clock
  }

  async list(companyId: string, signal?: AbortSignal): Promise<readonly SecretFacts[]> {
    const rows = await this.#documents.list(companyId, SECRETS, { after: null, limit: MAX_SECRETS }, signal)
    return rows.map((row) => factsOf(row.documentId, boxSchema.parse(row.document)))
  }

  /** Throws CONFLICT when the company has as many as it may. */
  async set(companyId: string, name: string, value: string, signal?: AbortSignal): Promise<SecretFacts> {
    const existing = await this.list(companyId, signal)
    if (existing.length >= MAX_SECRETS && !existing.some((one) => one.name === name)) {
      throw new ClientsViaError('CONFLICT', `a company keeps ${MAX_SECRETS} secrets at most`)
    }
    const box = this.#close(companyId, name, secretValueSchema.parse(value))
    await this.#documents.put(companyId, SECRETS, secretNameSchema.parse(name), box, signal)
    return factsOf(name, box)
  }

  /** Null when there is none. Throws STORE_FAILED for a box that does not open: wrong key, moved or changed. */
  async reveal(companyId: string, name: string, signal?: AbortSignal): Promise<string | null> {
    const stored = await this.#documents.get(companyId, SECRETS, name, signal)
    return stored === null ? null : this.#open(companyId, name, boxSchema.parse(stored))
  }

  remove(companyId: string, name: string, signal?: AbortSignal): Promise<boolean> {
    return this.#documents.delete(companyId, SECRETS, name, signal)
  }

  /** Closes anew, with the first key, whatever another one closed; returns how many. After it the older keys may go. */
  async rotate(companyId: string, signal?: AbortSignal): Promise<number> {
    const current = this.#keys[0]?.id
    let rotated = 0
    for (const { documentId, document } of await this.#documents.list(companyId, SECRETS, { after: null, limit: MAX_SECRETS }, signal)) {
      const box = boxSchema.parse(document)
      if (box.keyId === current) continue
      const value = this.#open(companyId, documentId, box)
      await this.#documents.put(companyId, SECRETS, documentId, { ...this.#close(companyId, documentId, value), setAt: box.setAt }, signal)
      rotated += 1
    }
    return rotated
  }

  #close(companyId: string, name: string, value: string): Box {
    const key = this.#keys[0] as MasterKeys[number]
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', companyKey(key.secret, companyId), nonce)
    cipher.setAAD(boundTo(companyId, name, key.id))
    const ciphertext = Buffer.concat([cipher.update(value, 'utf8'), cipher.final()])
    return {
      keyId: key.id,
      nonce: nonce.toString('base64url'),
      ciphertext: ciphertext.toString('base64url'),
      tag: cipher.getAuthTag().toString('base64url'),
      setAt: this.#clock.wallTime().toISOString(),
    }
  }

  #open(companyId: string, name: string, box: Box): string {
    const key = this.#keys.find((one) => one.id === box.keyId)
    if (key === undefined) throw new ClientsViaError('STORE_FAILED', `secret ${name} was closed with key ${box.keyId}, which is not configured`, { name, keyId: box.keyId })
    try {
      const decipher = createDecipheriv('aes-256-gcm', companyKey(key.secret, companyId), Buffer.from(box.nonce, 'base64url'), { authTagLength: 16 })
      decipher.setAAD(boundTo(companyId, name, box.keyId))
      decipher.setAuthTag(Buffer.from(box.tag, 'base64url'))
      return Buffer.concat([decipher.update(Buffer.from(box.ciphertext, 'base64url')), decipher.final()]).toString('utf8')
    } catch (cause) {
      throw new ClientsViaError('STORE_FAILED', `secret ${name} does not open`, { name, keyId: box.keyId }, { cause })
    }
  }
}

function factsOf(name: string, box: Box): SecretFacts {
  return { name, keyId: box.keyId, setAt: box.setAt }
}

function companyKey(master: Uint8Array, companyId: string): Uint8Array {
  return deriveKey(master, `company secrets of ${companyId}`)
}

function boundTo(companyId: string, name: string, keyId: string): Buffer {
  return Buffer.from(JSON.stringify([companyId, name, keyId]))
}
