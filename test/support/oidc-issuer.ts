import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT, type CryptoKey, type JWK } from 'jose'

export const CLIENT_ID = 'clientsvia'
export const CLIENT_SECRET = 'a secret: with/odd+chars'
export const CALLBACK_URL = 'https://admin.example.com/signed-in'

/** Ways in which a provider may be wrong or hostile; each is undone by setting it back. */
export type Misbehaviour = Readonly<{
  /** Over the claims that it would put into the ID token. */
  claims?: Readonly<Record<string, unknown>>
  /** 'none': no signature at all; 'stranger': with a key that it does not publish; 'secret': by HMAC with the client secret. */
  signature?: 'none' | 'stranger' | 'secret'
  /** 'silent' never answers; 'broken' answers 500; 'huge' never stops; 'moved' sends elsewhere. */
  answers?: 'silent' | 'broken' | 'huge' | 'moved'
  /** Over its discovery document. */
  metadata?: Readonly<Record<string, unknown>>
  /** The address is only told by the userinfo endpoint. */
  thinTokens?: true
}>
export type Person = Readonly<{ sub: string; email?: string; email_verified?: unknown }>
type Keys = Readonly<{ own: CryptoKey; stranger: CryptoKey; published: JWK }>
type Grant = Readonly<{ person: Person; nonce: string; challenge: string; redirectUri: string }>

/** An OpenID provider on loopback, strict about what clients must send: PKCE, the registered callback, its secret, a code once. */
export class OidcIssuer {
  wrong: Misbehaviour = {}
  /** Paths in order of arrival. */
  readonly asked: string[] = []
  readonly issuer: string
  readonly #server: Server
  readonly #keys: Keys
  readonly #now: () => Date
  readonly #grants = new Map<string, Grant>()
  readonly #people = new Map<string, Person>()
  #onRequest: () => void = () => undefined

  private constructor(server: Server, port: number, keys: Keys, now: () => Date) {
    this.#server = server
    this.issuer = `http://127.0.0.1:${port}`
    this.#keys = keys
    this.#now = now
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#answer(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined))
    })
  }

  static async open(now: () => Date): Promise<OidcIssuer> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    const own = await generateKeyPair('RS256')
    const stranger = await generateKeyPair('RS256')
    const published = { ...(await exportJWK(own.publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' }
    return new OidcIssuer(server, address.port, { own: own.privateKey, stranger: stranger.privateKey, published }, now)
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  /** What the person's browser does with the address it was sent to; gives what comes back in the callback's query. */
  authorize(authorizationUrl: string, person: Person): Readonly<{ code: string; state: string; iss: string }> {
    const query = new URL(authorizationUrl).searchParams
    const wanted = { client_id: CLIENT_ID, redirect_uri: CALLBACK_URL, response_type: 'code', code_challenge_method: 'S256' }
    for (const [name, value] of Object.entries(wanted)) if (query.get(name) !== value) throw new Error(`${name} is ${query.get(name)}`)
    const code = randomBytes(16).toString('hex')
    this.#grants.set(code, { person, nonce: query.get('nonce') ?? '', challenge: query.get('code_challenge') ?? '', redirectUri: query.get('redirect_uri') ?? '' })
    return { code, state: query.get('state') ?? '', iss: this.issuer }
  }

  nextRequest(): Promise<void> {
    return new Promise((resolve) => {
      this.#onRequest = resolve
    })
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? ''
    this.asked.push(path)
    this.#onRequest()
    const { answers } = this.wrong
    if (answers === 'silent') return
    if (answers === 'moved') return void response.writeHead(302, { location: `${this.issuer}/elsewhere` }).end()
    if (answers === 'huge') return flood(response)
    if (answers === 'broken') return send(response, 500, { error: 'server_error' })
    if (path === '/.well-known/openid-configuration') return send(response, 200, { ...this.#metadata(), ...this.wrong.metadata })
    if (path === '/jwks') return send(response, 200, { keys: [this.#keys.published] })
    if (path === '/token') return this.#token(request, response)
    const person = this.#people.get((request.headers.authorization ?? '').replace(/^Bearer /, ''))
    return path === '/userinfo' && person !== undefined ? send(response, 200, person) : send(response, 404, {})
  }

  #metadata(): Record<string, unknown> {
    return {
      issuer: this.issuer, authorization_endpoint: `${this.issuer}/authorize`, token_endpoint: `${this.issuer}/token`, jwks_uri: `${this.issuer}/jwks`,
      userinfo_endpoint: `${this.issuer}/userinfo`, response_types_supported: ['code'], subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'], authorization_response_iss_parameter_supported: true,
    }
  }

  async #token(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const form = new URLSearchParams(Buffer.concat(parts).toString())
    const [user = '', secret = ''] = Buffer.from((request.headers.authorization ?? '').replace(/^Basic /, ''), 'base64').toString().split(':').map(formDecoded)
    if (user !== CLIENT_ID || secret !== CLIENT_SECRET) return send(response, 401, { error: 'invalid_client' })
    const code = form.get('code') ?? ''
    const grant = this.#grants.get(code)
    this.#grants.delete(code)
    const challenge = createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url')
    if (grant === undefined || challenge !== grant.challenge || form.get('redirect_uri') !== grant.redirectUri) return send(response, 400, { error: 'invalid_grant' })
    const accessToken = randomBytes(16).toString('hex')
    this.#people.set(accessToken, grant.person)
    send(response, 200, { access_token: accessToken, token_type: 'Bearer', expires_in: 60, id_token: await this.#idToken(grant) })
  }

  #idToken(grant: Grant): Promise<string> | string {
    const iat = Math.floor(this.#now().getTime() / 1000)
    const person = this.wrong.thinTokens === true ? { sub: grant.person.sub } : grant.person
    const claims = { ...person, iss: this.issuer, aud: CLIENT_ID, iat, exp: iat + 300, nonce: grant.nonce, ...this.wrong.claims }
    const { signature } = this.wrong
    if (signature === 'none') return new UnsecuredJWT(claims).encode()
    if (signature === 'secret') return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(CLIENT_SECRET.padEnd(32)))
    return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'k1' }).sign(signature === 'stranger' ? this.#keys.stranger : this.#keys.own)
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

/** Until nobody listens any more. */
function flood(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' })
  const more = (): void => {
    while (!response.destroyed && response.write(' '.repeat(64 * 1024)));
  }
  response.on('drain', more)
  more()
}

function formDecoded(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '))
}
