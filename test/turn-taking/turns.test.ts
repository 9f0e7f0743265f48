import fc from 'fast-check'
import t from 'tap'
import type { Expectation } from '../../src/core/expectation.ts'
import { isClientsViaError } from '../../src/core/errors.ts'
import { createTurnDetector } from '../../src/turn-taking/endpointing.ts'
import { countSpokenDigits } from '../../src/turn-taking/spoken-digits.ts'
import { COMPLETE, INCOMPLETE, textCompleteness } from '../../src/turn-taking/text-completeness.ts'
import type { SpeechSignal, TurnDecision, TurnDetector, TurnPreset } from '../../src/turn-taking/turn-detector.ts'

const OPEN: Expectation = { kind: 'open' }
type Kind = TurnDecision['kind']
type Of<K extends Kind> = Extract<TurnDecision, { kind: K }>

/** A call told as a timeline: who makes a sound for how long, and what is known when. Silero answers 20 ms after its window. */
class Timeline {
  readonly detector: TurnDetector
  readonly decisions: TurnDecision[] = []
  readonly signals: SpeechSignal[] = []
  nowMs = 0
  #lastVoicedMs = 0
  #windowMs = 32
  #levels: { endMs: number; probability: number }[] = []
  withSilero = true

  constructor(preset: TurnPreset = 'balanced') {
    this.detector = createTurnDetector({ preset })
    this.quiet(1000)
  }

  speech(ms: number, probability = 0.95): this {
    this.#frames(ms, -20, probability)
    this.#lastVoicedMs = this.nowMs
    return this
  }

  quiet(ms: number): this {
    return this.#frames(ms, -65, 0.01)
  }

  noise(ms: number, energyDb = -25, probability = 0.02): this {
    return this.#frames(ms, energyDb, probability)
  }

  echo(ms: number): this {
    return this.#frames(ms, -20, 0.95, true)
  }

  /** Words that cover everything said so far. */
  words(text: string, audioEndMs = this.#lastVoicedMs): this {
    return this.tell({ kind: 'transcript', text, audioEndMs, final: true })
  }

  expect(expectation: Expectation): this {
    return this.tell({ kind: 'expect', expectation })
  }

  agent(state: 'audible' | 'silent'): this {
    return this.tell({ kind: 'agent', state, atMs: this.nowMs })
  }

  tell(signal: SpeechSignal): this {
    this.signals.push(signal)
    this.decisions.push(...this.detector.observe(signal))
    return this
  }

  all<K extends Kind>(kind: K): Of<K>[] {
    return this.decisions.filter((decision): decision is Of<K> => decision.kind === kind)
  }

  get commit(): Of<'commit'> {
    const commits = this.all('commit')
    if (commits.length !== 1) throw new Error(`${commits.length} commits: ${this.kinds}`)
    return commits[0] as Of<'commit'>
  }

  get kinds(): string {
    return this.decisions.map((decision) => decision.kind).join(' ')
  }

