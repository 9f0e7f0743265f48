import { LRUCache } from 'lru-cache'
import { later, type Clock, type Instant } from '../core/clock.ts'
import type { CompanyRepository } from '../tenancy/repositories.ts'

/** Another process may delete a company: for this long its people still get 404 for each of its things instead of for the company. */
const REMEMBER_MS = 5000
const MOST_REMEMBERED = 10_000

/** Whether a company exists, which every request about one asks first. That it does not is never remembered. */
export class KnownCompanies {
  readonly #companies: Pick<CompanyRepository, 'get'>
  readonly #clock: Clock
  readonly #until = new LRUCache<string, Instant>({ max: MOST_REMEMBERED })

  constructor(companies: Pick<CompanyRepository, 'get'>, clock: Clock) {
    this.#companies = companies
    this.#clock = clock
  }

  async exists(companyId: string, signal: AbortSignal): Promise<boolean> {
    const now = this.#clock.now()
    if ((this.#until.get(companyId) ?? 0) > now) return true
    if ((await this.#companies.get(companyId, signal)) === null) return false
    this.#until.set(companyId, later(now, REMEMBER_MS))
    return true
  }

  /** After every save: a company deleted here is gone at once. */
  forget(companyId: string): void {
    this.#until.delete(companyId)
  }
}
