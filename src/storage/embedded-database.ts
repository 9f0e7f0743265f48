import { chmodSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { ClientsViaError, isClientsViaError } from '../core/errors.ts'

/** One step of the schema. Steps are only ever added; their place in the list is their number. */
export type Migration = Readonly<{ name: string; sql: string }>
export type Row = Readonly<Record<string, unknown>>
export type SqlValue = SQLInputValue

/** Another process may hold the write lock while it migrates or checkpoints; 5 s covers both, a longer wait is a stuck process. */
const BUSY_TIMEOUT_MS = 5000

/**
 * One SQLite file, synchronous: keep it off the media loop (a commit waits for the disk). Every failure is STORE_FAILED, with
 * SQLite's own code in `details`. SQL texts are constants of the repositories, so each is prepared once.
 *
 * WAL with synchronous=FULL: WAL alone keeps acknowledged writes through `kill -9`, since the pages are with the kernel; FULL also
 * keeps them through a power cut, at one fsync a commit, which the media loop does not pay.
 */
export class EmbeddedDatabase {
  readonly path: string
  readonly #database: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  /** What is to be told once the transaction under way is on the disk. */
  #afterCommit: (() => void)[] = []

  private constructor(path: string, database: DatabaseSync) {
    this.path = path
    this.#database = database
  }

  /** `:memory:` is allowed, for tests. */
  static open(path: string): EmbeddedDatabase {
    return guarded(path, () => {
      const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS, defensive: true })
      try {
        // For its owner alone; SQLite gives the files beside it the same mode.
        if (path !== ':memory:') chmodSync(path, 0o600)
        // secure_delete: what is erased is overwritten, so that it is not found in the file's free pages either.
        database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON')
      } catch (error) {
        database.close()
        throw error
      }
      return new EmbeddedDatabase(path, database)
    })
  }

  /** Runs the steps this file has not seen, each in its own transaction. A file from a newer version is refused, not guessed at. */
  migrate(migrations: readonly Migration[]): void {
    const done = Number(this.get('PRAGMA user_version')?.['user_version'])
    if (done > migrations.length) {
      throw new ClientsViaError('STORE_FAILED', `${this.path} was written by a newer version (schema ${done}, this one knows ${migrations.length})`, {
        path: this.path,
        schema: done,
      })
    }
    for (const [index, migration] of migrations.entries()) {
      if (index < done) continue
      this.transaction(() => {
        // Two processes may start at once: the second one finds the step done when it gets the lock.
        if (Number(this.get('PRAGMA user_version')?.['user_version']) > index) return
        guarded(`migration ${migration.name}`, () => this.#database.exec(migration.sql))
        this.#database.exec(`PRAGMA user_version = ${index + 1}`)
      })
    }
  }

  /** How many rows it changed. */
  run(sql: string, ...values: readonly SqlValue[]): number {
    return guarded(this.path, () => Number(this.#statement(sql).run(...values).changes))
  }

  get(sql: string, ...values: readonly SqlValue[]): Row | undefined {
    return guarded(this.path, () => this.#statement(sql).get(...values))
  }

  all(sql: string, ...values: readonly SqlValue[]): Row[] {
    return guarded(this.path, () => this.#statement(sql).all(...values))
  }

  /** All of `work` or none of it. Takes the write lock at once, so that what `work` reads is still so when it writes. Does not nest. */
  transaction<T>(work: () => T): T {
    guarded(this.path, () => this.#database.exec('BEGIN IMMEDIATE'))
    try {
      const result = work()
      guarded(this.path, () => this.#database.exec('COMMIT'))
      for (const tell of this.#afterCommit.splice(0)) tell()
      return result
    } catch (error) {
      this.#afterCommit = []
      // Some failures (a full disk) have rolled back already.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw error
    }
  }

  /** Runs `tell` when the transaction that this is called in has been committed; never, when it fails. */
  afterCommit(tell: () => void): void {
    this.#afterCommit.push(tell)
  }

  close(): void {
    this.#statements.clear()
    this.#database.close()
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#database.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }
}

function guarded<T>(what: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (isClientsViaError(error) || !isSqliteError(error)) throw error
    throw new ClientsViaError('STORE_FAILED', `${what}: ${error.message}`, { sqliteCode: error.errcode }, { cause: error })
  }
}

function isSqliteError(error: unknown): error is Error & { errcode: number } {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
}
