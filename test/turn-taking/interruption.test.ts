import fc from 'fast-check'
import t from 'tap'
import { isClientsViaError } from '../../src/core/errors.ts'
import { EchoDetector, type EchoVerdict } from '../../src/turn-taking/echo.ts'
import { createInterruptionDetector, type InterruptionDecision, type InterruptionSignal } from '../../src/turn-taking/interruption.ts'

/** A caller over a speaking agent, 20 ms a frame. Speech is told from noise 100 ms after it began, as in a call. */
class Overlap {
  readonly detector = createInterruptionDetector()
  readonly decisions: InterruptionDecision[] = []
  readonly signals: InterruptionSignal[] = []
  nowMs = 1000

  constructor() {
    this.tell({ kind: 'agent-audible', atMs: this.nowMs, generation: 1 })
    this.quiet(500)
  }

  speech(ms: number): this {
    const sinceMs = this.nowMs
    for (let doneMs = 20; doneMs <= ms; doneMs += 20) {
      this.nowMs += 20
      if (doneMs < 100) this.tell({ kind: 'caller-frame', atMs: this.nowMs, accepted: false })
      else this.tell({ kind: 'caller-frame', atMs: this.nowMs, accepted: true, sinceMs })
    }
    return this
  }

  quiet(ms: number): this {
    for (let doneMs = 20; doneMs <= ms; doneMs += 20) {
      this.nowMs += 20
      this.tell({ kind: 'caller-frame', atMs: this.nowMs, accepted: false })
    }
    return this
  }

  words(text: string): this {
    return this.tell({ kind: 'words', atMs: this.nowMs, text })
  }

  tell(signal: InterruptionSignal): this {
    this.signals.push(signal)
    this.decisions.push(...this.detector.observe(signal))
    return this
  }

  get kinds(): string {
    return this.decisions.map((decision) => decision.kind).join(' ')
  }
}

t.test('a caller who talks over the agent silences it within 220 ms of the first voiced frame', async (t) => {
  const overlap = new Overlap()
  const beganMs = overlap.nowMs
  const [hold] = overlap.speech(400).decisions
  t.equal(hold?.kind, 'hold')
  t.ok(hold !== undefined && hold.atMs - beganMs >= 160 && hold.atMs - beganMs <= 220)
  t.match(hold?.rule, /^speech (1[6-9]|2[0-2])\d ms$/)
  t.equal(overlap.detector.state, 'held')
})

t.test('speech of 700 ms takes the turn', async (t) => {
  const overlap = new Overlap()
  const beganMs = overlap.nowMs
  t.equal(overlap.speech(1000).kinds, 'hold yield')
  t.equal((overlap.decisions[1]?.atMs ?? 0) - beganMs, 700)
  t.equal(overlap.detector.state, 'idle')
})

t.test('words that are no acknowledgement take the turn at once', async (t) => {
  t.equal(new Overlap().speech(400).words('What about Sunday').kinds, 'hold yield')
  t.equal(new Overlap().speech(400).words('What about Sunday').decisions[1]?.rule, 'stop-word')
  t.equal(new Overlap().speech(600).words('My furnace').decisions[1]?.rule, 'words')
})

t.test('"no", "stop" and "hold on" take the turn however short they are', async (t) => {
  for (const text of ['No.', 'Stop!', 'wait', 'Hold on', 'Actually'])
    t.equal(new Overlap().speech(120).quiet(200).words(text).kinds, 'yield', text)
})

t.test('"yeah" gives the agent its place back within 400 ms', async (t) => {
  for (const text of ['Yeah.', 'Uh-huh', 'Okay, got it.', 'right', '']) {
    const overlap = new Overlap().speech(400)
    const endedMs = overlap.nowMs
    overlap.quiet(240).words(text).quiet(400)
    t.equal(overlap.kinds, 'hold resume', text)
    t.ok((overlap.decisions[1]?.atMs ?? Infinity) - endedMs <= 400, `${text} ${overlap.decisions[1]?.atMs}`)
  }
})

t.test('words that the recogniser made of a short "mhm" do not take the turn', async (t) => {
  t.equal(new Overlap().speech(400).quiet(240).words("You're a young").quiet(500).kinds, 'hold resume')
})

t.test('the agent goes on sooner when the recogniser has found no words', async (t) => {
  const overlap = new Overlap().speech(300)
  const endedMs = overlap.nowMs
  overlap.quiet(180).words('').quiet(400)
  t.equal(overlap.kinds, 'hold resume')
  t.equal((overlap.decisions[1]?.atMs ?? 0) - endedMs, 200)
  const early = new Overlap().speech(300)
  early.words('').quiet(400)
  t.equal(early.decisions[1]?.rule, 'no words 360 ms after', 'words that came before its end say nothing about it')
})

