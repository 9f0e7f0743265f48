import { z } from 'zod'
import { Secret } from '../core/secret.ts'
import { about, baseUrl, isBaseUrl, text } from './variables.ts'

export type CarrierConfig = Readonly<{
  /** Null: loopback callers only, nothing is signed. */
  twilio: Readonly<{ accountSid: string | null; authToken: Secret; /** Of a stand-in on loopback. */ baseUrl: string | null }> | null
  /** Null: nobody can be sent e-mail. */
  mail: Readonly<{ smtpUrl: Secret; from: string }> | null
  /** Where people set a new password; its token follows after a #. Null: they are sent the token itself. */
  passwordPageUrl: string | null
}>

/** Whose calls are answered, and how people are written to. */
export const carrierVariables = {
  TWILIO_ACCOUNT_SID: text()
    .regex(/^AC[0-9a-f]{32}$/i, 'must be AC and 32 hexadecimal digits')
    .optional()
    .register(about, { says: 'The Twilio account whose calls are answered. Without it: any account that signs with the auth token.', example: 'AC00000000000000000000000000000000', default: null }),
  TWILIO_AUTH_TOKEN: text()
    // An empty or guessable token would let anybody sign requests. Twilio's have 32 characters; test accounts of other carriers fewer.
    .min(12, 'is too short to be an auth token')
    .optional()
    .register(about, { says: "That account's auth token: proves that requests come from Twilio.", example: '', default: null, secret: true }),
  TWILIO_BASE_URL: text()
    .refine((url) => url.startsWith('http://') && isBaseUrl(url), 'must be http on a loopback address')
    .optional()
    .register(about, { says: 'A stand-in for the Twilio REST API, for tests. It is sent the auth token, so it must be on loopback.', example: 'http://127.0.0.1:4010', default: null }),
  SMTP_URL: text()
    .refine((url) => /^smtps?:$/.test(URL.parse(url)?.protocol ?? '') && URL.parse(url)?.hostname !== '', 'must be smtp://user:password@host:587 or smtps://user:password@host:465')
    .optional()
    .register(about, { says: 'The mail server for password links and for news to companies\' people. Needs MAIL_FROM.', example: 'smtps://user:password@mail.example.com:465', default: null, secret: true }),
  MAIL_FROM: text()
    .regex(/^([^<>\r\n]{0,100}<[^\s<>@]+@[^\s<>@]+>|[^\s<>@]+@[^\s<>@]+)$/, 'must be an address, or a name and <address>')
    .optional()
    .register(about, { says: 'Who e-mail comes from.', example: 'ClientsVia <voice@example.com>', default: null }),
  PASSWORD_PAGE_URL: baseUrl.optional().register(about, {
    says: 'A page of yours where people set a new password, instead of the dashboard; its one-use token follows after a #.',
    example: 'https://admin.example.com/reset',
    default: null,
  }),
}
export type CarrierValues = z.output<z.ZodObject<typeof carrierVariables>>

export function carrierProblems({ TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, SMTP_URL, MAIL_FROM }: CarrierValues): string[] {
  const problems: string[] = []
  if (TWILIO_ACCOUNT_SID !== undefined && TWILIO_AUTH_TOKEN === undefined) {
    problems.push('TWILIO_AUTH_TOKEN is missing: without it TWILIO_ACCOUNT_SID proves nothing; both are on the first page of the Twilio console')
  }
  if (SMTP_URL !== undefined && MAIL_FROM === undefined) problems.push('MAIL_FROM is missing: with SMTP_URL it says who e-mail comes from; for example MAIL_FROM=ClientsVia <voice@example.com>')
  return problems
}

export function carrierConfig(values: CarrierValues): CarrierConfig {
  const { TWILIO_ACCOUNT_SID: accountSid, TWILIO_AUTH_TOKEN: authToken } = values
  return {
    twilio: authToken === undefined ? null : { accountSid: accountSid ?? null, authToken: new Secret(authToken), baseUrl: values.TWILIO_BASE_URL ?? null },
    mail: values.SMTP_URL === undefined || values.MAIL_FROM === undefined ? null : { smtpUrl: new Secret(values.SMTP_URL), from: values.MAIL_FROM },
    passwordPageUrl: values.PASSWORD_PAGE_URL ?? null,
  }
}
