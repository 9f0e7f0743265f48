import { createReadStream } from 'node:fs'
import { mkdir, open, readFile, readdir, rename, rm, stat, writeFile, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { z } from 'zod'
import { ClientsViaError, isClientsViaError } from '../core/errors.ts'
import { RECORDING_BYTES_PER_MS, type Recording, type RecordingEnd, type RecordingFacts, type RecordingPage, type RecordingSink, type RecordingStore } from '../call/recording.ts'

const factsSchema = z.object({
  id: z.string(),
  companyId: z.string(),
  callSid: z.string(),
  from: z.string(),
  to: z.string(),
  startedAt: z.iso.datetime(),
  notice: z.string(),
  end: z
    .object({
      endedAt: z.iso.datetime(),
      endedBy: z.enum(['call', 'declined', 'failed']),
      silenced: z.array(z.object({ fromMs: z.number(), toMs: z.number(), because: z.enum(['private', 'keys', 'disk']) })),
    })
    .nullable(),
})

/** Ids of ours, and nothing that could leave the folder. */
const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/
/** For the owner of the server's account alone. */
const PRIVATE_FILE = 0o600
const PRIVATE_FOLDER = 0o700

/**
 * A folder a company, two files a recording: `ID.wav`, which any player opens at any moment of the call and after the process was
 * killed, and `ID.json` with its facts. The call's name is part of neither: it is in the facts.
 */
export class RecordingFiles implements RecordingStore {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  async create(companyId: string, facts: RecordingFacts): Promise<RecordingSink> {
    if (facts.companyId !== companyId) throw new ClientsViaError('INVALID_INPUT', 'the recording is of another company', { field: 'companyId' })
    return guarded(async () => {
      await mkdir(this.#folderOf(companyId), { recursive: true, mode: PRIVATE_FOLDER })
      const wav = this.#path(companyId, facts.id, 'wav')
      const file = await open(wav, 'wx', PRIVATE_FILE)
      try {
        await file.write(headerOf(0), 0, HEADER_BYTES, 0)
        await writeFile(this.#path(companyId, facts.id, 'json'), JSON.stringify({ ...facts, end: null }), { flag: 'wx', mode: PRIVATE_FILE })
      } catch (error) {
        await file.close()
        await rm(wav, { force: true })
        throw error
      }
      return new FileSink(file, (end) => this.#finish(companyId, facts, end))
    })
  }

  async get(companyId: string, recordingId: string): Promise<Recording | null> {
    if (!ID.test(recordingId)) return null
    return guarded(async () => {
      const [text, size] = await Promise.all([textOf(this.#path(companyId, recordingId, 'json')), sizeOf(this.#path(companyId, recordingId, 'wav'))])
      if (text === null || size === null) return null
      const facts = factsOf(text, recordingId)
      // The folder is one company's; the file says so too.
      if (facts.companyId !== companyId) return null
      const audioBytes = Math.max(0, size - HEADER_BYTES)
      return { ...facts, durationMs: Math.floor(audioBytes / RECORDING_BYTES_PER_MS), sizeBytes: HEADER_BYTES + audioBytes }
    })
  }

  async list(companyId: string, page: RecordingPage, signal?: AbortSignal): Promise<readonly Recording[]> {
    const { before, limit, callSid, from, startedFrom, startedBefore } = page
    const found: Recording[] = []
    for (const id of await this.#ids(companyId)) {
      signal?.throwIfAborted()
      if (before !== null && id >= before) continue
      if (found.length >= limit) break
      // Ids begin with their time: what is too new is not opened, and after what is too old comes nothing.
      const startedAt = timeOf(id)
      if (startedBefore !== undefined && startedAt >= startedBefore) continue
      if (startedFrom !== undefined && startedAt < startedFrom) break
      const recording = await this.get(companyId, id)
      if (recording === null) continue
      if ((callSid === undefined || recording.callSid === callSid) && (from === undefined || recording.from === from)) found.push(recording)
    }
    return found
  }

  async read(companyId: string, recordingId: string, range: Readonly<{ from: number; to: number }>): Promise<Readable | null> {
    if ((await this.get(companyId, recordingId)) === null) return null
    return createReadStream(this.#path(companyId, recordingId, 'wav'), { start: range.from, end: Math.max(range.from, range.to - 1) })
  }

  async delete(companyId: string, recordingId: string): Promise<boolean> {
    if (!ID.test(recordingId)) return false
    return guarded(async () => {
      const was = await sizeOf(this.#path(companyId, recordingId, 'wav'))
      // The facts last: what is left behind by a process that dies in between is found and deleted again.
      await rm(this.#path(companyId, recordingId, 'wav'), { force: true })
      await rm(this.#path(companyId, recordingId, 'json'), { force: true })
      return was !== null
    })
  }

  async companies(): Promise<readonly string[]> {
    return guarded(async () => (await namesIn(this.#folder)).map((name) => Buffer.from(name, 'hex').toString('utf8')).sort())
  }

  async #finish(companyId: string, facts: RecordingFacts, end: RecordingEnd): Promise<void> {
    const path = this.#path(companyId, facts.id, 'json')
    const next = `${path}.next`
    if ((await sizeOf(path)) === null) return
    await writeFile(next, JSON.stringify({ ...facts, end }), { mode: PRIVATE_FILE })
    await rename(next, path)
    // Deleted while it was renamed: gone it stays.
    if ((await sizeOf(this.#path(companyId, facts.id, 'wav'))) === null) await rm(path, { force: true })
  }

  /** Newest first. */
  async #ids(companyId: string): Promise<readonly string[]> {
    return guarded(async () =>
      (await namesIn(this.#folderOf(companyId)))
        .filter((name) => name.endsWith('.json'))
        .map((name) => name.slice(0, -5))
        .sort()
        .reverse(),
    )
  }

  /** Hexadecimal: whatever a company is called, it is a name of one folder. */
  #folderOf(companyId: string): string {
    return join(this.#folder, Buffer.from(companyId, 'utf8').toString('hex'))
  }

  #path(companyId: string, recordingId: string, kind: 'wav' | 'json'): string {
    return join(this.#folderOf(companyId), `${recordingId}.${kind}`)
  }
}

class FileSink implements RecordingSink {
  readonly #file: FileHandle
  readonly #onFinish: (end: RecordingEnd) => Promise<void>
  #audioBytes = 0

  constructor(file: FileHandle, onFinish: (end: RecordingEnd) => Promise<void>) {
    this.#file = file
    this.#onFinish = onFinish
  }

  async write(atByte: number, bytes: Uint8Array): Promise<void> {
    await guarded(async () => {
      let done = 0
      while (done < bytes.length) done += (await this.#file.write(bytes, done, bytes.length - done, HEADER_BYTES + atByte + done)).bytesWritten
      if (atByte + bytes.length <= this.#audioBytes) return
      this.#audioBytes = atByte + bytes.length
      // After the sound, so that the header never promises what is not there.
      await this.#file.write(headerOf(this.#audioBytes), 0, HEADER_BYTES, 0)
    })
  }

  async finish(end: RecordingEnd): Promise<void> {
    await guarded(async () => {
      try {
        await this.#file.sync()
      } finally {
        await this.#file.close()
      }
      await this.#onFinish(end)
    })
  }
}

const HEADER_BYTES = 58

/** RIFF/WAVE, µ-law, two channels, 8 kHz. A format that is not PCM has a `fact` chunk with its length in samples. */
function headerOf(audioBytes: number): Uint8Array {
  const header = Buffer.alloc(HEADER_BYTES)
  header.write('RIFF', 0, 'latin1')
  header.writeUInt32LE(HEADER_BYTES - 8 + audioBytes, 4)
  header.write('WAVEfmt ', 8, 'latin1')
  header.writeUInt32LE(18, 16)
  header.writeUInt16LE(7, 20)
  header.writeUInt16LE(2, 22)
  header.writeUInt32LE(8000, 24)
  header.writeUInt32LE(RECORDING_BYTES_PER_MS * 1000, 28)
  header.writeUInt16LE(2, 32)
  header.writeUInt16LE(8, 34)
  header.write('fact', 38, 'latin1')
  header.writeUInt32LE(4, 42)
  header.writeUInt32LE(audioBytes / 2, 46)
  header.write('data', 50, 'latin1')
  header.writeUInt32LE(audioBytes, 54)
  return header
}

/** RFC 9562: the first 48 bits are milliseconds since 1970. */
function timeOf(id: string): string {
  return new Date(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)).toISOString()
}

function factsOf(text: string, recordingId: string): RecordingFacts & Readonly<{ end: RecordingEnd | null }> {
  const parsed = factsSchema.safeParse(jsonOf(text))
  if (!parsed.success) throw new ClientsViaError('STORE_FAILED', `the facts of recording ${recordingId} cannot be read`, { recordingId })
  return parsed.data
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  return unlessMissing(() => readdir(folder), [])
}

async function textOf(path: string): Promise<string | null> {
  return unlessMissing(() => readFile(path, 'utf8'), null)
}

async function sizeOf(path: string): Promise<number | null> {
  return unlessMissing(async () => (await stat(path)).size, null)
}

async function unlessMissing<T, M>(read: () => Promise<T>, missing: M): Promise<T | M> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return missing
    throw error
  }
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (isClientsViaError(error)) throw error
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    throw new ClientsViaError('STORE_FAILED', `recordings: ${code}`, { code }, { cause: error })
  }
}
