import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { availableParallelism, totalmem } from 'node:os'
import { z } from 'zod'
import { ClientsViaError } from './core/errors.ts'
import type { LatencyBudget } from './core/latency-budget.ts'
import { Secret } from './core/secret.ts'
import { PRICE_LIST_PATTERN } from './response/model-prices.ts'
import { engineContradictions, engineSettings, enginesOf, type EngineConfig } from './engine-config.ts'

export { Secret } from './core/secret.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** Everything the server can be told from outside. Frozen; read once, at start. */
export type Config = Readonly<{
  server: Readonly<{
    host: string
    /** 0: any free one. */
    port: number
    /** As told; null: wherever it listens (see `publicBaseUrl`). No trailing slash. */
    publicBaseUrl: string | null
    trustedProxyHops: number
    shutdownGraceMs: number
    /** Processes that answer calls. */
    workers: number
    /** Above this much memory a process takes no new calls. */
    memoryLimitBytes: number
  }>
  dataDir: string
  stores: StoresConfig
  log: Readonly<{ level: LogLevel; speech: boolean }>
  /** Null: loopback callers only, nothing is signed. */
  twilio: Readonly<{ accountSid: string | null; authToken: Secret; /** Of a stand-in on loopback. */ baseUrl: string | null }> | null
  /** Null: nobody can be sent e-mail. */
  mail: Readonly<{ smtpUrl: Secret; from: string }> | null
  /** Where people set a new password; its token follows after a #. Null: they are sent the token itself. */
  passwordPageUrl: string | null
  demoCompanies: boolean
  sttWorkers: number
  voiceActivity: 'silero' | 'level'
  /** What the operator pays, in US cents; null: cost is not shown. */
  rates: Readonly<{ callMinuteCents: number | null; modelTokenCents: number | null; sttMinuteCents: number | null; ttsCharacterCents: number | null }>
  budget: LatencyBudget
  /** Whether replies are begun before the end of a turn is certain. */
  earlyReplies: boolean
  /** Whether the language model may be asked for such a reply; false: once the turn is over, with everything it is asked with at hand. */
  earlyModel: boolean
  engines: EngineConfig
  admin: AdminConfig
  settings: readonly Setting[]
}>
/** Where records live, and what several processes share. The URLs may hold passwords. */
export type StoresConfig = Readonly<{
  store: Readonly<{ kind: 'embedded' }> | Readonly<{ kind: 'mongodb'; url: Secret; database: string }>
  cache: Readonly<{ kind: 'memory' }> | Readonly<{ kind: 'redis'; url: Secret }>
}>
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
export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'
/** One variable as it was understood; `value` never holds a secret. */
export type Setting = Readonly<{ name: string; value: string; source: 'default' | 'environment' | 'file' }>

/** Throws CONFIG_INVALID with everything that is wrong, one line each, also in `details.problems`. Reads the files named by `*_FILE`. */
export function loadConfig(env: Environment): Config {
  const problems: string[] = []
  const settings: Setting[] = []
  const texts: Record<string, string | undefined> = {}
  for (const [name, schema] of Object.entries(SCHEMA.shape)) {
    const about = aboutOf(schema)
    const given = readVariable(name, about, env, problems)
    texts[name] = given.text
    settings.push({ name, source: given.source, value: shown(given, about) })
  }
  for (const name of Object.keys(env)) {
    if (name.startsWith('TURN_') && !(name in SCHEMA.shape)) problems.push(`${name} is not a variable of this server; .env.example lists them`)
  }
  const parsed = SCHEMA.safeParse(texts)
  if (!parsed.success) problems.push(...parsed.error.issues.map(problemOf))
  else problems.push(...contradictions(parsed.data))
  if (problems.length > 0 || !parsed.success) {
    const lines = problems.map((problem) => `\n  - ${problem}`).join('')
    throw new ClientsViaError('CONFIG_INVALID', `the configuration has ${problems.length} problem${problems.length === 1 ? '' : 's'}:${lines}`, { problems })
  }
  const config = assemble(parsed.data)
  // What a missing variable comes to, where that is worked out and not a constant.
  const workedOut = new Map([
    ['PUBLIC_BASE_URL', config.server.publicBaseUrl ?? `http://${urlHost(config.server.host)}:${config.server.port === 0 ? 'PORT' : config.server.port}`],
    ['STT_WORKERS', String(config.sttWorkers)],
    ['STORE', config.stores.store.kind],
    ['CACHE', config.stores.cache.kind],
    ['MEMORY_LIMIT_MB', String(Math.floor(config.server.memoryLimitBytes / 1024 / 1024))],
    ...engineSettings(config.engines),
  ])
  return freeze({ ...config, settings: settings.map((setting) => ({ ...setting, value: workedOut.get(setting.name) ?? setting.value })) })
}

