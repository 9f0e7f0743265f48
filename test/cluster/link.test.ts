import t, { type Test } from 'tap'
import { CallLedger } from '../../src/call/call-directory.ts'
import { WorkerLink, type LinkChannel, type LinkMessage } from '../../src/cluster/link.ts'
import { PrimaryLink } from '../../src/cluster/primary-link.ts'
import { takeSeat } from '../../src/cluster/seat.ts'
import { SharedCallDirectory, SharedMediaTokens } from '../../src/cluster/shared-calls.ts'
import { workerPlace } from '../../src/cluster/worker-place.ts'
import type { Clock } from '../../src/core/clock.ts'
import { EventBus, type CompanyEvent } from '../../src/observability/event-bus.ts'
import { InMemoryMediaTokens } from '../../src/telephony/media-tokens.ts'
import { callDirectoryContract } from '../call/call-directory-contract.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { mediaTokensContract } from '../telephony/media-tokens-contract.ts'

const { signal } = new AbortController()

/** Both ends of a channel between processes: in order, never in the same tick, and only what survives being copied. */
function channelPair(): Readonly<{ worker: LinkChannel; primary: LinkChannel; cut: () => void }> {
  const listeners = { worker: [] as ((message: LinkMessage) => void)[], primary: [] as ((message: LinkMessage) => void)[] }
  let isCut = false
  const end = (mine: 'worker' | 'primary', theirs: 'worker' | 'primary'): LinkChannel => ({
    send: (message) => {
      const copy = structuredClone(message)
      queueMicrotask(() => {
        if (!isCut) for (const listener of listeners[theirs]) listener(copy)
      })
    },
    onMessage: (listener) => void listeners[mine].push(listener),
  })
  return { worker: end('worker', 'primary'), primary: end('primary', 'worker'), cut: () => (isCut = true) }
}

function cluster(clock: Clock, workers: number) {
  const ledger = new CallLedger({ maxCalls: 3 })
  const readyWorkers: string[] = []
  const primary = new PrimaryLink({ ledger, tokens: new InMemoryMediaTokens(clock), metrics: async () => 'all of them', ready: (name) => readyWorkers.push(name) })
  const channels = Array.from({ length: workers }, () => channelPair())
  const links = channels.map((channel, place) => {
    primary.join(String(place), channel.primary)
    return new WorkerLink(channel.worker, clock)
  })
  return { primary, ledger, links, channels, readyWorkers }
}

const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

callDirectoryContract(t, 'over two worker processes', async () => {
  const { links } = cluster(new VirtualClock(), 2)
  const [one, other] = links.map((link) => new SharedCallDirectory(link)) as [SharedCallDirectory, SharedCallDirectory]
  return { one, other, settle }
})

mediaTokensContract(t, 'over the primary process', (clock) => new SharedMediaTokens(cluster(clock, 1).links[0] as WorkerLink))

t.test('a call whose stream reaches a second process falls silent in the first', async (t) => {
  const { links } = cluster(new VirtualClock(), 2)
  const [one, other] = links.map((link) => new SharedCallDirectory(link)) as [SharedCallDirectory, SharedCallDirectory]
  const ended: string[] = []
  one.onEnd((_companyId, callSid) => ended.push(`one ${callSid}`))
  other.onEnd((_companyId, callSid) => ended.push(`other ${callSid}`))
  await one.begin('polar', 'CA1', '2026-03-02T15:00:00Z', signal)
  await other.begin('polar', 'CA1', '2026-03-02T15:00:05Z', signal)
  await settle()
  t.same(ended, ['one CA1'], 'exactly one voice')
  await one.finish('polar', 'CA1')
  t.same(await one.live('polar', signal), [{ callSid: 'CA1', startedAt: '2026-03-02T15:00:05Z' }], 'the first one leaving changes nothing')
})

