import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Everything that decides how a phrase sounds, and whose it is. */
export type PhraseKey = Readonly<{ companyId: string; agentVersion: number; engine: string; voiceId: string; speed: number; text: string }>

type Stored = Readonly<{ path: string; bytes: number; modifiedMs: number }>

/**
 * Ready phrases on disk, so that a restart is warm: one file a phrase, `<company>/<agent version>/<hash>.ulaw`, written whole or not at
 * all, the oldest removed beyond `maxBytes`. Each file states its key and the hash of its audio and is checked when it is read.
 */
export class PhraseFolder {
  readonly #folder: string
  readonly #maxBytes: number
  /** Null until the folder was counted. */
  #bytes: number | null = null
  #writes = 0
  #trimming: Promise<void> | null = null

  constructor(folder: string, maxBytes: number) {
    this.#folder = folder
    this.#maxBytes = maxBytes
  }

  /** Null when there is none, or when the file is damaged or another's. */
  async read(key: PhraseKey): Promise<Uint8Array | null> {
    let file: Buffer
    try {
      file = await readFile(this.#path(key))
    } catch (error) {
      if (isMissing(error)) return null
      throw error
    }
    const end = file.indexOf('\n')
    const mulaw = new Uint8Array(file.subarray(end + 1))
    return end > 0 && file.subarray(0, end).toString('utf8') === header(key, mulaw) ? mulaw : null
  }

  async write(key: PhraseKey, mulaw: Uint8Array): Promise<void> {
    const path = this.#path(key)
    const temporary = `${path}.${process.pid}-${(this.#writes += 1)}.part`
    const bytes = Buffer.concat([Buffer.from(`${header(key, mulaw)}\n`, 'utf8'), mulaw])
    await mkdir(join(path, '..'), { recursive: true })
    await writeFile(temporary, bytes)
    await rename(temporary, path)
    this.#bytes = (this.#bytes ?? (await this.#list()).reduce((sum, file) => sum + file.bytes, -bytes.length)) + bytes.length
    if (this.#bytes > this.#maxBytes) await this.#trim()
  }

  /** Removes a company's phrases, all but those of `keepVersion`. */
  async forget(companyId: string, keepVersion: number | null): Promise<void> {
    const folder = join(this.#folder, hash(companyId))
    if (keepVersion === null) await rm(folder, { recursive: true, force: true })
    else for (const version of await names(folder)) if (version !== String(keepVersion)) await rm(join(folder, version), { recursive: true, force: true })
    this.#bytes = null
  }

  #path(key: PhraseKey): string {
    return join(this.#folder, hash(key.companyId), String(key.agentVersion), `${hash(JSON.stringify(keyParts(key)))}.ulaw`)
  }

  #trim(): Promise<void> {
    this.#trimming ??= this.#removeOldest().finally(() => {
      this.#trimming = null
    })
    return this.#trimming
  }

  /** Down to nine tenths, so that a full folder is not listed at every write. */
  async #removeOldest(): Promise<void> {
    const files = (await this.#list()).sort((a, b) => a.modifiedMs - b.modifiedMs)
    let bytes = files.reduce((sum, file) => sum + file.bytes, 0)
    for (const file of files) {
      if (bytes <= this.#maxBytes * 0.9) break
      await rm(file.path, { force: true })
      bytes -= file.bytes
    }
    this.#bytes = bytes
  }

  async #list(): Promise<Stored[]> {
    const files: Stored[] = []
    for (const company of await names(this.#folder)) {
      for (const version of await names(join(this.#folder, company))) {
        for (const name of await names(join(this.#folder, company, version))) {
          const path = join(this.#folder, company, version, name)
          try {
            const { size, mtimeMs } = await stat(path)
            files.push({ path, bytes: size, modifiedMs: mtimeMs })
          } catch (error) {
            if (!isMissing(error)) throw error
          }
        }
      }
    }
    return files
  }
}

function header(key: PhraseKey, mulaw: Uint8Array): string {
  return JSON.stringify([...keyParts(key), createHash('sha256').update(mulaw).digest('hex')])
}

function keyParts(key: PhraseKey): readonly unknown[] {
  return [key.companyId, key.agentVersion, key.engine, key.voiceId, key.speed, key.text]
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 40)
}

async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}