  #frames(ms: number, energyDb: number, probability: number, echo = false): this {
    for (let i = 0; i < ms / 20; i += 1) {
      this.nowMs += 20
      this.#levels.push({ endMs: this.nowMs, probability })
      while (this.withSilero && this.#windowMs + 20 <= this.nowMs) {
        const heard = this.#levels.find((level) => level.endMs >= this.#windowMs)
        this.tell({ kind: 'voice', atMs: this.#windowMs, probability: heard?.probability ?? 0 })
        this.#windowMs += 32
      }
      this.tell({ kind: 'energy', atMs: this.nowMs, energyDb, ...(echo ? { echo } : {}) })
    }
    return this
  }
}

const call = (preset?: TurnPreset): Timeline => new Timeline(preset)
/** Speech, a pause of 240 ms, its words, and then silence. */
const says = (text: string, timeline = call()): Timeline => timeline.speech(1200).quiet(240).words(text).quiet(2600)

t.test('a complete question is answered at the brisk wait, whatever the preset', async (t) => {
  for (const preset of ['brisk', 'balanced', 'patient'] as const) {
    const { waitMs, patienceMs, rule } = says('What time do you open on Saturday?', call(preset)).commit
    t.equal(rule, 'question-mark')
    t.ok(waitMs >= 300 && waitMs <= 320, `${waitMs}`)
    t.ok(patienceMs <= 20)
  }
})

t.test('a question whose words come late is committed the moment they are there', async (t) => {
  const timeline = call().speech(1200).quiet(460).words('Do you fix furnaces?')
  t.equal(timeline.commit.atMs, timeline.nowMs)
  t.ok(timeline.commit.waitMs >= 440 && timeline.commit.waitMs <= 480)
  t.ok(timeline.commit.patienceMs === 0, 'a late recogniser is not patience')
})

t.test('a syllable that begins just before the commit puts it off until it is known for speech', async (t) => {
  const timeline = call().speech(1200).quiet(240).words('Are you open today?').quiet(40).speech(900).quiet(240).words('Are you open today or not?').quiet(900)
  t.equal(timeline.commit.text, 'Are you open today or not?')
})

t.test('each preset waits its own time for plain and for unfinished sentences', async (t) => {
  const waits = (['brisk', 'balanced', 'patient'] as const).map((preset) => [
    says('My furnace makes a noise.', call(preset)).commit.waitMs,
    says('My furnace makes a noise and um', call(preset)).commit.waitMs,
  ])
  t.same(
    waits.map((pair) => pair.map((ms) => Math.floor(ms / 100) * 100)),
    [[600, 1200], [700, 1400], [900, 1800]],
  )
  t.equal(says('My furnace makes a noise and um').commit.rule, 'trailing-filler')
})

t.test('patience is what a finished sentence would not have got', async (t) => {
  const { waitMs, patienceMs } = says('I wanted to ask about my').commit
  t.ok(Math.abs(waitMs - 300 - patienceMs) <= 20, `${waitMs} ${patienceMs}`)
})

t.test('the recogniser is told of a pause within 120 ms, so that it can begin', async (t) => {
  const timeline = call().speech(800)
  const endMs = timeline.nowMs
  const [paused] = timeline.quiet(200).all('speech-paused')
  t.ok(paused !== undefined && paused.atMs - endMs >= 80 && paused.atMs - endMs <= 120)
  t.ok(paused !== undefined && Math.abs(paused.lastVoicedMs - endMs) <= 20)
  t.equal(timeline.all('speech-started')[0]?.firstVoicedMs, 1000)
})

t.test('without any words the turn ends at the plain wait and says so', async (t) => {
  const { waitMs, text, rule, patienceMs } = call().speech(900).quiet(2000).commit
  t.match({ text, rule, patienceMs }, { text: '', rule: 'no-text', patienceMs: 0 })
  t.ok(waitMs >= 740 && waitMs <= 760)
})

t.test('a final text without words still ends the turn', async (t) => {
  const { rule, text } = says('').commit
  t.same({ rule, text }, { rule: 'no-words', text: '' })
})

t.test('words heard before the recogniser went deaf are not lost', async (t) => {
  const timeline = call().speech(1200).quiet(240).words('Eight five zero').speech(600).quiet(240).words('').quiet(2000)
  t.equal(timeline.commit.text, 'Eight five zero')
})

t.test('words that do not cover the last speech do not decide', async (t) => {
  const timeline = call().speech(600).quiet(240)
  const earlyMs = timeline.nowMs - 240
  timeline.quiet(40).speech(900).words('What time do you open?', earlyMs).quiet(1000)
  t.equal(timeline.all('commit').length, 1)
  t.equal(timeline.commit.rule, 'text-late')
  t.ok(timeline.commit.waitMs >= 740)
})

t.test('a caller who goes on in the pause is not answered, and the turn is one', async (t) => {
  const timeline = call().speech(800).quiet(300).words('I have a question').speech(800).quiet(240).words('I have a question. Are you open today?').quiet(900)
  t.equal(timeline.commit.text, 'I have a question. Are you open today?')
  t.equal(timeline.all('speech-resumed').length, 1)
})

t.test('a caller who goes on before the reply is audible voids it, and both halves are one utterance', async (t) => {
  const timeline = says('Are you open today?').speech(700).quiet(240).words('Are you open today? For repairs, I mean.').quiet(900)
  t.equal(timeline.kinds, 'speech-started speech-paused speculate commit retract speech-resumed speech-paused speculate commit')
  t.equal(timeline.all('retract')[0]?.rule, 'resumed-after-commit')
  t.equal(timeline.all('commit')[1]?.text, 'Are you open today? For repairs, I mean.')
})

t.test('once the reply is audible the utterance is closed and late words about it are ignored', async (t) => {
  const timeline = says('Are you open today?')
  const saidUntilMs = timeline.nowMs - 2600
  timeline.agent('audible').words('Are you open today? Yes?', saidUntilMs).quiet(400).agent('silent').quiet(300)
  timeline.speech(900).quiet(240).words('And tomorrow?').quiet(900)
  t.same(timeline.all('commit').map((commit) => commit.text), ['Are you open today?', 'And tomorrow?'])
})

t.test('a click or a cough is no turn', async (t) => {
  const timeline = call().speech(140).quiet(1500)
  t.equal(timeline.all('commit').length, 0)
  t.equal(timeline.all('retract').at(-1)?.rule, 'blip')
  t.equal(call().speech(60).quiet(1500).decisions.length, 0, 'and a shorter one is not even noticed')
})

t.test('wordless sound that Silero never was sure of is no turn, with words it is one', async (t) => {
  const heard = (text: string): Timeline => call().speech(1400, 0.6).quiet(240).words(text).quiet(2000)
  t.equal(heard('').all('commit').length, 0)
  t.equal(heard('').all('retract').at(-1)?.rule, 'noise')
  t.equal(heard('My name is Jack.').commit.text, 'My name is Jack.')
})

t.test('a short word is a turn when there are words in it', async (t) => {
  t.equal(call().speech(160).quiet(240).words('Two.').quiet(900).commit.text, 'Two.')
})

t.test('loud noise that Silero does not believe never starts speech', async (t) => {
  t.equal(call().noise(3000).quiet(2000).noise(400).quiet(1000).decisions.length, 0)
})

t.test('music that Silero half believes has to last before it counts', async (t) => {
  t.equal(call().noise(1000, -25, 0.3).quiet(500).decisions.length, 0)
  t.equal(call().noise(1400, -25, 0.3).all('speech-started').length, 1)
})

t.test('on a noisy line Silero decides alone, and the rule says so', async (t) => {
  const timeline = call().noise(6000, -35).noise(1200, -33, 0.95).noise(240, -35).words('Is anyone there?', 8200).noise(2000, -35)
  t.equal(timeline.commit.rule, 'question-mark+noisy')
})

t.test('without Silero the level decides, and the rule says so', async (t) => {
  const timeline = call()
  timeline.withSilero = false
  t.equal(says('Is anyone there?', timeline.quiet(200)).commit.rule, 'question-mark+energy-only')
})

t.test('ten digits in groups are heard to the end, then answered at the brisk wait', async (t) => {
  const timeline = call().expect({ kind: 'digits', counts: [10] })
  timeline.speech(900).quiet(240).words('five five five').quiet(560).speech(900).quiet(240).words('five five five, oh one two').quiet(560)
  t.equal(timeline.all('commit').length, 0, 'pauses of 800 ms cut nothing')
  timeline.speech(1200).quiet(240).words('555 012 3456.').quiet(900)
  t.equal(timeline.commit.rule, 'digits 10 of 10')
  t.ok(timeline.commit.waitMs <= 320)
})

t.test('a number left unfinished is taken after a second, one short of it sooner', async (t) => {
  const digits: Expectation = { kind: 'digits', counts: [5] }
  const wait = (text: string): number => says(text, call().expect(digits)).commit.waitMs
  t.ok(wait('nine four') >= 1000)
  t.ok(wait('nine four one oh') < 700)
  t.equal(says("I don't have it with me.", call().expect(digits)).commit.rule, 'full-stop')
})

t.test('spoken digits are counted however they are written', async (t) => {
  const cases: [string, number][] = [
    ['five five five, oh one', 5],
    ['555-0123', 7],
    ['double five triple zero', 5],
    ['twenty one', 2],
    ['twenty oh one', 4],
    ['eight hundred, five five', 5],
    ['nineteen eighty four', 4],
    ['my number is four one five', 3],
    ['one for three', 3],
    ['I want to ask for help', 0],
    ['', 0],
  ]
  for (const [text, count] of cases) t.equal(countSpokenDigits(text), count, text)
})

t.test('what sounds finished and what does not', async (t) => {
  const score = (text: string, expectation = OPEN): number => textCompleteness(text, expectation).score
  for (const text of [
    'What are your hours?',
    'Do you have anything tomorrow?',
    'How much is it for?',
    'So what does that cost.',
    "No, that's all, thank you.",
    'No, that is all, thank you, good-by,',
    'Thank you very much, good-bye.',
    'Who is this?',
  ])
    t.ok(score(text) >= COMPLETE, `${text} ${score(text)}`)
  for (const text of ['My furnace is', "I'd like to,", 'Because the the', 'And then I...', "Well, it's", 'I need to talk to your', 'It is um.', 'Okay.'])
    t.ok(score(text) <= INCOMPLETE, `${text} ${score(text)}`)
  // Without any mark the last word may be half a word.
  for (const text of ['And what does the diagnost', 'My furnace is broken.', 'Tomorrow at noon.', 'Yes I am.', 'I would rather not', ''])
    t.ok(score(text) > INCOMPLETE && score(text) < COMPLETE, `${text} ${score(text)}`)
})

t.test('what was asked makes a short answer whole', async (t) => {
  const cue = (text: string, expectation: Expectation): [boolean, string] => {
    const { score, cue: name } = textCompleteness(text, expectation)
    return [score >= COMPLETE, name]
  }
  t.same(cue('Yeah.', { kind: 'yes-no' }), [true, 'yes-no'])
  t.same(cue('No, not today.', { kind: 'yes-no' }), [true, 'yes-no'])
  t.same(cue('My name is Ada Lovelace.', { kind: 'name' }), [true, 'name'])
  t.same(cue('My name is', { kind: 'name' }), [false, 'trailing-auxiliary'])
  t.same(cue('Next Tuesday at three.', { kind: 'date' }), [true, 'date'])
  t.equal(cue('Next Tuesday.', { kind: 'date' })[0], false, 'the hour may follow')
  t.same(cue('The third of March', { kind: 'date' }), [false, 'month-alone'])
})

t.test('a reply is prepared during the pause, and thrown away when the words change', async (t) => {
  const timeline = call().speech(900).quiet(260).words('The heater is broken.').quiet(40).words('The heater is broken again.').quiet(900)
  t.equal(timeline.kinds, 'speech-started speech-paused speculate retract speculate commit')
  t.equal(timeline.all('retract')[0]?.rule, 'text-changed')
  t.equal(timeline.commit.text, 'The heater is broken again.')
})

t.test('for a sentence that hangs nothing is prepared until it has hung for long', async (t) => {
  const [prepared, ...more] = says('I was wondering if').all('speculate')
  t.ok(prepared !== undefined && prepared.atMs - prepared.lastVoicedMs >= 600, `${(prepared?.atMs ?? 0) - (prepared?.lastVoicedMs ?? 0)} ms`)
  t.equal(more.length, 0)
})

t.test('an engine with its own turn model prepares, retracts and ends turns, but never over a speaking caller', async (t) => {
  const timeline = call().speech(900)
  const hint = (kind: 'eager-end' | 'resumed' | 'end'): SpeechSignal => ({ kind: 'turn-hint', hint: kind, confidence: 0.8, atMs: timeline.nowMs })
  timeline.words('It is the furnace in the').tell(hint('end'))
  t.equal(timeline.all('commit').length, 0, 'still speaking')
  timeline.speech(600).quiet(120).words('It is the furnace in the basement').tell(hint('eager-end')).tell(hint('resumed')).tell(hint('end'))
  t.equal(timeline.kinds, 'speech-started speech-paused speculate retract commit')
  t.equal(timeline.commit.rule, 'vendor-end')
})

t.test('a guess at the end that comes before our own ears find the pause is kept for it, and taken back with it', async (t) => {
  const hint = (kind: 'eager-end' | 'resumed' | 'end', atMs: number): SpeechSignal => ({ kind: 'turn-hint', hint: kind, confidence: 0.6, atMs })
  const early = call().speech(900).words('It is the furnace in the basement').quiet(60)
  early.tell(hint('eager-end', early.nowMs))
  t.equal(early.all('speculate').length, 0, 'no pause yet')
  early.quiet(60)
  t.match(early.all('speculate'), [{ rule: 'vendor-eager-end', text: 'It is the furnace in the basement' }])
  t.ok((early.all('speculate')[0]?.atMs ?? Infinity) < early.nowMs + 1)
  const taken = call().speech(900).words('It is the furnace in the basement').quiet(60)
  taken.tell(hint('eager-end', taken.nowMs)).tell(hint('resumed', taken.nowMs)).quiet(60)
  t.equal(taken.all('speculate').length, 0)
})

t.test('words without detected speech are a turn all the same, but not over the agent', async (t) => {
  t.equal(call().words('Hello, is this the garage?', 900).quiet(900).commit.text, 'Hello, is this the garage?')
  t.equal(call().agent('audible').words('Hello, is this the garage?', 1020).quiet(900).decisions.length, 0)
})

t.test('"yeah" over the agent is no turn, a sentence is', async (t) => {
  const over = (text: string): Timeline => call().agent('audible').quiet(200).speech(500).quiet(240).words(text).quiet(2000)
  t.equal(over('Yeah, okay.').all('commit').length, 0)
  t.equal(over('Yeah, okay.').all('retract').at(-1)?.rule, 'acknowledgement')
  t.equal(over('').all('retract').at(-1)?.rule, 'wordless-over-agent')
  t.equal(over('Can I pay by card?').commit.text, 'Can I pay by card?')
})

t.test("the agent's own echo is not speech", async (t) => {
  const timeline = call().agent('audible').echo(2000)
  t.equal(timeline.decisions.length, 0)
  t.equal(timeline.detector.speaking, false)
})

t.test('over the agent, a Silero in doubt is believed for half a second', async (t) => {
  const timeline = call().agent('audible').speech(300, 0.6)
  t.equal(timeline.detector.speaking, true)
  t.equal(timeline.detector.speakingSinceMs, 1000)
  timeline.speech(400, 0.6)
  t.equal(timeline.detector.speaking, false)
  t.equal(call().agent('audible').speech(900).detector.speaking, true)
})

t.test('after two cut-ins the call becomes more patient', async (t) => {
  const timeline = call('brisk')
  for (let i = 0; i < 2; i += 1)
    timeline.speech(900).quiet(240).words('It is broken.').quiet(500).agent('audible').quiet(500).speech(900).agent('silent').quiet(3000)
  t.same(timeline.all('cut-in').map(({ count, preset }) => ({ count, preset })), [{ count: 1, preset: 'brisk' }, { count: 2, preset: 'balanced' }])
  t.equal(timeline.detector.preset, 'balanced')
})

t.test('a caller who waits two seconds before speaking again was not cut in on', async (t) => {
  t.equal(says('It is broken.').agent('audible').quiet(2000).speech(900).all('cut-in').length, 0)
})

t.test('a caller well above the noise of the line is heard as on a quiet one, even when Silero is in two minds', async (t) => {
  const line = call().noise(4000, -47).speech(360, 0.8).noise(300, -47).words('Yes, please.').noise(1000, -47)
  t.equal(line.commit.text, 'Yes, please.')
  t.equal(line.commit.lastVoicedMs, 5360, 'the voice ended where the level says')
})

t.test('where Silero lets go late, the level says when the voice ended', async (t) => {
  const line = call().noise(4000, -47).speech(900).noise(160, -47, 0.9).noise(2000, -47)
  t.equal(line.commit.lastVoicedMs, 5900)
})

t.test('a caller hardly above the noise is left to Silero', async (t) => {
  t.match(call().noise(4000, -30).noise(900, -22, 0.95).noise(2000, -30).commit.rule, /noisy/)
})

t.test('a line that is noisy from its first frame is not taken for speech before Silero has answered', async (t) => {
  const detector = createTurnDetector({ preset: 'balanced' })
  const decisions = Array.from({ length: 50 }, (_, i) => detector.observe({ kind: 'energy', atMs: (i + 1) * 20, energyDb: -46 })).flat()
  t.same(decisions, [])
})

t.test('the detector never asks to be woken in the past', async (t) => {
  const line = call().agent('audible').speech(400).quiet(180).words('Very nice.')
  for (let i = 0; i < 60; i += 1) {
    line.quiet(20)
    const wakeAtMs = line.detector.wakeAtMs
    t.ok(wakeAtMs === null || wakeAtMs > line.nowMs, `${wakeAtMs} at ${line.nowMs}`)
  }
  t.ok(line.all('retract').some((decision) => decision.rule === 'acknowledgement'))
})

t.test('half a question is waited for, though it has its mark', async (t) => {
  for (const text of ['When are you open on?', 'Can you come between?', 'What time do you close at?']) t.ok(textCompleteness(text, OPEN).score < COMPLETE, text)
  for (const text of ['What is that for?', 'Where are you?', 'What do you need it for?']) t.ok(textCompleteness(text, OPEN).score >= COMPLETE, text)
})

t.test('what only introduces a request is not answered yet', async (t) => {
  for (const text of ['I was wondering if you could tell me.', 'Hi, I just wanted to ask.', "I'd like to know", 'So I was wondering'])
    t.ok(textCompleteness(text, OPEN).score <= INCOMPLETE, text)
  for (const text of ['Can you tell me?', 'The technician came as well.', 'Please let me know.'])
    t.ok(textCompleteness(text, OPEN).score > INCOMPLETE, text)
})

t.test('when frames stop coming, ticks at wakeAtMs end the turn', async (t) => {
  const timeline = call().speech(900)
  for (let i = 0; i < 20 && timeline.all('commit').length === 0; i += 1) {
    const wakeAtMs = timeline.detector.wakeAtMs
    if (wakeAtMs === null) break
    timeline.tell({ kind: 'tick', atMs: wakeAtMs })
  }
  t.equal(timeline.commit.rule, 'no-text')
  t.equal(timeline.detector.wakeAtMs, null)
})

t.test('single waits can be overridden, within reason', async (t) => {
  const detector = createTurnDetector({ preset: 'balanced', waits: { neutralMs: 60_000 } })
  const timeline = call().speech(900).quiet(4000)
  const commits = timeline.signals.flatMap((signal) => detector.observe(signal)).filter((decision) => decision.kind === 'commit')
  t.equal(commits.length, 1)
  t.ok((commits[0]?.waitMs ?? 0) >= 2500 && (commits[0]?.waitMs ?? 0) <= 2520)
})

t.test('a signal without a number is refused by name', async (t) => {
  const detector = createTurnDetector({ preset: 'brisk' })
  for (const [signal, field] of [
    [{ kind: 'energy', atMs: Number.NaN, energyDb: -30 }, 'atMs'],
    [{ kind: 'energy', atMs: 20, energyDb: Number.NaN }, 'energyDb'],
    [{ kind: 'voice', atMs: 20, probability: Number.NaN }, 'probability'],
    [{ kind: 'transcript', text: '', audioEndMs: Number.POSITIVE_INFINITY, final: true }, 'audioEndMs'],
  ] as const) {
    try {
      detector.observe(signal)
      t.fail(`${field} was accepted`)
    } catch (error) {
      t.ok(isClientsViaError(error, 'INVALID_INPUT') && error.message.includes(`${signal.kind}.${field}`))
    }
  }
  t.same(detector.observe({ kind: 'energy', atMs: 20, energyDb: Number.NEGATIVE_INFINITY }), [], 'digital silence is a level')
})

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('speech' as const), ms: fc.integer({ min: 1, max: 60 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('quiet' as const), ms: fc.integer({ min: 1, max: 90 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('noise' as const), ms: fc.integer({ min: 1, max: 60 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('words' as const), text: fc.constantFrom('', 'Yeah.', 'Are you open?', 'I need a', 'It is broken.', 'five five') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('agent' as const), state: fc.constantFrom('audible' as const, 'silent' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('hint' as const), hint: fc.constantFrom('eager-end' as const, 'resumed' as const, 'end' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('expect' as const), count: fc.integer({ min: 1, max: 10 }) }) },
)

function play(steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[]): Timeline {
  const timeline = call()
  for (const next of steps) {
    switch (next.do) {
      case 'speech':
        timeline.speech(next.ms * 20)
        break
      case 'quiet':
        timeline.quiet(next.ms * 20)
        break
      case 'noise':
        timeline.noise(next.ms * 20)
        break
      case 'words':
        timeline.words(next.text, timeline.nowMs)
        break
      case 'agent':
        timeline.agent(next.state)
        break
      case 'hint':
        timeline.tell({ kind: 'turn-hint', hint: next.hint, confidence: 0.7, atMs: timeline.nowMs })
        break
      case 'expect':
        timeline.expect({ kind: 'digits', counts: [next.count] })
        break
    }
  }
  return timeline
}

t.test('in whatever order things happen, the story told is a sound one', async (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      const timeline = play(steps)
      let phase: 'idle' | 'speech' | 'pause' | 'committed' = 'idle'
      let prepared = false
      let lastMs = 0
      for (const decision of timeline.decisions) {
        if (decision.atMs < lastMs) throw new Error('time runs backwards')
        lastMs = decision.atMs
        switch (decision.kind) {
          case 'speech-started':
            // A commit that became audible closed the utterance before.
            if (phase === 'speech' && !steps.some((next) => next.do === 'agent')) throw new Error('speech started twice')
            phase = 'speech'
            break
          case 'speech-paused':
            if (phase !== 'speech') throw new Error('a pause without speech')
            phase = 'pause'
            break
          case 'speech-resumed':
            if (phase !== 'pause' && phase !== 'committed') throw new Error('resumed from nothing')
            if (prepared) throw new Error('resumed with a reply still prepared')
            phase = 'speech'
            break
          case 'speculate':
            if (phase !== 'pause' || prepared) throw new Error('prepared out of place')
            prepared = true
            break
          case 'retract':
            prepared = false
            break
          case 'commit':
            if (phase !== 'pause') throw new Error('committed twice, or out of nothing')
            if (decision.waitMs > 2600 || decision.patienceMs > decision.waitMs) throw new Error(`waited ${decision.waitMs}`)
            phase = 'committed'
            prepared = false
            break
          case 'cut-in':
            break
        }
      }
      const replay = createTurnDetector({ preset: 'balanced' })
      const again = timeline.signals.flatMap((signal) => replay.observe(signal))
      if (JSON.stringify(again) !== JSON.stringify(timeline.decisions)) throw new Error('the same signals told another story')
    }),
    { numRuns: 150, seed: 7 },
  )
  t.pass('150 calls')
})

t.test('nothing said is lost: speech with words always ends in a turn that holds them', async (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 15 }), (steps) => {
      const timeline = play(steps.filter((next) => next.do !== 'agent'))
      timeline.quiet(3000).speech(900).quiet(240).words('The very last words.').quiet(3000)
      if (timeline.all('commit').at(-1)?.text !== 'The very last words.') throw new Error(timeline.kinds)
    }),
    { numRuns: 100, seed: 11 },
  )
  t.pass('100 calls')
})
