import type { ContactStore, MessageTemplateStore } from '../events/contacts.ts'
import type { EventStore } from '../events/event.ts'
import type { LeadStore } from '../events/lead.ts'
import type { Outbox } from '../events/outbox.ts'

/** What the resources of leads, messages and events need. Every method takes companyId first. */
export type NotificationPorts = Readonly<{
  leads: LeadStore
  eventLog: EventStore
  outbox: Outbox
  contacts: ContactStore
  messageTemplates: MessageTemplateStore
}>
