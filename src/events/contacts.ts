import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { MessageChannelName, MessageKind, MessageTemplate } from '../tenancy/notifications.ts'
import type { DomainEvent } from './event.ts'

/** Whether somebody may be texted by a company, in their own word. */
export const contactSchema = z.strictObject({
  /** Made of company and number: what stays known of a number that was erased. */
  id: z.string().min(1).max(64),
  companyId: z.string().min(1).max(64),
  /** Null after an erasure: the STOP is still kept, the number is not. */
  phoneNumberE164: z.string().max(16).nullable(),
  state: z.enum(['opted-in', 'opted-out']),
  /** 'text': they wrote it; 'carrier': Twilio holds it; 'admin': they told somebody. */
  source: z.enum(['text', 'carrier', 'admin']),
  at: z.iso.datetime(),
})
export type Contact = Readonly<z.infer<typeof contactSchema>>

export function contactId(companyId: string, phoneNumberE164: string): string {
  return createHash('sha256').update(JSON.stringify([companyId, phoneNumberE164])).digest('base64url')
}

/** companyId first, always. */
export interface ContactStore {
  get(companyId: string, phoneNumberE164: string, signal?: AbortSignal): Promise<Contact | null>
  /** Their last word counts, with `events` in one transaction. False, and nothing written, when it says what is known. */
  set(companyId: string, contact: Omit<Contact, 'id' | 'companyId'> & Readonly<{ phoneNumberE164: string }>, events: readonly DomainEvent[], signal?: AbortSignal): Promise<boolean>
  /** By id, after `after`. */
  list(companyId: string, page: Readonly<{ after: string | null; limit: number; state?: Contact['state'] }>, signal?: AbortSignal): Promise<readonly Contact[]>
  /** Forgets the number: an opt-out stays known by its id alone, an opt-in goes. False when nothing was known. */
  forget(companyId: string, phoneNumberE164: string, signal?: AbortSignal): Promise<boolean>
}

/** `template` null: the built-in one; the version counts on, so that no ETag ever comes back. */
export type StoredTemplate = Readonly<{ kind: MessageKind; channel: MessageChannelName; version: number; template: MessageTemplate | null }>

/** companyId first, always. */
export interface MessageTemplateStore {
  /** Version 0 where nobody ever wrote one. */
  get(companyId: string, kind: MessageKind, channel: MessageChannelName, signal?: AbortSignal): Promise<StoredTemplate>
  list(companyId: string, signal?: AbortSignal): Promise<readonly StoredTemplate[]>
  /** Null goes back to the built-in one. CONFLICT when the stored version is not `ifVersion`. */
  save(companyId: string, kind: MessageKind, channel: MessageChannelName, template: MessageTemplate | null, ifVersion: number | undefined, signal?: AbortSignal): Promise<StoredTemplate>
}
