import { z } from 'zod'
import { Secret } from '../core/secret.ts'
import { about, exactUrl, keyList, listOf, text, whole } from './variables.ts'

/** The door of the administration: see src/security/policy.ts for what each choice means. Null: worked out at start. */
export type AdminConfig = Readonly<{
  /** `kid:secret,...`, the signing key first. */
  jwtKeys: Secret | null
  auditSecret: Secret | null
  /** `id:secret,...` for companies' own secrets, the newest first. */
  masterKeys: Secret | null
  ownerEmail: string
  ownerPassword: Secret | null
  geoDatabase: string | null
  allowedCountries: readonly string[]
  unknownCountry: 'refuse' | 'allow'
  maxTravelKmh: number
  keylessLogin: 'loopback' | 'never' | 'anywhere'
  sessionConflict: 'newest-wins' | 'deny'
  maxDevices: number
  passwordMinLength: number
  accessTokenMs: number
  idleMs: number
  absoluteMs: number
  allowedOrigins: readonly string[]
  /** Null: people sign in by password only. */
  oidc: Readonly<{ issuer: string; clientId: string; clientSecret: Secret | null; callbackUrl: string }> | null
}>

/** Who may sign in, from where and for how long. */
export const adminVariables = {
  ADMIN_EMAIL: z
    .email('must be an e-mail address')
    .register(about, { says: 'Who owns this server: the first person who may sign in.', example: 'owner@example.com', default: 'owner@localhost.local' }),
  ADMIN_PASSWORD: text()
    .min(8, 'is shorter than 8 characters')
    .optional()
    .register(about, { says: "The owner's first password. Without it: a random one, printed once.", example: '', default: null, secret: true }),
  ADMIN_ORIGINS: listOf(/^https?:\/\/[^/\s,]+$/, 'must be origins such as https://admin.example.com, separated by commas').register(about, {
    says: 'Web pages of other origins that may call the API.',
    example: 'https://admin.example.com',
    default: '',
  }),
  JWT_KEYS: keyList().register(about, {
    says: 'Keys that sign sessions, kid:secret of 32 bytes or more, the newest first. Without it: one made at the first start.',
    example: '',
    default: null,
    secret: true,
  }),
  AUDIT_SECRET: text()
    .min(32, 'is shorter than 32 characters')
    .optional()
    .register(about, { says: 'Chains the audit log; keep it as long as the log. Without it: one made at the first start.', example: '', default: null, secret: true }),
  MASTER_KEYS: keyList().register(about, {
    says: "Keys that encrypt companies' own secrets, id:secret, the newest first. Without it: one made at the first start.",
    example: '',
    default: null,
    secret: true,
  }),
  OIDC_ISSUER: exactUrl.optional().register(about, {
    says: 'An OpenID provider that people may sign in through, as it names itself. Its word on an e-mail address opens that account. Needs OIDC_CLIENT_ID and OIDC_CALLBACK_URL.',
    example: 'https://login.example.com/',
    default: null,
  }),
  OIDC_CLIENT_ID: text().optional().register(about, { says: "This server's name at the OpenID provider.", example: 'clientsvia', default: null }),
  OIDC_CLIENT_SECRET: text().optional().register(about, { says: 'And its secret there. Without it: a public client.', example: '', default: null, secret: true }),
  OIDC_CALLBACK_URL: exactUrl.optional().register(about, {
    says: 'The page that the provider sends people back to, registered there: the dashboard of this server, or a page of your own, whose origin must be among ADMIN_ORIGINS.',
    example: 'https://voice.example.com/dashboard',
    default: null,
  }),
  GEO_DATABASE: text().optional().register(about, { says: 'A MaxMind file. Without it: the country database that comes along.', example: '/data/GeoLite2-City.mmdb', default: null }),
  GEO_ALLOWED_COUNTRIES: listOf(/^([A-Z]{2}|\*)$/, 'must be ISO country codes separated by commas, or *').register(about, {
    says: 'Countries that people may sign in from; * for any.',
    example: 'US,CA',
    default: 'US,CA,GB,AU',
  }),
  GEO_UNKNOWN: z.enum(['refuse', 'allow'], { error: 'must be refuse or allow' }).register(about, {
    says: 'Whether people may sign in from an address of no known country, such as a local network.',
    example: 'allow',
    default: 'refuse',
  }),
  MAX_TRAVEL_KMH: whole(100, 100_000).register(about, { says: 'Two sign-ins further apart than anybody can travel are refused.', example: '900', default: '900' }),
  KEYLESS_LOGIN: z.enum(['loopback', 'never', 'anywhere'], { error: 'must be loopback, never or anywhere' }).register(about, {
    says: 'Where a client without a device key, such as curl, may sign in by password.',
    example: 'never',
    default: 'loopback',
  }),
  SESSION_CONFLICT: z.enum(['newest-wins', 'deny'], { error: 'must be newest-wins or deny' }).register(about, {
    says: 'What a second sign-in of the same person does.',
    example: 'deny',
    default: 'newest-wins',
  }),
  MAX_DEVICES: whole(1, 20).register(about, { says: 'Trusted devices a person.', example: '3', default: '3' }),
  PASSWORD_MIN_LENGTH: whole(8, 64).register(about, { says: 'Shortest new password.', example: '15', default: '15' }),
  SESSION_IDLE_MINUTES: whole(1, 1440).register(about, { says: 'A session unused for this long ends.', example: '30', default: '30' }),
  SESSION_MAX_HOURS: whole(1, 168).register(about, { says: 'A session ends after this long, used or not.', example: '12', default: '12' }),
  ACCESS_TOKEN_MINUTES: whole(1, 60).register(about, { says: 'Life of an access token.', example: '10', default: '10' }),
}
export type AdminValues = z.output<z.ZodObject<typeof adminVariables>>

