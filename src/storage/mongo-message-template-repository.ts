import type { MessageTemplateStore, StoredTemplate } from '../events/contacts.ts'
import { messageTemplateSchema, type MessageChannelName, type MessageKind, type MessageTemplate } from '../tenancy/notifications.ts'
import { checkDocument, checkVersion, MAX_PAGE } from './embedded-documents.ts'
import { idOf, type MongoDatabase, type MongoRecords, type Stored } from './mongo-database.ts'
import { readRecord } from './mongo-documents.ts'

/** A template that was taken back leaves its version: no ETag ever comes back. */
export class MongoMessageTemplateRepository implements MessageTemplateStore {
  readonly #templates: MongoRecords

  constructor(database: MongoDatabase) {
    this.#templates = database.collection('message_templates')
  }

  async get(companyId: string, kind: MessageKind, channel: MessageChannelName, signal?: AbortSignal): Promise<StoredTemplate> {
    const record = await this.#templates.get(idOf(companyId, kind, channel), signal)
    return record === null ? { kind, channel, version: 0, template: null } : storedOf(record)
  }

  async list(companyId: string, signal?: AbortSignal): Promise<readonly StoredTemplate[]> {
    return (await this.#templates.find({ companyId }, { sort: { kind: 1, channel: 1 }, limit: MAX_PAGE }, signal)).map(storedOf)
  }

  async save(
    companyId: string,
    kind: MessageKind,
    channel: MessageChannelName,
    template: MessageTemplate | null,
    ifVersion: number | undefined,
    signal?: AbortSignal,
  ): Promise<StoredTemplate> {
    const checked = template === null ? null : checkDocument(messageTemplateSchema, template, `template ${companyId}/${kind}/${channel}`)
    return this.#templates.change<StoredTemplate>(
      idOf(companyId, kind, channel),
      (before) => {
        // Not by reading the document: one that cannot be read must not keep an admin from saving a good one over it.
        const stored = Number(before?.['version'] ?? 0)
        checkVersion(`template ${companyId}/${kind}/${channel}`, stored, ifVersion)
        return { record: { companyId, kind, channel, version: stored + 1, document: checked }, answer: { kind, channel, version: stored + 1, template: checked } }
      },
      signal,
    )
  }
}

function storedOf(record: Stored): StoredTemplate {
  const [kind, channel] = [String(record['kind']) as MessageKind, String(record['channel']) as MessageChannelName]
  const template = record['document'] === null ? null : readRecord(messageTemplateSchema, record, 'template')
  return { kind, channel, version: Number(record['version']), template }
}
