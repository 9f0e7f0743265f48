import type { Test } from 'tap'
import type { Clock } from '../../src/core/clock.ts'
import type { MediaClaims, MediaTokens } from '../../src/telephony/media-tokens.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

const CLAIMS: MediaClaims = { companyId: 'c1', callSid: 'CA1', accountSid: 'AC1', from: '+15550109999', to: '+15550100000', resumed: true }

/** What every store of media tokens promises. */
export function mediaTokensContract(t: Pick<Test, 'test'>, name: string, make: (clock: Clock) => MediaTokens): void {
  void t.test(`media tokens ${name}: one use, one minute, nobody else's`, async (t) => {
    const clock = new VirtualClock()
    const tokens = make(clock)
    const token = await tokens.issue(CLAIMS)
    // Twilio takes 500 characters for a parameter's name and value.
    t.match(token, /^[\w.-]{43,490}$/)
    t.not(await tokens.issue(CLAIMS), token, 'the same call asks twice and gets two')
    t.same(await tokens.consume(token), CLAIMS)
    t.equal(await tokens.consume(token), null, 'used')
    for (const wrong of ['', 'x', `${token} `, token.toLowerCase()]) t.equal(await tokens.consume(wrong), null)
    const late = await tokens.issue(CLAIMS)
    await clock.advance(59_000)
    const fresh = await tokens.issue(CLAIMS)
    await clock.advance(2000)
    t.equal(await tokens.consume(late), null, 'expired')
    t.same(await tokens.consume(fresh), CLAIMS)
    await t.rejects(tokens.consume('x', AbortSignal.abort(new Error('hung up'))), { message: 'hung up' })
  })

  void t.test(`media tokens ${name}: of fifty sockets that race with one token exactly one wins`, async (t) => {
    const tokens = make(new VirtualClock())
    const token = await tokens.issue(CLAIMS)
    const won = await Promise.all(Array.from({ length: 50 }, () => tokens.consume(token)))
    t.equal(won.filter((claims) => claims !== null).length, 1)
  })
}
