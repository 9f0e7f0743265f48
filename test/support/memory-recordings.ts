import { Readable } from 'node:stream'
import { RECORDING_BYTES_PER_MS, type Recording, type RecordingEnd, type RecordingFacts, type RecordingPage, type RecordingSink, type RecordingStore } from '../../src/call/recording.ts'
import { ClientsViaError } from '../../src/core/errors.ts'

type Kept = { facts: RecordingFacts; end: RecordingEnd | null; audio: Buffer }

const HEADER = Buffer.alloc(58)

/** The same promises as the files, in memory; keeps the contract test of the store. */
export class MemoryRecordings implements RecordingStore {
  readonly kept = new Map<string, Kept>()
  /** While true every write fails, as on a full disk. */
  failing = false
  /** While set, writes wait for it, as on a disk that stands still. */
  stuck: Promise<void> | null = null

  async create(companyId: string, facts: RecordingFacts): Promise<RecordingSink> {
    if (facts.companyId !== companyId) throw new ClientsViaError('INVALID_INPUT', 'the recording is of another company', { field: 'companyId' })
    await this.#disk()
    const kept: Kept = { facts, end: null, audio: Buffer.alloc(0) }
    this.kept.set(facts.id, kept)
    return {
      write: async (atByte, bytes) => {
        await this.#disk()
        const longer = Buffer.alloc(Math.max(kept.audio.length, atByte + bytes.length))
        kept.audio.copy(longer)
        longer.set(bytes, atByte)
        kept.audio = longer
      },
      finish: async (end) => {
        await this.#disk()
        kept.end = end
      },
    }
  }

  async get(companyId: string, recordingId: string): Promise<Recording | null> {
    const kept = this.kept.get(recordingId)
    return kept?.facts.companyId === companyId ? recordingOf(kept) : null
  }

  async list(companyId: string, page: RecordingPage): Promise<readonly Recording[]> {
    const { before, limit, callSid, from, startedFrom, startedBefore } = page
    return [...this.kept.values()]
      .filter(({ facts }) => facts.companyId === companyId && (before === null || facts.id < before))
      .filter(({ facts }) => (callSid ?? facts.callSid) === facts.callSid && (from ?? facts.from) === facts.from)
      .filter(({ facts }) => facts.startedAt >= (startedFrom ?? '') && facts.startedAt < (startedBefore ?? '9'))
      .sort((a, b) => (a.facts.id < b.facts.id ? 1 : -1))
      .slice(0, limit)
      .map(recordingOf)
  }

  async read(companyId: string, recordingId: string, range: Readonly<{ from: number; to: number }>): Promise<Readable | null> {
    const kept = this.kept.get(recordingId)
    if (kept?.facts.companyId !== companyId) return null
    return Readable.from([Buffer.concat([HEADER, kept.audio]).subarray(range.from, range.to)])
  }

  async delete(companyId: string, recordingId: string): Promise<boolean> {
    return this.kept.get(recordingId)?.facts.companyId === companyId && this.kept.delete(recordingId)
  }

  async companies(): Promise<readonly string[]> {
    return [...new Set([...this.kept.values()].map(({ facts }) => facts.companyId))].sort()
  }

  async #disk(): Promise<void> {
    if (this.stuck !== null) await this.stuck
    if (this.failing) throw new ClientsViaError('STORE_FAILED', 'the disk is full')
  }
}

function recordingOf({ facts, end, audio }: Kept): Recording {
  return { ...facts, end, durationMs: Math.floor(audio.length / RECORDING_BYTES_PER_MS), sizeBytes: HEADER.length + audio.length }
}
