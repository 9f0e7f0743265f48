import { join } from 'node:path'
import t from 'tap'
import { SystemClock } from '../../src/core/clock.ts'
import { loadScript } from '../../src/load/call-script.ts'
import { fetchServerCall } from '../../src/load/turn-records.ts'
import { startServer } from '../../src/load/server-process.ts'
import { placeCall } from '../../src/load/simulated-caller.ts'
import { SocketTransport } from '../../src/load/socket-transport.ts'

const RECORDINGS = join(import.meta.dirname, '../../media/calls')
const clock = new SystemClock()
const never = new AbortController().signal

type Stats = Readonly<{ worker: number; pid: number; liveCalls: number }>

/** Asks on connections of their own until the processes that answered are as wanted. Starting one takes seconds, on a busy machine many. */
async function workersWhere(url: string, wanted: (workers: readonly Stats[]) => boolean): Promise<readonly Stats[]> {
  const found = new Map<number, Stats>()
  const since = clock.now()
  while (clock.now() - since < 60_000) {
    const response = await fetch(new URL('/internal/stats', url), { headers: { connection: 'close' } })
    const stats = (await response.json()) as Stats
    found.set(stats.worker, stats)
    if (wanted([...found.values()])) return [...found.values()]
    await clock.sleep(50)
  }
  throw new Error(`never so: ${JSON.stringify([...found.values()])}`)
}
async function pageWhenReady(url: URL): Promise<string> {
  const since = clock.now()
  let last = ''
  while (clock.now() - since < 60_000) {
    const response = await fetch(url, { headers: { connection: 'close' } })
    last = await response.text()
    if (response.ok) return last
    await clock.sleep(100)
  }
  throw new Error(`never answered with a page: ${last.slice(0, 200)}`)
}
const withCall = (workers: readonly Stats[]): Stats | undefined => workers.find((worker) => worker.liveCalls > 0)

t.setTimeout(180_000)

t.test('two worker processes on one port', { timeout: 180_000 }, async (t) => {
  const server = await startServer(clock, { environment: { WORKERS: '2', SHUTDOWN_GRACE_SECONDS: '30' } }, never)
  t.teardown(() => server.stop(never))
  const transport = new SocketTransport(clock, null)

  await t.test('one is killed in the middle of a call, and the caller goes on with the other', async (t) => {
    await workersWhere(server.url, (workers) => workers.length === 2)
    const script = await loadScript(RECORDINGS, 'long-pause')
    const dialledAt = clock.now()
    const calling = placeCall({ clock, transport, target: server.url, script }, never)
    const victim = withCall(await workersWhere(server.url, (workers) => withCall(workers) !== undefined)) as Stats
    process.kill(victim.pid, 'SIGKILL')
    const killedAt = clock.now()
    const evidence = await calling

    t.equal(evidence.verbs.filter((verb) => verb.verb === 'connect-stream').length, 2, 'the carrier brought the call back')
    t.not(evidence.end, 'failed')
    const records = await fetchServerCall(clock, server.url, evidence.callSid, never)
    // How much of it is heard is the caller's doing: on a slow machine the kill comes so late that they are speaking by then.
    const resumed = records?.turns.filter((turn) => turn.said.includes('cut off')) ?? []
    t.equal(resumed.length, 1, `said once that the call was cut off: ${JSON.stringify(records?.turns.map(({ said, delivered }) => ({ said, delivered })))}`)
    // The call's clock begins with its first stream, a few milliseconds after the webhook was answered.
    const killedMs = killedAt - dialledAt - evidence.answeredInMs
    const backMs = evidence.arrivals.find(({ atMs }) => atMs > killedMs + 100)?.atMs ?? Infinity
    t.ok(backMs - killedMs < 3000, `heard again ${Math.round(backMs - killedMs)} ms after the kill`)

    // The worker that takes the dead one's place is loading; until it answers, the page says so instead of leaving its numbers out.
    const metrics = await pageWhenReady(new URL('/metrics', server.url))
    t.match(metrics, /clientsvia_calls_total/, 'the numbers of all processes in one place')
  })

  await t.test('told to stop, they say so at once, let the call finish, and are gone', async (t) => {
    const script = await loadScript(RECORDINGS, 'faq-hours')
    const calling = placeCall({ clock, transport, target: server.url, script }, never)
    await workersWhere(server.url, (workers) => withCall(workers) !== undefined)
    process.kill(server.pid as number, 'SIGTERM')
    await clock.sleep(200)
    const ready = await fetch(new URL('/readyz', server.url), { headers: { connection: 'close' } })
    t.equal(ready.status, 503, 'a balancer sends new calls elsewhere')
    const refused = await transport.post(new URL('/twilio/voice', server.url).href, { CallSid: 'CA2', AccountSid: 'AC1', From: '+15550109999', To: '+15550100000' }, never)
    t.equal(refused.status, 503)
    const evidence = await calling
    t.equal(evidence.end, 'caller-hung-up')
    t.same(evidence.problems.filter((problem) => problem.includes('319')), [], 'its stream was not cut off')
    for (let tries = 0; tries < 300 && isRunning(server.pid as number); tries++) await clock.sleep(100)
    t.notOk(isRunning(server.pid as number), 'nothing is left running')
  })
})

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
