import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { SAMPLE_RATE_HZ } from '../audio/frame.ts'
import { resample } from '../audio/resample.ts'
import { readWav } from '../audio/wav.ts'
import { ClientsViaError } from '../core/errors.ts'
import { callerSpans, type VoicedSpan } from './ears.ts'

/** Silence past this while a reply is due is a failure whatever else is true. */
export const LONGEST_SILENCE_MS = 1200
/** A caller who barges in no longer hears the agent this long after the first voiced frame. */
export const STOPS_WITHIN_MS = 450
/** Longer scripts belong in two files: a call that nobody can follow finds nothing. */
const MOST_STEPS = 40

const milliseconds = z.number().min(0).max(60_000)

const pattern = z.string().min(1).transform((source, context) => {
  try {
    return new RegExp(source, 'i')
  } catch (error) {
    context.addIssue({ code: 'custom', message: `not a regular expression: ${String(error)}` })
    return z.NEVER
  }
})

/** When the caller acts. */
const when = z.discriminatedUnion('after', [
  /** The agent has spoken since the caller last did, and has been quiet for `quietMs`. */
  z.strictObject({ after: z.literal('agent-finished'), quietMs: milliseconds.default(800) }),
  /** Over the agent, `forMs` after it became audible. */
  z.strictObject({ after: z.literal('agent-speaks'), forMs: milliseconds }),
  /** Neither side was heard for `forMs`. */
  z.strictObject({ after: z.literal('silence'), forMs: milliseconds }),
  /** `forMs` after the step before was over, whatever the agent does. */
  z.strictObject({ after: z.literal('previous'), forMs: milliseconds }),
])

const expectation = z.strictObject({
  /**
   * `replies`: an answer within `withinMs` of the caller's last voiced frame. `stops`: the agent falls silent under the caller, then
   * answers. `continues`: the agent goes on after a back-channel or a noise. `stays-silent`: nothing is said.
   */
  agent: z.enum(['replies', 'stops', 'continues', 'stays-silent']).default('replies'),
  withinMs: milliseconds.default(LONGEST_SILENCE_MS),
  stopsWithinMs: milliseconds.default(STOPS_WITHIN_MS),
  /** How much speech must follow for the reply to count as heard to its end. */
  continuesForMs: milliseconds.default(1000),
  /** Regular expressions, case-insensitive, each found in the words the caller heard. */
  says: z.array(pattern).max(10).default([]),
  saysNot: z.array(pattern).max(10).default([]),
  /** Any of these answered. */
  source: z.array(z.string().min(1)).min(1).max(12).optional(),
  action: z.enum(['transfer', 'hang-up', 'voicemail']).optional(),
})

