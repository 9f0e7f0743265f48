import { Writable } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import t from 'tap'
import { callLogger, createLogger } from '../../src/observability/logger.ts'
import { createMetrics } from '../../src/observability/metrics.ts'
import { renderTurn, type TracedTurn } from '../../src/observability/turn-trace.ts'
import { turn } from '../storage/fixtures.ts'

function sink(): { lines: () => Record<string, unknown>[]; raw: () => string; stream: Writable } {
  let written = ''
  const stream = new Writable({
    write(chunk, _encoding, done) {
      written += String(chunk)
      done()
    },
  })
  return {
    stream,
    raw: () => written,
    lines: () =>
      written
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
  }
}

t.test('a log line is one line of JSON that says when, where and about which call', async (t) => {
  const out = sink()
  const log = callLogger(createLogger({ level: 'info', speech: false, version: '1.2.3', destination: out.stream }), { companyId: 'polar-bay', callSid: 'CA1' })
  log.info({ turn: 3, totalMs: 412, note: 'two\r\nlines' }, 'turn finished')
  log.debug('not at this level')
  t.equal(out.lines().length, 1)
  t.match(out.lines()[0], {
    level: 'info',
    msg: 'turn finished',
    service: 'clientsvia',
    version: '1.2.3',
    companyId: 'polar-bay',
    callId: 'CA1',
    turn: 3,
    totalMs: 412,
    time: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/,
  })
})

t.test('no secret, no word of a caller and no telephone number gets into the log', async (t) => {
  const out = sink()
  const log = createLogger({ level: 'trace', speech: false, version: '1', destination: out.stream })
  const canaries = ['5550100042', 'hunter2', 'my account is', 'eyJhbGci', '4111']
  log.info({ from: '+15550100042', deep: { call: [{ to: '+15550100042' }] } }, 'call from +15550100042')
  log.child({ caller: '+15550100042', password: 'hunter2' }).info({ request: { headers: { authorization: 'Bearer eyJhbGci.x' } } }, 'request')
  log.info({ turns: [{ heard: 'my account is 4111', Said: 'my account is' }], dtmf: { digits: '4111' } }, 'turn')
  log.error({ err: Object.assign(new Error('no route to +15550100042 with Bearer eyJhbGci.x'), { auth_token: 'hunter2' }) }, 'failed')
  log.warn(new Error('dialled %2B15550100042'))
  log.info({ url: '/media?From=%2B15550100042' }, 'request')
  for (const canary of canaries) t.notOk(out.raw().includes(canary), canary)
  t.match(out.lines()[0], { from: '+1********42' })
  t.match(out.lines()[3], { err: { type: 'Error', stack: /observability\.test/ } })
  t.match(out.lines()[4], { err: { message: /dialled/ } })
})

t.test('words are logged only where the server was told to', async (t) => {
  const out = sink()
  createLogger({ level: 'info', speech: true, version: '1', destination: out.stream }).info({ heard: 'when are you open' }, 'turn')
  t.match(out.lines()[0], { heard: 'when are you open' })
})

t.test('metrics count calls and turns, and name neither callers nor companies', async (t) => {
  const metrics = createMetrics({ process: true })
  metrics.watchTranscriptionQueue(() => 7)
  metrics.callStarted()
  metrics.callStarted()
  metrics.turnFinished(turn(1, { gapMs: 1500, patienceMs: 200, budgetExceededByMs: 300, stalled: true, work: [{ stage: 'response', ms: 400, outcome: 'cut-off' }] }))
  metrics.turnFinished(turn(2, { gapMs: null, interruption: null, stages: [] }))
  metrics.callEnded('caller-hung-up', 42, 3)
  const text = await metrics.text()
  for (const line of [
    'clientsvia_calls_active 1',
    'clientsvia_calls_total{outcome="caller-hung-up"} 1',
    'clientsvia_frames_lost_total 3',
    'clientsvia_budget_exceeded_total 1',
    'clientsvia_turn_stalls_total 1',
    'clientsvia_interruptions_total 1',
    'clientsvia_stt_queue_depth 7',
    'clientsvia_stages_cut_off_total{stage="response",outcome="cut-off"} 1',
    'clientsvia_turn_latency_seconds_sum{stage="endpoint"} 0.24',
    'clientsvia_turn_gap_seconds_sum 1.3',
    'clientsvia_turn_gap_seconds_count 1',
    'clientsvia_answers_total{source="fixed-answer"} 2',
    'clientsvia_speculations_total{result="wasted"} 2',
  ]) {
    t.ok(text.split('\n').includes(line), line)
  }
  t.match(text, /clientsvia_nodejs_eventloop_lag_p99_seconds/)
  const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1])
  t.same(names.filter((name) => !name?.startsWith('clientsvia_')), [])
  t.notMatch(text, /callSid|companyId|\+1555/)
})

const traced: TracedTurn = turn(4, {
  gapMs: 800,
  stages: [
    { stage: 'endpoint', ms: 240 },
    { stage: 'response', ms: 400 },
    { stage: 'synthesis', ms: 160 },
  ],
  work: [{ stage: 'response', ms: 400, outcome: 'cut-off' }],
})

t.test('a turn is drawn to scale, stage after stage, against its budget', async (t) => {
  const lines = renderTurn(traced, { colours: false, targetMs: 600, hardMs: 1000 }).split('\n')
  t.match(lines[0], /^turn 4 {2}fixed-answer$/)
  t.equal(lines[1], '  caller  when are you open')
  t.equal(lines[2], '  agent   From eight [to five.]  (interrupted)')
  const bars = lines.slice(3, 6).map((line) => ({ start: line.indexOf('█'), length: [...line].filter((one) => one === '█').length }))
  t.same(bars.map((bar) => bar.length), [12, 19, 7], '48 columns are 1000 ms')
  t.same(bars.map((bar) => bar.start - (bars[0]?.start ?? 0)), [0, 12, 31], 'each begins where the one before it ends')
  t.match(lines[4], /response +400 ms .*cut-off$/)
  const ruler = lines[6] ?? ''
  t.equal(ruler.indexOf('┃') - ruler.indexOf('┆'), 48 - 29)
  t.match(lines[7], /gap +800 ms +within the limit of 1000 ms$/)
})

t.test('colours add nothing but colours, and the verdict is the budget\'s', async (t) => {
  const style = { targetMs: 600, hardMs: 1000 }
  const coloured = renderTurn(traced, { ...style, colours: true })
  t.ok(coloured.includes('\u001b['))
  t.equal(stripVTControlCharacters(coloured), renderTurn(traced, { ...style, colours: false }))
  const verdict = (changes: Partial<TracedTurn>): string => renderTurn({ ...traced, ...changes }, { ...style, colours: false }).split('\n').at(-1) ?? ''
  t.match(verdict({ gapMs: 590 }), /within the target of 600 ms$/)
  t.match(verdict({ gapMs: 1300, patienceMs: 750 }), /within the target of 600 ms, 750 ms of patience not counted$/)
  t.match(verdict({ gapMs: 1300, budgetExceededByMs: 300, stalled: true }), /over budget by 300 ms, a stall phrase spoke first$/)
  t.match(verdict({ gapMs: null }), /nothing became audible/)
})
