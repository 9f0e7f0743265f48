/**
 * Every way in which the door says no. One code for machines (it is also the audit line's reason), one status, one sentence. Codes
 * before the password is known to be right say nothing about whether an account exists.
 */
const CATALOGUE = {
  LOGIN_TOO_MANY_ATTEMPTS: { status: 429, sentence: 'too many tries; wait, or sign in from a device you have used before' },
  LOGIN_INVALID_CREDENTIALS: { status: 401, sentence: 'e-mail address or password is wrong' },
  LOGIN_BUSY: { status: 503, sentence: 'too many sign-ins at this moment; try again shortly' },
  OIDC_STATE_INVALID: { status: 401, sentence: 'this sign-in was not begun here, is too old or was used: begin again' },
  OIDC_REFUSED: { status: 401, sentence: 'the identity provider did not confirm this sign-in' },
  OIDC_EMAIL_UNVERIFIED: { status: 403, sentence: 'the identity provider gives no verified e-mail address' },
  OIDC_OTHER_IDENTITY: { status: 403, sentence: 'this account belongs to another person at the identity provider: an administrator releases it' },
  OIDC_NO_ACCOUNT: { status: 403, sentence: 'there is no active account with this e-mail address: an administrator makes one' },
  OIDC_UNAVAILABLE: { status: 503, sentence: 'the identity provider cannot be reached: try again, or sign in by password' },
  DEVICE_PROOF_INVALID: { status: 401, sentence: 'the device did not prove its key: ask for a new challenge and sign it' },
  DEVICE_KEY_REQUIRED: { status: 403, sentence: 'sign in from a device with a key, or use an API key' },
  DEVICE_PENDING: { status: 403, sentence: 'this device waits for approval from an approved device or an administrator' },
  DEVICE_REVOKED: { status: 403, sentence: 'this device was revoked' },
  DEVICE_LIMIT: { status: 403, sentence: 'the account has as many devices as it may: revoke one first' },
  LOCATION_UNKNOWN: { status: 403, sentence: 'the country of this address is not known' },
  LOCATION_REFUSED: { status: 403, sentence: 'sign-in from this country is not allowed' },
  IMPOSSIBLE_TRAVEL: { status: 403, sentence: 'this place cannot be reached from where the account was last used' },
  SESSION_CONFLICT: { status: 409, sentence: 'the account is in use on another device' },
  TOKEN_MISSING: { status: 401, sentence: 'an access token or API key is needed' },
  TOKEN_INVALID: { status: 401, sentence: 'the token is not valid' },
  TOKEN_EXPIRED: { status: 401, sentence: 'the token has expired' },
  API_KEY_INVALID: { status: 401, sentence: 'the API key is not valid, has expired or was revoked' },
  REFRESH_TOKEN_INVALID: { status: 401, sentence: 'the refresh token is not valid' },
  REFRESH_TOKEN_REUSED: { status: 401, sentence: 'the refresh token was used before; the session was ended' },
  SESSION_ENDED: { status: 401, sentence: 'the session has ended' },
  SESSION_REPLACED: { status: 401, sentence: 'the session was ended by a newer sign-in' },
  SESSION_EXPIRED: { status: 401, sentence: 'the session has expired' },
  ACCESS_CHANGED: { status: 401, sentence: 'role, password or status changed; sign in again' },
  PERMISSION_DENIED: { status: 403, sentence: 'this role may not do that' },
  BREAK_GLASS_INVALID: { status: 403, sentence: 'the break-glass token does not cover this request' },
  PASSWORD_WRONG: { status: 403, sentence: 'the current password is wrong' },
  LINK_INVALID: { status: 400, sentence: 'the link is not valid, has expired or was used' },
} as const

export type RefusalCode = keyof typeof CATALOGUE

export class Refusal extends Error {
  readonly code: RefusalCode
  readonly status: number
  /** For Retry-After; null when waiting changes nothing. */
  readonly retryAfterMs: number | null
  /** Facts for the caller and the audit line; never a secret. */
  readonly details: Readonly<Record<string, string | number | boolean>>

  constructor(code: RefusalCode, details: Readonly<Record<string, string | number | boolean>> = {}, retryAfterMs: number | null = null) {
    super(CATALOGUE[code].sentence)
    this.name = 'Refusal'
    this.code = code
    this.status = CATALOGUE[code].status
    this.details = details
    this.retryAfterMs = retryAfterMs
  }
}
