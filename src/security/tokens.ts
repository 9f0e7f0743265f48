import { createSecretKey, type KeyObject } from 'node:crypto'
import { errors, jwtVerify, SignJWT, type JWTPayload } from 'jose'
import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import { Refusal } from './refusals.ts'

/** The first key signs; all of them verify, so that a key is replaced by putting a new one in front and dropping the old one later. */
export type KeyRing = readonly Readonly<{ kid: string; secret: Uint8Array }>[]

const accessClaimsSchema = z.object({ sub: z.string().min(1), cid: z.string().min(1), did: z.string().min(1), sid: z.string().min(1), sv: z.int().min(1) })
/** Who and which session; never a role or a permission, which are read from the store at every request. */
export type AccessClaims = Readonly<{ userId: string; companyId: string; deviceId: string; sessionId: string; sessionVersion: number }>

const breakGlassClaimsSchema = z.object({ sub: z.string().min(1), cid: z.string().min(1), jti: z.string().min(1) })
export type BreakGlassClaims = Readonly<{ granteeUserId: string; companyId: string; grantId: string }>

/** RFC 7518 section 3.2: a key for HS256 is at least as long as its hash. */
const MIN_SECRET_BYTES = 32
const CLOCK_TOLERANCE_S = 5
const ALGORITHM = 'HS256'
const ACCESS_TYPE = 'at+jwt'
const BREAK_GLASS_TYPE = 'bg+jwt'

export class Tokens {
  /** As key objects: a raw secret would be imported anew for every token, which is most of the work of checking one. */
  readonly #ring: readonly Readonly<{ kid: string; key: KeyObject }>[]
  readonly #issuer: string
  readonly #audience: string
  readonly #clock: Clock

  /** Throws CONFIG_INVALID for an empty ring, a short secret or a kid used twice. */
  constructor(options: Readonly<{ ring: KeyRing; issuer: string; audience: string; clock: Clock }>) {
    checkKeyRing(options.ring)
    this.#ring = options.ring.map(({ kid, secret }) => ({ kid, key: createSecretKey(secret) }))
    this.#issuer = options.issuer
    this.#audience = options.audience
    this.#clock = options.clock
  }

  issueAccess(claims: AccessClaims, lifeMs: number): Promise<string> {
    const payload = { cid: claims.companyId, did: claims.deviceId, sid: claims.sessionId, sv: claims.sessionVersion }
    return this.#sign(ACCESS_TYPE, claims.userId, payload, null, lifeMs)
  }

  /** Throws TOKEN_EXPIRED or TOKEN_INVALID. */
  async verifyAccess(token: string): Promise<AccessClaims> {
    const payload = accessClaimsSchema.safeParse(await this.#verify(ACCESS_TYPE, token, ['sub', 'cid', 'did', 'sid', 'sv', 'iat', 'exp']))
    if (!payload.success) throw new Refusal('TOKEN_INVALID')
    const { sub, cid, did, sid, sv } = payload.data
    return { userId: sub, companyId: cid, deviceId: did, sessionId: sid, sessionVersion: sv }
  }

  issueBreakGlass(claims: BreakGlassClaims, lifeMs: number): Promise<string> {
    return this.#sign(BREAK_GLASS_TYPE, claims.granteeUserId, { cid: claims.companyId }, claims.grantId, lifeMs)
  }

  async verifyBreakGlass(token: string): Promise<BreakGlassClaims> {
    const payload = breakGlassClaimsSchema.safeParse(await this.#verify(BREAK_GLASS_TYPE, token, ['sub', 'cid', 'jti', 'iat', 'exp']))
    if (!payload.success) throw new Refusal('TOKEN_INVALID')
    return { granteeUserId: payload.data.sub, companyId: payload.data.cid, grantId: payload.data.jti }
  }

  #sign(type: string, subject: string, payload: JWTPayload, jti: string | null, lifeMs: number): Promise<string> {
    const key = this.#ring[0]
    if (key === undefined) throw new ClientsViaError('CONFIG_INVALID', 'the key ring is empty')
    const issuedAt = Math.floor(this.#clock.wallTime().getTime() / 1000)
    const token = new SignJWT(payload)
      .setProtectedHeader({ alg: ALGORITHM, typ: type, kid: key.kid })
      .setIssuer(this.#issuer)
      .setAudience(this.#audience)
      .setSubject(subject)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + Math.ceil(lifeMs / 1000))
    if (jti !== null) token.setJti(jti)
    return token.sign(key.key)
  }

  async #verify(type: string, token: string, requiredClaims: string[]): Promise<JWTPayload> {
    try {
      const result = await jwtVerify(
        token,
        (header) => {
          // jku, x5u and jwk headers are never looked at: the only keys are those of the ring.
          const key = this.#ring.find((candidate) => candidate.kid === header.kid)
          if (key === undefined) throw new Refusal('TOKEN_INVALID')
          return key.key
        },
        {
          algorithms: [ALGORITHM],
          typ: type,
          issuer: this.#issuer,
          audience: this.#audience,
          requiredClaims,
          clockTolerance: CLOCK_TOLERANCE_S,
          currentDate: this.#clock.wallTime(),
        },
      )
      return result.payload
    } catch (error) {
      if (error instanceof errors.JWTExpired) throw new Refusal('TOKEN_EXPIRED')
      if (error instanceof errors.JOSEError) throw new Refusal('TOKEN_INVALID')
      throw error
    }
  }
}

/** `kid:secret` pairs separated by commas, the signing key first. Throws CONFIG_INVALID. */
export function parseKeyRing(text: string, name: string): KeyRing {
  const ring = text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
    .map((entry) => {
      const colon = entry.indexOf(':')
      if (colon < 1) throw new ClientsViaError('CONFIG_INVALID', `${name}: every entry must be kid:secret`, { field: name })
      return { kid: entry.slice(0, colon), secret: new Uint8Array(Buffer.from(entry.slice(colon + 1), 'utf8')) }
    })
  checkKeyRing(ring, name)
  return ring
}

export function checkKeyRing(ring: KeyRing, name = 'key ring'): void {
  if (ring.length === 0) throw new ClientsViaError('CONFIG_INVALID', `${name}: at least one key is needed`, { field: name })
  for (const key of ring) {
    if (key.secret.byteLength >= MIN_SECRET_BYTES) continue
    throw new ClientsViaError('CONFIG_INVALID', `${name}: key "${key.kid}" has ${key.secret.byteLength} bytes, at least ${MIN_SECRET_BYTES} are needed`, { field: name })
  }
  if (new Set(ring.map((key) => key.kid)).size !== ring.length) throw new ClientsViaError('CONFIG_INVALID', `${name}: a kid is used twice`, { field: name })
}