const say = z.strictObject({
  do: z.literal('say'),
  wav: z.string().regex(/^[\w-]+\.wav$/, 'a file name like "hours.wav", beside the script'),
  /** What is said; `[pause 900]` is 900 ms of silence. The recordings are made from it. */
  text: z.string().min(1).max(1200),
  voice: z.string().min(1),
  when,
  gainDb: z.number().min(-30).max(12).default(0),
  expect: expectation.prefault({}),
})
const noise = z.strictObject({
  do: z.literal('noise'),
  wav: say.shape.wav,
  sound: z.enum(['street', 'knocks', 'television']),
  durationMs: z.number().min(100).max(20_000),
  when,
  gainDb: say.shape.gainDb,
  expect: expectation.prefault({ agent: 'stays-silent' }),
})
const press = z.strictObject({ do: z.literal('press'), digits: z.string().regex(/^[0-9*#A-D]{1,20}$/), when, expect: expectation.prefault({}) })
const staySilent = z.strictObject({ do: z.literal('stay-silent'), durationMs: milliseconds, when, expect: expectation.prefault({ agent: 'stays-silent' }) })
const hangUp = z.strictObject({ do: z.literal('hang-up'), when })

/** What a call must have left at the company, and nothing else; judged by the server's own data. */
const outcome = z.strictObject({
  appointments: z
    .array(
      z.strictObject({
        status: z.enum(['requested', 'held', 'confirmed', 'cancelled']).default('confirmed'),
        serviceId: z.string().min(1),
        /** In the company's time zone: which weekdays and hours the visit may begin at. */
        weekdays: z.array(z.enum(['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'])).min(1),
        from: z.string().regex(/^\d\d:\d\d$/),
        before: z.string().regex(/^\d\d:\d\d$/),
        timeZone: z.string().min(1),
        name: pattern.optional(),
        phone: z.string().regex(/^\+\d+$/).optional(),
        address: pattern.optional(),
      }),
    )
    .max(3)
    .default([]),
  leads: z
    .array(z.strictObject({ kind: z.enum(['order', 'callback', 'unfinished', 'message']), slots: z.record(z.string(), pattern).default({}) }))
    .max(3)
    .default([]),
})

const callScript = z.strictObject({
  name: z.string().regex(/^[a-z0-9-]+$/, 'lower-case words joined by hyphens'),
  description: z.string().min(10).max(300),
  to: z.string().regex(/^\+[1-9]\d{6,14}$/, 'a number in E.164, like +15550100000'),
  from: z.string().regex(/^\+[1-9]\d{6,14}$/, 'a number in E.164').default('+12395550142'),
  /** The noise of the whole line, below the caller's speech. */
  line: z.strictObject({ snrDb: z.number().min(10).max(40) }).prefault({ snrDb: 25 }),
  greeting: z.strictObject({ withinMs: milliseconds.default(LONGEST_SILENCE_MS), says: z.array(pattern).max(10).default([]) }).prefault({}),
  steps: z.array(z.discriminatedUnion('do', [say, noise, press, staySilent, hangUp])).min(1).max(MOST_STEPS),
  outcome: outcome.optional(),
  /** How many dial it at the same moment, each from a number of their own: they want the same thing. */
  callers: z.int().min(1).max(4).default(1),
  /** How the call must come to its end; `any` where that depends on the hour. */
  ends: z.enum(['caller-hangs-up', 'agent-hangs-up', 'transfer', 'voicemail', 'any']).default('caller-hangs-up'),
})

export type CallScript = z.infer<typeof callScript>
export type ScriptStep = CallScript['steps'][number]
export type StepExpectation = z.infer<typeof expectation>
export type ScriptOutcome = z.infer<typeof outcome>
export type StepTiming = z.infer<typeof when>

/** 8 kHz, with the stretches that a listener hears as voice. */
export type Clip = Readonly<{ samples: Int16Array; spans: readonly VoicedSpan[] }>

/** A script with its sound, ready to be dialled. */
export type LoadedScript = Readonly<{
  script: CallScript
  /** By file name. */
  clips: ReadonlyMap<string, Clip>
}>

/** Throws INVALID_INPUT naming the file and every field that is wrong. */
export function parseCallScript(value: unknown, file: string): CallScript {
  const parsed = callScript.safeParse(value)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || '(root)'}: ${issue.message}`)
  throw new ClientsViaError('INVALID_INPUT', `${file}: ${problems.join('; ')}`, { file, problems })
}

export async function listScripts(folder: string): Promise<string[]> {
  const names = await readdir(folder)
  return names.filter((name) => name.endsWith('.json')).map((name) => basename(name, '.json')).toSorted()
}

export async function readCallScript(folder: string, name: string): Promise<CallScript> {
  const file = join(folder, `${name}.json`)
  let value: unknown
  try {
    value = JSON.parse(await readFile(file, 'utf8'))
  } catch (error) {
    throw new ClientsViaError('INVALID_INPUT', `${file}: ${error instanceof Error ? error.message : String(error)}`, { file })
  }
  return parseCallScript(value, file)
}

export async function loadScript(folder: string, name: string): Promise<LoadedScript> {
  const script = await readCallScript(folder, name)
  const clips = new Map<string, Clip>()
  for (const step of script.steps) {
    if (step.do !== 'say' && step.do !== 'noise') continue
    clips.set(step.wav, await readClip(join(folder, step.wav)))
  }
  return { script, clips }
}

/** The first channel at 8 kHz. Throws INVALID_INPUT naming the file. */
export async function readClip(file: string): Promise<Clip> {
  try {
    const wav = readWav(await readFile(file))
    const samples = resample(wav.channels[0] as Int16Array, wav.sampleRateHz, SAMPLE_RATE_HZ)
    return { samples, spans: callerSpans(samples) }
  } catch (error) {
    throw new ClientsViaError('INVALID_INPUT', `${file}: ${error instanceof Error ? error.message : String(error)}`, { file })
  }
}
