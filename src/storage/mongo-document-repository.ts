import { ClientsViaError } from '../core/errors.ts'
import type { DocumentRepository } from './embedded-document-repository.ts'
import { checkLimit } from './embedded-documents.ts'
import { idOf, type MongoDatabase, type MongoRecords, type Stored } from './mongo-database.ts'

/** Other rooms' documents, as text: their keys are their own, and not every server takes every key. */
export class MongoDocumentRepository implements DocumentRepository {
  readonly #documents: MongoRecords

  constructor(database: MongoDatabase) {
    this.#documents = database.collection('documents')
  }

  async get(companyId: string, collection: string, documentId: string, signal?: AbortSignal): Promise<unknown> {
    const record = await this.#documents.get(idOf(companyId, collection, documentId), signal)
    return record === null ? null : parse(record)
  }

  async list(
    companyId: string,
    collection: string,
    page: Readonly<{ after: string | null; limit: number }>,
    signal?: AbortSignal,
  ): Promise<readonly Readonly<{ documentId: string; document: unknown }>[]> {
    const limit = checkLimit(page.limit)
    const records = await this.#documents.find({ companyId, collection, documentId: { $gt: page.after ?? '' } }, { sort: { documentId: 1 }, limit }, signal)
    return records.map((record) => ({ documentId: String(record['documentId']), document: parse(record) }))
  }

  async put(companyId: string, collection: string, documentId: string, document: unknown, signal?: AbortSignal): Promise<void> {
    await this.#documents.put({ _id: idOf(companyId, collection, documentId), companyId, collection, documentId, json: JSON.stringify(document) }, signal)
  }

  async delete(companyId: string, collection: string, documentId: string, signal?: AbortSignal): Promise<boolean> {
    return (await this.#documents.delete({ _id: idOf(companyId, collection, documentId) }, signal)) > 0
  }
}

function parse(record: Stored): unknown {
  try {
    return JSON.parse(String(record['json']))
  } catch {
    throw new ClientsViaError('STORE_FAILED', `${record._id} cannot be read: it is not JSON`, { document: record._id })
  }
}