/** Where the outside world reaches this server when it listens on `port`. */
export function publicBaseUrl(config: Config, port: number): string {
  return config.server.publicBaseUrl ?? `http://${urlHost(config.server.host)}:${port}`
}

/** One line a variable: its value and where it came from. Secrets are masked. */
export function configReport(config: Config): string {
  const width = Math.max(...config.settings.map((setting) => setting.name.length))
  return config.settings.map((setting) => `${setting.name.padEnd(width)}  ${setting.value}  (${setting.source})`).join('\n')
}

/** The text of .env.example: every variable with what it means; commented out, so that a copy changes nothing. */
export function envExample(): string {
  const entries = Object.entries(SCHEMA.shape).map(([name, schema]) => {
    const about = aboutOf(schema)
    const file = about.secret ? `\n# Or ${name}_FILE, the path of a file that holds it.` : ''
    return `# ${about.says}${file}\n# ${name}=${about.default ?? about.example}\n`
  })
  return `# The server's settings, all optional. Made from the schema in src/config.ts.\n\n${entries.join('\n')}`
}

type About = Readonly<{
  says: string
  example: string
  /** The text that stands when nothing is given; null: the setting is simply absent. */
  default: string | null
  secret?: boolean
}>
const about = z.registry<About>()

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const satisfies readonly LogLevel[]
const STORES = ['embedded', 'mongodb'] as const
const CACHES = ['memory', 'redis'] as const
// A new one each time: the registry knows a variable by its schema.
const text = (): z.ZodString => z.string({ error: 'is missing' }).min(1, 'must not be empty')
const whole = (min: number, max: number): z.ZodType<number, string> =>
  text()
    .regex(/^\d+$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be a whole number from ${min} to ${max}`)
const cents = (): z.ZodType<number | undefined, string | undefined> =>
  text()
    .regex(/^\d{1,4}(\.\d{1,6})?$/, 'must be US cents, such as 0.85')
    .transform(Number)
    .optional()
const yesOrNo = (): z.ZodType<boolean, string> =>
  z.enum(['true', 'false'], { error: 'must be true or false' }).transform((value) => value === 'true')
const baseUrl = text().refine(isBaseUrl, 'must be a URL without query or password: https, or http on a loopback address').transform((url) => url.replace(/\/+$/, ''))
// A compatible server may stand anywhere in the operator's own network, and there it seldom has a certificate.
const engineUrl = (): z.ZodType<string | undefined, string | undefined> =>
  text().refine(isEngineUrl, 'must be an http or https URL without query or password').transform((url) => url.replace(/\/+$/, '')).optional()
const engineOf = <const T extends string>(...names: readonly [T, ...T[]]): z.ZodType<T | undefined, T | undefined> =>
  z.enum(names, { error: `must be one of ${names.join(', ')}` }).optional()
const modelName = (): z.ZodString => text().regex(/^[\w./:-]{1,100}$/, 'must be the name of a model')
// OpenID providers compare addresses letter by letter: a last slash stays.
const exactUrl = text().refine(isBaseUrl, 'must be a URL without query or password: https, or http on a loopback address')

const listOf = (item: RegExp, message: string): z.ZodType<readonly string[], string> =>
  z
    .string()
    .transform((value) => value.split(',').map((part) => part.trim()).filter((part) => part !== ''))
    .refine((parts) => parts.every((part) => item.test(part)), message)
const keyList = (): z.ZodType<string | undefined, string | undefined> =>
  text()
    .regex(/^[\w-]+:.{32,}(,[\w-]+:.{32,})*$/, 'must be id:secret, each secret of at least 32 characters, separated by commas')
    .optional()

/** Milliseconds. A stage that may take longer than the hard limit would have no limit. */
const stageMs = (stage: string, ms: number): z.ZodType<number, string> =>
  whole(1, 10_000).register(about, { says: `Deadline of the ${stage} stage, in ms.`, example: String(ms), default: String(ms) })

/** Every variable once, in the order of .env.example. */
const SCHEMA = z.object({
  PORT: whole(0, 65_535).register(about, { says: 'TCP port to listen on; 0 takes any free one.', example: '3000', default: '3000' }),
  HOST: text().register(about, {
    says: 'Address to listen on. Anything but loopback needs TWILIO_AUTH_TOKEN and PUBLIC_BASE_URL.',
    example: '0.0.0.0',
    default: '127.0.0.1',
  }),
  PUBLIC_BASE_URL: baseUrl.optional().register(about, {
    says: 'How the carrier reaches this server. Without it: http://HOST:PORT.',
    example: 'https://voice.example.com',
    default: null,
  }),
  TRUSTED_PROXY_HOPS: whole(0, 10).register(about, {
    says: 'How many proxies in front of this server may name the client in X-Forwarded-For.',
    example: '1',
    default: '0',
  }),
  SHUTDOWN_GRACE_SECONDS: whole(0, 3600).register(about, { says: 'How long calls may go on after a request to stop.', example: '60', default: '60' }),
  WORKERS: whole(1, 64).register(about, { says: 'Processes that answer calls on this port; npm start -- --workers N says the same.', example: '2', default: '1' }),
  MEMORY_LIMIT_MB: whole(256, 1_048_576).optional().register(about, {
    says: 'A process that holds more than this takes no new calls. Without it: nine tenths of what the machine or container has, shared among the workers.',
    example: '2048',
    default: null,
  }),
  DATA_DIR: text().register(about, { says: 'Folder of the embedded store; made if it is not there.', example: './data', default: './data' }),
  MONGODB_URL: text().optional().register(about, {
    says: 'A MongoDB replica set that keeps the records instead of DATA_DIR; the URL names the database. Prepare it once: clientsvia migrate.',
    example: 'mongodb://127.0.0.1:27017/clientsvia?replicaSet=rs0',
    default: null,
    secret: true,
  }),
  REDIS_URL: text().optional().register(about, {
    says: 'A Redis that several processes share: sessions, media tokens, places on the line, cached settings.',
    example: 'redis://127.0.0.1:6379/0',
    default: null,
    secret: true,
  }),
  STORE: z.enum(STORES, { error: `must be one of ${STORES.join(', ')}` }).optional().register(about, {
    says: 'What keeps the records: embedded or mongodb. Without it: mongodb where MONGODB_URL is set.',
    example: 'embedded',
    default: null,
  }),
  CACHE: z.enum(CACHES, { error: `must be one of ${CACHES.join(', ')}` }).optional().register(about, {
    says: 'What processes share: memory (one process) or redis. Without it: redis where REDIS_URL is set.',
    example: 'memory',
    default: null,
  }),
  LOG_LEVEL: z
    .enum(LOG_LEVELS, { error: `must be one of ${LOG_LEVELS.join(', ')}` })
    .register(about, { says: `Least severe line that is logged: ${LOG_LEVELS.join(', ')}.`, example: 'debug', default: 'info' }),
  LOG_SPEECH: yesOrNo().register(about, { says: 'Whether the words of callers and agents may be in the log. For development.', example: 'true', default: 'false' }),
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
    says: 'The page where people set a new password; its one-use token follows after a #. Without it they are sent the token itself.',
    example: 'https://admin.example.com/reset',
    default: null,
  }),
  DEMO_COMPANIES: yesOrNo().register(about, { says: 'Whether the demo companies are brought into the store at start.', example: 'false', default: 'true' }),
  VOICE_ACTIVITY: z.enum(['silero', 'level'], { error: 'must be silero or level' }).register(about, {
    says: 'How speech is told from noise: by a model, or by level alone, which costs half and takes street noise for speech.',
    example: 'level',
    default: 'silero',
  }),
  STT_WORKERS: whole(1, 64).optional().register(about, { says: 'Recogniser threads. Without it: one less than the processors, at least one.', example: '2', default: null }),
  TURN_TARGET_MS: whole(100, 10_000).register(about, {
    says: "Target from the caller's last sound to the agent's first, in ms.",
    example: '600',
    default: '600',
  }),
  TURN_HARD_MS: whole(100, 10_000).register(about, { says: 'The same as a limit: later than this counts as over budget, in ms.', example: '1000', default: '1000' }),
  TURN_STALL_MS: whole(100, 10_000).register(about, { says: 'When "one moment, please" is heard if no answer is there yet, in ms.', example: '700', default: '700' }),
  TURN_TRANSCRIPT_MS: stageMs('transcript', 450),
  TURN_CONTEXT_MS: stageMs('context', 50),
  TURN_INTENT_MS: stageMs('intent', 30),
  TURN_KNOWLEDGE_MS: stageMs('knowledge', 200),
  TURN_TEMPLATE_MS: stageMs('template', 30),
  TURN_RESPONSE_MS: stageMs('response', 600),
  TURN_QUALITY_MS: stageMs('quality', 20),
  TURN_PERSONALITY_MS: stageMs('personality', 20),
  TURN_SYNTHESIS_MS: stageMs('synthesis', 400),
  TURN_PLAYOUT_MS: stageMs('playout', 60),
  TURN_EARLY_REPLIES: yesOrNo().register(about, {
    says: 'Whether a reply is begun while the caller may still go on. It hides most of the wait; a model that costs money is asked in vain now and then.',
    example: 'false',
    default: 'true',
  }),
  TURN_EARLY_MODEL: yesOrNo().register(about, {
    says: 'Whether the language model is asked for such a reply too. When it is not, everything it will be asked with is made ready meanwhile, and no token is generated in vain.',
    example: 'false',
    default: 'true',
  }),
  CALL_MINUTE_CENTS: cents().register(about, { says: 'What a minute of a call costs you, in US cents, for the usage page.', example: '0.85', default: null }),
  MODEL_TOKEN_CENTS: cents().register(about, { says: 'What a token of the language model costs you, in US cents.', example: '0.0002', default: null }),
  STT_ENGINE: engineOf('embedded', 'deepgram').register(about, {
    says: 'Who listens where a company does not choose: embedded or deepgram. Without it: Deepgram where its key or address is set.',
    example: 'embedded',
    default: null,
  }),
  TTS_ENGINE: engineOf('embedded', 'deepgram', 'openai').register(about, {
    says: 'Who speaks where a company does not choose: embedded, deepgram or openai. Without it: the first of the last two that is set.',
    example: 'embedded',
    default: null,
  }),
  TTS_SECOND_ENGINE: engineOf('deepgram', 'openai').register(about, {
    says: 'Who speaks where that one fails in a call: deepgram or openai. Without it, and behind it: the voice that comes along.',
    example: 'openai',
    default: null,
  }),
  LLM_ENGINE: engineOf('none', 'openai').register(about, {
    says: 'The language model behind the rules and the knowledge: none or openai. Without it: OpenAI where its key or address is set.',
    example: 'none',
    default: null,
  }),
  EMBEDDINGS_ENGINE: engineOf('embedded', 'openai').register(about, {
    says: 'Who turns sentences into vectors: embedded or openai. Without it: OpenAI where its key is set.',
    example: 'embedded',
    default: null,
  }),
  VECTORS: engineOf('embedded', 'pinecone').register(about, {
    says: 'Where the vectors of the knowledge are searched: embedded or pinecone. Without it: Pinecone where its index is set.',
    example: 'embedded',
    default: null,
  }),
  DEEPGRAM_API_KEY: text().optional().register(about, { says: 'Deepgram: live recognition and Aura voices.', example: '', default: null, secret: true }),
  DEEPGRAM_BASE_URL: engineUrl().register(about, {
    says: 'Another address for it: self-hosted, or in a region. http or https; wss is derived. A key is then optional.',
    example: 'https://api.eu.deepgram.com',
    default: null,
  }),
  DEEPGRAM_MODEL: modelName().register(about, {
    says: 'Its listening model; one whose name begins with flux brings its own ends of turn.',
    example: 'flux-general-en',
    default: 'nova-3',
  }),
  OPENAI_API_KEY: text().optional().register(about, { says: 'OpenAI: language model, embeddings, voices.', example: '', default: null, secret: true }),
  OPENAI_BASE_URL: engineUrl().register(about, {
    says: 'A compatible server instead, such as Ollama or vLLM, with its /v1. http or https. A key is then optional.',
    example: 'http://127.0.0.1:11434/v1',
    default: null,
  }),
  OPENAI_MODEL: modelName().register(about, { says: 'The language model.', example: 'gpt-4.1-mini', default: 'gpt-4.1-mini' }),
  OPENAI_API: engineOf('responses', 'chat').register(about, {
    says: 'How it is asked: responses or chat. Without it: responses at OpenAI, chat at a compatible server.',
    example: 'chat',
    default: null,
  }),
  OPENAI_QUICK_MODEL: modelName().optional().register(about, {
    says: 'A quicker, cheaper model, asked beside the other where that has said nothing at half of its time; the first good sentence speaks.',
    example: 'gpt-4.1-nano',
    default: null,
  }),
  MODEL_PRICES: text().regex(PRICE_LIST_PATTERN, 'must be model=input/cached/output in cents a million tokens, separated by commas').optional().register(about, {
    says: "What a million tokens cost you, in US cents, as model=input/cached input/output. Without it: OpenAI's list for its own models.",
    example: 'gpt-4.1-mini=40/10/160',
    default: null,
  }),
  OPENAI_EMBEDDING_MODEL: modelName().optional().register(about, { says: 'Its model for embeddings. Without it: text-embedding-3-small.', example: 'text-embedding-3-small', default: null }),
  OPENAI_EMBEDDING_DIMENSIONS: whole(16, 4096).register(about, { says: "Length of its vectors; a compatible server's must be named.", example: '512', default: '512' }),
  OPENAI_TTS_MODEL: modelName().optional().register(about, { says: 'Its speaking model. Without it: gpt-4o-mini-tts.', example: 'tts-1', default: null }),
  PINECONE_API_KEY: text().optional().register(about, { says: 'Pinecone: vectors of large knowledge bases.', example: '', default: null, secret: true }),
  PINECONE_INDEX_HOST: engineUrl().register(about, { says: "The index's own address.", example: 'https://knowledge-abc1234.svc.us-east-1.pinecone.io', default: null }),
  STT_MINUTE_CENTS: cents().register(about, { says: 'What a minute of recognition costs you at its vendor, in US cents.', example: '0.77', default: null }),
  TTS_CHARACTER_CENTS: cents().register(about, { says: 'What a spoken character costs you at its vendor, in US cents.', example: '0.003', default: null }),
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
})
type Values = z.output<typeof SCHEMA>

const EXAMPLES = new Map(Object.entries(SCHEMA.shape).map(([name, schema]) => [name, aboutOf(schema).example]))

/** What no variable can know by itself. */
function contradictions(values: Values): string[] {
  const problems: string[] = []
  const { HOST, PUBLIC_BASE_URL, TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN } = values
  if (!isLoopback(HOST) && TWILIO_AUTH_TOKEN === undefined) {
    problems.push(`HOST is ${HOST}, which others can reach, but there is no TWILIO_AUTH_TOKEN to tell Twilio from them: set it, or set HOST=127.0.0.1`)
  }
  if (!isLoopback(HOST) && PUBLIC_BASE_URL === undefined) {
    problems.push(`PUBLIC_BASE_URL is missing: with HOST=${HOST} it must say how Twilio reaches this server; for example PUBLIC_BASE_URL=https://voice.example.com`)
  }
  if (TWILIO_ACCOUNT_SID !== undefined && TWILIO_AUTH_TOKEN === undefined) {
    problems.push('TWILIO_AUTH_TOKEN is missing: without it TWILIO_ACCOUNT_SID proves nothing; both are on the first page of the Twilio console')
  }
  if (values.SMTP_URL !== undefined && values.MAIL_FROM === undefined) problems.push('MAIL_FROM is missing: with SMTP_URL it says who e-mail comes from; for example MAIL_FROM=ClientsVia <voice@example.com>')
  const { OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET, OIDC_CALLBACK_URL } = values
  if (OIDC_ISSUER !== undefined && OIDC_CLIENT_ID === undefined) problems.push('OIDC_CLIENT_ID is missing: the OpenID provider knows this server by it')
  if (OIDC_ISSUER !== undefined && OIDC_CALLBACK_URL === undefined) {
    problems.push('OIDC_CALLBACK_URL is missing: it says where the OpenID provider sends people back to; for example OIDC_CALLBACK_URL=https://voice.example.com/dashboard')
  }
  if (OIDC_ISSUER === undefined && (OIDC_CLIENT_ID ?? OIDC_CLIENT_SECRET ?? OIDC_CALLBACK_URL) !== undefined) {
    problems.push('OIDC_ISSUER is missing: without it the other OIDC_ variables do nothing; for example OIDC_ISSUER=https://login.example.com/')
  }
  problems.push(...storeProblems(values))
  if (values.ADMIN_PASSWORD !== undefined && values.ADMIN_PASSWORD.length < values.PASSWORD_MIN_LENGTH) {
    problems.push(`ADMIN_PASSWORD is shorter than PASSWORD_MIN_LENGTH, which is ${values.PASSWORD_MIN_LENGTH}`)
  }
  problems.push(...engineContradictions(values))
  if (values.TURN_TARGET_MS > values.TURN_HARD_MS) problems.push('TURN_TARGET_MS is above TURN_HARD_MS; for example TURN_TARGET_MS=600 TURN_HARD_MS=1000')
  if (values.TURN_STALL_MS > values.TURN_HARD_MS) problems.push('TURN_STALL_MS is above TURN_HARD_MS; for example TURN_STALL_MS=700 TURN_HARD_MS=1000')
  for (const [stage, ms] of Object.entries(stagesOf(values))) {
    if (ms > values.TURN_HARD_MS) problems.push(`TURN_${stage.toUpperCase()}_MS is above TURN_HARD_MS, so that it would never cut anything off`)
  }
  return problems
}

