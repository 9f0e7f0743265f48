import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import { later, type Clock, type Instant } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { agentSchema, type Agent } from '../tenancy/agent.ts'
import { companySchema, type Company } from '../tenancy/company.ts'
import { knowledgeEntrySchema, type KnowledgeEntry } from '../tenancy/knowledge-entry.ts'
import type { AgentRepository, CompanyRepository, KnowledgeRepository } from '../tenancy/repositories.ts'
import type { RedisCompanyCache } from './redis-company-cache.ts'
import { untilAborted } from './until-aborted.ts'

/** The first level, for numbers that are called: fresh for this long ... */
const FRESH_MS = 5 * 60_000
/** ... and while the database is away for this long: a caller is better served by yesterday's settings than by nobody. */
const USABLE_MS = 24 * 3_600_000
/** After a failed refresh the database is left alone for a moment. */
const RETRY_MS = 10_000
const MAX_NUMBERS = 5000
/** A database that takes longer is down. */
const LOAD_MS = 4000

/** What calls read; the administration reads the database itself. */
export type CompanyReads = Readonly<{
  companies: Pick<CompanyRepository, 'get' | 'findByPhoneNumber'>
  agents: Pick<AgentRepository, 'getPublished'>
  knowledge: Pick<KnowledgeRepository, 'listAll' | 'version'>
}>

export type CachedCompaniesOptions = Readonly<{
  store: CompanyReads
  /** The second level; null: there is none. */
  shared: RedisCompanyCache | null
  clock: Clock
  onProblem: (problem: string, error: unknown) => void
}>

type KnownNumber = { company: Company; freshUntil: Instant; readonly usableUntil: Instant }

const storedCompany = z.strictObject({ companyId: z.string(), value: companySchema })
const storedAgent = z.strictObject({ companyId: z.string(), value: agentSchema })
const storedKnowledge = z.strictObject({ companyId: z.string(), value: z.array(knowledgeEntrySchema) })
const storedVersion = z.strictObject({ companyId: z.string(), value: z.int() })

/**
 * Companies as calls see them, through three levels: memory, Redis, database. Memory holds which company a number leads to; what a
 * company is made of is held, ready to use, by the context cache above. Every value carries its companyId and is checked against it.
 * One read at a time for one number; a stale one is served while it is refreshed.
 */
export class CachedCompanies implements CompanyReads {
  readonly companies: CompanyReads['companies']
  readonly agents: CompanyReads['agents']
  readonly knowledge: CompanyReads['knowledge']
  readonly #options: CachedCompaniesOptions
  readonly #numbers = new LRUCache<string, KnownNumber>({ max: MAX_NUMBERS })
  readonly #looking = new Map<string, Promise<Company | null>>()
  /** Counts changes, so that a look-up begun before one is not kept after it. */
  #epoch = 0

