import { join } from 'node:path'
import t from 'tap'
import { judgeCall } from '../../src/load/call-judgement.ts'
import { measureCall } from '../../src/load/call-measures.ts'
import { CallRecording } from '../../src/load/call-recording.ts'
import { listScripts, loadScript, parseCallScript } from '../../src/load/call-script.ts'
import { callerSpans, voicedSpans } from '../../src/load/ears.ts'
import { percentiles, reportTable, summarise } from '../../src/load/report.ts'
import { reportPage } from '../../src/load/report-page.ts'
import { ScriptRunner } from '../../src/load/script-runner.ts'
import type { CallEvidence, StepEvidence } from '../../src/load/simulated-caller.ts'
import { lineNoise, toPcm } from '../../src/load/telephone-line.ts'
import { transcriptOf } from '../../src/load/transcript.ts'
import { readTwiml } from '../../src/load/twiml.ts'
import type { ServerCall } from '../../src/load/turn-records.ts'

const CALLS = join(import.meta.dirname, '../../media/calls')
const NOTHING = { name: 'a', description: 'Nothing happens here', to: '+15550100000' }

t.test('every script of the repository is valid and has its recordings, and there are enough of them', async (t) => {
  const names = await listScripts(CALLS)
  t.ok(names.length >= 12)
  for (const name of names) {
    const { script, clips } = await loadScript(CALLS, name)
    t.equal(script.name, name, 'a script is named like its file')
    for (const step of script.steps) {
      if (step.do === 'say') t.ok((clips.get(step.wav)?.spans.length ?? 0) > 0, `${step.wav} has a voice in it`)
    }
  }
})

t.test('the pause in the middle of a sentence is heard as a pause', async (t) => {
  const { clips } = await loadScript(CALLS, 'long-pause')
  const spans = clips.get('long-pause.wav')?.spans ?? []
  const pauses = spans.slice(1).map((span, index) => span.startMs - (spans[index]?.endMs ?? 0))
  t.ok(Math.max(...pauses) > 800 && Math.max(...pauses) < 1200, `pauses of ${pauses.join(', ')} ms`)
})

t.test('a script that is wrong is refused with the name of every wrong field', async (t) => {
  const step = { do: 'say', wav: 'a.wav', text: 'hello', voice: 'alan', when: { after: 'agent-finished' } }
  const cases: [unknown, RegExp][] = [
    [{ ...NOTHING, steps: [] }, /steps: /],
    [{ ...NOTHING, to: '555', steps: [step] }, /to: a number in E.164/],
    [{ ...NOTHING, steps: [{ ...step, wav: '../a.wav' }] }, /steps\.0\.wav: a file name/],
    [{ ...NOTHING, steps: [{ ...step, when: { after: 'lunch' } }] }, /steps\.0\.when\.after: /],
    [{ ...NOTHING, steps: [{ ...step, expect: { says: ['('] } }] }, /steps\.0\.expect\.says\.0: not a regular expression/],
    [{ ...NOTHING, steps: [step], colour: 'red' }, /\(root\): .*colour/],
    [{ ...NOTHING, steps: [{ ...step, gainDb: 90 }], name: 'Not A Name' }, /name: .*; steps\.0\.gainDb: /],
  ]
  for (const [value, expected] of cases) t.throws(() => parseCallScript(value, 'x.json'), { code: 'INVALID_INPUT', message: expected })
})

t.test('ears find the voice in a noisy clip within 20 ms of where it is', async (t) => {
  for (const snrDb of [15, 25, 40]) {
    const samples = toPcm(lineNoise(16_000, -22 - snrDb, 1))
    for (let i = 4000; i < 9600; i += 1) samples[i] = (samples[i] as number) + Math.round(3700 * Math.sin((2 * Math.PI * 500 * i) / 8000))
    const spans = callerSpans(samples)
    t.equal(spans.length, 1, `one stretch at ${snrDb} dB`)
    t.ok(Math.abs((spans[0]?.startMs ?? 0) - 500) <= 20 && Math.abs((spans[0]?.endMs ?? 0) - 1200) <= 20, JSON.stringify(spans))
  }
})

