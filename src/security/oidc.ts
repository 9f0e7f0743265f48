import { createHmac } from 'node:crypto'
import {
  allowInsecureRequests, authorizationCodeGrant, AuthorizationResponseError, buildAuthorizationUrl, calculatePKCECodeChallenge, ClientError, ClientSecretBasic,
  ClientSecretPost, clockSkew, Configuration, customFetch, discovery, enableNonRepudiationChecks, fetchUserInfo, getJwksCache, None, ResponseBodyError, setJwksCache,
  type ClientAuth, type CustomFetch, type ExportedJWKSCache, type ServerMetadata,
} from 'openid-client'
import { SystemClock, type Clock, type Instant } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { ClientsViaError, isClientsViaError } from '../core/errors.ts'
import type { ClientFacts } from './client.ts'
import type { DeviceProof } from './devices.ts'
import type { Login, LoginReply } from './login.ts'
import type { Identity } from './records.ts'
import { Refusal } from './refusals.ts'
import type { OneUseRepository } from './repositories.ts'
import { PLATFORM } from './roles.ts'
import { hashSecret, randomSecret, sameText } from './secrets.ts'

export type OidcOptions = Readonly<{
  /** As the provider names itself in its discovery document: https, or http on loopback. */
  issuer: string
  clientId: string
  /** Null: a public client, for which PKCE stands alone. */
  clientSecret: string | null
  /** The one address that the provider may send people back to, registered there. */
  callbackUrl: string
  login: Login
  spent: OneUseRepository
  clock: Clock
  /** Seals flows; at least 32 bytes, the same on every process. */
  key: Uint8Array
  /** Told why the provider could not be used; never a secret. */
  report: (problem: string) => void
}>

/** `flow` stays with the page that began; only `authorizationUrl` goes to the provider. */
export type OidcStart = Readonly<{ authorizationUrl: string; flow: string; expiresIn: number }>
/** `code`, `state` and `iss` as the provider put them into the callback's query. */
export type OidcReturn = Readonly<{ flow: string; code: string; state: string; iss: string | null; device: DeviceProof | null; client: ClientFacts }>

/** Long enough for a password and a second factor over there. */
const FLOW_MS = 10 * 60_000
/** All requests of one step together; somebody is looking at a blank page. */
const PROVIDER_DEADLINE_MS = 5000
/** A provider moves its endpoints rarely, and a day's notice is more than this. */
const METADATA_MS = 60 * 60_000
/** Discovery documents and key sets are a few KiB. */
const MAX_ANSWER_BYTES = 256 * 1024

type Metadata = Readonly<{ server: ServerMetadata; readAt: Instant }>
type Flow = Readonly<{ id: string; expiresAt: string; state: string; nonce: string; verifier: string }>

/**
 * Sign-in through an OpenID provider: authorization code with PKCE. Who runs the provider decides who somebody is; who may come in is
 * decided here: an account that exists, by its verified e-mail address, and every later step of a login.
 *
 * A flow is a random text with its end and a keyed hash, so that beginning one stores nothing; state, nonce and verifier are derived
 * from it. Its first return spends it, whatever comes of that. The flow never leaves the page that began, so a return that somebody
 * else began cannot be planted there.
 */
export class OidcSignIn {
  readonly #options: OidcOptions
  readonly #isLocal: boolean
  #metadata: Metadata | null = null
  #keys: ExportedJWKSCache | undefined

  /** Throws CONFIG_INVALID for an issuer or callback that is neither https nor on loopback. */
  constructor(options: OidcOptions) {
    this.#options = options
    this.#isLocal = checkAddress(options.issuer, 'OIDC_ISSUER').protocol === 'http:'
    checkAddress(options.callbackUrl, 'OIDC_CALLBACK_URL')
  }

  /** Throws OIDC_UNAVAILABLE. */
  async start(signal?: AbortSignal): Promise<OidcStart> {
    return this.#withProvider(signal, async (config) => {
      const flow = this.#newFlow()
      const { state, nonce, verifier } = this.#derive(flow)
      const url = buildAuthorizationUrl(config, {
        redirect_uri: this.#options.callbackUrl, scope: 'openid email', state, nonce, code_challenge: await calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
      })
      if (!isSafe(url, this.#isLocal)) throw this.#unavailable(`the authorization endpoint is not https: ${url.origin}`)
      return { authorizationUrl: url.href, flow, expiresIn: FLOW_MS / 1000 }
    })
  }

