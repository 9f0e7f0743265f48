import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import t from 'tap'

const root = resolve(import.meta.dirname, '../..')
const src = join(root, 'src')

/** Files of a road room that others may import: types, and pure vocabulary. */
const CONTRACTS = new Set([
  'transcription/transcriber.ts',
  'turn-taking/turn-detector.ts',
  'turn-taking/interruption.ts',
  'response/responder.ts',
  'response/dialogue.ts',
  'response/company-context.ts',
  'synthesis/synthesizer.ts',
  'call/call-leg.ts',
  'call/call-record.ts',
  'call/call-handler.ts',
  'call/carrier-control.ts',
  'booking/appointment.ts',
  'booking/booking-desk.ts',
  'booking/effect.ts',
  'booking/when.ts',
  'events/event.ts',
  'events/channel.ts',
  'events/lead.ts',
])
const ROAD = ['telephony', 'transcription', 'turn-taking', 'response', 'synthesis', 'call']
/** Rooms that may be imported whole by anyone above them. */
const SHARED = ['core', 'audio', 'engines', 'grammar', 'tenancy', 'forms', 'observability']
const ONLY = new Map<string, readonly string[]>([
  ['core', ['core']],
  ['audio', ['core', 'audio']],
  ['engines', ['core', 'engines']],
  ['tenancy', ['core', 'tenancy']],
  ['observability', ['core', 'observability']],
  ['grammar', ['core', 'grammar']],
  ['forms', ['core', 'grammar', 'tenancy', 'forms']],
  ['config', ['core', 'observability', 'response', 'config']],
])
/** Each vendor SDK has one home file per use. */
const SDK_HOMES = new Map<string, RegExp>([
  ['twilio', /^telephony\/(twilio-signature|voice-twiml|sms-twiml|call-control|twilio-rest)\.ts$/],
  ['openai', /^(engines|response|synthesis|storage)\/openai-/],
  ['@deepgram/sdk', /^(transcription|synthesis)\/deepgram-/],
  ['@pinecone-database/pinecone', /^storage\/pinecone-/],
  ['mongodb', /^storage\/mongo-/],
  ['ioredis', /^storage\/(redis|bullmq)-/],
  ['bullmq', /^storage\/bullmq-/],
  ['nodemailer', /^events\/smtp-/],
  ['node:sqlite', /^storage\/embedded-/],
  ['bson', /^events\/callee-zones\.ts$/],
  ['chrono-node', /^booking\/spoken-days\.ts$/],
  ['ical.js', /^booking\/calendar-/],
  ['ical-generator', /^booking\/calendar-/],
  ['tsdav', /^booking\/calendar-/],
])

type Import = Readonly<{ from: string; to: string; external: boolean }>

function files(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name)
    return statSync(path).isDirectory() ? files(path) : path.endsWith('.ts') ? [path] : []
  })
}

const imports: Import[] = files(src).flatMap((file) => {
  const text = readFileSync(file, 'utf8')
  const specifiers = [...text.matchAll(/^(?:import|export)\s[^'"]*?from\s+['"]([^'"]+)['"]|^import\s+['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]/gm)]
  return specifiers.map((match) => {
    const specifier = (match[1] ?? match[2] ?? match[3]) as string
    const external = !specifier.startsWith('.')
    return { from: relative(src, file), to: external ? specifier : relative(src, resolve(dirname(file), specifier)), external }
  })
})
const room = (path: string): string => (path.includes('/') ? (path.split('/')[0] as string) : '(root)')
const offences = (rule: (entry: Import) => boolean): string[] => imports.filter(rule).map((entry) => `${entry.from} -> ${entry.to}`)

t.test('the foundation rooms import only what lies below them', async (t) => {
  t.same(offences((entry) => !entry.external && ONLY.has(room(entry.from)) && !ONLY.get(room(entry.from))?.includes(room(entry.to))), [])
})

t.test('rooms on the road know each other by contract only', async (t) => {
  t.same(
    offences(
      (entry) =>
        !entry.external &&
        ROAD.includes(room(entry.from)) &&
        ROAD.includes(room(entry.to)) &&
        room(entry.from) !== room(entry.to) &&
        !CONTRACTS.has(entry.to),
    ),
    [],
  )
})

t.test('nobody but the composition root imports storage', async (t) => {
  t.same(offences((entry) => !entry.external && room(entry.to) === 'storage' && !['storage', '(root)'].includes(room(entry.from))), [])
})

t.test('the load harness knows the protocol and nothing of the server', async (t) => {
  t.same(
    offences(
      (entry) =>
        !entry.external &&
        room(entry.from) === 'load' &&
        !['load', 'core', 'audio'].includes(room(entry.to)) &&
        entry.to !== 'telephony/media-stream-protocol.ts' &&
        entry.from !== 'load/demo.ts',
    ),
    [],
  )
})

t.test('the road never imports the rooms that stand beside it', async (t) => {
  t.same(offences((entry) => !entry.external && ROAD.includes(room(entry.from)) && ![...ROAD, ...SHARED].includes(room(entry.to)) && !CONTRACTS.has(entry.to)), [])
})

t.test('every vendor SDK has one home per use', async (t) => {
  t.same(
    offences((entry) => {
      const home = [...SDK_HOMES].find(([sdk]) => entry.to === sdk || entry.to.startsWith(`${sdk}/`))?.[1]
      return entry.external && home !== undefined && !home.test(entry.from)
    }),
    [],
  )
})

t.test('time lives in core/clock and signals are never combined by hand', async (t) => {
  const found = files(src)
    .map((file) => relative(src, file))
    .filter((file) => !file.startsWith('core/') && !file.startsWith('dashboard/'))
    .flatMap((file) =>
      readFileSync(join(src, file), 'utf8')
        .split('\n')
        .flatMap((line, index) =>
          /\b(Date\.now|performance\.now|setTimeout|setInterval|AbortSignal\.(any|timeout))\(/.test(line) ? [`${file}:${index + 1}`] : [],
        ),
    )
  t.same(found, [])
})