function assemble(values: Values): Omit<Config, 'settings'> {
  const { TWILIO_ACCOUNT_SID: accountSid, TWILIO_AUTH_TOKEN: authToken } = values
  return {
    server: {
      host: values.HOST,
      port: values.PORT,
      publicBaseUrl: values.PUBLIC_BASE_URL ?? null,
      trustedProxyHops: values.TRUSTED_PROXY_HOPS,
      shutdownGraceMs: values.SHUTDOWN_GRACE_SECONDS * 1000,
      workers: values.WORKERS,
      memoryLimitBytes: values.MEMORY_LIMIT_MB === undefined ? memoryOf(values.WORKERS) : values.MEMORY_LIMIT_MB * 1024 * 1024,
    },
    dataDir: values.DATA_DIR,
    stores: storesOf(values),
    log: { level: values.LOG_LEVEL, speech: values.LOG_SPEECH },
    twilio: authToken === undefined ? null : { accountSid: accountSid ?? null, authToken: new Secret(authToken), baseUrl: values.TWILIO_BASE_URL ?? null },
    mail: values.SMTP_URL === undefined || values.MAIL_FROM === undefined ? null : { smtpUrl: new Secret(values.SMTP_URL), from: values.MAIL_FROM },
    passwordPageUrl: values.PASSWORD_PAGE_URL ?? null,
    demoCompanies: values.DEMO_COMPANIES,
    // One processor is the media loop's.
    voiceActivity: values.VOICE_ACTIVITY,
    sttWorkers: values.STT_WORKERS ?? Math.max(1, availableParallelism() - 1),
    rates: {
      callMinuteCents: values.CALL_MINUTE_CENTS ?? null,
      modelTokenCents: values.MODEL_TOKEN_CENTS ?? null,
      sttMinuteCents: values.STT_MINUTE_CENTS ?? null,
      ttsCharacterCents: values.TTS_CHARACTER_CENTS ?? null,
    },
    earlyReplies: values.TURN_EARLY_REPLIES,
    earlyModel: values.TURN_EARLY_MODEL,
    engines: enginesOf(values),
    admin: {
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
    },
    budget: { targetMs: values.TURN_TARGET_MS, hardMs: values.TURN_HARD_MS, stallAfterMs: values.TURN_STALL_MS, stagesMs: stagesOf(values) },
  }
}

