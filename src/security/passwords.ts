import { hash, parseOptions, verify, type Options } from '@node-rs/argon2'
import { dictionary } from '@zxcvbn-ts/language-common'
import { Refusal } from './refusals.ts'

/** OWASP's least for argon2id: 19 MiB, two passes, one lane. About 25 ms of one core. */
export const ARGON2_COST: Argon2Cost = { memoryKiB: 19_456, passes: 2, lanes: 1 }
export type Argon2Cost = Readonly<{ memoryKiB: number; passes: number; lanes: number }>

/** Who does the work. Never on the loop that asks. */
export interface HashingEngine {
  /** Hashes at once. */
  readonly concurrency: number
  hash(password: string, options: Options): Promise<string>
  verify(stored: string, password: string): Promise<boolean>
}

/** On the libuv pool, beside file reads: two leave it room. For commands and tests; a server that answers calls has threads for it. */
const ON_THE_POOL: HashingEngine = { concurrency: 2, hash, verify }
/** Sign-ins that may wait, about a second of work; the next one is told to come back. */
const MAX_WAITING = 40
/** `Algorithm.Argon2id`; the package declares it as a const enum, which type stripping cannot read. */
const ARGON2ID = 2
export const PASSWORD_FLOOR = 8
/** Long enough for any phrase; bounds the work of a hostile one. Nothing is ever cut off. */
export const PASSWORD_CEILING = 256

export class PasswordHasher {
  readonly #options: Options
  readonly #engine: HashingEngine
  #running = 0
  readonly #waiting: (() => void)[] = []
  #decoy: Promise<string> | null = null

  constructor(cost: Argon2Cost = ARGON2_COST, engine: HashingEngine = ON_THE_POOL) {
    this.#engine = engine
    this.#options = { algorithm: ARGON2ID, memoryCost: cost.memoryKiB, timeCost: cost.passes, parallelism: cost.lanes, outputLen: 32 }
  }

  hash(password: string, signal?: AbortSignal): Promise<string> {
    return this.#inTurn(() => this.#engine.hash(prepare(password), this.#options), signal)
  }

  /** With no stored hash the same work is done on a decoy, so that an unknown account answers as slowly as a known one. */
  async verify(stored: string | null, password: string, signal?: AbortSignal): Promise<boolean> {
    this.#decoy ??= this.#engine.hash('a decoy that no account has', this.#options)
    const decoy = await this.#decoy
    const matches = await this.#inTurn(() => this.#engine.verify(stored ?? decoy, prepare(password)), signal)
    return stored !== null && matches
  }

  /** True when a stored hash was made with a smaller or different cost than today's. */
  needsRehash(stored: string): boolean {
    const made = parseOptions(stored)
    return made.algorithm !== this.#options.algorithm || made.memoryCost !== this.#options.memoryCost || made.timeCost !== this.#options.timeCost ||
      made.parallelism !== this.#options.parallelism
  }

  async #inTurn<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted()
    if (this.#running >= this.#engine.concurrency) await this.#wait(signal)
    else this.#running += 1
    try {
      return await work()
    } finally {
      // The place is handed on, not freed: nobody can slip in between.
      const next = this.#waiting.shift()
      if (next === undefined) this.#running -= 1
      else next()
    }
  }

  #wait(signal?: AbortSignal): Promise<void> {
    if (this.#waiting.length >= MAX_WAITING) throw new Refusal('LOGIN_BUSY', {}, 1000)
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }
      const onAbort = (): void => {
        const place = this.#waiting.indexOf(enter)
        if (place >= 0) this.#waiting.splice(place, 1)
        reject(signal?.reason)
      }
      this.#waiting.push(enter)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }
}

/** What is wrong with a new password, in a sentence; null when nothing is. No composition rules: length and rarity only (ASVS 6.2). */
export function passwordProblem(password: string, about: Readonly<{ minLength: number; email: string; name: string }>): string | null {
  const least = Math.max(PASSWORD_FLOOR, about.minLength)
  const length = [...password.normalize('NFKC')].length
  if (length < least) return `must have at least ${least} characters`
  if (password.length > PASSWORD_CEILING) return `must have at most ${PASSWORD_CEILING} characters`
  const plain = password.normalize('NFKC').toLowerCase()
  if (COMMON.has(plain)) return 'is one of the passwords that are tried first'
  const repeated = /^(.{1,4})\1+$/u.test(plain)
  if (repeated) return 'is a short pattern repeated'
  const account = about.email.split('@')[0] ?? ''
  const own = [about.email, account, about.name, 'clientsvia'].map((word) => word.toLowerCase())
  if (own.some((word) => word !== '' && (plain === word || (word.length >= 4 && plain.replaceAll(word, '').length < 4)))) {
    return 'is made of your own name or address'
  }
  return null
}

const COMMON = new Set(dictionary['passwords-common'])

/** NIST SP 800-63B 3.1.1.2: one normal form, so that a password typed on another keyboard is the same password. */
function prepare(password: string): string {
  return password.normalize('NFKC')
}
