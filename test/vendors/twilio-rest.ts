import type { ServerResponse } from 'node:http'
import { ACCOUNT } from './twilio-account.ts'
import { VendorServer, clock, faultyPieces, noise, type Fault, type VendorRequest } from './faults.ts'

/** Twilio's public REST protocol as far as it is used here: messages and calls, under basic authentication. */
export { ACCOUNT }

export type SentMessage = Readonly<{ sid: string; to: string; from: string; body: string; statusCallback: string | null }>
type Call = { status: string; twiml: string | null }

export class TwilioStandIn {
  readonly vendor: VendorServer
  /** What it has taken, whether or not it could say so. */
  readonly messages: SentMessage[]
  /** Calls it knows of; `begin` adds one. */
  readonly calls: Map<string, Call>
  /** What a slow one adds. */
  slowMs = 300
  /** Numbers it holds a STOP of. */
  readonly optedOut: Set<string>
  readonly #throttle: { left: number; seconds: number }

  private constructor(vendor: VendorServer, state: State) {
    this.vendor = vendor
    this.messages = state.messages
    this.calls = state.calls
    this.optedOut = state.optedOut
    this.#throttle = state.throttle
  }

  static async start(): Promise<TwilioStandIn> {
    const state: State = { messages: [], calls: new Map(), optedOut: new Set(), throttle: { left: 0, seconds: 0 }, loseAnswers: { on: false } }
    let fault: () => Fault | null = () => null
    let slowMs: () => number = () => 0
    const vendor = await VendorServer.start({
      http: (request, response, signal) => answer(state, request, response, fault, slowMs(), signal),
      errorBody: (status) => ({ code: status === 401 ? 20003 : status === 429 ? 20429 : 20500, message: `stand-in says ${status}`, status }),
    })
    fault = () => vendor.fault
    const standIn = new TwilioStandIn(vendor, state)
    standIn.#lose = state.loseAnswers
    slowMs = () => standIn.slowMs
    return standIn
  }

  #lose: { on: boolean } = { on: false }

  get url(): string {
    return this.vendor.url
  }

  begin(callSid: string): void {
    this.calls.set(callSid, { status: 'in-progress', twiml: null })
  }

  /** The next `times` requests get 429 with Retry-After. */
  throttle(times: number, seconds: number): void {
    Object.assign(this.#throttle, { left: times, seconds })
  }

  /** Takes what comes, then breaks the connection instead of answering. */
  loseAnswers(on: boolean): void {
    this.#lose.on = on
  }

  stop(): Promise<void> {
    return this.vendor.stop()
  }
}

type State = Readonly<{
  messages: SentMessage[]
  calls: Map<string, Call>
  optedOut: Set<string>
  throttle: { left: number; seconds: number }
  loseAnswers: { on: boolean }
}>

async function answer(state: State, request: VendorRequest, response: ServerResponse, faultNow: () => Fault | null, slowMs: number, signal: AbortSignal): Promise<void> {
  const fault = faultNow()
  const reply = (status: number, body: object, headers: Record<string, string> = {}): void => {
    if (state.loseAnswers.on) return void response.socket?.resetAndDestroy()
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    if (fault === 'stall' || fault === 'dribble') return void inPieces(JSON.stringify(body))
    response.end(fault === 'garbage' ? noise(200) : JSON.stringify(body))
  }
  /** What was asked for is done, and the answer never comes whole. */
  const inPieces = async (text: string): Promise<void> => {
    try {
      for await (const piece of faultyPieces([text.slice(0, 1), text.slice(1)], { firstAfterMs: 0, eachAfterMs: 0 }, faultNow, () => '', signal)) response.write(piece)
      response.end()
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }
  const problem = (status: number, code: number, message: string): void => reply(status, { code, message, status, more_info: `https://www.twilio.com/docs/errors/${code}` })

  if (fault === 'slow') await clock.sleep(slowMs)
  if (signal.aborted) return
  if (state.throttle.left > 0) {
    state.throttle.left -= 1
    return reply(429, { code: 20429, message: 'Too Many Requests', status: 429 }, { 'retry-after': String(state.throttle.seconds) })
  }
  const expected = `Basic ${Buffer.from(`${ACCOUNT.accountSid}:${ACCOUNT.authToken}`).toString('base64')}`
  if (request.headers.authorization !== expected) return problem(401, 20003, 'Authenticate')
  const path = new RegExp(`^/2010-04-01/Accounts/${ACCOUNT.accountSid}/(Messages|Calls)(?:/(CA\\w+))?\\.json$`).exec(request.path)
  if (path === null || request.method !== 'POST') return problem(404, 20404, 'The requested resource was not found')
  const [, collection, callSid = ''] = path
  const form = new URLSearchParams(request.body.toString('utf8'))
  if (collection === 'Messages') return takeMessage()
  const call = state.calls.get(callSid)
  if (call === undefined) return problem(404, 20404, `The requested resource /Calls/${callSid}.json was not found`)
  if (call.status !== 'in-progress') return problem(400, 21220, 'Call is not in-progress. Cannot redirect.')
  const twiml = form.get('Twiml')
  if (twiml !== null) call.twiml = twiml
  if (form.get('Status') === 'completed') call.status = 'completed'
  return reply(200, { sid: callSid, status: call.status })

  function takeMessage(): void {
    const [to, from, body] = [form.get('To') ?? '', form.get('From') ?? '', form.get('Body') ?? '']
    if (!/^\+[1-9]\d{6,14}$/.test(to)) return problem(400, 21211, `Invalid 'To' Phone Number: ${to}`)
    if (body === '') return problem(400, 21602, 'Message body is required.')
    if (state.optedOut.has(to)) return problem(400, 21610, 'Attempt to send to unsubscribed recipient')
    const sid = `SM${String(state.messages.length + 1).padStart(32, '0')}`
    state.messages.push({ sid, to, from, body, statusCallback: form.get('StatusCallback') })
    return reply(201, { sid, status: 'queued', to, from, body, num_segments: '1' })
  }
}
