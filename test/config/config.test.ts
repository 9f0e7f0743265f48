import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { inspect } from 'node:util'
import t from 'tap'
import { configReport, envExample, loadConfig, publicBaseUrl } from '../../src/config.ts'
import { isClientsViaError } from '../../src/core/errors.ts'

const TOKEN = '0123456789abcdef0123456789abcdef'
const SID = `AC${'fedcba98'.repeat(4)}`
const PUBLIC = { HOST: '0.0.0.0', PUBLIC_BASE_URL: 'https://voice.example.com/', TWILIO_ACCOUNT_SID: SID, TWILIO_AUTH_TOKEN: TOKEN }

function problems(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env)
  } catch (error) {
    if (isClientsViaError(error, 'CONFIG_INVALID')) return String(error.message).split('\n  - ').slice(1)
    throw error
  }
  return []
}

t.test('with nothing set the server stands on loopback with demo companies', async (t) => {
  const config = loadConfig({})
  t.match(config, { server: { host: '127.0.0.1', port: 3000 }, dataDir: './data', log: { level: 'info', speech: false }, twilio: null, demoCompanies: true })
  t.match(config.budget, { targetMs: 600, hardMs: 1000, stallAfterMs: 700, stagesMs: { transcript: 450 } })
  t.ok(config.sttWorkers >= 1)
  t.equal(publicBaseUrl(config, 3000), 'http://127.0.0.1:3000')
  t.equal(publicBaseUrl(loadConfig({ PORT: '0', HOST: '::1' }), 4711), 'http://[::1]:4711')
  t.throws(() => Object.assign(config.server, { port: 1 }), TypeError)
  t.throws(() => Object.assign(config.budget.stagesMs, { transcript: 1 }), TypeError)
})

t.test('a public server knows its address and its carrier', async (t) => {
  const config = loadConfig(PUBLIC)
  t.equal(publicBaseUrl(config, 3000), 'https://voice.example.com')
  t.equal(config.twilio?.accountSid, SID)
  t.equal(config.twilio?.authToken.reveal(), TOKEN)
})

t.test('everything that is wrong is said at once, by the name of the variable and with an example', async (t) => {
  const found = problems({ PORT: '70000', LOG_LEVEL: 'loud', TWILIO_ACCOUNT_SID: 'AC1', DEMO_COMPANIES: 'yes', TURN_TARGTE_MS: '500', DATA_DIR: '' })
  t.equal(found.length, 6)
  for (const name of ['PORT', 'LOG_LEVEL', 'TWILIO_ACCOUNT_SID', 'DEMO_COMPANIES', 'TURN_TARGTE_MS', 'DATA_DIR']) {
    t.ok(found.some((problem) => problem.startsWith(`${name} `)), name)
  }
  t.match(found.find((problem) => problem.startsWith('PORT')), /from 0 to 65535; for example PORT=3000/)
})

t.test('a server that strangers can reach needs a token, and says what to do', async (t) => {
  const found = problems({ HOST: '0.0.0.0' })
  t.match(found, [/HOST is 0\.0\.0\.0.*TWILIO_AUTH_TOKEN.*HOST=127\.0\.0\.1/, /PUBLIC_BASE_URL is missing/])
  t.same(problems({ HOST: '127.0.0.2' }), [])
  t.equal(problems({ HOST: '127.example.com' }).length, 2, 'a name that looks like loopback is not')
  t.match(problems({ ...PUBLIC, TWILIO_AUTH_TOKEN: '' }), [/TWILIO_AUTH_TOKEN must not be empty/])
  t.same(problems({ TWILIO_AUTH_TOKEN: TOKEN }), [], 'the token is the proof; the account narrows it')
  t.match(problems({ TWILIO_ACCOUNT_SID: SID }), [/TWILIO_AUTH_TOKEN is missing/])
})

t.test('a public address is https, or loopback, and nothing but an address', async (t) => {
  for (const url of ['http://voice.example.com', 'ftp://127.0.0.1', 'voice.example.com', 'https://a.example/?x=1', 'https://u:p@a.example', 'https://a.example/#x']) {
    t.match(problems({ PUBLIC_BASE_URL: url }), [/PUBLIC_BASE_URL must be a URL/], url)
  }
  for (const url of ['https://a.example/base', 'http://localhost:8080', 'http://[::1]:3000']) t.same(problems({ PUBLIC_BASE_URL: url }), [], url)
})