function storeProblems({ STORE, CACHE, MONGODB_URL, REDIS_URL }: Values): string[] {
  const problems: string[] = []
  if (STORE === 'mongodb' && MONGODB_URL === undefined) problems.push('MONGODB_URL is missing: STORE=mongodb needs it; for example MONGODB_URL=mongodb://127.0.0.1:27017/clientsvia')
  if (CACHE === 'redis' && REDIS_URL === undefined) problems.push('REDIS_URL is missing: CACHE=redis needs it; for example REDIS_URL=redis://127.0.0.1:6379')
  // The values are never shown: they may hold a password.
  if (MONGODB_URL !== undefined && !/^mongodb(\+srv)?:\/\/\S+$/.test(MONGODB_URL)) problems.push('MONGODB_URL must begin with mongodb:// or mongodb+srv://')
  else if (MONGODB_URL !== undefined) {
    const database = databaseOf(MONGODB_URL)
    // Without a name the driver takes "test", and a typing mistake runs for hours on an empty database.
    if (!/^[\w-]{1,63}$/.test(database) || database === 'test') {
      problems.push('MONGODB_URL must name the database after the host, and not "test"; for example mongodb://127.0.0.1:27017/clientsvia')
    }
  }
  if (REDIS_URL !== undefined && !/^rediss?:\/\/[^/\s]+(\/\d{1,3})?$/.test(REDIS_URL)) problems.push('REDIS_URL must be redis://HOST:PORT, or rediss:// for TLS, with a database number after a slash at most')
  return problems
}