t.test('ears join a word over its closures and keep sentences apart', async (t) => {
  const samples = new Int16Array(8000)
  for (const [fromMs, toMs] of [[100, 200], [260, 400], [700, 900]] as const) {
    for (let i = fromMs * 8; i < toMs * 8; i += 1) samples[i] = i % 2 === 0 ? 3000 : -3000
  }
  t.same(voicedSpans(samples, -48, 100), [{ startMs: 100, endMs: 400 }, { startMs: 700, endMs: 900 }])
  t.same(voicedSpans(samples, -48, 400), [{ startMs: 100, endMs: 900 }])
})

t.test('gaps, silences, cut-ins and back-channels are told apart on one recording', async (t) => {
  const replied = measured([[200, 1000], [2600, 3200], [4800, 5000]], [{ startMs: 1500, endMs: 2200 }])
  t.equal(replied.steps[0]?.gapMs, 400)
  t.equal(replied.steps[0]?.longestSilenceMs, 1600)
  t.equal(replied.greetingMs, 200)
  const cutIn = measured([[200, 1000], [1900, 3000]], [{ startMs: 1500, endMs: 2200 }])
  t.equal(cutIn.steps[0]?.cutIns, 1)
  t.equal(cutIn.steps[0]?.gapMs, -300)
  const barged = measured([[200, 1800], [2900, 3600]], [{ startMs: 1500, endMs: 2200 }])
  t.equal(barged.steps[0]?.silentAfterMs, 300)
  t.equal(barged.steps[0]?.gapMs, 700)
  t.equal(barged.steps[0]?.cutIns, 0)
  const backChannel = measured([[200, 1700], [2000, 4000]], [{ startMs: 1500, endMs: 1900 }])
  t.equal(backChannel.steps[0]?.resumedAfterMs, 300)
  t.equal(backChannel.steps[0]?.agentSpeechMs, 2000)
  const neverStopped = measured([[200, 4000]], [{ startMs: 1500, endMs: 1900 }])
  t.equal(neverStopped.steps[0]?.resumedAfterMs, 0)
  const silent = measured([[200, 1000]], [{ startMs: 1500, endMs: 2200 }])
  t.equal(silent.steps[0]?.gapMs, null)
})

t.test('a late, wrong or missing answer is a failure that says what was expected', async (t) => {
  const spoken = evidence([[200, 1000], [3600, 4200]], [{ startMs: 1500, endMs: 2200 }], { says: ['monday'], source: ['template'] })
  const late = judgeCall(spoken, measureCall(spoken), records('We close at five.', ['unknown']))
  t.same(late.failures.map((failure) => failure.kind), ['answer', 'silence', 'words', 'words'])
  t.match(late.failures[0]?.what, /after 1400 ms, at most 1200 ms/)
  t.match(late.failures[2]?.what, /expected \/monday\/i, heard "We close at five\."/)
  const blind = judgeCall(spoken, measureCall(spoken), null)
  t.equal(blind.unjudged, 2)
  const good = evidence([[200, 1000], [2600, 3200]], [{ startMs: 1500, endMs: 2200 }], { says: ['monday'] })
  t.same(judgeCall(good, measureCall(good), records('Monday to Friday.', ['template'])).failures, [])
  const chatty = evidence([[200, 1000], [1600, 2300]], [{ startMs: 1500, endMs: 2200 }], { agent: 'stays-silent' })
  t.match(judgeCall(chatty, measureCall(chatty), null).failures, [{ kind: 'answer', what: /the agent spoke for 700 ms, silence was expected/ }])
  const mute = evidence([], [{ startMs: 1500, endMs: 2200 }], {})
  t.same(judgeCall(mute, measureCall(mute), null).failures.map((failure) => failure.what), ['the agent never spoke', 'the agent did not answer'])
  const refused = { ...mute, verbs: [{ verb: 'say' as const, text: 'All our lines are busy.' }, { verb: 'hang-up' as const }] }
  t.equal(judgeCall(refused, measureCall(refused), null).failures[0]?.what, 'the call was not taken: "All our lines are busy."')
})

