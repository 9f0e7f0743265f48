import { z } from 'zod'

/** One thing the company can be asked, and its answer. */
export const knowledgeEntrySchema = z.strictObject({
  id: z.string().min(1).max(64),
  companyId: z.string().min(1).max(64),
  /** The question in the company's words. */
  question: z.string().min(1).max(300),
  /** What is said: 1 to 4 sentences, Liquid variables such as {{ prices.tune_up }} allowed. */
  answer: z.string().min(1).max(1200),
  category: z.string().min(1).max(60).default('general'),
  tags: z.array(z.string().min(1).max(40)).max(20).default([]),
  /** Ways callers ask it. */
  callerPhrases: z.array(z.string().min(1).max(200)).max(60).default([]),
  /** Words without which this entry must not answer (any of them is enough); empty: no such rule. */
  anchorWords: z.array(z.string().min(1).max(40)).max(30).default([]),
  /** Words that rule this entry out. */
  negativeWords: z.array(z.string().min(1).max(40)).max(30).default([]),
  /** 'fixed': the answer is said as it stands. 'generated': a model may word it where one is configured; otherwise it is said. */
  mode: z.enum(['fixed', 'generated']).default('fixed'),
  /** Breaks ties; higher wins. */
  priority: z.int().min(0).max(10).default(5),
  /** Said after the answer, for example an offer. */
  followUp: z.string().max(300).default(''),
  /** What a yes to the follow-up means. */
  offer: z.enum(['none', 'transfer', 'message']).default('none'),
  enabled: z.boolean().default(true),
  confidence: z.number().min(0).max(1).default(1),
  usage: z
    .strictObject({
      accessCount: z.int().min(0).default(0),
      lastAccessed: z.iso.datetime().nullable().default(null),
      successRate: z.number().min(0).max(1).nullable().default(null),
    })
    .prefault({}),
  /** Optimistic lock; counts up on every save. */
  version: z.int().min(0).default(0),
  createdAt: z.iso.datetime().optional(),
  updatedAt: z.iso.datetime().optional(),
})

export type KnowledgeEntry = Readonly<z.infer<typeof knowledgeEntrySchema>>
export type KnowledgeEntryInput = z.input<typeof knowledgeEntrySchema>