export function adminProblems(values: AdminValues): string[] {
  const problems: string[] = []
  const { OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET, OIDC_CALLBACK_URL } = values
  if (OIDC_ISSUER !== undefined && OIDC_CLIENT_ID === undefined) problems.push('OIDC_CLIENT_ID is missing: the OpenID provider knows this server by it')
  if (OIDC_ISSUER !== undefined && OIDC_CALLBACK_URL === undefined) {
    problems.push('OIDC_CALLBACK_URL is missing: it says where the OpenID provider sends people back to; for example OIDC_CALLBACK_URL=https://voice.example.com/dashboard')
  }
  if (OIDC_ISSUER === undefined && (OIDC_CLIENT_ID ?? OIDC_CLIENT_SECRET ?? OIDC_CALLBACK_URL) !== undefined) {
    problems.push('OIDC_ISSUER is missing: without it the other OIDC_ variables do nothing; for example OIDC_ISSUER=https://login.example.com/')
  }
  if (values.ADMIN_PASSWORD !== undefined && values.ADMIN_PASSWORD.length < values.PASSWORD_MIN_LENGTH) {
    problems.push(`ADMIN_PASSWORD is shorter than PASSWORD_MIN_LENGTH, which is ${values.PASSWORD_MIN_LENGTH}`)
  }
  return problems
}

export function adminConfig(values: AdminValues): AdminConfig {
  return {
    jwtKeys: secretOrNull(values.JWT_KEYS),
    auditSecret: secretOrNull(values.AUDIT_SECRET),
    masterKeys: secretOrNull(values.MASTER_KEYS),
    ownerEmail: values.ADMIN_EMAIL,
    ownerPassword: secretOrNull(values.ADMIN_PASSWORD),
    geoDatabase: values.GEO_DATABASE ?? null,
    allowedCountries: values.GEO_ALLOWED_COUNTRIES,
    unknownCountry: values.GEO_UNKNOWN,
    maxTravelKmh: values.MAX_TRAVEL_KMH,
    keylessLogin: values.KEYLESS_LOGIN,
    sessionConflict: values.SESSION_CONFLICT,
    maxDevices: values.MAX_DEVICES,
    passwordMinLength: values.PASSWORD_MIN_LENGTH,
    accessTokenMs: values.ACCESS_TOKEN_MINUTES * 60_000,
    idleMs: values.SESSION_IDLE_MINUTES * 60_000,
    absoluteMs: values.SESSION_MAX_HOURS * 3_600_000,
    allowedOrigins: values.ADMIN_ORIGINS,
    oidc: oidcOf(values),
  }
}

function oidcOf(values: AdminValues): AdminConfig['oidc'] {
  const { OIDC_ISSUER: issuer, OIDC_CLIENT_ID: clientId, OIDC_CALLBACK_URL: callbackUrl } = values
  if (issuer === undefined || clientId === undefined || callbackUrl === undefined) return null
  return { issuer, clientId, clientSecret: secretOrNull(values.OIDC_CLIENT_SECRET), callbackUrl }
}

function secretOrNull(value: string | undefined): Secret | null {
  return value === undefined ? null : new Secret(value)
}
