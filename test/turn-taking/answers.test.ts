import t from 'tap'
import type { Expectation } from '../../src/core/expectation.ts'
import type { Reading } from '../../src/core/reading.ts'
import { createTurnDetector } from '../../src/turn-taking/endpointing.ts'
import { countSpelledLetters } from '../../src/turn-taking/spoken-letters.ts'
import type { SpeechSignal, TurnDecision } from '../../src/turn-taking/turn-detector.ts'

const YES_NO: Expectation = { kind: 'yes-no' }
const SPELLING: Expectation = { kind: 'spelling' }
const SERVICE: Expectation = { kind: 'form', formId: 'visit', carriers: [], asked: 'service', slots: [{ id: 'service', shape: { kind: 'choice', options: [] } }, { id: 'when', shape: { kind: 'date' } }] }
const WHEN: Expectation = { ...SERVICE, asked: 'when' }
const ORDER: Expectation = { ...SERVICE, formId: 'order', asked: null }

/** A caller on a quiet line, with the words of each stretch 80 ms after its pause was noticed; answered from the first commit on. */
class Caller {
  readonly #detector = createTurnDetector({ preset: 'balanced' })
  readonly decisions: TurnDecision[] = []
  #nowMs = 0
  #windowMs = 0
  #lastVoicedMs = 0

  constructor(asked: Expectation) {
    this.#tell({ kind: 'expect', expectation: asked })
    this.quiet(1000)
  }

  speech(ms: number, probability = 0.95): this {
    this.#frames(ms, -20, probability)
    this.#lastVoicedMs = this.#nowMs
    return this
  }

  quiet(ms: number): this {
    return this.#frames(ms, -65, 0.01)
  }

  /** Says it, and is silent for `ms`. */
  says(text: string, ms: number, reading: Reading | null = null): this {
    this.speech(400).quiet(180)
    this.#tell({ kind: 'transcript', text, audioEndMs: this.#lastVoicedMs, final: true, reading })
    return this.quiet(ms - 180)
  }

  get commits(): Extract<TurnDecision, { kind: 'commit' }>[] {
    return this.decisions.filter((decision) => decision.kind === 'commit')
  }

  #frames(ms: number, energyDb: number, probability: number): this {
    for (const until = this.#nowMs + ms; this.#nowMs < until; ) {
      this.#nowMs += 20
      for (; this.#windowMs + 32 <= this.#nowMs; ) this.#tell({ kind: 'voice', atMs: (this.#windowMs += 32), probability })
      this.#tell({ kind: 'energy', atMs: this.#nowMs, energyDb })
    }
    return this
  }

  #tell(signal: SpeechSignal): void {
    this.decisions.push(...this.#detector.observe(signal))
  }
}

function read(verdict: Reading['verdict'], ...slots: readonly [slotId: string, spoken: string][]): Reading {
  return {
    verdict,
    text: slots.map(([, spoken]) => spoken).join(' '),
    slots: slots.map(([slotId, spoken]) => ({ slotId, value: spoken, spoken, confidence: 1 })),
    doubtful: null,
    scores: { costPerToken: 0.2, maxWordRegret: 0.1, gap: null },
    source: 'audio',
  }
}

t.test('"yes" ... "it is" is one answer, and a plain "yes" does not wait long', async (t) => {
  const both = new Caller(YES_NO).says('Yes.', 360).says('Yes, it is.', 2000)
  t.same(both.commits.map((commit) => commit.text), ['Yes, it is.'])
  const [plain] = new Caller(YES_NO).says('Yes.', 2000).commits
  t.ok((plain?.waitMs ?? 0) <= 500, `${plain?.waitMs} ms`)
})

