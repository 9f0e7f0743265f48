import { createHmac, timingSafeEqual } from 'node:crypto'
import type { FeedDetail } from './calendar-feed.ts'

/** Whose appointments, how much of them. `resourceId` null: everybody's. */
export type Feed = Readonly<{ companyId: string; resourceId: string | null; detail: FeedDetail }>

/** Of a resource that stands for all of them: no id can be that, an id begins with a letter or a digit. */
const EVERYBODY = '-'
/** 192 bits: nobody comes upon one by trying. */
const SIGNATURE_CHARS = 32

/**
 * The path of a feed below /api/v1: calendar programs cannot sign in, so the address itself is the key. It is the signature of what it
 * shows, so nothing is stored; counting the company's `feedEdition` up makes every address of before worthless.
 */
export function feedPath(feed: Feed, edition: number, key: Uint8Array): string {
  return `/calendar-feeds/${[feed.companyId, feed.resourceId ?? EVERYBODY, feed.detail].map(encodeURIComponent).join('/')}/${sign(feed, edition, key)}.ics`
}

export function isFeedSignature(feed: Feed, edition: number, key: Uint8Array, signature: string): boolean {
  const expected = Buffer.from(sign(feed, edition, key))
  const given = Buffer.from(signature)
  return given.length === expected.length && timingSafeEqual(given, expected)
}

/** Null for what is no resource of a feed's path. */
export function feedResource(segment: string): string | null {
  return segment === EVERYBODY ? null : segment
}

function sign({ companyId, resourceId, detail }: Feed, edition: number, key: Uint8Array): string {
  return createHmac('sha256', key).update(JSON.stringify(['calendar feed', companyId, resourceId, detail, edition])).digest('base64url').slice(0, SIGNATURE_CHARS)
}
