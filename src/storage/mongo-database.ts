import { MongoClient, MongoServerError, type Collection, type Db, type Document, type Filter, type Sort, type UpdateFilter } from 'mongodb'
import { ClientsViaError, isClientsViaError } from '../core/errors.ts'
import { KeyedTurns } from './keyed-turns.ts'
import { untilAborted } from './until-aborted.ts'

/** Every record's key is one string that begins with its company; `revision` counts its writes. */
export type Stored = Document & { _id: string }

export type MongoLimits = Readonly<{
  /** The server stops an operation after this; nobody on a call waits for one. */
  operationMs: number
  /** Until a primary is known. A failover takes longer: then the caller hears of it and the journal, the cache or the person goes on. */
  selectionMs: number
  /** A socket that is silent for longer than any operation may take is broken. */
  socketMs: number
  /** To connect, and for a heartbeat's answer: a server that is slower than that is taken for gone. */
  connectMs: number
}>
const FOR_CALLS: MongoLimits = { operationMs: 2000, selectionMs: 1000, socketMs: 5000, connectMs: 1000 }
/** For whoever has time: an index of a large collection takes minutes to make. */
export const PATIENT: MongoLimits = { operationMs: 600_000, selectionMs: 30_000, socketMs: 0, connectMs: 30_000 }
/** One process's share; beyond it operations queue in the driver, for as long as selection may take. */
const MAX_CONNECTIONS = 20
/** Processes that race for one record; each round one of them wins. */
const MAX_TRIES = 32

/**
 * One MongoDB database. Writes are acknowledged by the majority's journals and reads come from the primary: a secondary would serve what an
 * admin has just replaced. What must be one step is one record: no transaction is used, so that any server that speaks the protocol will do.
 */
export class MongoDatabase {
  readonly #client: MongoClient
  readonly #db: Db
  readonly #turns = new KeyedTurns()
  readonly #operationMs: number
  readonly #findsByKeyOnly: () => Promise<boolean>
  #isUp = true
  #detail = 'connecting'