t.test('a word is spelled to its end, however slowly, and quick letters are not waited for as long', async (t) => {
  const slow = new Caller(SPELLING).says('S.', 1050).says('S. M.', 1000).says('S. M. I.', 1100).says('S. M. I. T.', 1050).says('S. M. I. T. H.', 3000)
  t.same(slow.commits.map((commit) => commit.text), ['S. M. I. T. H.'])
  const quick = new Caller(SPELLING).says('S. M. I. T. H.', 3000)
  t.ok((quick.commits[0]?.waitMs ?? 0) <= 1000, `${quick.commits[0]?.waitMs} ms after quick letters`)
  t.ok((slow.commits[0]?.waitMs ?? 0) > (quick.commits[0]?.waitMs ?? 0))
  t.match(quick.commits[0]?.rule, /letters 5/)
})

t.test('letters after a name are spelled to their end too', async (t) => {
  const name: Expectation = { kind: 'name' }
  const caller = new Caller(name).says('Jones.', 300).says('Jones. J. O.', 1000).says('Jones. J. O. N. E. S.', 3000)
  t.same(caller.commits.map((commit) => commit.text), ['Jones. J. O. N. E. S.'])
})

t.test('letters are counted however they are written', async (t) => {
  for (const [text, letters] of [['S. M. I.', 3], ['S-M-I-T-H', 5], ['A', 1], ['M A R Y', 4], ['double L', 2], ['I am a plumber', 0], ['It is Smith.', 0], ['Smith, S M Y', 3]] as const) {
    t.equal(countSpelledLetters(text), letters, text)
  }
})

t.test('an answer that is understood is whole whatever mark stands behind it', async (t) => {
  const marked = new Caller(SERVICE).says('The tune up,', 2500, read('act', ['service', 'tune up']))
  t.ok((marked.commits[0]?.waitMs ?? Infinity) <= 500, `${marked.commits[0]?.waitMs} ms`)
  const doubted = new Caller(SERVICE).says('The tune up,', 2500, read('read-back', ['service', 'tune up']))
  t.ok((doubted.commits[0]?.waitMs ?? Infinity) <= 780, `${doubted.commits[0]?.waitMs} ms with a doubt`)
  const other = new Caller(SERVICE).says('The tune up,', 2500, read('outside'))
  t.ok((other.commits[0]?.waitMs ?? 0) > 1000, 'words that are not understood are what they look like')
  const hanging = new Caller(SERVICE).says('The tune up and', 2500, read('act', ['service', 'tune up']))
  t.ok((hanging.commits[0]?.waitMs ?? 0) > 700, 'and one that hangs is still waited for')
})

t.test('a day may be followed by its hour', async (t) => {
  const caller = new Caller(WHEN).says('On Tuesday.', 500, read('act', ['when', 'tuesday'])).says('On Tuesday at three.', 2500, read('act', ['when', 'tuesday at three']))
  t.same(caller.commits.map((commit) => commit.text), ['On Tuesday at three.'])
  t.ok((caller.commits[0]?.waitMs ?? Infinity) <= 500, 'and with its hour it is whole')
})

t.test('an order that leaves room for more is not cut off behind its first half', async (t) => {
  const half = read('act', ['service', 'latte'])
  const caller = new Caller(ORDER).says('Can I get a small latte?', 600, half).says('Can I get a small latte with soy milk?', 2500, read('act', ['service', 'latte'], ['when', 'soy milk']))
  t.same(caller.commits.map((commit) => commit.text), ['Can I get a small latte with soy milk?'])
  const question = new Caller(ORDER).says('What are your hours?', 2500, read('outside'))
  t.ok((question.commits[0]?.waitMs ?? Infinity) <= 320, 'a question there is a question')
})

t.test('a first word said faintly belongs to the speech that follows it', async (t) => {
  const caller = new Caller({ kind: 'digits', counts: [10] }).speech(100, 0.4).quiet(200).speech(600).quiet(1200)
  const started = caller.decisions.find((decision) => decision.kind === 'speech-started')
  t.ok((started?.firstVoicedMs ?? Infinity) <= 1020, `begins at ${started?.firstVoicedMs} ms, the word at 1000`)
  const click = new Caller({ kind: 'digits', counts: [10] }).speech(40, 0.4).quiet(200).speech(600).quiet(1200)
  t.ok((click.decisions.find((decision) => decision.kind === 'speech-started')?.firstVoicedMs ?? 0) >= 1200, 'a click does not')
})