t.test('a long "yeah yeah yeah" is still an acknowledgement once its words are known', async (t) => {
  t.equal(new Overlap().speech(600).words('Yeah, yeah').speech(500).quiet(500).kinds, 'hold resume')
  t.equal(new Overlap().speech(600).words('Yeah, yeah').speech(1200).kinds, 'hold yield')
})

t.test('words that come after the agent went on still take the turn', async (t) => {
  t.equal(new Overlap().speech(600).quiet(500).words('Tomorrow instead').kinds, 'hold resume yield')
})

t.test('a click does nothing, even when the recogniser makes words of it', async (t) => {
  t.equal(new Overlap().speech(120).quiet(300).words('The').quiet(500).kinds, '')
  t.equal(new Overlap().speech(100).quiet(300).speech(100).quiet(300).speech(100).quiet(300).kinds, '', 'clicks do not add up')
})

t.test('a pause inside a word does not start the count again', async (t) => {
  t.equal(new Overlap().speech(160).quiet(80).speech(160).kinds, 'hold')
})

t.test('speech that was there before the agent counts from the agent on', async (t) => {
  const overlap = new Overlap()
  overlap.tell({ kind: 'agent-silent', atMs: overlap.nowMs }).speech(600)
  t.equal(overlap.kinds, '', 'nobody is interrupted')
  const audibleMs = overlap.nowMs
  overlap.tell({ kind: 'agent-audible', atMs: audibleMs, generation: 2 })
  for (let i = 1; i <= 12; i += 1) overlap.tell({ kind: 'caller-frame', atMs: audibleMs + i * 20, accepted: true, sinceMs: audibleMs - 600 })
  t.equal(overlap.kinds, 'hold')
  t.equal((overlap.decisions[0]?.atMs ?? 0) - audibleMs, 160)
})

t.test('the next sentence of the reply does not undo a hold', async (t) => {
  const overlap = new Overlap().speech(400)
  t.equal(overlap.tell({ kind: 'agent-audible', atMs: overlap.nowMs, generation: 1 }).speech(400).kinds, 'hold yield')
})

t.test('a time that is no number is refused by name', async (t) => {
  try {
    createInterruptionDetector().observe({ kind: 'words', atMs: Number.NaN, text: '' })
    t.fail('accepted')
  } catch (error) {
    t.ok(isClientsViaError(error, 'INVALID_INPUT') && error.message.includes('words.atMs'))
  }
})

t.test('in whatever order things happen, every hold ends in a resume or a yield, and a replay decides the same', async (t) => {
  const act = fc.oneof(
    fc.record({ do: fc.constant('speech' as const), ms: fc.integer({ min: 1, max: 60 }) }),
    fc.record({ do: fc.constant('quiet' as const), ms: fc.integer({ min: 1, max: 60 }) }),
    fc.record({ do: fc.constant('words' as const), text: fc.constantFrom('', 'Yeah.', 'No.', 'My furnace', 'Okay, right') }),
    fc.record({ do: fc.constant('agent' as const), audible: fc.boolean() }),
  )
  fc.assert(
    fc.property(fc.array(act, { maxLength: 20 }), (acts) => {
      const overlap = new Overlap()
      for (const next of acts) {
        if (next.do === 'speech') overlap.speech(next.ms * 20)
        else if (next.do === 'quiet') overlap.quiet(next.ms * 20)
        else if (next.do === 'words') overlap.words(next.text)
        else overlap.tell(next.audible ? { kind: 'agent-audible', atMs: overlap.nowMs, generation: 2 } : { kind: 'agent-silent', atMs: overlap.nowMs })
      }
      overlap.quiet(1000)
      if (overlap.detector.state === 'held') throw new Error('held for ever')
      let lastMs = 0
      let previous = ''
      for (const decision of overlap.decisions) {
        if (decision.atMs < lastMs) throw new Error('time runs backwards')
        lastMs = decision.atMs
        if (decision.kind === 'resume' && previous !== 'hold') throw new Error('resumed without a hold')
        previous = decision.kind
      }
      const replay = createInterruptionDetector()
      const again = overlap.signals.flatMap((signal) => replay.observe(signal))
      if (JSON.stringify(again) !== JSON.stringify(overlap.decisions)) throw new Error('the same signals told another story')
    }),
    { numRuns: 150, seed: 5 },
  )
  t.pass('150 calls')
})

