import { ClientsViaError } from '../core/errors.ts'
import type { EmbeddedDatabase, Row } from './embedded-database.ts'
import { checkLimit } from './embedded-documents.ts'

/** Small JSON documents that have no table of their own. The reader checks them: what is stored is `unknown`. companyId first, always. */
export interface DocumentRepository {
  get(companyId: string, collection: string, documentId: string, signal?: AbortSignal): Promise<unknown>
  /** By id, after `after`. */
  list(
    companyId: string,
    collection: string,
    page: Readonly<{ after: string | null; limit: number }>,
    signal?: AbortSignal,
  ): Promise<readonly Readonly<{ documentId: string; document: unknown }>[]>
  /** Creates or replaces. */
  put(companyId: string, collection: string, documentId: string, document: unknown, signal?: AbortSignal): Promise<void>
  delete(companyId: string, collection: string, documentId: string, signal?: AbortSignal): Promise<boolean>
}

export class EmbeddedDocumentRepository implements DocumentRepository {
  readonly #database: EmbeddedDatabase

  constructor(database: EmbeddedDatabase) {
    this.#database = database
  }

  async get(companyId: string, collection: string, documentId: string): Promise<unknown> {
    const row = this.#database.get(
      'SELECT company_id, collection, document_id, document FROM documents WHERE company_id = ? AND collection = ? AND document_id = ?',
      companyId,
      collection,
      documentId,
    )
    return row === undefined ? null : parse(row)
  }

  async list(
    companyId: string,
    collection: string,
    page: Readonly<{ after: string | null; limit: number }>,
  ): Promise<readonly Readonly<{ documentId: string; document: unknown }>[]> {
    return this.#database
      .all(
        `SELECT company_id, collection, document_id, document FROM documents
         WHERE company_id = ? AND collection = ? AND document_id > ? ORDER BY document_id LIMIT ?`,
        companyId,
        collection,
        page.after ?? '',
        checkLimit(page.limit),
      )
      .map((row) => ({ documentId: String(row['document_id']), document: parse(row) }))
  }

  async put(companyId: string, collection: string, documentId: string, document: unknown): Promise<void> {
    this.#database.run(
      `INSERT INTO documents (company_id, collection, document_id, document) VALUES (?, ?, ?, ?)
       ON CONFLICT (company_id, collection, document_id) DO UPDATE SET document = excluded.document`,
      companyId,
      collection,
      documentId,
      JSON.stringify(document),
    )
  }

  async delete(companyId: string, collection: string, documentId: string): Promise<boolean> {
    return (
      this.#database.run('DELETE FROM documents WHERE company_id = ? AND collection = ? AND document_id = ?', companyId, collection, documentId) > 0
    )
  }
}

function parse(row: Row): unknown {
  try {
    return JSON.parse(String(row['document']))
  } catch {
    const name = `${String(row['collection'])} ${String(row['company_id'])}/${String(row['document_id'])}`
    throw new ClientsViaError('STORE_FAILED', `${name} cannot be read: it is not JSON`, { document: name })
  }
}
