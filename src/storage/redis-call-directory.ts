import { randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import type { Admission, CallDirectory, LiveCallFacts } from '../call/call-directory.ts'
import type { CallContinuation } from '../call/call-leg.ts'
import type { Clock } from '../core/clock.ts'
import { isClientsViaError } from '../core/errors.ts'
import { companyKey, sharedKey } from './redis-keys.ts'
import type { RedisLink } from './redis-link.ts'
import type { RedisListener } from './redis-listener.ts'

/** A place not renewed for this long belongs to a process that died. */
const LEASE_MS = 30_000
/** Two renewals may fail before a lease runs out. */
const RENEW_MS = 10_000
/** Webhooks about a call come at most hours after it. */
const REMEMBER_MS = 4 * 3_600_000
const REMEMBERED_CALLS = 10_000
/** The company's limit has been judged already. */
const ANY_NUMBER = Number.MAX_SAFE_INTEGER
const DAY_KEY_MS = 48 * 3_600_000

const NOW = `local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`
/** KEYS: the company's places, everybody's, whose call it is. ARGV: call, company's limit, everybody's, lease, company, how long to remember. */
const ADMIT = `${NOW}
redis.call('SET', KEYS[3], ARGV[5], 'PX', ARGV[6])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then return 'server-full' end
  if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 'company-full' end
end
redis.call('ZADD', KEYS[1], now + ARGV[4], ARGV[1])
redis.call('ZADD', KEYS[2], now + ARGV[4], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 'admitted'`

/** Takes or renews the place of a live call, and gives back who had it. KEYS: places, everybody's, live calls, whose it is. */
const HOLD = `${NOW}
local before = redis.call('HGET', KEYS[3], ARGV[1])
if ARGV[6] == 'renew' and before and before ~= ARGV[2] then return before end
redis.call('SET', KEYS[4], ARGV[5], 'PX', ARGV[4])
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[3], ARGV[3])
return before`

/** Gives a place back, unless the call is another process's by now. KEYS: places, everybody's, live calls. ARGV: call, live value or ''. */
const RELEASE = `
local live = redis.call('HGET', KEYS[3], ARGV[1])
if live and live ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
return 1`

/** The live calls whose lease runs: call, value, ... KEYS: places, live calls. */
const LIVE = `${NOW}
local found = {}
for _, call in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf')) do
  local value = redis.call('HGET', KEYS[2], call)
  if value then found[#found + 1] = call; found[#found + 1] = value end
end
return found`

/** KEYS: whose call it is, the continuation. ARGV: company, continuation or '', how long to keep it. */
const DECIDE = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[2]) else redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) end
return 1`

const continuationSchema: z.ZodType<CallContinuation> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('hang-up') }),
  z.object({ kind: z.literal('transfer'), phoneNumberE164: z.string(), label: z.string(), timeoutSeconds: z.number() }),
  z.object({ kind: z.literal('voicemail'), prompt: z.string(), maxSeconds: z.number() }),
])
const liveSchema = z.strictObject({ startedAt: z.string(), owner: z.string() })
const orderSchema = z.strictObject({ companyId: z.string(), callSid: z.string() })

export type RedisCallDirectoryOptions = Readonly<{
  link: RedisLink
  listener: RedisListener
  clock: Clock
  /** What this process, or the processes of this machine, know without Redis; it has their ceiling. */
  here: CallDirectory
  /** The ceiling of all machines together. */
  maxCalls: number
  onProblem: (problem: string, error: unknown) => void
}>

/**
 * A directory that processes share. Everything is done in memory too, for the calls of this process: while Redis is away each process
 * goes by what it knows itself, and when Redis is back the renewals tell it about the calls it has not heard of.
 */
export class RedisCallDirectory implements CallDirectory {
  readonly #options: RedisCallDirectoryOptions
  readonly #here: CallDirectory
  readonly #owner = randomUUID()
  /** Calls whose stream is here: callSid to what Redis keeps of them. */
  readonly #live = new Map<string, Readonly<{ companyId: string; value: string }>>()
  /** Calls whose continuation Redis does not know, since it was away: what is in memory counts. */
  readonly #untold = new LRUCache<string, true>({ max: REMEMBERED_CALLS })
  #onEnd: (companyId: string, callSid: string) => void = () => undefined

  constructor(options: RedisCallDirectoryOptions) {
    this.#options = options
    this.#here = options.here
    options.listener.hear(channelOf(this.#owner), (message) => {
      const { companyId, callSid } = orderSchema.parse(JSON.parse(message))
      this.#onEnd(companyId, callSid)
    })
  }

  async admit(companyId: string, callSid: string, companyLimit: number, signal: AbortSignal): Promise<Admission> {
    const here = await this.#here.admit(companyId, callSid, companyLimit, signal)
    if (here === 'server-full') return here
    const { maxCalls } = this.#options
    const answer = await this.#ask(
      () =>
        this.#options.link.script(
          ADMIT,
          [placesKey(companyId), ALL_PLACES, companyOfKey(callSid)],
          [callSid, companyLimit, maxCalls, LEASE_MS, companyId, REMEMBER_MS],
          signal,
        ),
      z.enum(['admitted', 'company-full', 'server-full']),
    )
    if (answer === null) return here
    // The others have taken the company's places, or given them back: they know better.
    if (answer === 'admitted') return here === 'admitted' ? answer : this.#here.admit(companyId, callSid, ANY_NUMBER, signal)
    await this.#here.forget(companyId, callSid)
    return answer
  }

  async forget(companyId: string, callSid: string): Promise<void> {
    await this.#here.forget(companyId, callSid)
    await this.#release(companyId, callSid, '')
  }

  async begin(companyId: string, callSid: string, startedAt: string, signal: AbortSignal): Promise<void> {
    await this.#here.begin(companyId, callSid, startedAt, signal)
    const value = JSON.stringify({ startedAt, owner: this.#owner } satisfies z.infer<typeof liveSchema>)
    this.#live.set(callSid, { companyId, value })
    const before = await this.#ask(() => this.#hold(companyId, callSid, value, 'begin', signal), z.string().nullable())
    if (before === null) return
    const { owner } = liveSchema.parse(JSON.parse(before))
    if (owner !== this.#owner) await this.#order(owner, companyId, callSid)
  }

  async finish(companyId: string, callSid: string): Promise<void> {
    await this.#here.finish(companyId, callSid)
    const live = this.#live.get(callSid)
    this.#live.delete(callSid)
    await this.#release(companyId, callSid, live?.value ?? '')
  }

  async decide(companyId: string, callSid: string, continuation: CallContinuation): Promise<void> {
    await this.#here.decide(companyId, callSid, continuation)
    await this.#decide(companyId, callSid, JSON.stringify(continuation))
  }

  async continuation(companyId: string, callSid: string, signal: AbortSignal): Promise<CallContinuation | null> {
    const key = continuationKey(companyId, callSid)
    const stored = await this.#ask(async () => ({ text: await this.#options.link.run((redis) => redis.get(key), signal) }), z.object({ text: z.string().nullable() }))
    if (stored === null || (stored.text === null && this.#untold.has(callSid))) return this.#here.continuation(companyId, callSid, signal)
    if (stored.text === null) return null
    return continuationSchema.parse(JSON.parse(stored.text))
  }

  async clearContinuation(companyId: string, callSid: string): Promise<void> {
    await this.#here.clearContinuation(companyId, callSid)
    await this.#decide(companyId, callSid, '')
  }

  async companyOf(callSid: string, signal: AbortSignal): Promise<string | null> {
    const here = await this.#here.companyOf(callSid, signal)
    if (here !== null) return here
    return this.#ask(() => this.#options.link.run((redis) => redis.get(companyOfKey(callSid)), signal), z.string().nullable())
  }

  async live(companyId: string, signal: AbortSignal): Promise<readonly LiveCallFacts[]> {
    const found = await this.#ask(() => this.#options.link.script(LIVE, [placesKey(companyId), liveKey(companyId)], [], signal), z.array(z.string()))
    if (found === null) return this.#here.live(companyId, signal)
    const calls: LiveCallFacts[] = []
    for (let at = 0; at + 1 < found.length; at += 2) {
      const { startedAt } = liveSchema.parse(JSON.parse(found[at + 1] as string))
      calls.push({ callSid: found[at] as string, startedAt })
    }
    return calls
  }

  async end(companyId: string, callSid: string, signal: AbortSignal): Promise<boolean> {
    if (this.#live.get(callSid)?.companyId === companyId) {
      this.#onEnd(companyId, callSid)
      return true
    }
    const value = await this.#ask(() => this.#options.link.run((redis) => redis.hget(liveKey(companyId), callSid), signal), z.string().nullable())
    if (value === null) return false
    await this.#order(liveSchema.parse(JSON.parse(value)).owner, companyId, callSid)
    return true
  }

  async addSeconds(companyId: string, day: string, seconds: number): Promise<void> {
    await this.#here.addSeconds(companyId, day, seconds)
    const key = companyKey(companyId, 'seconds', day)
    await this.#ask(() => this.#options.link.run((redis) => redis.multi().incrbyfloat(key, seconds).pexpire(key, DAY_KEY_MS).exec()), z.unknown())
  }

  async minutesOn(companyId: string, day: string, signal: AbortSignal): Promise<number> {
    const shared = await this.#ask(() => this.#options.link.run((redis) => redis.get(companyKey(companyId, 'seconds', day)), signal), z.string().nullable())
    // Whichever has seen more: Redis has forgotten nothing, or this process has been alone.
    return Math.max(Number(shared ?? 0) / 60, await this.#here.minutesOn(companyId, day, signal))
  }

  onEnd(listener: (companyId: string, callSid: string) => void): void {
    this.#onEnd = listener
    this.#here.onEnd(listener)
  }

  /** Renews the leases of this process's calls until the signal; a process that dies stops, and its places come free. */
  async keepLeases(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#options.clock.sleep(RENEW_MS, signal)
      for (const [callSid, { companyId, value }] of this.#live) {
        const before = await this.#ask(() => this.#hold(companyId, callSid, value, 'renew', signal), z.string().nullable())
        // Another process took the call while Redis was away from one of us: it has the newer stream, and a call has one voice.
        if (before !== null && before !== value && this.#live.has(callSid)) this.#onEnd(companyId, callSid)
      }
    }
  }

  /** `before` of the script, or null. */
  #hold(companyId: string, callSid: string, value: string, why: 'begin' | 'renew', signal: AbortSignal): Promise<unknown> {
    const keys = [placesKey(companyId), ALL_PLACES, liveKey(companyId), companyOfKey(callSid)]
    return this.#options.link.script(HOLD, keys, [callSid, value, LEASE_MS, REMEMBER_MS, companyId, why], signal)
  }

  async #release(companyId: string, callSid: string, value: string): Promise<void> {
    await this.#ask(() => this.#options.link.script(RELEASE, [placesKey(companyId), ALL_PLACES, liveKey(companyId)], [callSid, value]), z.unknown())
  }

  async #decide(companyId: string, callSid: string, text: string): Promise<void> {
    const keys = [companyOfKey(callSid), continuationKey(companyId, callSid)]
    const told = await this.#ask(() => this.#options.link.script(DECIDE, keys, [companyId, text, REMEMBER_MS]), z.number())
    if (told === 1) this.#untold.delete(callSid)
    else this.#untold.set(callSid, true)
  }

  async #order(owner: string, companyId: string, callSid: string): Promise<void> {
    const order = JSON.stringify({ companyId, callSid } satisfies z.infer<typeof orderSchema>)
    await this.#ask(() => this.#options.link.run((redis) => redis.publish(channelOf(owner), order)), z.unknown())
  }

  /** Null when Redis is away: a call never waits for it and never fails by it. */
  async #ask<T>(work: () => Promise<unknown>, schema: z.ZodType<T>): Promise<T | null> {
    try {
      return schema.parse(await work())
    } catch (error) {
      if (!isClientsViaError(error, 'STORE_FAILED')) throw error
      this.#options.onProblem('call directory goes by this process alone', error)
      return null
    }
  }
}

const ALL_PLACES = sharedKey('places')

function placesKey(companyId: string): string {
  return companyKey(companyId, 'places')
}

function liveKey(companyId: string): string {
  return companyKey(companyId, 'live')
}

function continuationKey(companyId: string, callSid: string): string {
  return companyKey(companyId, 'continuation', callSid)
}

function companyOfKey(callSid: string): string {
  return sharedKey('company-of-call', callSid)
}

function channelOf(owner: string): string {
  return sharedKey('calls-channel', owner)
}