/** Speech-like: noise through a wandering resonance, in syllables of 200 ms with gaps, different for every seed. */
function voice(ms: number, seed: number, level = 5000): Int16Array {
  const samples = new Int16Array(ms * 8)
  let state = seed
  let before = 0
  let beforeThat = 0
  for (let i = 0; i < samples.length; i += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    const syllable = Math.floor(i / 1600)
    const radius = 0.97
    const angle = (2 * Math.PI * (300 + ((seed * 7 + syllable * 211) % 900))) / 8000
    const now = 2 * radius * Math.cos(angle) * before - radius * radius * beforeThat + (state / 2 ** 32 - 0.5)
    beforeThat = before
    before = now
    const place = (i % 1600) / 1600
    samples[i] = Math.max(-32768, Math.min(32767, now * level * 0.4 * Math.sin(Math.PI * place) ** 0.5))
  }
  return samples
}

type Path = Readonly<{ delayMs: number; gainDb: number; filter: readonly number[] }>
const HYBRID: Path = { delayMs: 180, gainDb: -15, filter: [0.7, 0.4, -0.3, 0.2, 0, 0.1] }

/** Plays `agent`, lets it come back over `path`, adds `caller`; the verdict of every frame. */
function overLine(agent: Int16Array, path: Path | null, caller: Int16Array, detector = new EchoDetector()): EchoVerdict[] {
  const gain = path === null ? 0 : 10 ** (path.gainDb / 20)
  const verdicts: EchoVerdict[] = []
  for (let at = 0; at + 160 <= agent.length; at += 160) {
    const heard = new Int16Array(160)
    for (let i = 0; i < 160; i += 1) {
      let echo = 0
      path?.filter.forEach((tap, k) => {
        echo += tap * (agent[at + i - path.delayMs * 8 - k] ?? 0)
      })
      heard[i] = Math.max(-32768, Math.min(32767, gain * echo + (caller[at + i] ?? 0)))
    }
    detector.sent(agent.subarray(at, at + 160), at / 8)
    verdicts.push(detector.heard(heard, at / 8))
  }
  return verdicts
}

/** `samples` after `ms` of silence. */
function after(ms: number, samples: Int16Array): Int16Array {
  const later = new Int16Array(ms * 8 + samples.length)
  later.set(samples, ms * 8)
  return later
}

t.test('the agent hearing itself is not taken for the caller', async (t) => {
  for (const path of [HYBRID, { ...HYBRID, delayMs: 60, gainDb: -8 }, { ...HYBRID, delayMs: 420, gainDb: -22, filter: [0.2, 0.6, 0.5, -0.4] }]) {
    const detector = new EchoDetector()
    const verdicts = overLine(voice(6000, 11), path, new Int16Array(0), detector)
    t.equal(verdicts.filter((verdict) => verdict === 'caller').length, 0, JSON.stringify(path))
    t.ok(Math.abs((detector.lagMs ?? 0) - path.delayMs) <= 3, `lag ${detector.lagMs}`)
  }
})

t.test('a caller over the echo is found within 410 ms and kept', async (t) => {
  const verdicts = overLine(voice(6000, 11), HYBRID, after(4000, voice(2000, 23)))
  const firstMs = verdicts.indexOf('caller') * 20
  t.ok(firstMs >= 4000 && firstMs <= 4410, `${firstMs}`)
  const later = verdicts.slice(230)
  t.ok(later.filter((verdict) => verdict === 'caller').length / later.length > 0.9)
})

t.test('on a line without echo the caller is heard at once', async (t) => {
  const verdicts = overLine(voice(6000, 11), null, after(3000, voice(2000, 23)))
  t.same(new Set(verdicts.slice(150, 250)), new Set(['caller']))
})

t.test('a caller who talks over the very first words is not taken for echo', async (t) => {
  const verdicts = overLine(voice(2000, 11), null, after(100, voice(1900, 23)))
  const echoes = verdicts.filter((verdict) => verdict === 'echo').length
  t.ok(echoes <= 5, `${echoes} of ${verdicts.length} frames`)
})

t.test('a line that grows an echo in mid-call is found out', async (t) => {
  const detector = new EchoDetector()
  overLine(voice(3000, 11), null, new Int16Array(0), detector)
  const agent = voice(9000, 31)
  const verdicts: EchoVerdict[] = []
  for (let at = 1600; at + 160 <= agent.length; at += 160) {
    detector.sent(agent.subarray(at, at + 160), 3000 + at / 8)
    verdicts.push(detector.heard(agent.subarray(at - 1600, at - 1440).map((sample) => sample / 4), 3000 + at / 8))
  }
  t.same(new Set(verdicts.slice(-200)), new Set(['echo']))
})

t.test('nothing heard is neither caller nor echo', async (t) => {
  const detector = new EchoDetector()
  t.equal(detector.heard(new Int16Array(160), 0), 'unknown')
  t.equal(detector.lagMs, null)
})