t.test('a first password that the password rules would refuse is refused at start', async (t) => {
  t.match(problems({ ADMIN_PASSWORD: 'ten-chars!' }), [/ADMIN_PASSWORD is shorter than PASSWORD_MIN_LENGTH, which is 15/])
  t.same(problems({ ADMIN_PASSWORD: 'heron lifts the quiet tide' }), [])
})

t.test('an engine is the one that is named, else the one whose key or address is there, else the one that comes along', async (t) => {
  const EMBEDDED = { stt: 'embedded', tts: 'embedded', llm: 'none', embeddings: 'embedded', vectors: 'embedded' }
  const engines = (env: Record<string, string>) => loadConfig(env).engines
  t.match(engines({}), EMBEDDED)
  t.match(engines({ DEEPGRAM_API_KEY: TOKEN }), { ...EMBEDDED, stt: 'deepgram', tts: 'deepgram', deepgram: { baseUrl: null, model: 'nova-3' } })
  t.match(engines({ OPENAI_API_KEY: TOKEN }), { ...EMBEDDED, tts: 'openai', llm: 'openai', embeddings: 'openai', openai: { api: 'responses' } })
  t.match(engines({ OPENAI_BASE_URL: 'http://gpu.lan:11434/v1/' }), { ...EMBEDDED, llm: 'openai', openai: { api: 'chat', baseUrl: 'http://gpu.lan:11434/v1', apiKey: null } })
  t.match(engines({ DEEPGRAM_API_KEY: TOKEN, OPENAI_API_KEY: TOKEN, TTS_ENGINE: 'openai', STT_ENGINE: 'embedded', LLM_ENGINE: 'none' }), { stt: 'embedded', tts: 'openai', llm: 'none' })
  t.match(engines({ PINECONE_API_KEY: TOKEN, PINECONE_INDEX_HOST: 'https://x.svc.pinecone.io' }), { ...EMBEDDED, vectors: 'pinecone' })
})

t.test('an engine that cannot be reached is said at start, and no key is shown', async (t) => {
  t.match(problems({ STT_ENGINE: 'deepgram' }), [/STT_ENGINE is deepgram, but there is neither DEEPGRAM_API_KEY nor DEEPGRAM_BASE_URL/])
  t.match(problems({ LLM_ENGINE: 'openai', TTS_ENGINE: 'openai' }), [/TTS_ENGINE is openai.*OPENAI_API_KEY/, /LLM_ENGINE is openai/])
  t.match(problems({ VECTORS: 'pinecone' }), [/PINECONE_INDEX_HOST is missing/])
  t.match(problems({ PINECONE_INDEX_HOST: 'https://x.svc.pinecone.io' }), [/PINECONE_API_KEY is missing/])
  t.match(problems({ STT_ENGINE: 'whisper' }), [/STT_ENGINE must be one of embedded, deepgram/])
  t.match(problems({ DEEPGRAM_BASE_URL: 'wss://api.example.com' }), [/DEEPGRAM_BASE_URL must be an http or https URL/])
  t.match(problems({ OPENAI_BASE_URL: 'https://u:p@a.example' }), [/OPENAI_BASE_URL must be/])
  const report = configReport(loadConfig({ DEEPGRAM_API_KEY: TOKEN }))
  t.match(report, /STT_ENGINE +deepgram +\(default\)/)
  t.notOk(report.includes(TOKEN))
})

t.test('a budget that could never hold is refused', async (t) => {
  t.match(problems({ TURN_TARGET_MS: '1200' }), [/TURN_TARGET_MS is above TURN_HARD_MS/])
  t.match(problems({ TURN_STALL_MS: '1200' }), [/TURN_STALL_MS is above TURN_HARD_MS/])
  t.match(problems({ TURN_RESPONSE_MS: '1200' }), [/TURN_RESPONSE_MS is above TURN_HARD_MS/])
  t.same(problems({ TURN_HARD_MS: '2000', TURN_RESPONSE_MS: '1200' }), [])
})