  constructor(options: CachedCompaniesOptions) {
    this.#options = options
    this.companies = {
      get: (companyId, signal) => this.#company(companyId, signal),
      findByPhoneNumber: (phoneNumberE164, signal) => this.#byNumber(phoneNumberE164, signal),
    }
    this.agents = { getPublished: (companyId, agentId, signal) => this.#agent(companyId, agentId, signal) }
    this.knowledge = {
      listAll: async (companyId, signal) =>
        (await this.#through<readonly KnowledgeEntry[]>(companyId, 'knowledge', storedKnowledge, (inner) => options.store.knowledge.listAll(companyId, inner), signal)) ?? [],
      version: async (companyId, signal) =>
        (await this.#through(companyId, 'knowledge-version', storedVersion, (inner) => options.store.knowledge.version(companyId, inner), signal)) ?? 0,
    }
  }

  /** Something of the company was saved, here or elsewhere. */
  forget(companyId: string): void {
    this.#epoch += 1
    for (const [number, known] of this.#numbers) if (known.company.id === companyId) this.#numbers.delete(number)
  }

  /** Changes may have been missed: what is here is served on, and asked for anew. */
  doubt(): void {
    this.#epoch += 1
    for (const known of this.#numbers.values()) known.freshUntil = this.#options.clock.now()
  }

  /** Numbers that can be answered although the database is away. */
  remember(company: Company): void {
    for (const number of company.phoneNumbers) this.#keep(number, company)
  }

  async #byNumber(phoneNumberE164: string, signal?: AbortSignal): Promise<Company | null> {
    const now = this.#options.clock.now()
    const known = this.#numbers.get(phoneNumberE164)
    if (known === undefined || now >= known.usableUntil) return untilAborted(this.#once(phoneNumberE164), signal)
    if (now >= known.freshUntil) {
      known.freshUntil = later(now, RETRY_MS)
      this.#once(phoneNumberE164).catch((error: unknown) => this.#options.onProblem('a number is served as it was known', error))
    }
    return known.company
  }

  #once(phoneNumberE164: string): Promise<Company | null> {
    const running = this.#looking.get(phoneNumberE164)
    if (running !== undefined) return running
    const epoch = this.#epoch
    const looking = withDeadline(this.#options.clock, LOAD_MS, null, (signal) => this.#lookUp(phoneNumberE164, signal))
      .then((company) => {
        if (company === null) this.#numbers.delete(phoneNumberE164)
        else if (epoch === this.#epoch) this.#keep(phoneNumberE164, company)
        return company
      })
      .finally(() => this.#looking.delete(phoneNumberE164))
    this.#looking.set(phoneNumberE164, looking)
    return looking
  }

  async #lookUp(phoneNumberE164: string, signal: AbortSignal): Promise<Company | null> {
    const { shared, store } = this.#options
    const companyId = (await shared?.companyOfNumber(phoneNumberE164, signal)) ?? null
    const remembered = companyId === null ? null : await this.#company(companyId, signal)
    // The number may have gone to another company since.
    if (remembered !== null && remembered.phoneNumbers.includes(phoneNumberE164)) return remembered
    const company = await store.companies.findByPhoneNumber(phoneNumberE164, signal)
    if (company !== null) await shared?.rememberNumber(phoneNumberE164, company.id)
    return company
  }

  async #company(companyId: string, signal?: AbortSignal): Promise<Company | null> {
    const company = await this.#through(companyId, 'company', storedCompany, (inner) => this.#options.store.companies.get(companyId, inner), signal)
    if (company === null || company.id !== companyId) return null
    this.remember(company)
    return company
  }

  async #agent(companyId: string, agentId: string, signal?: AbortSignal): Promise<Agent | null> {
    const agent = await this.#through(companyId, `agent/${agentId}`, storedAgent, (inner) => this.#options.store.agents.getPublished(companyId, agentId, inner), signal)
    return agent?.companyId === companyId ? agent : null
  }

  /** Redis, then the database, whose answer goes to Redis unless the company was saved meanwhile. */
  async #through<T>(
    companyId: string,
    kind: string,
    schema: z.ZodType<Readonly<{ companyId: string; value: T }>>,
    load: (signal: AbortSignal | undefined) => Promise<T | null>,
    signal?: AbortSignal,
  ): Promise<T | null> {
    const { shared, onProblem } = this.#options
    const cached = (await shared?.read(companyId, kind, signal)) ?? null
    if (cached !== null && cached.text !== null) {
      const stored = readStored(schema, cached.text)
      if (stored?.companyId === companyId) return stored.value
      onProblem(`what is cached as ${kind} of ${companyId} is not that, and is not used`, null)
    }
    const value = await load(signal)
    if (value !== null && cached !== null) await shared?.write(companyId, kind, cached.generation, JSON.stringify({ companyId, value }))
    return value
  }

  #keep(phoneNumberE164: string, company: Company): void {
    const now = this.#options.clock.now()
    this.#numbers.set(phoneNumberE164, { company, freshUntil: later(now, FRESH_MS), usableUntil: later(now, USABLE_MS) })
  }
}

/** Null for what another version of the server has written differently. */
function readStored<T>(schema: z.ZodType<Readonly<{ companyId: string; value: T }>>, text: string): Readonly<{ companyId: string; value: T }> | null {
  try {
    const result = schema.safeParse(JSON.parse(text))
    return result.success ? result.data : null
  } catch {
    return null
  }
}