  /**
   * The second half, and the login from there on. A device proof is made for the purpose 'login' and the subject `state`. Throws
   * OIDC_STATE_INVALID, OIDC_REFUSED, OIDC_EMAIL_UNVERIFIED, OIDC_NO_ACCOUNT, OIDC_UNAVAILABLE and what a login throws.
   */
  finish(back: OidcReturn, signal?: AbortSignal): Promise<LoginReply> {
    const { device, client, state } = back
    return this.#options.login.runFederated({ device, deviceSubject: state, client, identify: () => this.#identify(back, signal) }, signal)
  }

  /** Who came back: the verified address in lower case, and who they are at the provider. */
  async #identify(back: OidcReturn, signal?: AbortSignal): Promise<Readonly<{ email: string; identity: Identity }>> {
    const { spent, clock } = this.#options
    const flow = this.#readFlow(back.flow)
    if (flow === null || !sameText(back.state, flow.state)) throw new Refusal('OIDC_STATE_INVALID')
    // Before the code is used: of two returns at once one goes on.
    if (!(await spent.spend(PLATFORM, flow.id, clock.wallTime().toISOString(), flow.expiresAt, signal))) throw new Refusal('OIDC_STATE_INVALID')
    const { email, email_verified: verified, sub } = await this.#withProvider(signal, (config) => this.#exchange(config, flow, back))
    // `true` and nothing like it: some providers send the text "false".
    if (typeof email !== 'string' || verified !== true) throw new Refusal('OIDC_EMAIL_UNVERIFIED')
    if (typeof sub !== 'string' || sub === '' || sub.length > MAX_SUBJECT_CHARS) throw new Refusal('OIDC_REFUSED', { problem: 'no subject' })
    return { email: email.toLowerCase(), identity: { issuer: this.#options.issuer, subject: sub } }
  }

  async #exchange(config: Configuration, flow: Flow, back: OidcReturn): Promise<Readonly<Record<string, unknown>>> {
    const checks = { pkceCodeVerifier: flow.verifier, expectedState: flow.state, expectedNonce: flow.nonce, idTokenExpected: true }
    const tokens = await authorizationCodeGrant(config, this.#returnUrl(back), checks)
    this.#keys = getJwksCache(config)
    const claims = tokens.claims()
    if (claims === undefined) throw new Refusal('OIDC_REFUSED', { problem: 'no ID token' })
    if (claims['email'] !== undefined || config.serverMetadata().userinfo_endpoint === undefined) return claims
    // Where there is an access token, the standard leaves the address to be asked for (OpenID Connect Core 1.0, section 5.4).
    return fetchUserInfo(config, tokens.access_token, claims.sub)
  }

  #returnUrl(back: OidcReturn): URL {
    const url = new URL(this.#options.callbackUrl)
    url.searchParams.set('code', back.code)
    url.searchParams.set('state', back.state)
    if (back.iss !== null) url.searchParams.set('iss', back.iss)
    return url
  }

  /** Runs `work` against the provider, under one deadline for all its requests, and says what went wrong in our words. */
  async #withProvider<T>(signal: AbortSignal | undefined, work: (config: Configuration) => Promise<T>): Promise<T> {
    try {
      return await withDeadline(this.#options.clock, PROVIDER_DEADLINE_MS, signal ?? null, async (within) => work(await this.#configuration(within)))
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof Refusal) throw error
      if (isClientsViaError(error, 'DEADLINE_PASSED')) throw this.#unavailable(error.message)
      if (error instanceof ResponseBodyError || error instanceof AuthorizationResponseError) throw new Refusal('OIDC_REFUSED', { problem: error.error.slice(0, MAX_PROBLEM_CHARS) })
      if (error instanceof ClientError) {
        // What was thrown inside of a request comes back wrapped.
        if (error.cause instanceof Refusal) throw error.cause
        throw new Refusal('OIDC_REFUSED', { problem: error.code ?? error.message.slice(0, MAX_PROBLEM_CHARS) })
      }
      throw error
    }
  }

