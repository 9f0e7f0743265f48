import type { Readable } from 'node:stream'

/** Caller left, agent right, on the caller's media clock: two bytes of µ-law a sample, 8000 samples a second. */
export const RECORDING_BYTES_PER_MS = 16

/** Why a stretch of a recording is silent although somebody spoke. */
export type SilencedBecause = 'private' | 'keys' | 'disk'

/** What is known when the first sample is kept. */
export type RecordingFacts = Readonly<{
  /** UUIDv7, so that ids sort by time. */
  id: string
  companyId: string
  callSid: string
  /** E.164 where it is one. */
  from: string
  to: string
  /** RFC 3339: the moment of the first sample. */
  startedAt: string
  /** The words that the caller had heard to their end before anything was kept. */
  notice: string
}>

export type RecordingEnd = Readonly<{
  /** RFC 3339. */
  endedAt: string
  /** 'declined': the caller did not want it. 'failed': the disk would not take it. */
  endedBy: 'call' | 'declined' | 'failed'
  /** Milliseconds from the first sample, in order. */
  silenced: readonly Readonly<{ fromMs: number; toMs: number; because: SilencedBecause }>[]
}>

export type Recording = RecordingFacts &
  Readonly<{
    /** Null while it is going on, and for good where the process died in the middle of it. */
    end: RecordingEnd | null
    durationMs: number
    /** Of the WAV file as it is sent, header and all. */
    sizeBytes: number
  }>

export type RecordingPage = Readonly<{
  /** The id of the last recording of the page before. */
  before: string | null
  limit: number
  callSid?: string
  from?: string
  startedFrom?: string
  startedBefore?: string
}>

/** One recording being made. Calls come one after another, each after the one before has settled. */
export interface RecordingSink {
  /** Puts stereo µ-law at `atByte` of the audio; what was there before is replaced. */
  write(atByte: number, bytes: Uint8Array): Promise<void>
  /** Nothing more comes. A recording that was deleted meanwhile stays deleted. */
  finish(end: RecordingEnd): Promise<void>
}

/** Where recordings are kept. companyId first, always. Throws STORE_FAILED when the disk does not do as it is told. */
export interface RecordingStore {
  create(companyId: string, facts: RecordingFacts): Promise<RecordingSink>
  get(companyId: string, recordingId: string, signal?: AbortSignal): Promise<Recording | null>
  /** Newest first. */
  list(companyId: string, page: RecordingPage, signal?: AbortSignal): Promise<readonly Recording[]>
  /** Bytes `from` to `to` (not included) of the WAV file; null when there is no such recording. */
  read(companyId: string, recordingId: string, range: Readonly<{ from: number; to: number }>, signal?: AbortSignal): Promise<Readable | null>
  delete(companyId: string, recordingId: string): Promise<boolean>
  /** Companies that have anything here, so that what a deleted company left behind can be found. */
  companies(signal?: AbortSignal): Promise<readonly string[]>
}

const PAGE = 200

/** Every recording of a company that fits, newest first. Those already given out may be deleted on the way. */
export async function* everyRecording(store: RecordingStore, companyId: string, filter: Omit<RecordingPage, 'before' | 'limit'>, signal: AbortSignal): AsyncGenerator<Recording> {
  let before: string | null = null
  for (;;) {
    const page: readonly Recording[] = await store.list(companyId, { ...filter, before, limit: PAGE }, signal)
    yield* page
    before = page.at(-1)?.id ?? null
    if (page.length < PAGE || before === null) return
  }
}

/** Deletes what fits; how many that were. */
export async function deleteRecordings(store: RecordingStore, companyId: string, filter: Omit<RecordingPage, 'before' | 'limit'>, signal: AbortSignal): Promise<number> {
  let deleted = 0
  for await (const recording of everyRecording(store, companyId, filter, signal)) if (await store.delete(companyId, recording.id)) deleted += 1
  return deleted
}
