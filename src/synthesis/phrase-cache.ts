import { LRUCache } from 'lru-cache'
import type { Instant } from '../core/clock.ts'
import type { SpeakableText } from '../core/speakable-text.ts'
import { PhraseFolder, type PhraseKey } from './phrase-folder.ts'
import { SharedSynthesis } from './shared-synthesis.ts'
import type { Priority, PrioritySynthesizer } from './speaking.ts'
import type { CompanyVoice, Synthesizer, Voice } from './synthesizer.ts'

/** 64 MiB is more than two hours of speech: some 150 companies with 20 phrases each. */
const DEFAULT_MEMORY_BYTES = 64 * 1024 * 1024
const DEFAULT_FOLDER_BYTES = 512 * 1024 * 1024

/** A company's voice that can also be made ready in advance. */
export interface WarmableVoice extends CompanyVoice {
  /** Makes `texts` ready in the order given, giving way to callers. Throws the signal's reason, or the first text's error that remained. */
  warm(texts: readonly SpeakableText[], voice: Voice, signal: AbortSignal): Promise<void>
}

/** `isWarm`: made ready in advance, not because somebody was told it. */
type Entry = Readonly<{ companyId: string; mulaw: Uint8Array; isWarm: boolean }>

/**
 * Ready µ-law in front of an engine, kept per company, agent version, engine, voice, pace and text. Memory holds what was spoken
 * lately; the folder holds only phrases that were warmed, so that nothing said to one caller is written to disk. Two who want the
 * same sentence at once share one synthesis. A partial, failed or stand-in synthesis is never kept.
 */
export class PhraseCache {
  readonly #synthesizer: PrioritySynthesizer
  readonly #memory: LRUCache<string, Entry>
  readonly #folder: PhraseFolder | null
  readonly #running = new Map<string, SharedSynthesis>()
  readonly #onFolderError: (error: unknown) => void

  constructor(
    options: Readonly<{
      synthesizer: Synthesizer
      maxBytes?: number
      /** Null: nothing is kept over a restart. */
      folder: string | null
      maxFolderBytes?: number
      /** A full or broken disk costs warmth, never speech; this is where it is logged. */
      onFolderError?: (error: unknown) => void
    }>,
  ) {
    this.#synthesizer = options.synthesizer
    this.#memory = new LRUCache({ maxSize: options.maxBytes ?? DEFAULT_MEMORY_BYTES, sizeCalculation: (entry) => Math.max(1, entry.mulaw.length) })
    this.#folder = options.folder === null ? null : new PhraseFolder(options.folder, options.maxFolderBytes ?? DEFAULT_FOLDER_BYTES)
    this.#onFolderError = options.onFolderError ?? (() => undefined)
  }

  /** A new agent version is a new voice: what the old one made ready is not found any more. */
  forCompany(company: Readonly<{ companyId: string; agentVersion: number }>, engine: PrioritySynthesizer = this.#synthesizer): WarmableVoice {
    const keyOf = (text: string, voice: Voice): PhraseKey => ({
      companyId: company.companyId,
      agentVersion: company.agentVersion,
      engine: engine.name,
      voiceId: voice.id,
      speed: voice.speed,
      text,
    })
    return {
      peek: (text, voice) => this.#peek(keyOf(text, voice)),
      spare: () => null,
      synthesize: (text, voice, signal, dueBy) => this.#synthesize(keyOf(text, voice), engine, text, voice, signal, dueBy),
      warm: async (texts, voice, signal) => {
        const failures: unknown[] = []
        for (const text of texts) {
          try {
            await this.#warm(keyOf(text, voice), engine, text, voice, signal)
          } catch (error) {
            signal.throwIfAborted()
            failures.push(error)
          }
        }
        if (failures.length > 0) throw failures[0]
      },
    }
  }

  /** Drops a company's phrases from memory and disk; those of `keepVersion` stay. For a saved agent and for a deleted company. */
  async forget(companyId: string, keepVersion: number | null): Promise<void> {
    for (const [key, entry] of this.#memory.entries()) {
      if (entry.companyId === companyId && (keepVersion === null || !key.startsWith(versionPrefix(companyId, keepVersion)))) this.#memory.delete(key)
    }
    await this.#folder?.forget(companyId, keepVersion)
  }