t.test('percentiles are nearest-rank, and a report adds up what the calls say', async (t) => {
  t.same(percentiles([]), null)
  t.same(percentiles([30, 10, 20, 40]), { count: 4, p50: 20, p95: 40, p99: 40, max: 40 })
  t.same(percentiles(Array.from({ length: 100 }, (_, i) => i + 1)), { count: 100, p50: 50, p95: 95, p99: 99, max: 100 })
  const good = evidence([[200, 1000], [2600, 3200]], [{ startMs: 1500, endMs: 2200 }], { says: ['monday'] })
  const barge = evidence([[200, 2500], [3600, 4000]], [{ startMs: 1500, endMs: 3000 }], { agent: 'stops' })
  const calls = [
    judgeCall(good, measureCall(good), records('Monday.', ['template'])),
    judgeCall(barge, measureCall(barge), records('', [])),
  ]
  const report = summarise({ startedAt: '2026-03-02T15:00:00Z', target: 'http://127.0.0.1:1', concurrency: 2, calls })
  t.match(report, { calls: 2, failedCalls: 1, turns: 2, answeredTurns: 2, silences: 0, unjudgedWords: 0 })
  t.same(report.heard.gap, { count: 2, p50: 400, p95: 600, p99: 600, max: 600 })
  t.match(report.interruptions, { expected: 1, missed: 1, cutIns: 0, timeToSilence: { p50: 1000 } })
  t.same(report.stages, [
    { stage: 'endpoint', percentiles: { count: 2, p50: 300, p95: 300, p99: 300, max: 300 } },
    { stage: 'template', percentiles: { count: 2, p50: 5, p95: 5, p99: 5, max: 5 } },
  ])
  t.match(reportTable(report), /FAIL test\s+1\/2/)
  const page = reportPage({ ...report, target: '<script>' })
  t.match(page, /<svg/)
  t.notMatch(page, /<script>|https?:\/\/(?!127)/)
})

t.test('a caller waits for the agent to finish, speaks over it, or keeps silent, as the script says', async (t) => {
  const step = (when: object) => ({ do: 'say', wav: 'a.wav', text: 'x', voice: 'alan', when })
  const script = parseCallScript({ ...NOTHING, steps: [step({ after: 'agent-finished', quietMs: 500 }), step({ after: 'agent-speaks', forMs: 300 }), step({ after: 'silence', forMs: 2000 })] }, 'x.json')
  const runner = new ScriptRunner(script)
  const begun: number[] = []
  // The agent is heard from 0.2 to 1 s and from 2.5 to 4 s; every step takes 0.5 s.
  for (let nowMs = 0; nowMs < 10_000; nowMs += 20) {
    const inFirst = nowMs >= 200
    const inSecond = nowMs >= 2500
    const ear = {
      agentOnsetMs: inSecond ? 2500 : inFirst ? 200 : null,
      agentLastAudibleMs: inSecond ? Math.min(nowMs, 4000) : inFirst ? Math.min(nowMs, 1000) : null,
      playoutEmpty: true,
    }
    const act = runner.tick(nowMs, ear, () => 500)
    if (act?.kind === 'step') begun.push(nowMs)
  }
  t.same(begun, [1500, 2800, 6000])
})

t.test('TwiML is read as strictly as the carrier reads it', async (t) => {
  const base = 'https://voice.example.com/twilio/voice'
  t.same(readTwiml('<Response><Connect action="/next"><Stream url="wss://voice.example.com/m"><Parameter name="a" value="&lt;1"/></Stream></Connect><Say>Bye &amp; thanks</Say><Hangup/></Response>', base), [
    { verb: 'connect-stream', url: 'wss://voice.example.com/m', parameters: { a: '<1' }, action: 'https://voice.example.com/next', statusCallback: null },
    { verb: 'say', text: 'Bye & thanks' },
    { verb: 'hang-up' },
  ])
  for (const [xml, problem] of [
    ['<Response>', /TwiML/],
    ['<Html/>', /root element/],
    ['<Response><Connect><Stream url="wss://a/m?x=1"/></Connect></Response>', /query string/],
    ['<Response><Connect><Stream url="wss://a/m" track="both_tracks"/></Connect></Response>', /31941/],
    [`<Response><Connect><Stream url="wss://a/m"><Parameter name="a" value="${'x'.repeat(500)}"/></Stream></Connect></Response>`, /under 500/],
    ['<Response><Sing/></Response>', /<Sing>/],
    ['<Response><Dial/></Response>', /names no number/],
  ] as const) {
    t.throws(() => readTwiml(xml, base), { code: 'MESSAGE_MALFORMED', message: problem }, xml.slice(0, 60))
  }
})

