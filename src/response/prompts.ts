import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { Liquid, type Template } from 'liquidjs'
import { ClientsViaError } from '../core/errors.ts'

export type ModelPrompt = Readonly<{
  /** Name and version of the prompt file, for the turn's trace. */
  id: string
  system: string
  user: string
  /** Secret word of this call to the model: if it comes back, the model is reciting its instructions. */
  canary: string
}>

export type AnswerInputs = Readonly<{
  agent: Readonly<{ name: string; role: string; tone: string }>
  company: Readonly<{ name: string; industry: string }>
  rules: readonly string[]
  hours: string
  /** The day, and whether somebody is there: no time, so that the same question gives the same prompt for a while. */
  now: string
  sources: readonly string[]
  history: readonly Readonly<{ who: 'caller' | 'agent'; text: string }>[]
  greeted: boolean
  /** Names of what the model may ask for; empty: nothing. */
  tools: readonly string[]
  maxWords: number
  callerWords: string
}>

const frontMatterSchema = z.strictObject({ name: z.string().min(1), version: z.int().min(1), inputs: z.array(z.string()).min(1) })
const LIQUID = new Liquid({ templates: {}, ownPropertyOnly: true, strictVariables: true, strictFilters: true })

type Prompt = Readonly<{ id: string; system: Template[]; user: Template[] }>

/** The prompt texts of a folder, read and checked once. Throws CONFIG_INVALID naming the file and the field. */
export class PromptLibrary {
  readonly #answer: Prompt

  constructor(folder: string) {
    this.#answer = readPrompt(join(folder, 'answer.md'))
  }

  answer(inputs: AnswerInputs): ModelPrompt {
    const canary = randomBytes(6).toString('hex')
    const scope: Record<string, unknown> = { ...inputs, callerWords: asData(inputs.callerWords), tools: inputs.tools.join(', '), canary }
    scope['sources'] = inputs.sources.map(asData)
    scope['history'] = inputs.history.map((line) => ({ who: line.who, text: asData(line.text) }))
    const { id, system, user } = this.#answer
    return { id, canary, system: String(LIQUID.renderSync(system, scope)), user: String(LIQUID.renderSync(user, scope)) }
  }
}

/** A prompt is YAML front matter (name, version, inputs), then the system text, a line `=== caller ===`, and the user text. */
function readPrompt(path: string): Prompt {
  const text = readFileSync(path, 'utf8')
  const parts = /^---\n([\s\S]*?)\n---\n([\s\S]*?)\n=== caller ===\n([\s\S]*)$/.exec(text)
  if (parts === null) throw new ClientsViaError('CONFIG_INVALID', `${path}: needs front matter, a text and a "=== caller ===" part`, { path })
  const front = frontMatterSchema.safeParse(parse(parts[1] as string))
  if (!front.success) {
    const problems = front.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
    throw new ClientsViaError('CONFIG_INVALID', `${path}: ${problems.join('; ')}`, { path, problems })
  }
  const { name, version, inputs } = front.data
  const unknown = [...text.matchAll(/\{\{-?\s*(\w+)/g)].map((match) => match[1] as string).filter((input) => !inputs.includes(input) && !['rule', 'source', 'line'].includes(input))
  if (unknown.length > 0) throw new ClientsViaError('CONFIG_INVALID', `${path}: inputs: does not list ${unknown.join(', ')}`, { path })
  return { id: `${name}@${version}`, system: LIQUID.parse((parts[2] as string).trim()), user: LIQUID.parse((parts[3] as string).trim()) }
}

/** Someone else's words: no invisible characters, and nothing that closes the marks around them. */
function asData(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, ' ').replace(/<\/?[a-z_]+>/gi, ' ').replaceAll('<<', ' ').replaceAll('>>', ' ').slice(0, 2000)
}