  /** One a call, since it carries the call's signal; what was learned of the provider is shared. */
  async #configuration(signal: AbortSignal): Promise<Configuration> {
    const { clientId, clientSecret, clock } = this.#options
    const server = await this.#discover(signal)
    // The library reads the machine's clock; the clock that counts is the one we were given.
    const skewS = Math.round((clock.wallTime().getTime() - new SystemClock().wallTime().getTime()) / 1000)
    const config = new Configuration(server, clientId, { [clockSkew]: skewS }, clientAuth(server, clientSecret))
    config[customFetch] = this.#request(signal)
    // The token came over TLS from the provider itself, which would do by the standard; its signature is checked all the same.
    enableNonRepudiationChecks(config)
    if (this.#isLocal) allowInsecureRequests(config)
    if (this.#keys !== undefined) setJwksCache(config, this.#keys)
    return config
  }

  async #discover(signal: AbortSignal): Promise<ServerMetadata> {
    const { issuer, clientId, clock } = this.#options
    if (this.#metadata !== null && clock.now() - this.#metadata.readAt < METADATA_MS) return this.#metadata.server
    const execute = this.#isLocal ? [allowInsecureRequests] : []
    try {
      const found = await discovery(new URL(issuer), clientId, undefined, None(), { execute, [customFetch]: this.#request(signal) })
      const { supportsPKCE: _, ...server } = found.serverMetadata()
      // The library lets some large providers name many issuers at once; then anybody's tenant could vouch for anybody's address.
      if (new URL(server.issuer).href !== new URL(issuer).href) throw this.#unavailable('the provider names itself otherwise than OIDC_ISSUER does')
      this.#metadata = { server, readAt: clock.now() }
      return server
    } catch (error) {
      if (signal.aborted || !(error instanceof ClientError) || error.cause instanceof Refusal) throw error
      throw this.#unavailable(`discovery failed: ${error.message}`)
    }
  }

  #request(signal: AbortSignal): CustomFetch {
    return async (address, { method, headers, body }) => {
      if (!isSafe(new URL(address), this.#isLocal)) throw this.#unavailable(`an endpoint is not https: ${new URL(address).origin}`)
      try {
        const answer = await fetch(address, { method, headers, redirect: 'manual', signal, ...(body instanceof URLSearchParams || typeof body === 'string' ? { body } : {}) })
        const bytes = await readBounded(answer, MAX_ANSWER_BYTES)
        if (bytes === null) throw this.#unavailable('an answer is too large')
        if (answer.status >= 500) throw this.#unavailable(`it answers ${answer.status}`)
        return new Response(bytes.byteLength === 0 ? null : bytes, { status: answer.status, headers: answer.headers })
      } catch (error) {
        if (signal.aborted) throw signal.reason
        // fetch says so for a refused connection, a name that does not resolve and a broken certificate.
        if (error instanceof TypeError) throw this.#unavailable(error.cause instanceof Error ? error.cause.message : error.message)
        throw error
      }
    }
  }

  #unavailable(problem: string): Refusal {
    this.#options.report(problem)
    return new Refusal('OIDC_UNAVAILABLE')
  }

  #newFlow(): string {
    const body = `${randomSecret()}.${this.#options.clock.wallTime().getTime() + FLOW_MS}`
    return `${body}.${this.#keyed('seal', body)}`
  }

  /** Null for a flow that is not ours or too old. */
  #readFlow(flow: string): Flow | null {
    const [random = '', expiry = '', seal = ''] = flow.split('.')
    const expiresMs = Number(expiry)
    if (!sameText(seal, this.#keyed('seal', `${random}.${expiry}`)) || expiresMs <= this.#options.clock.wallTime().getTime()) return null
    return { id: hashSecret(flow), expiresAt: new Date(expiresMs).toISOString(), ...this.#derive(flow) }
  }

  #derive(flow: string): Pick<Flow, 'state' | 'nonce' | 'verifier'> {
    return { state: this.#keyed('state', flow), nonce: this.#keyed('nonce', flow), verifier: this.#keyed('verifier', flow) }
  }

  #keyed(use: string, text: string): string {
    return createHmac('sha256', this.#options.key).update(`${use}\n${text}`).digest('base64url')
  }
}

/** OpenID Connect Core 1.0, section 2. */
const MAX_SUBJECT_CHARS = 255
/** Codes of RFC 6749 are short; whatever else a provider writes goes into the audit log no further than this. */
const MAX_PROBLEM_CHARS = 100

/** HTTP Basic unless the provider says that it only reads the form (OpenID Connect Discovery 1.0, section 3). */
function clientAuth(server: ServerMetadata, secret: string | null): ClientAuth {
  if (secret === null) return None()
  const supported = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic']
  return supported.includes('client_secret_post') && !supported.includes('client_secret_basic') ? ClientSecretPost(secret) : ClientSecretBasic(secret)
}

/** Null when there is more than that. */
async function readBounded(answer: Response, maxBytes: number): Promise<Uint8Array<ArrayBuffer> | null> {
  const parts: Uint8Array[] = []
  let total = 0
  for await (const part of answer.body ?? []) {
    total += part.byteLength
    if (total > maxBytes) return null
    parts.push(part)
  }
  return new Uint8Array(Buffer.concat(parts))
}

function checkAddress(text: string, field: string): URL {
  const url = URL.parse(text)
  if (url === null || !isSafe(url, true)) throw new ClientsViaError('CONFIG_INVALID', `${field} must be a URL: https, or http on a loopback address`, { field })
  return url
}

function isSafe(url: URL, localToo: boolean): boolean {
  return url.protocol === 'https:' || (localToo && url.protocol === 'http:' && /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname))
}
