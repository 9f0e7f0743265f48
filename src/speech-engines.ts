import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { SpeechSpend } from './call/call-record.ts'
import type { Config } from './config.ts'
import type { Breakers } from './core/breaker.ts'
import type { Clock } from './core/clock.ts'
import { withDeadline } from './core/deadline.ts'
import type { SpeakableText } from './core/speakable-text.ts'
import type { Logger } from './observability/logger.ts'
import { createEngineMetrics } from './observability/engine-metrics.ts'
import type { Metrics } from './observability/metrics.ts'
import type { CompanyContext, CompanyContextSource } from './response/company-context.ts'
import { DeepgramSynthesizer } from './synthesis/deepgram-synthesizer.ts'
import { FailoverSynthesizer, type VoiceEngine } from './synthesis/failover-synthesizer.ts'
import { OpenAiSynthesizer } from './synthesis/openai-synthesizer.ts'
import type { PhraseCache, WarmableVoice } from './synthesis/phrase-cache.ts'
import type { PrioritySynthesizer } from './synthesis/speaking.ts'
import { voiceAt, type VoiceEngineName } from './synthesis/voices.ts'
import { deepgramVendor } from './transcription/deepgram-line.ts'
import { DeepgramTranscriber } from './transcription/deepgram-transcriber.ts'
import { FailoverTranscriber } from './transcription/failover-transcriber.ts'
import type { Transcriber } from './transcription/transcriber.ts'

export type SpeechEngineDeps = Readonly<{
  config: Pick<Config, 'engines' | 'budget' | 'rates'>
  clock: Clock
  logger: Logger
  metrics: Pick<Metrics, 'registry' | 'engineFailed'>
  breakers: Breakers
  /** What comes along, and stands behind every vendor. */
  transcriber: Transcriber
  synthesizer: PrioritySynthesizer
  phrases: PhraseCache
  /** A company's own key by the name it is kept under; null where it has none. */
  secretOf: (companyId: string, name: string, signal: AbortSignal) => Promise<string | null>
}>

/** Who listens and who speaks, for each company as it chose, with the vendor's failover behind it. */
export type SpeechEngines = Readonly<{
  transcriber: Transcriber
  /** `callSid`: whose bill it is; without one nobody's, as for phrases made in advance. */
  voiceOf: (context: CompanyContext, callSid?: string) => WarmableVoice
  /** What a call's vendors bill until now; null where none took part. */
  spendOf: (callSid: string) => SpeechSpend | null
  /** Contexts as before; once one is loaded its company's choice and keys are known, so that no call waits for them. */
  knowing: (contexts: CompanyContextSource) => CompanyContextSource
  close: () => Promise<void>
}>

/** The names that a company's own keys are kept under. */
export const OWN_DEEPGRAM_KEY = 'deepgram_api_key'
export const OWN_OPENAI_KEY = 'openai_api_key'

/** A store that takes longer must not hold a call: the platform's key speaks. */
const KEYS_WITHIN_MS = 200
const MOST_COMPANIES = 2000
/** Ten times what a process holds at once. */
const MOST_CALLS = 5000
/** Accounts whose lines are kept open at once. */
const MOST_ACCOUNTS = 200

type Choice = Readonly<{ listening: Transcriber; speaking: FailoverSynthesizer; prepare: (context: CompanyContext) => void }>
type Account = Readonly<{ key: string | null; label: string }>

