import { readlinkSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { hashSync, verifySync, type Options } from '@node-rs/argon2'

/** A thread that hashes passwords, one after another, when nobody on the telephone needs the processor. */
export type HashingRequest =
  | Readonly<{ kind: 'hash'; id: number; password: string; options: Options }>
  | Readonly<{ kind: 'verify'; id: number; password: string; stored: string }>
  | Readonly<{ kind: 'stop' }>
export type HashingReply = Readonly<{ id: number; value: string | boolean } | { id: number; error: string }>

if (parentPort === null) throw new Error('hashing-worker runs in a worker thread')
const port = parentPort

standBack()
port.on('message', (request: HashingRequest) => {
  if (request.kind === 'stop') {
    port.close()
    return
  }
  port.postMessage(answer(request))
})

function answer(request: Exclude<HashingRequest, { kind: 'stop' }>): HashingReply {
  const { id } = request
  try {
    return { id, value: request.kind === 'hash' ? hashSync(request.password, request.options) : verifySync(request.stored, request.password) }
  } catch (error) {
    return { id, error: error instanceof Error ? error.message : String(error) }
  }
}

/**
 * Linux schedules thread by thread, and takes a thread's own number where it says process: this one gives way to the media loop, the
 * recogniser and the voice whenever there is not enough for all. Elsewhere it does not, and signing in competes.
 */
function standBack(): void {
  try {
    const thread = Number(/\/task\/(\d+)$/.exec(readlinkSync('/proc/thread-self'))?.[1])
    if (Number.isSafeInteger(thread)) setPriority(thread, constants.priority.PRIORITY_BELOW_NORMAL)
  } catch {
    // No such file system, or not allowed: then as before.
  }
}