function storesOf({ STORE, CACHE, MONGODB_URL, REDIS_URL }: Values): StoresConfig {
  const isMongo = MONGODB_URL !== undefined && (STORE ?? 'mongodb') === 'mongodb'
  const isRedis = REDIS_URL !== undefined && (CACHE ?? 'redis') === 'redis'
  return {
    store: isMongo ? { kind: 'mongodb', url: new Secret(MONGODB_URL), database: databaseOf(MONGODB_URL) } : { kind: 'embedded' },
    cache: isRedis ? { kind: 'redis', url: new Secret(REDIS_URL) } : { kind: 'memory' },
  }
}

/** The part after the hosts. Not read by URL, which knows no list of hosts. */
function databaseOf(mongoUrl: string): string {
  return /^[^:]+:\/\/[^/]+\/([^?]*)/.exec(mongoUrl)?.[1] ?? ''
}

/** A container's own limit where it has one, else the machine's memory. */
function memoryOf(workers: number): number {
  const limit = process.constrainedMemory()
  const available = limit > 0 && limit < totalmem() ? limit : totalmem()
  return Math.floor((available * 0.9) / workers)
}

function oidcOf(values: Values): AdminConfig['oidc'] {
  const { OIDC_ISSUER: issuer, OIDC_CLIENT_ID: clientId, OIDC_CALLBACK_URL: callbackUrl } = values
  if (issuer === undefined || clientId === undefined || callbackUrl === undefined) return null
  return { issuer, clientId, clientSecret: secretOrNull(values.OIDC_CLIENT_SECRET), callbackUrl }
}