  /** Drops what callers were told lately; what was made ready in advance stays. For drills. */
  forgetSpoken(): void {
    for (const [key, entry] of this.#memory.entries()) if (!entry.isWarm) this.#memory.delete(key)
  }

  /** Bytes of audio in memory. */
  get bytes(): number {
    return this.#memory.calculatedSize
  }

  #peek(key: PhraseKey): Uint8Array | null {
    const entry = this.#memory.get(nameOf(key))
    return entry !== undefined && entry.companyId === key.companyId ? entry.mulaw : null
  }

  async *#synthesize(
    key: PhraseKey,
    engine: PrioritySynthesizer,
    text: SpeakableText,
    voice: Voice,
    signal: AbortSignal,
    dueBy: Instant | undefined,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    signal.throwIfAborted()
    const ready = this.#peek(key)
    if (ready !== null) {
      yield ready
      return
    }
    const running = this.#running.get(nameOf(key))
    // A caller does not queue behind the background: a warming synthesis that joined no caller yet is begun again, first in line.
    if (running !== undefined && running.priority === 'warm') this.#drop(key, running)
    yield* this.#share(key, engine, text, voice, 'live', dueBy).listen(signal)
  }

  async #warm(key: PhraseKey, engine: PrioritySynthesizer, text: SpeakableText, voice: Voice, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#peek(key) === null) {
      const stored = await this.#readStored(key)
      if (stored !== null) {
        this.#keep(key, stored, true)
        return
      }
      while (this.#peek(key) === null) {
        const shared = this.#share(key, engine, text, voice, 'warm', undefined)
        try {
          for await (const _ of shared.listen(signal)) continue
          break
        } catch (error) {
          signal.throwIfAborted()
          // Taken over by a caller, or left by one: then it is still wanted here.
          if (!shared.stopped) throw error
        }
      }
    }
    const mulaw = this.#peek(key)
    if (mulaw !== null) await this.#writeStored(key, mulaw)
  }

  /** The synthesis in progress, or a new one. */
  #share(key: PhraseKey, engine: PrioritySynthesizer, text: SpeakableText, voice: Voice, priority: Priority, dueBy: Instant | undefined): SharedSynthesis {
    const name = nameOf(key)
    const running = this.#running.get(name)
    if (running !== undefined && !running.stopped) return running
    let standIn = false
    const onStandIn = (): void => {
      standIn = true
    }
    const shared = new SharedSynthesis(
      priority,
      (signal) => engine.synthesize(text, voice, signal, { priority, onStandIn, ...(dueBy === undefined ? {} : { dueBy }) }),
      (whole) => {
        if (this.#running.get(name) === shared) this.#running.delete(name)
        if (whole !== null && whole.length > 0 && !standIn) this.#keep(key, whole, priority === 'warm')
      },
    )
    this.#running.set(name, shared)
    shared.start()
    return shared
  }

  #drop(key: PhraseKey, shared: SharedSynthesis): void {
    this.#running.delete(nameOf(key))
    shared.stop(new Error('a caller needs this sentence now'))
  }

  /** As bytes of its own: what engines hand over lies in blocks of 64 KB that are shared, and a phrase of 4 would hold all of one. */
  #keep(key: PhraseKey, mulaw: Uint8Array, isWarm: boolean): void {
    this.#memory.set(nameOf(key), { companyId: key.companyId, mulaw: new Uint8Array(mulaw), isWarm })
  }

  async #readStored(key: PhraseKey): Promise<Uint8Array | null> {
    try {
      return (await this.#folder?.read(key)) ?? null
    } catch (error) {
      this.#onFolderError(error)
      return null
    }
  }

  async #writeStored(key: PhraseKey, mulaw: Uint8Array): Promise<void> {
    try {
      await this.#folder?.write(key, mulaw)
    } catch (error) {
      this.#onFolderError(error)
    }
  }
}

function nameOf(key: PhraseKey): string {
  return `${versionPrefix(key.companyId, key.agentVersion)}${JSON.stringify([key.engine, key.voiceId, key.speed, key.text])}`
}

function versionPrefix(companyId: string, agentVersion: number): string {
  return `${JSON.stringify([companyId, agentVersion])}:`
}
