import { proofOf } from './device-key.js'

const BASE = '/api/v1'
/** For this tab only; without this browser's key it is of no use to anybody. */
const REFRESH = 'clientsvia-refresh'
/** A sign-in that is under way at the identity provider, until this tab comes back. */
const FLOW = 'clientsvia-oidc-flow'

export class ApiProblem extends Error {
  constructor(problem) {
    super(problem.detail ?? problem.title ?? 'the server did not answer as expected')
    this.status = problem.status
    this.code = problem.code
    this.errors = problem.errors ?? []
  }
}

/** The API as one person sees it. The access token lives in memory; it is renewed when it has run out, once for all who wait. */
export class Api {
  #access = null
  #renewing = null
  user = null
  /** Called when the session is over, with the reason. */
  onSignedOut = () => undefined

  async signIn(email, password) {
    const device = await this.#proof('login', email.toLowerCase())
    this.#take(await this.#send('POST', '/auth/login', { body: { email, password, device }, anonymous: true }))
  }

  /** The ways in that this server offers: `{ password, oidc }`. */
  methods() {
    return this.#send('GET', '/auth/methods', { anonymous: true })
  }

  /** Always answered alike, whether or not there is such an account. */
  forgot(email) {
    return this.#send('POST', '/auth/password/forgot', { body: { email }, anonymous: true })
  }

  /** `token` as the link has it; it is good for one password. */
  resetPassword(token, newPassword) {
    return this.#send('POST', '/auth/password/reset', { body: { token, newPassword }, anonymous: true })
  }

  /** Where to go to sign in at the identity provider; it sends this tab back here. */
  async beginOidc() {
    const { authorizationUrl, flow } = await this.#send('POST', '/auth/oidc/start', { body: {}, anonymous: true })
    sessionStorage.setItem(FLOW, flow)
    return authorizationUrl
  }

  /** `query` as the provider put it behind this page's address. */
  async finishOidc(query) {
    const flow = sessionStorage.getItem(FLOW)
    sessionStorage.removeItem(FLOW)
    const [code, state, iss] = ['code', 'state', 'iss'].map((name) => query.get(name))
    if (flow === null || code === null || state === null) throw new ApiProblem({ status: 401, detail: query.has('error') ? 'The identity provider did not let you in.' : 'This sign-in was not begun here.' })
    const device = await this.#proof('login', state)
    this.#take(await this.#send('POST', '/auth/oidc/login', { body: { flow, code, state, ...(iss === null ? {} : { iss }), device }, anonymous: true }))
  }

  /** True when this tab was signed in before it was loaded anew. */
  async resume() {
    if (sessionStorage.getItem(REFRESH) === null) return false
    try {
      await this.#renew()
      this.user = await this.get('/auth/me')
      return true
    } catch {
      sessionStorage.removeItem(REFRESH)
      return false
    }
  }

  async signOut() {
    await this.#send('POST', '/auth/logout', { body: {} }).catch(() => undefined)
    this.#end('You are signed out.')
  }

  get(path) {
    return this.#call('GET', path, {}).then(jsonOf)
  }

  post(path, body = {}) {
    return this.#call('POST', path, { body }).then(jsonOf)
  }

  delete(path) {
    return this.#call('DELETE', path, {}).then(jsonOf)
  }

  /** The thing with the mark of its version, for a change that loses nobody's edit. */
  async read(path) {
    const response = await this.#call('GET', path, {})
    return { value: await response.json(), etag: response.headers.get('etag') }
  }

  async patch(path, body, etag) {
    const response = await this.#call('PATCH', path, { body, headers: { 'if-match': etag } })
    return { value: await response.json(), etag: response.headers.get('etag') }
  }

  blob(path) {
    return this.#call('GET', path, {}).then((response) => response.blob())
  }

  /** A reply that goes on for as long as somebody listens. */
  async stream(path, headers, signal) {
    const response = await this.#call('GET', path, { headers, signal })
    return response.body.pipeThrough(new TextDecoderStream())
  }

  async #call(method, path, options) {
    if (this.#access === null) await this.#renew()
    let response = await this.#send(method, path, options)
    if (response.status === 401) {
      await this.#renew()
      response = await this.#send(method, path, options)
    }
    if (response.ok) return response
    const problem = new ApiProblem(await response.json().catch(() => ({ status: response.status })))
    if (response.status === 401) this.#end(problem.message)
    throw problem
  }

  async #send(method, path, { body, headers = {}, signal, anonymous = false }) {
    const response = await fetch(`${BASE}${path}`, {
      method,
      headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...(anonymous || this.#access === null ? {} : { authorization: `Bearer ${this.#access}` }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
      credentials: 'omit',
    })
    if (!anonymous) return response
    const answer = await response.json().catch(() => ({ status: response.status }))
    if (!response.ok) throw new ApiProblem(answer)
    return answer
  }

  async #proof(purpose, subject) {
    const { challenge } = await this.#send('POST', '/auth/devices/challenge', { body: {}, anonymous: true })
    return proofOf(purpose, subject, challenge)
  }

  #renew() {
    this.#renewing ??= this.#renewOnce().finally(() => {
      this.#renewing = null
    })
    return this.#renewing
  }

  async #renewOnce() {
    const refreshToken = sessionStorage.getItem(REFRESH)
    if (refreshToken === null) throw new ApiProblem({ status: 401, detail: 'please sign in' })
    try {
      const device = await this.#proof('refresh', refreshToken)
      this.#take(await this.#send('POST', '/auth/refresh', { body: { refreshToken, device }, anonymous: true }))
    } catch (error) {
      if (error.status === 401 || error.status === 403) this.#end(error.message)
      throw error
    }
  }

  #take(reply) {
    this.#access = reply.accessToken
    this.user = reply.user ?? this.user
    sessionStorage.setItem(REFRESH, reply.refreshToken)
  }

  #end(why) {
    this.#access = null
    this.user = null
    sessionStorage.removeItem(REFRESH)
    this.onSignedOut(why)
  }
}

async function jsonOf(response) {
  const text = await response.text()
  return text === '' ? null : JSON.parse(text)
}
