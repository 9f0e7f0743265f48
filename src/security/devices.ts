import { createHmac, webcrypto } from 'node:crypto'
import { calculateJwkThumbprint } from 'jose'
import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { publicKeyJwkSchema, type PublicKeyJwk } from './records.ts'
import { Refusal } from './refusals.ts'
import type { OneUseRepository } from './repositories.ts'
import { PLATFORM } from './roles.ts'
import { randomSecret, sameText } from './secrets.ts'

/**
 * What a device sends to show that it holds its key (WebCrypto ECDSA P-256 with SHA-256, signature as 64 raw bytes, base64url) over
 * the text of `proofText`.
 */
export const deviceProofSchema = z.strictObject({
  publicKey: publicKeyJwkSchema,
  challenge: z.string().min(1).max(200),
  signature: z.string().regex(/^[A-Za-z0-9_-]{86}$/, 'must be 64 bytes in base64url'),
  label: z.string().min(1).max(80).optional(),
})
export type DeviceProof = z.infer<typeof deviceProofSchema>
export type ProvenDevice = Readonly<{ id: string; publicKey: PublicKeyJwk; label: string }>
export type ProofPurpose = 'login' | 'refresh'

/** Signed with the purpose and the account or token it is for, so that a signature made for one thing opens no other. */
export function proofText(purpose: ProofPurpose, subject: string, challenge: string): string {
  return `clientsvia-device-proof\n${purpose}\n${subject}\n${challenge}`
}

/** Challenges carry their own end and a keyed hash, so that asking for one stores nothing; a used one is remembered until it ends. */
export class DeviceProofs {
  readonly #clock: Clock
  readonly #key: Uint8Array
  readonly #spent: OneUseRepository
  readonly #lifeMs: number

  constructor(options: Readonly<{ clock: Clock; key: Uint8Array; spent: OneUseRepository; lifeMs: number }>) {
    this.#clock = options.clock
    this.#key = options.key
    this.#spent = options.spent
    this.#lifeMs = options.lifeMs
  }

  challenge(): Readonly<{ challenge: string; expiresIn: number }> {
    const body = `${randomSecret()}.${this.#clock.wallTime().getTime() + this.#lifeMs}`
    return { challenge: `${body}.${this.#seal(body)}`, expiresIn: Math.floor(this.#lifeMs / 1000) }
  }

  /** Throws DEVICE_PROOF_INVALID for a challenge that is not ours, old or used, and for a signature that the key did not make. */
  async check(proof: DeviceProof, purpose: ProofPurpose, subject: string, signal?: AbortSignal): Promise<ProvenDevice> {
    const [nonce = '', expiry = '', seal = ''] = proof.challenge.split('.')
    const nowMs = this.#clock.wallTime().getTime()
    const expiresMs = Number(expiry)
    if (!sameText(seal, this.#seal(`${nonce}.${expiry}`)) || expiresMs <= nowMs) throw new Refusal('DEVICE_PROOF_INVALID')
    if (!(await verifySignature(proof, proofText(purpose, subject, proof.challenge)))) throw new Refusal('DEVICE_PROOF_INVALID')
    const first = await this.#spent.spend(PLATFORM, nonce, new Date(nowMs).toISOString(), new Date(expiresMs).toISOString(), signal)
    if (!first) throw new Refusal('DEVICE_PROOF_INVALID')
    return { id: await calculateJwkThumbprint(proof.publicKey, 'sha256'), publicKey: proof.publicKey, label: proof.label ?? 'unnamed device' }
  }

  #seal(body: string): string {
    return createHmac('sha256', this.#key).update(body).digest('base64url')
  }
}

async function verifySignature(proof: DeviceProof, text: string): Promise<boolean> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  let key: webcrypto.CryptoKey
  try {
    key = await webcrypto.subtle.importKey('jwk', proof.publicKey, algorithm, false, ['verify'])
  } catch (error) {
    // A point that is not on the curve: WebCrypto's DataError.
    if (error instanceof DOMException) return false
    throw error
  }
  return webcrypto.subtle.verify(algorithm, key, Buffer.from(proof.signature, 'base64url'), Buffer.from(text))
}
