import { lookup as lookupHost } from 'node:dns/promises'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { ClientsViaError } from '../core/errors.ts'

/** All addresses of a host. */
export type Resolve = (host: string) => Promise<readonly string[]>

/** A URL that may be called, with the one address it may be called at. */
export type GuardedUrl = Readonly<{ url: URL; address: string; family: 4 | 6 }>

/** For whoever calls it: no longer than this, no redirect, no larger answer. */
export const TENANT_CALL_LIMITS = { timeoutMs: 3000, maxResponseBytes: 64 * 1024, maxRedirects: 0 } as const

const MAX_URL_CHARS = 2000
const PORTS = new Set(['', '443', '8443'])

/**
 * Checks a URL that a company gave us, before anything is sent to it: https, a usual port, no password, and a host all of whose
 * addresses are on the public internet. The address that was checked is the one to call: use `pinnedLookup`, or a host that answers
 * differently the second time would lead the call into our own network. Throws INVALID_INPUT, or FORBIDDEN for where it leads.
 */
export async function guardUrl(text: string, resolve: Resolve = resolveHost): Promise<GuardedUrl> {
  const url = parse(text)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const addresses = isIP(host) === 0 ? await resolved(host, resolve) : [host]
  for (const address of addresses) if (!isPublicAddress(address)) throw forbidden('leads to an address that is not on the public internet')
  const [address] = addresses
  if (address === undefined) throw forbidden('has no address')
  return { url, address, family: isIP(address) === 6 ? 6 : 4 }
}

/** For the `lookup` option of a request: whatever is asked, the address that was checked. */
export function pinnedLookup(guarded: GuardedUrl): LookupFunction {
  return (_host, options, callback) => {
    if (options.all === true) callback(null, [{ address: guarded.address, family: guarded.family }])
    else callback(null, guarded.address, guarded.family)
  }
}

/** False for private, local, shared, documentation, multicast and translated addresses, and for what is no address at all. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address)
  if (family === 4) return !RESERVED_V4.check(address, 'ipv4')
  return family === 6 && !address.includes('%') && GLOBAL_V6.check(address, 'ipv6') && !RESERVED_V6.check(address, 'ipv6')
}

function parse(text: string): URL {
  if (text.length > MAX_URL_CHARS) throw invalid(`is longer than ${MAX_URL_CHARS} characters`)
  const url = URL.parse(text)
  if (url === null) throw invalid('is not a URL')
  if (url.protocol !== 'https:') throw invalid('must begin with https://')
  if (url.username !== '' || url.password !== '') throw invalid('must not hold a user name or password')
  if (!PORTS.has(url.port)) throw invalid('must use port 443 or 8443')
  if (isIP(url.hostname.replace(/^\[|\]$/g, '')) === 0 && !/^(?=.{1,253}\.?$)([a-z0-9-]{1,63}\.)+[a-z0-9-]{2,63}\.?$/i.test(url.hostname)) throw invalid('must name a host of the public internet')
  return url
}

async function resolved(host: string, resolve: Resolve): Promise<readonly string[]> {
  try {
    return await resolve(host)
  } catch (cause) {
    throw new ClientsViaError('INVALID_INPUT', 'url: its host cannot be found', { field: 'url' }, { cause })
  }
}

async function resolveHost(host: string): Promise<readonly string[]> {
  return (await lookupHost(host, { all: true })).map((answer) => answer.address)
}

function invalid(problem: string): ClientsViaError {
  return new ClientsViaError('INVALID_INPUT', `url: ${problem}`, { field: 'url' })
}

function forbidden(problem: string): ClientsViaError {
  return new ClientsViaError('FORBIDDEN', `url: ${problem}`, { field: 'url' })
}

/** IANA special-purpose registries. */
const RESERVED_V4 = subnets('ipv4', [
  '0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24', '192.31.196.0/24',
  '192.52.193.0/24', '192.88.99.0/24', '192.168.0.0/16', '192.175.48.0/24', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4',
])
/** Everything that is not global unicast is refused, and so is what carries an IPv4 address inside. */
const GLOBAL_V6 = subnets('ipv6', ['2000::/3'])
const RESERVED_V6 = subnets('ipv6', ['2001::/23', '2001:db8::/32', '2002::/16', '2620:4f:8000::/48', '3fff::/20'])

function subnets(family: 'ipv4' | 'ipv6', ranges: readonly string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [network = '', prefix = ''] = range.split('/')
    list.addSubnet(network, Number(prefix), family)
  }
  return list
}