export function createSpeechEngines(deps: SpeechEngineDeps): SpeechEngines {
  const { config, clock, logger, breakers, transcriber, synthesizer, phrases } = deps
  const { engines } = config
  const meters = createEngineMetrics(deps.metrics.registry, config.rates)
  meters.watchBreakers(() => breakers.states)
  const spend = new CallSpend()
  const choices = new LRUCache<string, Choice>({ max: MOST_COMPANIES })
  const ownKeys = new LRUCache<string, Readonly<{ deepgram: string | null; openai: string | null }>>({ max: MOST_COMPANIES })
  const auras = new LRUCache<string, DeepgramSynthesizer>({ max: MOST_ACCOUNTS, dispose: (voice) => voice.close() })
  const openAis = new LRUCache<string, OpenAiSynthesizer>({ max: MOST_ACCOUNTS, dispose: (voice) => void voice.close() })
  const ears = new LRUCache<string, Transcriber>({ max: MOST_ACCOUNTS })
  const voices = new LRUCache<string, FailoverSynthesizer>({ max: MOST_ACCOUNTS })

  const own: VoiceEngine = { synthesizer, voiceFor: (voice) => voiceAt('embedded', voice) }
  const voiceBehind = (preferred: readonly VoiceEngine[], named: string): FailoverSynthesizer => {
    const known = voices.get(named)
    if (known !== undefined) return known
    const made = new FailoverSynthesizer({
      engines: [...preferred, own],
      clock,
      firstAudioWithinMs: config.budget.stagesMs.synthesis ?? config.budget.stallAfterMs,
      onFailure: ({ engine, error, audioBytes }) => {
        deps.metrics.engineFailed('tts')
        meters.failed('tts', engine)
        logger.warn({ engine, audioBytes, error: String(error) }, 'voice failed')
      },
      onSpoken: ({ engine, firstAudioMs, characters }) => {
        meters.firstByte('tts', engine, firstAudioMs)
        meters.spoke(engine, characters)
      },
    })
    voices.set(named, made)
    return made
  }
  const listeningBy = (account: Account): Transcriber => {
    const known = ears.get(account.label)
    if (known !== undefined) return known
    const { model, baseUrl } = engines.deepgram
    const made = new FailoverTranscriber({
      primary: new DeepgramTranscriber({
        clock,
        vendor: deepgramVendor({ apiKey: account.key, baseUrl, model }),
        onUsage: (callId, seconds) => {
          meters.listened('deepgram', seconds)
          spend.add(callId, { sttSeconds: seconds, ttsCharacters: 0 })
        },
        onFinal: (afterMs) => meters.firstByte('stt', 'deepgram', afterMs),
      }),
      fallback: transcriber,
      breaker: breakers.of(`deepgram stt ${account.label}`),
      onFailure: ({ engine, companyId, callId, error }) => {
        deps.metrics.engineFailed('stt')
        meters.failed('stt', engine)
        logger.warn({ companyId, callId, engine, error: String(error) }, 'recogniser failed')
      },
    })
    ears.set(account.label, made)
    return made
  }
  const auraOf = (account: Account): DeepgramSynthesizer => {
    const known = auras.get(account.label)
    if (known !== undefined) return known
    const made = new DeepgramSynthesizer({ clock, access: { apiKey: account.key, baseUrl: engines.deepgram.baseUrl } })
    auras.set(account.label, made)
    return made
  }
  const openAiOf = (account: Account): OpenAiSynthesizer => {
    const known = openAis.get(account.label)
    if (known !== undefined) return known
    const made = new OpenAiSynthesizer({ apiKey: account.key, baseUrl: engines.openai.baseUrl, model: engines.openai.ttsModel })
    openAis.set(account.label, made)
    return made
  }
  const speakingBy = (engine: VoiceEngineName, account: Account | null): VoiceEngine | null => {
    if (engine === 'embedded' || account === null) return null
    const vendor = engine === 'deepgram' ? auraOf(account) : openAiOf(account)
    return { synthesizer: vendor, voiceFor: (voice) => voiceAt(engine, voice), breaker: breakers.of(`${engine} tts ${account.label}`) }
  }

  const ownKeysOf = async (companyId: string, signal: AbortSignal) => {
    const known = ownKeys.get(companyId)
    if (known !== undefined) return known
    try {
      const keys = await withDeadline(clock, KEYS_WITHIN_MS, signal, async (inner) => {
        const [deepgram, openai] = await Promise.all([deps.secretOf(companyId, OWN_DEEPGRAM_KEY, inner), deps.secretOf(companyId, OWN_OPENAI_KEY, inner)])
        return { deepgram, openai }
      })
      ownKeys.set(companyId, keys)
      return keys
    } catch (error) {
      signal.throwIfAborted()
      logger.warn({ companyId, error: String(error) }, "a company's own keys cannot be read")
      return { deepgram: null, openai: null }
    }
  }

  const choose = async (context: CompanyContext, signal: AbortSignal): Promise<Choice> => {
    const { agent, company } = context
    const wanted = wantedEngines(agent, engines)
    const none = wanted.stt === 'embedded' && wanted.tts === 'embedded'
    const keys = none ? { deepgram: null, openai: null } : await ownKeysOf(company.id, signal)
    const deepgram = accountOf(keys.deepgram, engines.deepgram)
    const openai = accountOf(keys.openai, engines.openai)
    const speakers = { embedded: null, deepgram, openai }
    const account = speakers[wanted.tts]
    const isMute = wanted.tts !== 'embedded' && account === null
    if ((wanted.stt === 'deepgram' && deepgram === null) || isMute) {
      logger.warn({ companyId: company.id, ...wanted }, 'a company has chosen an engine that has no key: the embedded one speaks and listens')
    }
    const second = account === null || engines.ttsSecond === null || engines.ttsSecond === wanted.tts ? null : speakers[engines.ttsSecond]
    const preferred = [speakingBy(wanted.tts, account), second === null || engines.ttsSecond === null ? null : speakingBy(engines.ttsSecond, second)].filter((engine) => engine !== null)
    return {
      listening: wanted.stt === 'deepgram' && deepgram !== null ? listeningBy(deepgram) : transcriber,
      speaking: voiceBehind(preferred, preferred.length === 0 ? 'embedded' : `${wanted.tts} ${account?.label ?? ''} ${second?.label ?? ''}`),
      prepare: ({ agent: { voice } }) => {
        if (wanted.tts === 'deepgram' && account !== null) auraOf(account).prepare(voiceAt('deepgram', { id: voice.id, speed: voice.speed }))
      },
    }
  }

  const embeddedOnly = voiceBehind([], 'embedded')
  return {
    transcriber: {
      name: 'as each company chose',
      open: (options, signal) => (choices.get(options.companyId)?.listening ?? transcriber).open(options, signal),
    },
    spendOf: (callSid) => spend.of(callSid),
    voiceOf: (context, callSid) => {
      const company = { companyId: context.company.id, agentVersion: context.agent.version }
      const choice = choices.get(context.company.id)
      const spare = phrases.forCompany(company, embeddedOnly)
      if (choice === undefined || choice.speaking === embeddedOnly) return spare
      choice.prepare(context)
      return withSpare(phrases.forCompany(company, choice.speaking), spare, context, (characters) => {
        if (callSid !== undefined) spend.add(callSid, { sttSeconds: 0, ttsCharacters: characters })
      })
    },
    knowing: (contexts) => ({
      load: async (companyId, signal) => {
        const context = await contexts.load(companyId, signal)
        choices.set(companyId, await choose(context, signal))
        return context
      },
      invalidate: (companyId) => {
        ownKeys.delete(companyId)
        contexts.invalidate(companyId)
      },
    }),
    close: async () => {
      auras.clear()
      await Promise.all([...openAis.values()].map((voice) => voice.close()))
    },
  }
}

