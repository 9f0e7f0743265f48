import { randomBytes } from 'node:crypto'
import { chmod, link, readFile, rm, writeFile } from 'node:fs/promises'
import { ClientsViaError } from '../core/errors.ts'

const SECRET_BYTES = 48
const MIN_BYTES = 32

/**
 * The secret of an installation that configures none: made at the first start, readable by its owner only, the same ever after, so
 * that sessions and the audit chain outlive a restart. Two processes that start at once get the same one. Throws CONFIG_INVALID for
 * a file that is too short to be one.
 */
export async function readOrCreateSecret(path: string, signal?: AbortSignal): Promise<Uint8Array> {
  const stored = await readSecret(path, signal)
  if (stored !== null) return stored
  // Written whole under another name and then linked: nobody ever reads half a secret, and the first one to link wins.
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  await writeFile(draft, randomBytes(SECRET_BYTES).toString('base64url'), { flag: 'wx', mode: 0o600, signal })
  try {
    await chmod(draft, 0o600)
    await link(draft, path)
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error
  } finally {
    await rm(draft, { force: true })
  }
  const created = await readSecret(path, signal)
  if (created === null) throw new ClientsViaError('CONFIG_INVALID', `${path} could not be written`, { path })
  return created
}

async function readSecret(path: string, signal?: AbortSignal): Promise<Uint8Array | null> {
  try {
    const text = (await readFile(path, { encoding: 'utf8', signal })).trim()
    const secret = new Uint8Array(Buffer.from(text, 'utf8'))
    if (secret.byteLength < MIN_BYTES) throw new ClientsViaError('CONFIG_INVALID', `${path} holds ${secret.byteLength} bytes, at least ${MIN_BYTES} are needed`, { path })
    return secret
  } catch (error) {
    if (isCode(error, 'ENOENT')) return null
    throw error
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
