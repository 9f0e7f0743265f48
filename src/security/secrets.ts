import { createHash, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'

/** Unguessable text for links, refresh tokens and API keys: 256 bits. */
export function randomSecret(): string {
  return randomBytes(32).toString('base64url')
}

/** A plain hash is enough for a 256-bit random secret: there is nothing to guess that a slow hash would protect. */
export function hashSecret(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

export function sameText(left: string, right: string): boolean {
  const a = createHash('sha256').update(left).digest()
  const b = createHash('sha256').update(right).digest()
  return timingSafeEqual(a, b)
}

/** A key of its own per use, so that a token can never be passed off as an audit hash or a challenge. */
export function deriveKey(secret: Uint8Array, use: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, 'clientsvia', use, 32))
}

/**
 * A secret that tells its holder's company, so that even looking it up starts with companyId: `{prefix}.{company}.{part}…`. Null for
 * text that was never ours.
 */
export function formatBearer(prefix: string, companyId: string, ...parts: readonly string[]): string {
  return [prefix, Buffer.from(companyId).toString('base64url'), ...parts].join('.')
}

export function parseBearer(prefix: string, partCount: number, text: string): Readonly<{ companyId: string; parts: readonly string[] }> | null {
  const [head, company, ...parts] = text.split('.')
  if (head !== prefix || company === undefined || company === '' || parts.length !== partCount) return null
  return { companyId: Buffer.from(company, 'base64url').toString('utf8'), parts }
}
