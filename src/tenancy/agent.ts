import { z } from 'zod'

const spokenLine = z.string().min(1).max(400)

export const emergencyRuleSchema = z.strictObject({
  id: z.string().min(1).max(64),
  name: z.string().min(1).max(80),
  /** Any of these, allowing for inflection and small gaps, sets the rule off. */
  phrases: z.array(z.string().min(2).max(120)).min(1).max(60),
  /** Rules that say these too are not set off: "smoke detector battery". */
  notWhen: z.array(z.string().min(2).max(120)).max(30).default([]),
  say: z.string().min(1).max(600),
  /** After it is said. */
  // oxlint-disable-next-line unicorn/no-thenable
  then: z.enum(['nothing', 'offer-on-call', 'transfer-on-call']).default('offer-on-call'),
  /** Higher first. */
  severity: z.int().min(1).max(10).default(5),
})

export const templateSchema = z.strictObject({
  id: z.string().min(1).max(64),
  /** The intent this template words, for example 'hours' or 'service-area'. */
  intent: z.string().min(1).max(60),
  /** Liquid: company, variables, prices, hours, caller and agent are in scope. */
  text: z.string().min(1).max(800),
  when: z.enum(['always', 'open', 'closed']).default('always'),
  priority: z.int().min(0).max(10).default(5),
})

export const agentSchema = z.strictObject({
  id: z.string().min(1).max(64),
  companyId: z.string().min(1).max(64),
  name: z.string().min(1).max(80),
  personality: z.strictObject({
    /** What the agent calls itself. */
    name: z.string().min(1).max(40),
    role: z.string().min(1).max(80).default('receptionist'),
    tone: z.enum(['warm', 'neutral', 'formal', 'upbeat']).default('warm'),
    language: z.string().min(2).max(10).default('en-US'),
    /** 1 answers and stops; 5 chats. */
    chattiness: z.int().min(1).max(5).default(2),
    /** Rules of behaviour for a language model. */
    rules: z.array(z.string().min(1).max(300)).max(30).default([]),
  }),
  greeting: z.strictObject({
    text: spokenLine,
    afterHours: z.string().max(400).default(''),
    returningCaller: z.string().max(400).default(''),
    /** Said when everything else fails; may not contain variables. */
    emergencyText: spokenLine,
  }),
  voice: z.strictObject({
    engine: z.enum(['default', 'embedded', 'deepgram', 'openai']).default('default'),
    id: z.string().min(1).max(60).default('slt'),
    speed: z.number().min(0.7).max(1.4).default(1),
  }),
  speech: z
    .strictObject({
      preset: z.enum(['brisk', 'balanced', 'patient']).default('balanced'),
      bargeIn: z.boolean().default(true),
      /** Keys interrupt the agent too. */
      dtmfInterrupts: z.boolean().default(true),
      silencePromptAfterMs: z.int().min(3000).max(30_000).default(8000),
    })
    .prefault({}),
  engines: z
    .strictObject({
      stt: z.enum(['default', 'embedded', 'deepgram']).default('default'),
      llm: z.enum(['default', 'none', 'openai']).default('default'),
      tts: z.enum(['default', 'embedded', 'deepgram', 'openai']).default('default'),
      /** What a language model may ask for. Whether it happens is decided by the caller's words and the company's lists. */
      tools: z.array(z.enum(['transfer', 'send-message', 'book', 'hang-up'])).max(4).default(['transfer', 'send-message', 'book', 'hang-up']),
    })
    .prefault({}),
  lines: z
    .strictObject({
      /** Spoken while an answer is late. */
      stall: z.array(spokenLine).min(1).max(10).default(['One moment, please.', 'Let me check that for you.']),
      /** Spoken when there is no answer; the second one after a second miss in a row. */
      unknown: z.array(spokenLine).min(1).max(5).default(["I'm sorry, I don't know that. Is there something else I can help with?"]),
      inaudible: spokenLine.default("I'm sorry, I didn't catch that. Could you say that again?"),
      silence: z.array(spokenLine).min(1).max(5).default(['Are you still there?', "I'm still here if you need anything.", "I'll let you go now. Please call back any time. Goodbye."]),
      goodbye: spokenLine.default('Thank you for calling. Goodbye.'),
      hold: spokenLine.default("Take your time. I'm right here."),
      resumed: spokenLine.default('Sorry, we were cut off. How can I help?'),
      transfer: spokenLine.default("I'll connect you now. Please hold."),
      noTransfer: spokenLine.default("I'm sorry, nobody can take your call right now. Would you like to leave a message?"),
      voicemail: spokenLine.default('Please leave your message after the tone.'),
    })
    .prefault({}),
  templates: z.array(templateSchema).max(100).default([]),
  emergencyRules: z.array(emergencyRuleSchema).max(50).default([]),
  /** Longest reply, in words. */
  maxReplyWords: z.int().min(10).max(120).default(45),
  /** 0 while it has never been published. */
  version: z.int().min(0).default(0),
  publishedAt: z.iso.datetime().nullable().default(null),
  /** Optimistic lock of the draft. */
  draftVersion: z.int().min(0).default(0),
  createdAt: z.iso.datetime().optional(),
  updatedAt: z.iso.datetime().optional(),
})

export type Agent = Readonly<z.infer<typeof agentSchema>>
export type AgentInput = z.input<typeof agentSchema>
export type EmergencyRule = Readonly<z.infer<typeof emergencyRuleSchema>>
export type AgentTemplate = Readonly<z.infer<typeof templateSchema>>
