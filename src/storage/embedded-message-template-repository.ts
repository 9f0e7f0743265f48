import type { MessageTemplateStore, StoredTemplate } from '../events/contacts.ts'
import { messageTemplateSchema, type MessageChannelName, type MessageKind, type MessageTemplate } from '../tenancy/notifications.ts'
import type { EmbeddedDatabase, Row } from './embedded-database.ts'
import { checkDocument, checkVersion, readDocument } from './embedded-documents.ts'

/** What stands where a template was taken back: its version lives on. */
const NONE = 'null'

export class EmbeddedMessageTemplateRepository implements MessageTemplateStore {
  readonly #database: EmbeddedDatabase

  constructor(database: EmbeddedDatabase) {
    this.#database = database
  }

  async get(companyId: string, kind: MessageKind, channel: MessageChannelName): Promise<StoredTemplate> {
    return this.#get(companyId, kind, channel)
  }

  async list(companyId: string): Promise<readonly StoredTemplate[]> {
    return this.#database.all('SELECT company_id, kind, channel, version, document FROM message_templates WHERE company_id = ? ORDER BY kind, channel', companyId).map(storedOf)
  }

  async save(companyId: string, kind: MessageKind, channel: MessageChannelName, template: MessageTemplate | null, ifVersion: number | undefined): Promise<StoredTemplate> {
    const checked = template === null ? null : checkDocument(messageTemplateSchema, template, `template ${companyId}/${kind}/${channel}`)
    return this.#database.transaction(() => {
      // Not by reading the document: a corrupt one must not keep an admin from saving a good one over it.
      const row = this.#database.get('SELECT version FROM message_templates WHERE company_id = ? AND kind = ? AND channel = ?', companyId, kind, channel)
      const stored = Number(row?.['version'] ?? 0)
      checkVersion(`template ${companyId}/${kind}/${channel}`, stored, ifVersion)
      this.#database.run(
        `INSERT INTO message_templates (company_id, kind, channel, version, document) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (company_id, kind, channel) DO UPDATE SET version = excluded.version, document = excluded.document`,
        companyId,
        kind,
        channel,
        stored + 1,
        checked === null ? NONE : JSON.stringify(checked),
      )
      return { kind, channel, version: stored + 1, template: checked }
    })
  }

  #get(companyId: string, kind: MessageKind, channel: MessageChannelName): StoredTemplate {
    const row = this.#database.get(
      'SELECT company_id, kind, channel, version, document FROM message_templates WHERE company_id = ? AND kind = ? AND channel = ?',
      companyId,
      kind,
      channel,
    )
    return row === undefined ? { kind, channel, version: 0, template: null } : storedOf(row)
  }
}

function storedOf(row: Row): StoredTemplate {
  const [kind, channel] = [String(row['kind']) as MessageKind, String(row['channel']) as MessageChannelName]
  const template = row['document'] === NONE ? null : readDocument(messageTemplateSchema, row, `template ${String(row['company_id'])}/${kind}/${channel}`)
  return { kind, channel, version: Number(row['version']), template }
}
