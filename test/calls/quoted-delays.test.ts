import t from 'tap'
import { BoundedQueue } from '../../src/core/bounded-queue.ts'
import { Scope } from '../../src/core/scope.ts'
import type { SpeakableText } from '../../src/core/speakable-text.ts'
import { AnswerCache } from '../../src/response/answer-cache.ts'
import { createResponder } from '../../src/response/intelligence-loop.ts'
import { PromptLibrary } from '../../src/response/prompts.ts'
import { SpeculationPolicy } from '../../src/response/speculation-policy.ts'
import type { Transcriber, TranscriptEvent, TranscriptionSession } from '../../src/transcription/transcriber.ts'
import { contextOf, demoCompany } from '../support/fake-company.ts'
import { FakeModel } from '../support/fake-model.ts'
import { ToneVoice, virtualCall } from '../support/virtual-call.ts'
import type { VirtualClock } from '../support/virtual-clock.ts'

/** The delays that latencies are quoted with, in ms. The chain of them, one after the other, is 810 for a first sentence of seven tokens. */
const DELAYS = { endpointMs: 300, finalMs: 50, interimEveryMs: 200, firstTokenMs: 250, tokenMs: 15, firstAudioMs: 120 } as const
const CHAIN_MS = 350 + 250 + 6 * 15 + 120
const QUESTION = 'do you have a recipe for lasagna?'
/** All seven are said within a second. */
const WORD_MS = 125

/** Hears like a vendor: what is known so far every 200 ms of audio, all of it 50 ms after 300 ms of silence, with its own word on the end. */
class VendorEars implements Transcriber {
  readonly name = 'vendor'
  readonly #clock: VirtualClock

  constructor(clock: VirtualClock) {
    this.#clock = clock
  }

  open(): TranscriptionSession {
    const events = new BoundedQueue<TranscriptEvent>(1000, 'drop-oldest')
    const scope = new Scope()
    let utterance = 0
    let lastVoicedMs = -1
    let finalForMs = -1
    let interimAtMs = 0
    let voicedFromMs = -1
    const say = (final: boolean, audioEndMs: number): void => {
      const said = Math.floor((lastVoicedMs - voicedFromMs) / WORD_MS)
      if (said > 0) events.push({ kind: 'transcript', utterance, text: QUESTION.split(' ').slice(0, said).join(' '), words: [], audioEndMs, final })
    }
    return {
      events,
      push: (frame) => {
        const atMs = frame.mediaMs + 20
        if (frame.samples.some((sample) => Math.abs(sample) > 2000)) {
          if (atMs - lastVoicedMs > 1000) voicedFromMs = atMs
          lastVoicedMs = atMs
        }
        if (lastVoicedMs > finalForMs && atMs - interimAtMs >= DELAYS.interimEveryMs) {
          interimAtMs = atMs
          say(false, atMs)
        }
        if (lastVoicedMs > finalForMs && atMs - lastVoicedMs >= DELAYS.endpointMs) {
          finalForMs = lastVoicedMs
          void this.#clock.sleep(DELAYS.finalMs, scope.signal).then(
            () => {
              say(true, atMs)
              events.push({ kind: 'turn-hint', hint: 'end', confidence: 0.9, mediaMs: atMs })
            },
            () => undefined,
          )
        }
      },
      hint: () => undefined,
      expect: () => undefined,
      endUtterance: () => {
        utterance += 1
      },
      close: async () => {
        scope.end('closed')
        events.close()
      },
    }
  }
}

/** What was spoken whole is ready from then on, as with a phrase cache in front. */
class KeepingVoice extends ToneVoice {
  override async *synthesize(text: SpeakableText, voice: unknown, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    yield* super.synthesize(text, voice, signal)
    this.ready.add(text)
  }
}

const file = demoCompany('polar-bay-air')
const prompts = new PromptLibrary(new URL('../../prompts/', import.meta.url).pathname)

/** Gaps of one question asked again and again, the voice ending at another moment of the vendor's rhythm each time. */
async function gapsOf(options: Readonly<{ isKept: boolean; asked: number }>): Promise<Readonly<{ gapsMs: number[]; hidden: number; requests: number }>> {
  let replies = 0
  const models: FakeModel[] = []
  const context = contextOf(file)
  const call = virtualCall({
    answer: () => [],
    says: () => QUESTION,
    context: { ...context, agent: { ...context.agent, greeting: { ...context.agent.greeting, text: 'Hello.', afterHours: '' } } },
    listen: (clock) => new VendorEars(clock),
    speak: (clock) => {
      const voice = new KeepingVoice(clock)
      voice.delayMs = DELAYS.firstAudioMs
      return voice
    },
    respond: (clock) => {
      const model = new FakeModel(
        clock,
        () => {
          const slug = [...String(replies++)].map((digit) => 'bacodufege'[Number(digit)]).join('')
          return [...`We gladly cook it for you ${slug}. `.split(/(?<= )/), 'That is all. ', ...(options.isKept ? [] : ['It is 4711.'])]
        },
        { firstMs: DELAYS.firstTokenMs, delayMs: DELAYS.tokenMs },
      )
      models.push(model)
      return createResponder({ model: { answer: model, prompts, cache: new AnswerCache(), policy: new SpeculationPolicy() }, budget: { targetMs: 600, hardMs: 1000, stallAfterMs: 700, stagesMs: { response: 600 } } })
    },
  })
  const { leg, over } = call.dial()
  await call.clock.advance(3000)
  for (let n = 0; n < options.asked; n++) {
    leg.speak(0, 1000 + n * 20)
    await call.clock.advance(1000 + n * 20 + 6000)
  }
  leg.callerHangsUp()
  await call.clock.runUntil(over)
  const turns = call.turns().filter((turn) => turn.input === 'speech')
  t.same(call.errors, [])
  t.equal(call.clock.pendingTimers, 0)
  const waitMs = turns.reduce((sum, turn) => sum + (turn.endpoint?.waitMs ?? 0), 0)
  const aheadMs = turns.reduce((sum, turn) => sum + (turn.speculation.aheadMs ?? 0), 0)
  return { gapsMs: turns.map((turn) => turn.gapMs ?? Infinity).sort((a, b) => a - b), hidden: aheadMs / waitMs, requests: models.reduce((sum, model) => sum + model.asked.length, 0) }
}

const at = (sorted: readonly number[], share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Infinity

t.test('with the delays that latencies are quoted with, an answer is heard long before their sum', async (t) => {
  const { gapsMs, hidden, requests } = await gapsOf({ isKept: false, asked: 20 })
  t.equal(gapsMs.length, 20)
  t.ok(requests >= 20, 'every answer is the model\'s')
  t.comment(`gap p50 ${at(gapsMs, 0.5)} p95 ${at(gapsMs, 0.95)} ms, ${Math.round(hidden * 100)} % of the wait hidden; the plain chain is ${CHAIN_MS} ms`)
  t.ok(at(gapsMs, 0.5) <= 620, `p50 ${at(gapsMs, 0.5)}`)
  t.ok(at(gapsMs, 0.95) <= 800, `p95 ${at(gapsMs, 0.95)}`)
})

t.test('a repeated question waits for nothing but the end of the turn', async (t) => {
  const { gapsMs, requests } = await gapsOf({ isKept: true, asked: 20 })
  t.ok(requests <= 2, `asked ${requests} times for twenty answers`)
  t.comment(`gap p50 ${at(gapsMs, 0.5)} ms`)
  t.ok(at(gapsMs, 0.5) <= 400, `p50 ${at(gapsMs, 0.5)}`)
})
