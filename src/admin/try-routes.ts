import { z } from 'zod'
import { INITIAL_DIALOGUE } from '../response/dialogue.ts'
import { companyParams, companyRoute, type AdminPorts } from './admin-contract.ts'
import { answerSchema, ask, openedDialogue } from './ask.ts'
import type { Resources } from './pipeline.ts'
import { found } from './route.ts'

const inputSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('speech'), text: z.string().min(1).max(1000) }),
  z.strictObject({ kind: z.literal('dtmf'), digits: z.string().regex(/^[0-9*#]{1,20}$/) }),
  z.strictObject({ kind: z.literal('answered'), resumed: z.boolean().default(false) }),
  z.strictObject({ kind: z.literal('silence'), count: z.int().min(1).max(10).default(1) }),
  z.strictObject({ kind: z.literal('inaudible') }),
])

const trySchema = z.strictObject({
  /** Short for an input of speech. */
  text: z.string().min(1).max(1000).optional(),
  input: inputSchema.optional(),
  /** 'draft': as the agent would answer once it is published. */
  agent: z.enum(['published', 'draft']).default('published'),
  /** From the answer before; left out: a new talk, already greeted. */
  continueWith: z.string().max(20_000).optional(),
  turn: z.int().min(0).max(1000).default(1),
  from: z.string().regex(/^\+[1-9]\d{6,14}$/, 'must be an E.164 number').default('+15550100099'),
  /** A moment to pretend, for answers about opening hours. */
  at: z.iso.datetime().optional(),
})

/** The test console: a typed question through the loop that answers callers. */
export function tryRoutes(ports: AdminPorts): Resources {
  return (api, deps) => {
    companyRoute(api, deps, {
      method: 'POST', path: '/companies/:companyId/try', permission: 'config:read', audit: 'agent.try', tag: 'Test console',
      summary: 'Ask what a caller might ask; the answer comes with the reasons for it',
      params: companyParams,
      body: trySchema.refine((body) => (body.text === undefined) !== (body.input === undefined), { message: 'send either text or input', path: ['text'] }),
      replies: { 200: answerSchema },
      handler: async ({ companyId, body, signal }) => {
        const published = await ports.contexts.load(companyId, signal)
        const context = body.agent === 'published' ? published : {
          ...published,
          agent: found(await ports.agents.getDraft(companyId, published.company.agentId, signal), 'agent'),
        }
        const question = {
          input: body.input ?? { kind: 'speech' as const, text: body.text ?? '' },
          dialogue: body.continueWith === undefined ? GREETED : openedDialogue(ports.sealKey, companyId, body.continueWith),
          from: body.from,
          at: body.at === undefined ? null : new Date(body.at),
          turn: body.turn,
        }
        return { status: 200, body: await ask(ports, deps.clock, context, question, signal) }
      },
    })
  }
}

const GREETED = Object.freeze({ ...INITIAL_DIALOGUE, greeted: true })
