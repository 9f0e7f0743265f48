import Fastify, { type LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import { getExpectedTwilioSignature } from 'twilio/lib/webhooks/webhooks.js'
import { Scope } from '../../src/core/scope.ts'
import type { MediaStreamLimits } from '../../src/telephony/media-stream-route.ts'
import { InMemoryMediaTokens, type MediaClaims, type MediaTokens } from '../../src/telephony/media-tokens.ts'
import { registerTelephony, type Telephony } from '../../src/telephony/telephony.ts'
import { MediaStreamCaller, type CallerIds } from '../support/media-stream-caller.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { until } from '../support/until.ts'
import { ScriptedCallHandler } from './scripted-call-handler.ts'

export const AUTH_TOKEN = '12345678901234567890123456789012'
export const BASE = 'https://voice.example.test'
export const CALL = { CallSid: 'CA1', AccountSid: 'AC1', From: '+15550109999', To: '+15550100000' }
export const UPGRADE = { 'x-twilio-signature': getExpectedTwilioSignature(AUTH_TOKEN, 'wss://voice.example.test/twilio/media', {}) }
export const CLAIMS: MediaClaims = { companyId: 'company-1', callSid: 'CA1', accountSid: 'AC1', from: CALL.From, to: CALL.To, resumed: false }

export type Server = Readonly<{
  clock: VirtualClock
  handler: ScriptedCallHandler
  tokens: MediaTokens
  telephony: Telephony
  scope: Scope
  logged: string[]
  close: () => Promise<void>
  url: string
  /** A webhook as Twilio sends it; `headers` replace the signature. */
  post: (path: string, form: Readonly<Record<string, string>>, headers?: Readonly<Record<string, string>>) => Promise<LightMyRequestResponse>
  get: (path: string) => Promise<LightMyRequestResponse>
  /** A media socket as Twilio opens it. */
  dial: (ids?: Partial<CallerIds>, answersPings?: boolean) => Promise<MediaStreamCaller>
  /** A call with a valid token, live. */
  call: (claims?: Partial<MediaClaims>, streamSid?: string) => Promise<MediaStreamCaller>
}>

/** A server on loopback whose time stands still until a test moves it. */
export async function telephonyServer(t: Test, over: { limits?: Partial<MediaStreamLimits>; tokens?: (clock: VirtualClock) => MediaTokens } = {}): Promise<Server> {
  const clock = new VirtualClock()
  const handler = new ScriptedCallHandler()
  const tokens = over.tokens === undefined ? new InMemoryMediaTokens(clock) : over.tokens(clock)
  const scope = new Scope()
  const logged: string[] = []
  const log = (facts: object, message: string): void => void logged.push(`${message} ${JSON.stringify(facts)}`)
  const app = Fastify()
  const telephony = await registerTelephony(app, {
    clock,
    logger: { info: log, warn: log, error: log },
    handler,
    mediaTokens: tokens,
    publicBaseUrl: BASE,
    twilioAuthToken: AUTH_TOKEN,
    twilioAccountSid: 'AC1',
    scope,
    limits: over.limits ?? {},
  })
  const url = (await app.listen({ host: '127.0.0.1', port: 0 })).replace('http', 'ws')
  t.teardown(() => app.close())
  const dial: Server['dial'] = (ids = {}, answersPings = true) =>
    MediaStreamCaller.dial(`${url}/twilio/media`, { headers: UPGRADE, ids, answersPings })
  return {
    clock,
    handler,
    tokens,
    telephony,
    scope,
    logged,
    url,
    close: () => app.close(),
    dial,
    post: (path, form, headers = { 'x-twilio-signature': getExpectedTwilioSignature(AUTH_TOKEN, BASE + path, { ...form }) }) =>
      app.inject({
        method: 'POST',
        url: path,
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
        payload: new URLSearchParams(form).toString(),
      }),
    get: (path) => app.inject({ method: 'GET', url: path }),
    call: async (claims = {}, streamSid = 'MZ1') => {
      const whole = { ...CLAIMS, ...claims }
      const caller = await dial({ callSid: whole.callSid, accountSid: whole.accountSid, streamSid })
      const before = handler.calls.length
      caller.start(await tokens.issue(whole))
      await until(() => handler.calls.length > before)
      return caller
    },
  }
}

export const tokenIn = (twiml: string): string => /name="token" value="([\w-]+)"/.exec(twiml)?.[1] ?? 'no token'
