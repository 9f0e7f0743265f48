import { DeepgramStandIn, tonesOf } from '../../vendors/deepgram.ts'
import { FAULTS } from '../../vendors/faults.ts'
import { OpenAiSpeechStandIn } from '../../vendors/openai-speech.ts'
import type { FaultSubject } from './fault-calls.ts'

/** What the recordings of the matrix's caller say. */
const QUESTIONS = ['When are you open on Saturday?', 'What does the maintenance plan include?']
/** Faster than people: the matrix need not wait for sentences to end. */
const TONE_SPEED = 2
/** A quarter faster than its listener: never done with a sentence when it falls ill in the middle of it. */
const PIECE_MS = 90

export async function listening(model: 'nova-3' | 'flux-general-en'): Promise<FaultSubject> {
  const vendor = await DeepgramStandIn.start({ hears: { kind: 'bursts', texts: QUESTIONS } })
  return {
    name: `listening (Deepgram ${model})`,
    faults: FAULTS,
    environment: { STT_ENGINE: 'deepgram', TTS_ENGINE: 'embedded', DEEPGRAM_BASE_URL: vendor.url, DEEPGRAM_MODEL: model },
    during: 'caller-speaks',
    fail: (fault) => vendor.server.fail(fault),
    fresh: () => vendor.newCall(),
    stop: () => vendor.stop(),
  }
}

export async function speaking(): Promise<FaultSubject> {
  const vendor = await DeepgramStandIn.start({ delays: { pieceMs: PIECE_MS }, speaks: quickTones })
  return {
    name: 'speaking (Deepgram Aura)',
    faults: FAULTS,
    environment: { STT_ENGINE: 'embedded', TTS_ENGINE: 'deepgram', DEEPGRAM_BASE_URL: vendor.url },
    during: 'agent-speaks',
    fail: (fault) => vendor.server.fail(fault),
    fresh: (platform) => platform.phrases.forgetSpoken(),
    stop: () => vendor.stop(),
  }
}

export async function speakingByOpenAi(): Promise<FaultSubject> {
  const vendor = await OpenAiSpeechStandIn.start()
  vendor.delays.pieceMs = PIECE_MS
  return {
    name: 'speaking (OpenAI)',
    faults: FAULTS,
    environment: { STT_ENGINE: 'embedded', TTS_ENGINE: 'openai', LLM_ENGINE: 'none', OPENAI_BASE_URL: vendor.baseUrl },
    during: 'agent-speaks',
    fail: (fault) => vendor.server.fail(fault),
    fresh: (platform) => platform.phrases.forgetSpoken(),
    stop: () => vendor.stop(),
  }
}

function quickTones(text: string): Int16Array {
  const samples = tonesOf(text)
  return samples.slice(0, samples.length / TONE_SPEED)
}

/** Two vendors' voices in a row, both ill: only behind them is the one that comes along. */
export async function speakingByBoth(): Promise<FaultSubject> {
  const [first, second] = [await DeepgramStandIn.start({ delays: { pieceMs: PIECE_MS }, speaks: quickTones }), await OpenAiSpeechStandIn.start()]
  second.delays.pieceMs = PIECE_MS
  return {
    name: 'speaking (Deepgram Aura, then OpenAI, both ill)',
    faults: FAULTS,
    environment: { STT_ENGINE: 'embedded', TTS_ENGINE: 'deepgram', TTS_SECOND_ENGINE: 'openai', LLM_ENGINE: 'none', DEEPGRAM_BASE_URL: first.url, OPENAI_BASE_URL: second.baseUrl },
    during: 'agent-speaks',
    fail: async (fault) => {
      await Promise.all([first.server.fail(fault), second.server.fail(fault)])
    },
    fresh: (platform) => platform.phrases.forgetSpoken(),
    stop: async () => {
      await Promise.all([first.stop(), second.stop()])
    },
  }
}

/** Both by one vendor: when it falls, it falls for both. */
export async function bothBySocket(): Promise<Readonly<{ subject: FaultSubject; vendor: DeepgramStandIn }>> {
  const vendor = await DeepgramStandIn.start({ hears: { kind: 'bursts', texts: QUESTIONS }, speaks: quickTones })
  const subject: FaultSubject = {
    name: 'listening and speaking (Deepgram)',
    faults: FAULTS,
    environment: { STT_ENGINE: 'deepgram', TTS_ENGINE: 'deepgram', DEEPGRAM_BASE_URL: vendor.url },
    during: 'caller-speaks',
    fail: (fault) => vendor.server.fail(fault),
    fresh: (platform) => {
      vendor.newCall()
      platform.phrases.forgetSpoken()
    },
    stop: () => vendor.stop(),
  }
  return { subject, vendor }
}