t.test('a secret may come from a file, from one place only, and is never shown', async (t) => {
  const file = join(t.testdir({}), 'token')
  writeFileSync(file, `${TOKEN}\n`)
  const config = loadConfig({ TWILIO_ACCOUNT_SID: SID, TWILIO_AUTH_TOKEN_FILE: file })
  t.equal(config.twilio?.authToken.reveal(), TOKEN)
  t.match(problems({ TWILIO_ACCOUNT_SID: SID, TWILIO_AUTH_TOKEN: TOKEN, TWILIO_AUTH_TOKEN_FILE: file }), [/TWILIO_AUTH_TOKEN and TWILIO_AUTH_TOKEN_FILE are both set/])
  t.match(problems({ TWILIO_AUTH_TOKEN_FILE: '/nowhere/token' }), [/TWILIO_AUTH_TOKEN_FILE names a file that cannot be read \(ENOENT\)/])
  const report = configReport(config)
  t.match(report, /TWILIO_AUTH_TOKEN +\[secret\] +\(file\)/)
  t.match(report, /TWILIO_ACCOUNT_SID +ACfedc\w+ +\(environment\)/)
  t.match(report, /LOG_SPEECH +false +\(default\)/)
  for (const text of [report, JSON.stringify(config), inspect(config, { depth: 9 }), String(config.twilio?.authToken)]) t.notOk(text.includes(TOKEN))
  const wrong = 'toosecret'
  t.notOk(problems({ TWILIO_ACCOUNT_SID: SID, TWILIO_AUTH_TOKEN: wrong }).join().includes(wrong))
})

t.test('the presence of a URL chooses a store, and a name chooses outright', async (t) => {
  const mongo = 'mongodb://app:hunter2@a.example,b.example:27018/clientsvia?replicaSet=rs0'
  t.match(loadConfig({}).stores, { store: { kind: 'embedded' }, cache: { kind: 'memory' } })
  const both = loadConfig({ MONGODB_URL: mongo, REDIS_URL: 'redis://:hunter2@127.0.0.1:6379/2' })
  t.match(both.stores, { store: { kind: 'mongodb', database: 'clientsvia' }, cache: { kind: 'redis' } })
  t.notOk(`${configReport(both)}${JSON.stringify(both)}`.includes('hunter2'))
  t.match(configReport(both), /STORE +mongodb/)
  t.match(loadConfig({ MONGODB_URL: mongo, STORE: 'embedded', REDIS_URL: 'redis://x', CACHE: 'memory' }).stores, { store: { kind: 'embedded' }, cache: { kind: 'memory' } })
  t.match(problems({ STORE: 'mongodb', CACHE: 'redis' }), [/^MONGODB_URL is missing/, /^REDIS_URL is missing/])
  t.match(problems({ STORE: 'mongo' }), [/^STORE must be one of embedded, mongodb/])
})

t.test('a database that was not named is never "test" by accident', async (t) => {
  for (const url of ['mongodb://h', 'mongodb://h/', 'mongodb://h/?replicaSet=rs0', 'mongodb://h/test', 'mongodb+srv://u:p@h/test?w=1', 'mongodb://h/a.b']) {
    t.match(problems({ MONGODB_URL: url }), [/^MONGODB_URL must name the database/], url)
  }
  t.match(problems({ MONGODB_URL: 'postgres://h/x' }), [/^MONGODB_URL must begin with/])
  t.match(problems({ REDIS_URL: 'http://h' }), [/^REDIS_URL must be/])
})

t.test('.env.example is the schema', async (t) => {
  const path = resolve(import.meta.dirname, '../../.env.example')
  t.equal(readFileSync(path, 'utf8'), envExample(), 'write envExample() of src/config.ts to .env.example')
  const commented = envExample().split('\n').filter((line) => /^# [A-Z_]+=.+/.test(line))
  const env = Object.fromEntries(commented.map((line) => line.slice(2).split(/=(.*)/s, 2)))
  t.same(problems({ ...env, TWILIO_AUTH_TOKEN: TOKEN, PINECONE_API_KEY: TOKEN }), [], 'every example in it is valid')
})
