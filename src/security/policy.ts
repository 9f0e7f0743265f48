import type { AttemptLimit } from './repositories.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

/** Every number and choice of the door, with the reason of its default. */
export type SecurityPolicy = Readonly<{
  /** ISO 3166-1 alpha-2, or '*' for any. */
  allowedCountries: readonly string[]
  /** What happens when the database is missing or does not know the address. */
  unknownCountry: 'refuse' | 'allow'
  /** Proxies in front of us that append to X-Forwarded-For; 0 means the header is not read at all. */
  trustedProxyHops: number
  maxTravelKmh: number
  /** A client without a device key (curl, CI): where it may sign in by password. */
  keylessLogin: 'loopback' | 'never' | 'anywhere'
  sessionConflict: 'newest-wins' | 'deny'
  maxDevices: number
  maxPendingDevices: number
  accessTokenMs: number
  idleMs: number
  absoluteMs: number
  refreshGraceMs: number
  refreshGraceTokens: number
  challengeMs: number
  passwordMinLength: number
  resetLinkMs: number
  maxApiKeyDays: number
  maxApiKeys: number
  maxBreakGlassMs: number
  limits: Readonly<{
    /** Unknown devices, one account. The cap is 15 min so that the owner of a new laptop is not shut out for a day. */
    account: AttemptLimit
    /** A device whose key is approved for the account: counted apart, so a stranger's guesses never stop it (ASVS 6.1.1). */
    knownDevice: AttemptLimit
    /** Unknown devices, one address (IPv6: one /64). */
    address: AttemptLimit
    /** Unknown devices, everywhere: a botnet has many addresses. */
    everywhere: AttemptLimit
    passwordReset: AttemptLimit
  }>
}>

export const DEFAULT_POLICY: SecurityPolicy = {
  allowedCountries: ['US', 'CA', 'GB', 'AU'],
  unknownCountry: 'refuse',
  trustedProxyHops: 0,
  /** An airliner's speed. */
  maxTravelKmh: 900,
  keylessLogin: 'loopback',
  sessionConflict: 'newest-wins',
  maxDevices: 3,
  maxPendingDevices: 3,
  /** A stolen access token is of use this long, unless the session ends first. */
  accessTokenMs: 10 * MINUTE_MS,
  idleMs: 30 * MINUTE_MS,
  /** A working day. */
  absoluteMs: 12 * HOUR_MS,
  /** A reply lost on the way, or two tabs that refresh at once. */
  refreshGraceMs: 10_000,
  refreshGraceTokens: 4,
  challengeMs: 2 * MINUTE_MS,
  /** 15 where the password is the only secret (NIST SP 800-63B); never below PASSWORD_FLOOR. */
  passwordMinLength: 15,
  resetLinkMs: 20 * MINUTE_MS,
  maxApiKeyDays: 365,
  maxApiKeys: 50,
  maxBreakGlassMs: 4 * HOUR_MS,
  limits: {
    account: { free: 5, firstDelayMs: 1000, maxDelayMs: 15 * MINUTE_MS, forgetAfterMs: 24 * HOUR_MS },
    knownDevice: { free: 10, firstDelayMs: 1000, maxDelayMs: 5 * MINUTE_MS, forgetAfterMs: HOUR_MS },
    address: { free: 10, firstDelayMs: 2000, maxDelayMs: 15 * MINUTE_MS, forgetAfterMs: HOUR_MS },
    everywhere: { free: 300, firstDelayMs: 100, maxDelayMs: 2000, forgetAfterMs: MINUTE_MS },
    passwordReset: { free: 3, firstDelayMs: MINUTE_MS, maxDelayMs: HOUR_MS, forgetAfterMs: 24 * HOUR_MS },
  },
}