t.test('a call that went wrong can be read: what was asked, heard and read, and why the turn ended there', async (t) => {
  const call = evidence([[0, 1000], [2500, 4000]], [{ startMs: 1200, endMs: 2200 }], { says: ['nine'] })
  const { call: record, turns } = records('We open at eight.', ['form'])
  const reading = { verdict: 'act', text: 'a tune up', slots: [{ slotId: 'service', value: 'tune-up', confidence: 0.694 }], scores: { costPerToken: 1.2, maxWordRegret: 4.4 } }
  const asked = turns.map((turn) => ({ ...turn, expectation: { kind: 'form', asked: 'service' }, reading }))
  t.same(transcriptOf(judgeCall(call, measureCall(call), { call: record, turns: asked })).split('\n'), [
    'test CA1',
    '  1 speech, asked for service',
    '    caller  x [complete: 300 ms, answered after 305 ms]',
    '    read    act "a tune up" service=tune-up (0.69) [1.20 a token, regret 4.40]',
    '    agent   We open at eight.',
    '  ! expected /nine/i, heard "We open at eight."',
  ])
})

function measured(agent: readonly (readonly [number, number])[], caller: readonly { startMs: number; endMs: number }[]) {
  return measureCall(evidence(agent, caller, {}))
}

/** A call whose agent is audible, and whose caller speaks, exactly when told. */
function evidence(agent: readonly (readonly [number, number])[], caller: readonly { startMs: number; endMs: number }[], expect: object): CallEvidence {
  const recording = new CallRecording()
  recording.writeCaller(new Int16Array(6000 * 8), 0)
  for (const [fromMs, toMs] of agent) {
    recording.writeAgent(Int16Array.from({ length: (toMs - fromMs) * 8 }, (_, i) => (i % 2 === 0 ? 3000 : -3000)), fromMs * 8)
  }
  const say = { do: 'say', wav: 'a.wav', text: 'x', voice: 'alan', when: { after: 'agent-finished' }, expect }
  const script = parseCallScript({ ...NOTHING, name: 'test', steps: caller.map(() => say) }, 'x.json')
  const steps = caller.map((span, index): StepEvidence => ({
    index,
    step: script.steps[index] as StepEvidence['step'],
    startMs: span.startMs,
    endMs: span.endMs,
    voicedStartMs: span.startMs,
    voicedEndMs: span.endMs,
  }))
  return { callSid: 'CA1', script, recording, steps, clears: [], arrivals: [], problems: [], verbs: [], end: 'caller-hung-up', answeredInMs: 10, worstLateMs: 1, framesSent: 300 }
}

function records(said: string, sources: string[]): ServerCall {
  const stages = [{ stage: 'endpoint' as const, ms: 300 }, { stage: 'template' as const, ms: 5 }]
  const turn = { turn: 1, startedAt: '2026-03-02T15:00:02Z', input: 'speech', heard: 'x', said, delivered: said, sources, actions: [], gapMs: 305, patienceMs: 0, stages, work: [], budgetExceededByMs: 0, stalled: false, endpoint: { rule: 'complete', lastVoicedMs: 2200, waitMs: 300 }, interruption: null }
  return { call: { startedAt: '2026-03-02T15:00:00Z', outcome: 'completed', endedAt: '2026-03-02T15:00:06Z', lostFrameCount: 0 }, turns: [turn] }
}
