import { createHash } from 'node:crypto'
import { mkdir, open, readFile, readdir, rename, rm, stat, utimes, writeFile, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import { uuidv7 } from '../core/ids.ts'

/** One change that is waiting for its database. `group` names what it belongs to: changes of one group stay in order. */
export type JournalEntry = Readonly<{ group: string; change: unknown }>

export type JournalOptions = Readonly<{
  folder: string
  clock: Clock
  /** A turn is some 4 KB: 256 MB are a busy day of a server whose database is gone. */
  maxBytes?: number
  /** Lines that a crash tore, or that somebody changed: never their words. */
  onProblem: (problem: string) => void
}>

const MAX_BYTES = 256 * 1024 * 1024
/** Read as a whole when it is replayed. */
const SEGMENT_BYTES = 4 * 1024 * 1024
/** A process that lives touches its files far more often: another program may have got the number of one that died. */
const ABANDONED_MS = 120_000
const DIGEST_LENGTH = 16
const SEGMENT_NAME = /^calls-(\d+)-([\da-f-]+)\.jsonl$/

type Segment = { readonly path: string; bytes: number; file: FileHandle | null }
type Waiting = Readonly<{ line: string; size: number; group: string; resolve: () => void; reject: (error: unknown) => void }>

/**
 * Changes on the local disk, in order, until they have been made elsewhere. A promise resolves once its line is on the disk; lines that
 * arrive while the disk works go together with the next write. The files of a process that died are taken over by the next one.
 */
export class Journal {
  readonly #options: JournalOptions
  /** Oldest first; only the last one is written to. */
  readonly #segments: Segment[] = []
  readonly #pendingOf = new Map<string, number>()
  #waiting: Waiting[] = []
  #writing: Promise<void> | null = null
  #bytes = 0
  #pending = 0

  private constructor(options: JournalOptions) {
    this.#options = options
  }

  static async open(options: JournalOptions): Promise<Journal> {
    const journal = new Journal(options)
    await mkdir(options.folder, { recursive: true, mode: 0o700 })
    await journal.adoptAbandoned()
    return journal
  }

  /** Takes over what processes that died have left, and shows that this one lives. */
  async adoptAbandoned(): Promise<void> {
    const mine = new Set(this.#segments.map((segment) => segment.path))
    const now = this.#options.clock.wallTime()
    for (const path of mine) await utimes(path, now, now).catch(() => undefined)
    const adopted: Segment[] = []
    for (const name of (await readdir(this.#options.folder)).sort(byAge)) {
      const segment = mine.has(join(this.#options.folder, name)) ? null : await this.#adopt(name, now)
      if (segment !== null) adopted.push(segment)
    }
    // Before what is being written: it is older.
    this.#segments.unshift(...adopted)
  }

  /** Changes not yet made. */
  get pending(): number {
    return this.#pending
  }

  get bytes(): number {
    return this.#bytes
  }

  has(group: string): boolean {
    return this.#pendingOf.has(group)
  }

  /** What waits in the folder, other processes' changes too; what is being written this instant may be missing. */
  async entries(): Promise<readonly JournalEntry[]> {
    while (this.#writing !== null) await this.#writing
    const found: JournalEntry[] = []
    for (const name of (await readdir(this.#options.folder)).filter((one) => SEGMENT_NAME.test(one)).sort(byAge)) {
      const path = join(this.#options.folder, name)
      // Gone since the folder was read: it has been made.
      const text = await readFile(path, 'utf8').catch(() => '')
      for (const entry of entriesOf(text).slice(await doneCount(path))) if (entry !== null) found.push(entry)
    }
    return found
  }

  /** Resolves when it is on the disk. Throws STORE_FAILED when the journal is full or the disk is. */
  append(entry: JournalEntry): Promise<void> {
    const json = JSON.stringify(entry)
    const line = `${digestOf(json)} ${json}\n`
    const size = Buffer.byteLength(line)
    if (this.#bytes + size > (this.#options.maxBytes ?? MAX_BYTES)) {
      return Promise.reject(new ClientsViaError('STORE_FAILED', 'the journal is full: the database has been away for too long'))
    }
    this.#bytes += size
    this.#count(entry.group, 1)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ line, size, group: entry.group, resolve, reject })
      this.#writing ??= this.#write()
    })
  }

  /**
   * Makes the changes in order, each once; stops at the first that `make` rejects with and throws it. What was made is noted, so that a
   * process killed meanwhile leaves at most the last one to be made again.
   */
  async replay(make: (change: unknown) => Promise<void>): Promise<void> {
    while (this.#pending > 0) {
      const segment = this.#segments[0]
      if (segment === undefined) return
      while (this.#writing !== null) await this.#writing
      // What is appended from here on goes to a new segment.
      const { file } = segment
      segment.file = null
      await file?.close()
      await this.#replaySegment(segment, make)
      this.#segments.shift()
      this.#bytes -= segment.bytes
      await rm(doneFile(segment.path), { force: true })
      await rm(segment.path, { force: true })
    }
  }

  async close(): Promise<void> {
    await this.#writing
    for (const segment of this.#segments) await segment.file?.close()
    // An empty file tells the next process nothing.
    for (const segment of this.#segments) if (segment.bytes === 0) await rm(segment.path, { force: true })
  }

  async #replaySegment(segment: Segment, make: (change: unknown) => Promise<void>): Promise<void> {
    const entries = await this.#read(segment.path)
    const done = await doneCount(segment.path)
    for (const [at, entry] of entries.entries()) {
      if (at < done || entry === null) continue
      await make(entry.change)
      this.#count(entry.group, -1)
      // Not synced: a killed process leaves what it wrote, and after a power cut making it again does no harm.
      await writeFile(doneFile(segment.path), String(at + 1), { mode: 0o600 })
    }
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting
      this.#waiting = []
      try {
        let segment = this.#segments.at(-1)
        if (segment === undefined || segment.file === null || segment.bytes >= SEGMENT_BYTES) {
          const full = segment?.file
          if (segment !== undefined) segment.file = null
          await full?.close()
          segment = await this.#newSegment()
          this.#segments.push(segment)
        }
        const text = batch.map(({ line }) => line).join('')
        segment.bytes += Buffer.byteLength(text)
        await segment.file?.appendFile(text)
        await segment.file?.datasync()
        for (const { resolve } of batch) resolve()
      } catch (error) {
        for (const { group, size, reject } of batch) {
          this.#count(group, -1)
          this.#bytes -= size
          reject(new ClientsViaError('STORE_FAILED', 'the journal cannot be written', {}, { cause: error }))
        }
      }
    }
    this.#writing = null
  }

  async #newSegment(): Promise<Segment> {
    // The id sorts by time: a process's files are replayed in the order they were written.
    const path = join(this.#options.folder, `calls-${process.pid}-${uuidv7(this.#options.clock.wallTime())}.jsonl`)
    return { path, bytes: 0, file: await open(path, 'a', 0o600) }
  }

  /** Of several processes that start at once, one succeeds in renaming it. */
  async #adopt(name: string, now: Date): Promise<Segment | null> {
    const [, pidText, id] = SEGMENT_NAME.exec(name) ?? []
    if (pidText === undefined || id === undefined) return null
    const pid = Number(pidText)
    const from = join(this.#options.folder, name)
    const touchedAt = (await stat(from).catch(() => null))?.mtimeMs ?? 0
    // A container's process has the same number at every start.
    if (pid !== process.pid && isAlive(pid) && now.getTime() - touchedAt < ABANDONED_MS) return null
    const path = join(this.#options.folder, `calls-${process.pid}-${id}.jsonl`)
    try {
      await rename(from, path)
    } catch {
      return null
    }
    await rename(doneFile(from), doneFile(path)).catch(() => undefined)
    const entries = (await this.#read(path)).slice(await doneCount(path))
    for (const entry of entries) if (entry !== null) this.#count(entry.group, 1)
    const bytes = (await readFile(path)).length
    this.#bytes += bytes
    return { path, bytes, file: null }
  }

  /** Null for a line that cannot be read. */
  async #read(path: string): Promise<(JournalEntry | null)[]> {
    const entries = entriesOf(await readFile(path, 'utf8'))
    for (const [at, entry] of entries.entries()) if (entry === null) this.#options.onProblem(`line ${at + 1} of a journal was not written to its end`)
    return entries
  }

  #count(group: string, by: 1 | -1): void {
    this.#pending += by
    const count = (this.#pendingOf.get(group) ?? 0) + by
    if (count <= 0) this.#pendingOf.delete(group)
    else this.#pendingOf.set(group, count)
  }
}

/** Null for a line that a crash tore. */
function entriesOf(text: string): (JournalEntry | null)[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const json = line.slice(DIGEST_LENGTH + 1)
      return line.slice(0, DIGEST_LENGTH) === digestOf(json) ? (JSON.parse(json) as JournalEntry) : null
    })
}

function digestOf(json: string): string {
  return createHash('sha256').update(json).digest('hex').slice(0, DIGEST_LENGTH)
}

function byAge(a: string, b: string): number {
  const [idOfA, idOfB] = [SEGMENT_NAME.exec(a)?.[2] ?? '', SEGMENT_NAME.exec(b)?.[2] ?? '']
  return idOfA < idOfB ? -1 : 1
}

function doneFile(path: string): string {
  return `${path}.done`
}

async function doneCount(path: string): Promise<number> {
  return Number(await readFile(doneFile(path), 'utf8').catch(() => '0'))
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Not ours to signal, but there.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
