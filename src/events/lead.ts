import { z } from 'zod'
import { phoneNumberE164Schema } from '../tenancy/company.ts'
import type { DomainEvent } from './event.ts'

export const LEAD_STATUSES = ['new', 'contacted', 'converted', 'closed'] as const
/** See LeadInput in booking/effect.ts, which is what a call gives. */
export const LEAD_KINDS = ['order', 'callback', 'unfinished', 'message'] as const

/** Ample for a conversation between colleagues; more is a ticket system. */
export const MAX_LEAD_NOTES = 50

export const leadSchema = z.strictObject({
  id: z.string().min(1).max(64),
  companyId: z.string().min(1).max(64),
  kind: z.enum(LEAD_KINDS),
  status: z.enum(LEAD_STATUSES).default('new'),
  formId: z.string().min(1).max(64).nullable().default(null),
  callerName: z.string().min(1).max(120).nullable().default(null),
  /** Null when the caller withheld it. */
  phoneNumberE164: phoneNumberE164Schema.nullable().default(null),
  /** One sentence for a person to read. */
  summary: z.string().min(1).max(600),
  /** Slot by slot, as understood. */
  slots: z.record(z.string().regex(/^[a-zA-Z][a-zA-Z0-9_]{0,60}$/), z.string().max(600)).default({}),
  /** The call it came of; null when it came by text or by hand. */
  callSid: z.string().min(1).max(64).nullable().default(null),
  /** The same request again gives the same lead: call, turn and kind. */
  idempotencyKey: z.string().min(1).max(200),
  notes: z.array(z.strictObject({ at: z.iso.datetime(), by: z.string().max(120), text: z.string().min(1).max(1000) })).max(MAX_LEAD_NOTES).default([]),
  /** Optimistic lock; counts up on every save. */
  version: z.int().min(0).default(0),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
})

export type Lead = Readonly<z.infer<typeof leadSchema>>
export type NewLead = z.input<typeof leadSchema>

export type LeadPage = Readonly<{
  /** Newest first, before this lead; INVALID_INPUT when the company has no such lead. */
  before: string | null
  limit: number
  status?: Lead['status']
  kind?: Lead['kind']
  phoneNumberE164?: string
  callSid?: string
  /** Created at or after, and before; RFC 3339. */
  createdFrom?: string
  createdBefore?: string
}>

/** companyId first, always. */
export interface LeadStore {
  /** With `lead.created`, in one transaction. The same key again: the lead that is there, and no event. */
  create(companyId: string, lead: NewLead, signal?: AbortSignal): Promise<Readonly<{ lead: Lead; created: boolean }>>
  get(companyId: string, leadId: string, signal?: AbortSignal): Promise<Lead | null>
  list(companyId: string, page: LeadPage, signal?: AbortSignal): Promise<readonly Lead[]>
  /** Replaces it, with `events` in one transaction. CONFLICT when the stored version is not `ifVersion`; NOT_FOUND. */
  save(companyId: string, lead: Lead, ifVersion: number, events: readonly DomainEvent[], signal?: AbortSignal): Promise<Lead>
  delete(companyId: string, leadId: string, signal?: AbortSignal): Promise<boolean>
  /** Deletes leads that were last touched before `before`, at most `limit`; returns how many. */
  deleteBefore(companyId: string, before: string, limit: number, signal?: AbortSignal): Promise<number>
}
