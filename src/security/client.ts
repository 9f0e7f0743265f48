import { createHash } from 'node:crypto'
import type { Place } from './records.ts'

/** What is known of whoever sent a request before they have said who they are. */
export type ClientFacts = Readonly<{
  address: string
  place: Place
  userAgent: string
  acceptLanguage: string
  /** `Sec-CH-UA-Platform`; '' where the browser sends none. */
  platform: string
  traceId: string
}>

/** The make of a client, without its address: a signal that is noted when it changes, never a proof. */
export function fingerprintOf(client: ClientFacts): string {
  return digest(['fingerprint', client.userAgent.replace(/[\d.]+/g, ''), client.acceptLanguage, client.platform])
}

/** The very same client at the very same place: who may repeat a refresh whose reply was lost. */
export function sameClientMark(client: ClientFacts): string {
  return digest(['client', client.address, client.userAgent, client.acceptLanguage, client.platform])
}

/** An IPv6 customer has a whole /64: counting single addresses would count nothing. */
export function addressGroup(address: string): string {
  if (!address.includes(':')) return address
  const [head = '', tail = ''] = address.split('::')
  const left = head.split(':').filter((part) => part !== '')
  const right = tail.split(':').filter((part) => part !== '')
  const zeros = address.includes('::') ? Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0') : []
  return `${[...left, ...zeros, ...right].slice(0, 4).map((part) => part.toLowerCase().replace(/^0+(?=.)/, '')).join(':')}::/64`
}

function digest(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
}
