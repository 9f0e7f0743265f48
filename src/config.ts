import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { z } from 'zod'
import { adminConfig, adminProblems, adminVariables, type AdminConfig } from './config/admin-variables.ts'
import { callConfig, callProblems, callVariables, type CallConfig } from './config/call-variables.ts'
import { carrierConfig, carrierProblems, carrierVariables, type CarrierConfig } from './config/carrier-variables.ts'
import { engineVariables } from './config/engine-variables.ts'
import { serverConfig, serverProblems, serverVariables, type LogLevel, type ServerConfig } from './config/server-variables.ts'
import { storeProblems, storesOf, storeVariables, type StoresConfig } from './config/store-variables.ts'
import { aboutOf, type About } from './config/variables.ts'
import { ClientsViaError } from './core/errors.ts'
import { engineContradictions, engineSettings, enginesOf, type EngineConfig } from './engine-config.ts'

export { Secret } from './core/secret.ts'
export type { AdminConfig } from './config/admin-variables.ts'
export type { LogLevel } from './config/server-variables.ts'
export type { StoresConfig } from './config/store-variables.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** Everything the server can be told from outside. Frozen; read once, at start. */
export type Config = CarrierConfig & CallConfig & Readonly<{
  server: ServerConfig
  dataDir: string
  stores: StoresConfig
  log: Readonly<{ level: LogLevel; speech: boolean }>
  /** What the operator pays, in US cents; null: cost is not shown. */
  rates: Readonly<{ callMinuteCents: number | null; modelTokenCents: number | null; sttMinuteCents: number | null; ttsCharacterCents: number | null }>
  engines: EngineConfig
  admin: AdminConfig
  settings: readonly Setting[]
}>
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

/** Every variable once, in the order of .env.example; each section says what its values come to. */
const SCHEMA = z.object({ ...serverVariables, ...storeVariables, ...carrierVariables, ...callVariables, ...engineVariables, ...adminVariables })
type Values = z.output<typeof SCHEMA>

const EXAMPLES = new Map(Object.entries(SCHEMA.shape).map(([name, schema]) => [name, aboutOf(schema).example]))

/** What no variable can know by itself. */
function contradictions(values: Values): string[] {
  return [
    ...serverProblems(values, values.TWILIO_AUTH_TOKEN !== undefined),
    ...carrierProblems(values),
    ...storeProblems(values),
    ...adminProblems(values),
    ...engineContradictions(values),
    ...callProblems(values),
  ]
}

function assemble(values: Values): Omit<Config, 'settings'> {
  return {
    server: serverConfig(values),
    dataDir: values.DATA_DIR,
    stores: storesOf(values),
    log: { level: values.LOG_LEVEL, speech: values.LOG_SPEECH },
    ...carrierConfig(values),
    ...callConfig(values),
    rates: {
      callMinuteCents: values.CALL_MINUTE_CENTS ?? null,
      modelTokenCents: values.MODEL_TOKEN_CENTS ?? null,
      sttMinuteCents: values.STT_MINUTE_CENTS ?? null,
      ttsCharacterCents: values.TTS_CHARACTER_CENTS ?? null,
    },
    engines: enginesOf(values),
    admin: adminConfig(values),
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

function urlHost(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host
}

function freeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) freeze(part)
  return Object.freeze(value)
}
