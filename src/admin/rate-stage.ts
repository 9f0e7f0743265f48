import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { addressGroup } from '../security/client.ts'
import { Problem } from './problems.ts'

/** Requests a minute. Sign-in has its own counters behind this one; these keep any one client from taking the whole process. */
export type RateTiers = Readonly<{
  /** One address without a token. */
  anonymous: number
  /** One address with some token, good or not: bounds guessing, leaves room for an office behind one address. */
  bearer: number
  /** One user or key. */
  signedIn: number
  /** One address on routes that hash a password. */
  login: number
}>

export const DEFAULT_RATE_TIERS: RateTiers = { anonymous: 50, bearer: 600, signedIn: 200, login: 30 }

type Limiter = ReturnType<FastifyInstance['createRateLimit']>
const WINDOW_MS = 60_000

export class RateStage {
  readonly #tiers: RateTiers
  readonly #limiters = new Map<keyof RateTiers, Limiter>()

  constructor(tiers: RateTiers) {
    this.#tiers = tiers
  }

  /** After the rate-limit plugin is registered on `api`. */
  open(api: FastifyInstance): void {
    for (const tier of ['anonymous', 'bearer', 'login', 'signedIn'] as const) {
      this.#limiters.set(tier, api.createRateLimit({ max: this.#tiers[tier], timeWindow: WINDOW_MS, keyGenerator: (request) => `${tier}:${keyOf(request, tier)}` }))
    }
  }

  async beforeToken(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const rules = request.routeOptions.config.rules
    const tier = rules?.tier === 'login' ? 'login' : request.headers.authorization === undefined ? 'anonymous' : 'bearer'
    await this.#count(tier, request, reply)
  }

  /** Once `request.admin.principal` is known. */
  async afterToken(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    await this.#count('signedIn', request, reply)
  }

  /** draft-ietf-httpapi-ratelimit-headers: the policy and what is left of it. */
  async #count(tier: keyof RateTiers, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const limiter = this.#limiters.get(tier)
    if (limiter === undefined) return
    const answer = await limiter(request)
    if (answer.isAllowed) return
    reply.header('ratelimit-policy', `"${tier}";q=${answer.max};w=${WINDOW_MS / 1000}`)
    reply.header('ratelimit', `"${tier}";r=${answer.remaining};t=${answer.ttlInSeconds}`)
    if (!answer.isExceeded) return
    throw new Problem(429, 'RATE_LIMITED', `more than ${answer.max} requests a minute`, { headers: { 'retry-after': String(answer.ttlInSeconds) } })
  }
}

function keyOf(request: FastifyRequest, tier: keyof RateTiers): string {
  const state = request.admin
  if (tier === 'signedIn') return state?.principal === undefined || state.principal === null ? '' : `${state.principal.companyId}:${state.principal.id}`
  return addressGroup(state?.client.address ?? '')
}
