import { isIP } from 'node:net'
import { z } from 'zod'

/** What .env.example and /effective-config say of a variable. */
export type About = Readonly<{
  says: string
  example: string
  /** The text that stands when nothing is given; null: the setting is simply absent. */
  default: string | null
  secret?: boolean
}>
/** The registry knows a variable by its schema. */
export const about = z.registry<About>()

// A new one each time: each variable has its own schema.
export const text = (): z.ZodString => z.string({ error: 'is missing' }).min(1, 'must not be empty')
export const whole = (min: number, max: number): z.ZodType<number, string> =>
  text()
    .regex(/^\d+$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be a whole number from ${min} to ${max}`)
export const cents = (): z.ZodType<number | undefined, string | undefined> =>
  text()
    .regex(/^\d{1,4}(\.\d{1,6})?$/, 'must be US cents, such as 0.85')
    .transform(Number)
    .optional()
export const yesOrNo = (): z.ZodType<boolean, string> =>
  z.enum(['true', 'false'], { error: 'must be true or false' }).transform((value) => value === 'true')
export const baseUrl = text().refine(isBaseUrl, 'must be a URL without query or password: https, or http on a loopback address').transform((url) => url.replace(/\/+$/, ''))
// A compatible server may stand anywhere in the operator's own network, and there it seldom has a certificate.
export const engineUrl = (): z.ZodType<string | undefined, string | undefined> =>
  text().refine(isEngineUrl, 'must be an http or https URL without query or password').transform((url) => url.replace(/\/+$/, '')).optional()
export const engineOf = <const T extends string>(...names: readonly [T, ...T[]]): z.ZodType<T | undefined, T | undefined> =>
  z.enum(names, { error: `must be one of ${names.join(', ')}` }).optional()
export const modelName = (): z.ZodString => text().regex(/^[\w./:-]{1,100}$/, 'must be the name of a model')
// OpenID providers compare addresses letter by letter: a last slash stays.
export const exactUrl = text().refine(isBaseUrl, 'must be a URL without query or password: https, or http on a loopback address')

export const listOf = (item: RegExp, message: string): z.ZodType<readonly string[], string> =>
  z
    .string()
    .transform((value) => value.split(',').map((part) => part.trim()).filter((part) => part !== ''))
    .refine((parts) => parts.every((part) => item.test(part)), message)
export const keyList = (): z.ZodType<string | undefined, string | undefined> =>
  text()
    .regex(/^[\w-]+:.{32,}(,[\w-]+:.{32,})*$/, 'must be id:secret, each secret of at least 32 characters, separated by commas')
    .optional()

export function aboutOf(schema: z.ZodType): About {
  const found = about.get(schema)
  if (found === undefined) throw new TypeError('a variable of the schema is not registered')
  return found
}

export function isBaseUrl(given: string): boolean {
  if (!URL.canParse(given)) return false
  const url = new URL(given)
  const isSafe = url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname.replace(/^\[|\]$/g, '')))
  return isSafe && url.search === '' && url.hash === '' && url.username === '' && url.password === ''
}

function isEngineUrl(given: string): boolean {
  if (!URL.canParse(given)) return false
  const url = new URL(given)
  return ['http:', 'https:'].includes(url.protocol) && url.search === '' && url.hash === '' && url.username === '' && url.password === ''
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}