  private constructor(client: MongoClient, database: string, operationMs: number) {
    this.#operationMs = operationMs
    this.#client = client
    this.#db = client.db(database)
    this.#findsByKeyOnly = whetherFindsByKeyOnly(this.#db, operationMs)
    client.on('serverHeartbeatSucceeded', () => this.#note(true, 'connected'))
    client.on('serverHeartbeatFailed', (event) => this.#note(false, event.failure.message))
  }

  /** Connects in the background: the first operation waits for it. */
  static open(url: string, database: string, limits: MongoLimits = FOR_CALLS): MongoDatabase {
    const client = new MongoClient(url, {
      appName: 'clientsvia',
      ignoreUndefined: true,
      writeConcern: { w: 'majority', journal: true },
      readConcern: { level: 'majority' },
      readPreference: 'primary',
      retryWrites: true,
      retryReads: true,
      serverSelectionTimeoutMS: limits.selectionMs,
      waitQueueTimeoutMS: limits.selectionMs,
      connectTimeoutMS: limits.connectMs,
      socketTimeoutMS: limits.socketMs,
      heartbeatFrequencyMS: 2000,
      maxPoolSize: MAX_CONNECTIONS,
    })
    return new MongoDatabase(client, database, limits.operationMs)
  }

  /** As the last heartbeat found it. */
  get isUp(): boolean {
    return this.#isUp
  }

  get detail(): string {
    return this.#detail
  }

  collection(name: string): MongoRecords {
    return new MongoRecords(this.#db.collection<Stored>(name), this.#turns, this.#operationMs, this.#findsByKeyOnly)
  }

  /** For the migration: runs an operation on the database itself. */
  run<T>(work: (db: Db) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return guarded(() => work(this.#db), signal)
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  #note(isUp: boolean, detail: string): void {
    this.#isUp = isUp
    this.#detail = detail
  }
}

/** What a change makes of a record: null leaves it as it is. */
export type RecordChange<T> = Readonly<{ record: Document | null; answer: T }>

/** One collection, with a deadline on each operation. Every method throws STORE_FAILED when the database does not answer in time. */
export class MongoRecords {
  readonly #records: Collection<Stored>
  readonly #turns: KeyedTurns
  readonly #operationMs: number
  readonly #findsByKeyOnly: () => Promise<boolean>

  constructor(records: Collection<Stored>, turns: KeyedTurns, operationMs: number, findsByKeyOnly: () => Promise<boolean>) {
    this.#operationMs = operationMs
    this.#findsByKeyOnly = findsByKeyOnly
    this.#records = records
    this.#turns = turns
  }

  get name(): string {
    return this.#records.collectionName
  }

  get(id: string, signal?: AbortSignal): Promise<Stored | null> {
    return guarded(() => this.#records.findOne({ _id: id }, { maxTimeMS: this.#operationMs }), signal)
  }

  /** `projection`: of each record, nothing but these fields and its key. */
  find(filter: Filter<Stored>, options: Readonly<{ sort: Sort; limit: number; projection?: Readonly<Record<string, 1>> }>, signal?: AbortSignal): Promise<Stored[]> {
    return guarded(() => this.#records.find(filter, { ...options, maxTimeMS: this.#operationMs }).toArray(), signal)
  }

  count(filter: Filter<Stored>, signal?: AbortSignal): Promise<number> {
    return guarded(() => this.#records.countDocuments(filter, { maxTimeMS: this.#operationMs }), signal)
  }

  /** False when there is one with this id already. */
  insert(record: Stored, signal?: AbortSignal): Promise<boolean> {
    return guarded(async () => {
      try {
        await this.#records.insertOne(record, { maxTimeMS: this.#operationMs })
        return true
      } catch (error) {
        if (isDuplicate(error)) return false
        throw error
      }
    }, signal)
  }

  put(record: Stored, signal?: AbortSignal): Promise<void> {
    const { _id, ...rest } = record
    const replace = (): Promise<unknown> => this.#records.replaceOne({ _id }, rest, { upsert: true, maxTimeMS: this.#operationMs })
    const put = async (): Promise<void> => {
      try {
        await replace()
      } catch (error) {
        // Two upserts of a new record: the second finds the first one's.
        if (!isDuplicate(error)) throw error
        await replace()
      }
    }
    return this.#inTurn(_id, () => guarded(put, signal), signal)
  }

  /** The record as it is afterwards. */
  increment(id: string, field: string, onInsert: Document, signal?: AbortSignal): Promise<Stored | null> {
    const update: UpdateFilter<Stored> = { $inc: { [field]: 1 }, $setOnInsert: onInsert }
    const options = { upsert: true, returnDocument: 'after', maxTimeMS: this.#operationMs } as const
    return this.#inTurn(id, () => guarded(() => this.#records.findOneAndUpdate({ _id: id }, update, options), signal), signal)
  }

  /** How many fitted the filter. */
  update(filter: Filter<Stored> & { _id: string }, update: UpdateFilter<Stored>, signal?: AbortSignal): Promise<number> {
    const work = async (): Promise<number> => (await this.#records.updateOne(filter, update, { maxTimeMS: this.#operationMs })).matchedCount
    return this.#inTurn(filter._id, () => guarded(work, signal), signal)
  }

  /** Gives the record out to one of any number who ask. */
  take(filter: Filter<Stored> & { _id: string }, signal?: AbortSignal): Promise<Stored | null> {
    return this.#inTurn(filter._id, () => guarded(() => this.#records.findOneAndDelete(filter, { maxTimeMS: this.#operationMs }), signal), signal)
  }

  /** How many there were. */
  delete(filter: Filter<Stored>, signal?: AbortSignal): Promise<number> {
    return guarded(async () => (await this.#records.deleteMany(filter, { maxTimeMS: this.#operationMs })).deletedCount, signal)
  }

  /**
   * Reads a record, lets `decide` say what it should be, and writes that only if nobody has written it meanwhile; else begins again.
   * `decide` may throw, and may be asked several times.
   */
  change<T>(id: string, decide: (record: Stored | null) => RecordChange<T> | Promise<RecordChange<T>>, signal?: AbortSignal): Promise<T> {
    const attempt = async (): Promise<T> => {
      for (let tries = 0; tries < MAX_TRIES; tries += 1) {
        const before = await this.get(id, signal)
        const { record, answer } = await decide(before)
        if (record === null) return answer
        const revision = Number(before?.['revision'] ?? 0)
        const written = { ...record, _id: id, revision: revision + 1 }
        if (before === null ? await this.insert(written, signal) : await this.#replace(written, revision, signal)) return answer
      }
      throw new ClientsViaError('OVERLOADED', 'too many changes of one record at once')
    }
    return this.#inTurn(id, attempt, signal)
  }

  /**
   * One step in MongoDB: compared and written. FerretDB 1 compares and writes in two steps whatever the filter says, so that only the turns of this process keep
   * changes apart there, and reads the whole collection for a filter that says more than the key: there the revision is the one that this turn has read.
   */
  async #replace(record: Stored, revision: number, signal?: AbortSignal): Promise<boolean> {
    const { _id, ...rest } = record
    return guarded(async () => {
      const filter = (await this.#findsByKeyOnly()) ? { _id } : { _id, revision }
      return (await this.#records.replaceOne(filter, rest, { maxTimeMS: this.#operationMs })).matchedCount === 1
    }, signal)
  }

  #inTurn<T>(id: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#turns.take(`${this.name} ${id}`, work, signal)
  }
}

/** The key of a record. The parts are percent-encoded, so that no id can reach into another one's. */
export function idOf(companyId: string, ...parts: readonly (string | number)[]): string {
  return [companyId, ...parts].map((part) => encodeURIComponent(part)).join('/')
}

async function guarded<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  signal?.throwIfAborted()
  try {
    return await untilAborted(work(), signal)
  } catch (error) {
    signal?.throwIfAborted()
    if (isClientsViaError(error)) throw error
    throw new ClientsViaError('STORE_FAILED', 'MongoDB does not answer as it should', { detail: error instanceof Error ? error.message : String(error) }, { cause: error })
  }
}

/** Asked once, and again if there was no answer: whether the server looks up by an index for the key and for nothing else, as FerretDB 1 does. */
function whetherFindsByKeyOnly(db: Db, operationMs: number): () => Promise<boolean> {
  let known: Promise<boolean> | null = null
  const ask = async (): Promise<boolean> => {
    try {
      const build = await db.command({ buildInfo: 1 }, { timeoutMS: operationMs })
      // One that is built from its module does not know its own version; its successor speaks of itself in another field.
      return 'ferretdbVersion' in build && !/^v?[2-9]/.test(String(build['ferretdbVersion']))
    } catch (error) {
      known = null
      throw error
    }
  }
  return () => (known ??= ask())
}

function isDuplicate(error: unknown): boolean {
  return error instanceof MongoServerError && error.code === 11_000
}
