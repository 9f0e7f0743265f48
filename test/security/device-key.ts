import { webcrypto } from 'node:crypto'
import { publicKeyJwkSchema, type PublicKeyJwk } from '../../src/security/records.ts'
import { proofText, type DeviceProof, type ProofPurpose } from '../../src/security/devices.ts'

/** A device as a browser is one: it holds a WebCrypto key that never leaves it. */
export class DeviceKey {
  readonly publicKey: PublicKeyJwk
  readonly #privateKey: webcrypto.CryptoKey

  private constructor(publicKey: PublicKeyJwk, privateKey: webcrypto.CryptoKey) {
    this.publicKey = publicKey
    this.#privateKey = privateKey
  }

  static async create(): Promise<DeviceKey> {
    const pair = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify'])
    const { kty, crv, x, y } = await webcrypto.subtle.exportKey('jwk', pair.publicKey)
    return new DeviceKey(publicKeyJwkSchema.parse({ kty, crv, x, y }), pair.privateKey)
  }

  async prove(purpose: ProofPurpose, subject: string, challenge: string, label = 'laptop'): Promise<DeviceProof> {
    const text = Buffer.from(proofText(purpose, subject, challenge))
    const signature = await webcrypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, this.#privateKey, text)
    return { publicKey: this.publicKey, challenge, signature: Buffer.from(signature).toString('base64url'), label }
  }
}