/** By call; a call whose stream broke and came back goes on with its sum. */
class CallSpend {
  readonly #byCall = new LRUCache<string, SpeechSpend>({ max: MOST_CALLS })

  add(callSid: string, more: SpeechSpend): void {
    const before = this.#byCall.get(callSid) ?? { sttSeconds: 0, ttsCharacters: 0 }
    this.#byCall.set(callSid, { sttSeconds: before.sttSeconds + more.sttSeconds, ttsCharacters: before.ttsCharacters + more.ttsCharacters })
  }

  of(callSid: string): SpeechSpend | null {
    return this.#byCall.get(callSid) ?? null
  }
}

/** The agent's own word, then the platform's. */
function wantedEngines(agent: CompanyContext['agent'], engines: Config['engines']): Readonly<{ stt: 'embedded' | 'deepgram'; tts: VoiceEngineName }> {
  const spoken = agent.voice.engine === 'default' ? agent.engines.tts : agent.voice.engine
  return { stt: agent.engines.stt === 'default' ? engines.stt : agent.engines.stt, tts: spoken === 'default' ? engines.tts : spoken }
}

/** The company's own key, else the platform's, else a server that asks for none; null where there is nothing to ask. */
function accountOf(ownKey: string | null, platform: Readonly<{ apiKey: { reveal(): string } | null; baseUrl: string | null }>): Account | null {
  if (ownKey !== null) return { key: ownKey, label: createHash('sha256').update(ownKey).digest('hex').slice(0, 8) }
  if (platform.apiKey === null && platform.baseUrl === null) return null
  return { key: platform.apiKey?.reveal() ?? null, label: 'platform' }
}

/** Lines that must be ready whatever happens to the vendor are ready in the embedded voice too. */
function withSpare(voice: WarmableVoice, spare: WarmableVoice, { agent }: CompanyContext, onCharacters: (count: number) => void): WarmableVoice {
  const bridging = new Set<string>([...agent.lines.stall, agent.lines.inaudible])
  return {
    peek: (text, settings) => voice.peek(text, settings),
    spare: (text, settings) => spare.peek(text, settings),
    synthesize: (text, settings, signal, dueBy) => {
      if (voice.peek(text, settings) === null) onCharacters(text.length)
      return voice.synthesize(text, settings, signal, dueBy)
    },
    warm: async (texts: readonly SpeakableText[], settings, signal) => {
      await spare.warm(texts.filter((text) => bridging.has(text)), settings, signal)
      await voice.warm(texts, settings, signal)
    },
  }
}
