import { validateRequest } from 'twilio/lib/webhooks/webhooks.js'
import { ClientsViaError } from '../core/errors.ts'

/** The facts of a request that decide whether the carrier sent it. */
export type SignedRequest = Readonly<{
  /** Path and query as received, from the request line. */
  path: string
  /** The X-Twilio-Signature header, whatever it was. */
  signature: unknown
  /** The form's fields; empty for a GET and for a WebSocket upgrade. */
  params: Readonly<Record<string, unknown>>
  /** The socket's address, never a header's. */
  peerAddress: string
  /** True when a proxy says that the request came from elsewhere. */
  forwarded: boolean
}>

export type TwilioSignature = Readonly<{
  allowsWebhook: (request: SignedRequest) => boolean
  allowsUpgrade: (request: SignedRequest) => boolean
}>

/**
 * Twilio's signature (HMAC-SHA1 of URL and form) is the only proof of who calls: it signs from any public address. Fails closed and
 * never throws. The signed URL is rebuilt from `publicBaseUrl` alone, because the Host header belongs to the sender. Without an auth
 * token only loopback peers are served: an empty key would make every signature forgeable.
 */
export function twilioSignature(options: Readonly<{ publicBaseUrl: () => string; authToken: string | null }>): TwilioSignature {
  const { publicBaseUrl, authToken } = options
  if (authToken === '') throw new ClientsViaError('CONFIG_INVALID', 'TWILIO_AUTH_TOKEN must not be empty', { field: 'TWILIO_AUTH_TOKEN' })
  const allows = (request: SignedRequest, kind: 'webhook' | 'upgrade'): boolean => {
    if (authToken === null) return isLoopback(request.peerAddress) && !request.forwarded
    const { signature } = request
    if (typeof signature !== 'string' || signature === '') return false
    try {
      const origin = kind === 'webhook' ? publicBaseUrl() : streamOrigin(publicBaseUrl())
      const params = { ...request.params }
      return candidateUrls(origin, request.path).some((url) => validateRequest(authToken, signature, url, params))
    } catch {
      // The helper throws on a path that makes no URL: whoever sent that is not the carrier.
      return false
    }
  }
  return {
    allowsWebhook: (request) => allows(request, 'webhook'),
    allowsUpgrade: (request) => allows(request, 'upgrade'),
  }
}

/**
 * The public origin without a trailing slash.
 * @throws ClientsViaError CONFIG_INVALID unless it is https, or http on a loopback host.
 */
export function checkedPublicBaseUrl(publicBaseUrl: string): string {
  const url = URL.canParse(publicBaseUrl) ? new URL(publicBaseUrl) : null
  const usable =
    url !== null &&
    url.search === '' &&
    url.hash === '' &&
    url.username === '' &&
    (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname.replace(/^\[|\]$/g, ''))))
  if (!usable) {
    throw new ClientsViaError('CONFIG_INVALID', 'PUBLIC_BASE_URL must be an https URL without query (http is for loopback only)', {
      field: 'PUBLIC_BASE_URL',
    })
  }
  return publicBaseUrl.replace(/\/+$/, '')
}

/** https becomes wss, http becomes ws: Twilio signs an upgrade under the scheme it dialled. */
export function streamOrigin(publicBaseUrl: string): string {
  return publicBaseUrl.replace(/^http/, 'ws')
}

export function isLoopback(address: string): boolean {
  return address === '::1' || address === 'localhost' || /^(::ffff:)?127(\.\d{1,3}){3}$/.test(address)
}

/** Which of port and slash Twilio signs is not documented for upgrades: each form of the one configured origin is tried. */
function candidateUrls(origin: string, path: string): readonly string[] {
  const { protocol, host, port, pathname: prefix } = new URL(origin)
  const secure = protocol === 'https:' || protocol === 'wss:'
  const hosts = secure && port === '' ? [host, `${host}:443`] : [host]
  const queryAt = path.indexOf('?')
  const pathname = (queryAt < 0 ? path : path.slice(0, queryAt)).replace(/\/+$/, '')
  const search = queryAt < 0 ? '' : path.slice(queryAt)
  return hosts.flatMap((each) => {
    const url = `${protocol}//${each}${prefix.replace(/\/+$/, '')}${pathname}`
    return [`${url}${search}`, `${url}/${search}`]
  })
}
