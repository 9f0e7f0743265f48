import { ClientsViaError } from '../core/errors.ts'
import { companySchema, type Company } from '../tenancy/company.ts'
import type { CompanyRepository } from '../tenancy/repositories.ts'
import { checkDocument, checkLimit, checkSame, checkVersion, type RepositoryTools } from './embedded-documents.ts'
import { idOf, type MongoDatabase, type MongoRecords, type Stored } from './mongo-database.ts'
import { looseField, readRecord, readRecords } from './mongo-documents.ts'
import { COMPANY_COLLECTIONS } from './mongo-schema.ts'
import { SEED_MARKS } from './seed.ts'

/** A save takes at most a few seconds. */
const LEFT_BEHIND_MS = 60_000

/**
 * Companies and the numbers that lead to them. A number is a record of its own whose key is the number, so that two companies cannot
 * have it; it counts only while the company it names lists it, so a save that died half-way leads nobody astray.
 */
export class MongoCompanyRepository implements CompanyRepository {
  readonly #database: MongoDatabase
  readonly #tools: RepositoryTools
  readonly #companies: MongoRecords
  readonly #numbers: MongoRecords

  constructor(database: MongoDatabase, tools: RepositoryTools) {
    this.#database = database
    this.#tools = tools
    this.#companies = database.collection('companies')
    this.#numbers = database.collection('phone_numbers')
  }

  async get(companyId: string, signal?: AbortSignal): Promise<Company | null> {
    const record = await this.#companies.get(idOf(companyId), signal)
    return record === null ? null : readRecord(companySchema, record, 'company')
  }

  async findByPhoneNumber(phoneNumberE164: string, signal?: AbortSignal): Promise<Company | null> {
    const claim = await this.#numbers.get(phoneNumberE164, signal)
    if (claim === null) return null
    const company = await this.get(String(claim['companyId']), signal)
    return company !== null && company.phoneNumbers.includes(phoneNumberE164) ? company : null
  }

  async list(page: Readonly<{ after: string | null; limit: number }>, signal?: AbortSignal): Promise<readonly Company[]> {
    const limit = checkLimit(page.limit)
    const records = await this.#companies.find({ companyId: { $gt: page.after ?? '' } }, { sort: { companyId: 1 }, limit }, signal)
    return readRecords(companySchema, records, 'company', this.#tools.report)
  }

  async save(companyId: string, company: Company, ifVersion?: number, signal?: AbortSignal): Promise<Company> {
    const checked = checkDocument(companySchema, company, `company ${companyId}`)
    checkSame('company.id', companyId, checked.id)
    const now = this.#tools.clock.wallTime().toISOString()
    const saved = await this.#companies.change<Company>(
      idOf(companyId),
      async (before) => {
        const storedVersion = Number(before?.['version'] ?? 0)
        checkVersion(`company ${companyId}`, storedVersion, ifVersion)
        const next: Company = { ...checked, version: storedVersion + 1, createdAt: looseField(before, 'createdAt') ?? now, updatedAt: now }
        await this.#claim(companyId, next, signal)
        return { record: { companyId, version: next.version, status: next.status, createdAt: next.createdAt, document: next }, answer: next }
      },
      signal,
    )
    // What an older version claimed and this one gives up.
    await this.#numbers.delete({ companyId, version: { $lt: saved.version } }, signal)
    return saved
  }

  /** Nothing of a company outlives it: agents, knowledge, calls and other rooms' documents go too. */
  async delete(companyId: string, signal?: AbortSignal): Promise<boolean> {
    // First: from here on its numbers lead nowhere.
    const existed = (await this.#companies.delete({ _id: idOf(companyId) }, signal)) > 0
    for (const name of COMPANY_COLLECTIONS) await this.#database.collection(name).delete({ companyId }, signal)
    // Seed marks stay: they hold no personal data and are how a deleted demo company stays deleted.
    await this.#database.collection('documents').delete({ companyId, collection: { $ne: SEED_MARKS } }, signal)
    // The knowledge version counts on, so that no cache made for a deleted company fits a new one of the same id.
    await this.#database.collection('knowledge_versions').update({ _id: idOf(companyId) }, { $inc: { version: 1 } }, signal)
    return existed
  }

  /** Claims every number for the version about to be saved. Throws CONFLICT, and gives back what it took, when one is another company's. */
  async #claim(companyId: string, company: Company, signal?: AbortSignal): Promise<void> {
    const taken: string[] = []
    for (const number of new Set(company.phoneNumbers)) {
      const claim: Stored = { _id: number, companyId, version: company.version, claimedAtMs: this.#tools.clock.wallTime().getTime() }
      if (await this.#numbers.insert(claim, signal)) {
        taken.push(number)
        continue
      }
      if (await this.#takeOver(claim, signal)) continue
      if (taken.length > 0) await this.#numbers.delete({ _id: { $in: taken }, companyId, version: company.version }, signal)
      // The other company is not named: an admin of this one may not know of it.
      throw new ClientsViaError('CONFLICT', `phone number ${number} belongs to another company`, { field: 'phoneNumbers', phoneNumberE164: number })
    }
  }

  /** A claim of the same company, or one that was left behind, is written over. */
  async #takeOver(claim: Stored, signal?: AbortSignal): Promise<boolean> {
    const before = await this.#numbers.get(claim._id, signal)
    if (before === null) return this.#numbers.insert(claim, signal)
    const holder = String(before['companyId'])
    if (holder !== claim['companyId']) {
      // Its company may be about to be written: only a claim that was left behind is up for grabs.
      if (Number(claim['claimedAtMs']) - Number(before['claimedAtMs'] ?? 0) < LEFT_BEHIND_MS) return false
      if ((await this.get(holder, signal))?.phoneNumbers.includes(claim._id)) return false
    }
    const version = Math.max(Number(claim['version']), holder === claim['companyId'] ? Number(before['version']) : 0)
    const change = { $set: { companyId: claim['companyId'], version, claimedAtMs: claim['claimedAtMs'] } }
    return (await this.#numbers.update({ _id: claim._id, companyId: holder, version: before['version'] }, change, signal)) === 1
  }
}