function secretOrNull(value: string | undefined): Secret | null {
  return value === undefined ? null : new Secret(value)
}

function stagesOf(values: Values): LatencyBudget['stagesMs'] & Record<string, number> {
  return {
    transcript: values.TURN_TRANSCRIPT_MS,
    context: values.TURN_CONTEXT_MS,
    intent: values.TURN_INTENT_MS,
    knowledge: values.TURN_KNOWLEDGE_MS,
    template: values.TURN_TEMPLATE_MS,
    response: values.TURN_RESPONSE_MS,
    quality: values.TURN_QUALITY_MS,
    personality: values.TURN_PERSONALITY_MS,
    synthesis: values.TURN_SYNTHESIS_MS,
    playout: values.TURN_PLAYOUT_MS,
  }
}

type Given = Readonly<{ text: string | undefined; source: Setting['source'] }>

function readVariable(name: string, about: About, env: Environment, problems: string[]): Given {
  const direct = env[name]
  const path = about.secret ? env[`${name}_FILE`] : undefined
  if (path === undefined) return direct === undefined ? { text: about.default ?? undefined, source: 'default' } : { text: direct, source: 'environment' }
  if (direct !== undefined) {
    problems.push(`${name} and ${name}_FILE are both set: keep one of them`)
    return { text: direct, source: 'environment' }
  }
  try {
    // Editors end a file with a newline; no secret does.
    return { text: readFileSync(path, 'utf8').trimEnd(), source: 'file' }
  } catch (error) {
    problems.push(`${name}_FILE names a file that cannot be read (${error instanceof Error && 'code' in error ? String(error.code) : 'unknown reason'}): ${path}`)
    return { text: undefined, source: 'file' }
  }
}

function shown(given: Given, about: About): string {
  if (given.text === undefined) return '-'
  return about.secret ? '[secret]' : given.text
}

function problemOf(issue: z.core.$ZodIssue): string {
  const name = String(issue.path[0])
  const example = EXAMPLES.get(name) ?? ''
  return `${name} ${issue.message}${example === '' ? '' : `; for example ${name}=${example}`}`
}

function aboutOf(schema: z.ZodType): About {
  const found = about.get(schema)
  if (found === undefined) throw new TypeError('a variable of the schema is not registered')
  return found
}

function isBaseUrl(given: string): boolean {
  if (!URL.canParse(given)) return false
  const url = new URL(given)
  const isSafe = url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname.replace(/^\[|\]$/g, '')))
  return isSafe && url.search === '' && url.hash === '' && url.username === '' && url.password === ''
}

function isEngineUrl(given: string): boolean {
  if (!URL.canParse(given)) return false
  const url = new URL(given)
  return ['http:', 'https:'].includes(url.protocol) && url.search === '' && url.hash === '' && url.username === '' && url.password === ''
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

function urlHost(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host
}

function freeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) freeze(part)
  return Object.freeze(value)
}
