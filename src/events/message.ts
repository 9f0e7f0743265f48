import { z } from 'zod'
import { MESSAGE_KINDS } from '../tenancy/notifications.ts'

/** One text to one person. What it says is made when it is sent, from `facts` and the company's template of that day. */
export const messageSchema = z.strictObject({
  kind: z.enum(MESSAGE_KINDS),
  channel: z.enum(['sms', 'email']),
  /** E.164 or an e-mail address. */
  to: z.string().min(3).max(254),
  /** 'customer' hears of their own visit, if they have nothing against it; 'people' are the company's own. */
  audience: z.enum(['customer', 'people']),
  /** Not held back at night. */
  anyHour: z.boolean().default(false),
  /** The visit it speaks of as it stood then: one that has moved or is cancelled since is not spoken of. */
  visit: z.strictObject({ appointmentId: z.string().min(1).max(64), startsAt: z.iso.datetime() }).nullable().default(null),
  /** What its template may say, beyond the company itself. */
  facts: z.record(z.string().regex(/^[a-z][a-z0-9_]{0,40}$/), z.string().max(600)),
  /** The event it follows from; null for a test message. */
  eventId: z.uuid().nullable(),
  callSid: z.string().min(1).max(64).nullable(),
})
export type Message = Readonly<z.infer<typeof messageSchema>>