t.test('a token that one process issued is redeemed by another', async (t) => {
  const { links } = cluster(new VirtualClock(), 2)
  const claims = { companyId: 'c1', callSid: 'CA1', accountSid: 'AC1', from: '+15550109999', to: '+15550100000', resumed: false }
  const token = await new SharedMediaTokens(links[0] as WorkerLink).issue(claims)
  t.same(await new SharedMediaTokens(links[1] as WorkerLink).consume(token), claims)
})

t.test('a process that dies gives its places back and its calls stay known', async (t) => {
  const { primary, links } = cluster(new VirtualClock(), 2)
  const [one, other] = links.map((link) => new SharedCallDirectory(link)) as [SharedCallDirectory, SharedCallDirectory]
  await one.begin('polar', 'CA1', '2026-03-02T15:00:00Z', signal)
  primary.leave('0')
  t.same(await other.live('polar', signal), [])
  t.equal(await other.companyOf('CA1', signal), 'polar')
  t.equal(await other.continuation('polar', 'CA1', signal), null, 'so the carrier brings it back to the agent')
})

t.test('a primary that is silent is no reason to wait, and what it cannot do is said in its words', async (t) => {
  const clock = new VirtualClock()
  const { links, channels } = cluster(clock, 1)
  const [link] = links as [WorkerLink]
  const tokens = new SharedMediaTokens(link)
  const claims = { companyId: 'c1', callSid: 'CA1', accountSid: 'AC1', from: '', to: '+15550100000', resumed: false }
  const outstanding = new InMemoryMediaTokens(clock, 0)
  const full = new PrimaryLink({ ledger: new CallLedger({ maxCalls: 1 }), tokens: outstanding, metrics: async () => '', ready: () => undefined })
  const pair = channelPair()
  full.join('0', pair.primary)
  await t.rejects(new SharedMediaTokens(new WorkerLink(pair.worker, clock)).issue(claims), { code: 'OVERLOADED', message: 'too many media tokens are outstanding' })
  channels[0]?.cut()
  const asked = tokens.issue(claims)
  const rejected = t.rejects(asked, { code: 'DEADLINE_PASSED' })
  await clock.advance(2500)
  await rejected
  await t.rejects(tokens.consume('x', AbortSignal.abort(new Error('hung up'))), { message: 'hung up' })
})

t.test('everybody who watches sees the calls of all processes, numbered alike', async (t) => {
  const clock = new VirtualClock()
  const { links } = cluster(clock, 2)
  const seen: CompanyEvent[][] = [[], []]
  const stop = new AbortController()
  const seats = links.map((link, place) => {
    const events = new EventBus()
    const seat = takeSeat({ place, of: 2, link }, { clock, events, maxCalls: 3 })
    void (async () => {
      for await (const event of events.subscribe('polar', null, stop.signal)) seen[place]?.push(event)
    })()
    return seat
  })
  await settle()
  for (const [place, seat] of seats.entries()) seat.publish('polar', { kind: 'call.started', at: '2026-03-02T15:00:00Z', callSid: `CA${place}`, data: {} })
  await settle()
  t.same(seen[0]?.map((event) => [event.id, event.callSid]), [[1, 'CA0'], [2, 'CA1']])
  t.same(seen[1], seen[0])
  stop.abort()
  const heard: string[] = []
  seats[0]?.onSavedElsewhere((companyId) => heard.push(`0 ${companyId}`))
  seats[1]?.onSavedElsewhere((companyId) => heard.push(`1 ${companyId}`))
  seats[0]?.saved('polar')
  await settle()
  t.same(heard, ['1 polar'], 'the process that saved knows already')
  t.equal(await seats[1]?.metricsOfAll?.(), 'all of them')
  t.same(seats.map((seat) => seat.isFirst), [true, false])
})

t.test('a process knows its place from its environment', async (t: Test) => {
  t.same(workerPlace({ CLIENTSVIA_WORKER: '1/4' }), { place: 1, of: 4 })
  t.equal(workerPlace({}), null)
  t.equal(workerPlace({ CLIENTSVIA_WORKER: 'x' }), null)
})
