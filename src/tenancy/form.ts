import { z } from 'zod'

const spoken = z.string().min(1).max(300)
const slotId = z.string().regex(/^[a-z][a-zA-Z0-9_]{0,40}$/, 'must begin with a small letter and have letters, digits and _ only')

export const formSlotSchema = z.strictObject({
  id: slotId,
  /** As it is said in a read-back: "the size". */
  label: z.string().min(1).max(60),
  type: z.enum(['choice', 'digits', 'phone', 'zip', 'date', 'money', 'yes-no', 'name', 'spelling', 'address', 'text', 'service']),
  /** For 'choice'. */
  options: z.array(z.strictObject({ value: z.string().min(1).max(80), aliases: z.array(z.string().min(1).max(80)).max(30).default([]) })).max(200).default([]),
  /** For 'digits': every length that is plausible. */
  counts: z.array(z.int().min(1).max(20)).max(6).default([]),
  required: z.boolean().default(true),
  /** Asked only when another slot has one of these values. */
  when: z.strictObject({ slotId, in: z.array(z.string().min(1).max(80)).min(1).max(50) }).nullable().default(null),
  prompt: spoken,
  /** The second and later times. */
  reprompts: z.array(spoken).max(4).default([]),
  attempts: z.int().min(1).max(5).default(3),
  /** After the last attempt. */
  fallback: z.enum(['skip', 'message', 'transfer']).default('message'),
  /** Whether what was heard is said back before it counts. */
  confirm: z.enum(['when-unsure', 'always']).default('when-unsure'),
  /**
   * For a name or an address: a caller whose number has had a visit before is asked whether it is the same. Whoever rings from that number
   * hears the name, so a company says that it wants it; a doctor does not.
   */
  recall: z.boolean().default(false),
})

export const formSchema = z.strictObject({
  id: z.string().min(1).max(64),
  name: z.string().min(1).max(80),
  enabled: z.boolean().default(true),
  /** What a finished form becomes. */
  outcome: z.enum(['appointment', 'order', 'lead']).default('lead'),
  /** What callers say to begin it. A sentence that fills a slot may begin it too, where `opensBySlots`. */
  phrases: z.array(z.string().min(2).max(120)).max(60).default([]),
  opensBySlots: z.boolean().default(false),
  /** Ways into a sentence that fills slots: "can I get". */
  carriers: z.array(z.string().min(1).max(80)).max(60).default([]),
  slots: z.array(formSlotSchema).min(1).max(30),
  /** Liquid over slots: said before the caller's yes. Empty: no read-back. */
  readBack: z.string().max(600).default(''),
  /** Liquid, too: `when` is the time that was booked. */
  done: spoken.default('Thank you. That is all I need.'),
  abandoned: spoken.default('No problem, I have dropped that.'),
})

export type Form = Readonly<z.infer<typeof formSchema>>
export type FormInput = z.input<typeof formSchema>
export type FormSlot = Readonly<z.infer<typeof formSlotSchema>>
