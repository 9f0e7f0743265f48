import { destination, pino, stdSerializers, type DestinationStream, type Logger } from 'pino'

export type { Logger } from 'pino'
export type LoggerOptions = Readonly<{
  level: string
  /** Whether callers' and agents' words may be logged. */
  speech: boolean
  version: string
  /** Standard output unless told otherwise. */
  destination?: DestinationStream
}>

/** Past this much unwritten log the newest lines are dropped: a full disk or a stuck reader must not take the calls down. */
const MAX_UNWRITTEN_BYTES = 8 * 1024 * 1024

/** Deeper objects do not belong in a log line. */
const MAX_DEPTH = 6

const SECRETS = [
  'accessToken',
  'apiKey',
  'authorization',
  'authToken',
  'cookie',
  'mediaToken',
  'password',
  'passwordHash',
  'refreshToken',
  'secret',
  'setCookie',
  'token',
  'xTwilioSignature',
] as const
const SPEECH = [
  'answer',
  'callerName',
  'delivered',
  'digit',
  'digits',
  'heard',
  'question',
  'said',
  'say',
  'speech',
  'text',
  'transcript',
] as const

/** `auth_token`, `Auth-Token` and `authToken` are one key. */
const plainKey = (key: string): string => key.toLowerCase().replaceAll(/[-_]/g, '')
const SECRET_KEYS: ReadonlySet<string> = new Set(SECRETS.map(plainKey))
const SPEECH_KEYS: ReadonlySet<string> = new Set(SPEECH.map(plainKey))

/**
 * JSON lines: time in ISO 8601 UTC, level, msg, service, version, and the caller's keys. Messages are constants, facts are keys.
 * Secrets and, unless `speech`, words are left out by their keys at any depth; telephone numbers and bearer tokens are masked in
 * every line, also inside error messages. Writes without waiting for the reader.
 */
export function createLogger(options: LoggerOptions): Logger {
  const clean = (value: Record<string, unknown>): Record<string, unknown> => withoutPrivate(value, options.speech)
  return pino(
    {
      level: options.level,
      base: { service: 'clientsvia', version: options.version },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: {
        level: (label) => ({ level: label }),
        log: clean,
      },
      // pino shows a child's own keys to no formatter, but redacts them: there the keys are looked for as they are written here.
      redact: {
        paths: options.speech ? [...SECRETS] : [...SECRETS, ...SPEECH],
        censor: (_, path) => (SECRET_KEYS.has(plainKey(String(path[0]))) ? '[secret]' : '[speech]'),
      },
      // Errors pass through `formatters.log` too, so that they are plain objects by the time serializers run.
      serializers: { err: (value: unknown) => value },
      hooks: { streamWrite: maskLine },
    },
    options.destination ?? destination({ dest: 1, sync: false, maxLength: MAX_UNWRITTEN_BYTES }),
  )
}

/** The logger of one call: every line carries who it is about. */
export function callLogger(logger: Logger, call: Readonly<{ companyId: string; callSid: string }>): Logger {
  return logger.child({ companyId: call.companyId, callId: call.callSid })
}

/** The country code's first digit and the last two stay, enough to tell two callers apart and to call nobody. */
export function maskLine(line: string): string {
  return line
    .replaceAll(/(\+|%2[bB])([1-9])(\d{4,12})(\d{2})(?!\d)/g, (_, plus: string, first: string, middle: string, last: string) => {
      return `${plus}${first}${'*'.repeat(middle.length)}${last}`
    })
    .replaceAll(/\b(Bearer|Basic) +[\w.~+/=-]+/gi, '$1 [secret]')
}

function withoutPrivate(value: Record<string, unknown>, speech: boolean): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, cleaned(key, part, speech, 1)]))
}

function cleaned(key: string, value: unknown, speech: boolean, depth: number): unknown {
  const name = plainKey(key)
  if (value === null || value === undefined) return value
  if (SECRET_KEYS.has(name)) return '[secret]'
  if (!speech && SPEECH_KEYS.has(name)) return '[speech]'
  if (value instanceof Error) return cleaned(key, { ...stdSerializers.err(value) }, speech, depth)
  if (typeof value !== 'object') return value
  if (depth > MAX_DEPTH) return '[deep]'
  if (Array.isArray(value)) return value.map((item) => cleaned(key, item, speech, depth + 1))
  // A date, a URL or a secret knows better than its fields how it wants to be written.
  if ('toJSON' in value) return value
  return Object.fromEntries(Object.entries(value).map(([inner, part]) => [inner, cleaned(inner, part, speech, depth + 1)]))
}
