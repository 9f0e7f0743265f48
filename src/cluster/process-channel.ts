import type { Worker } from 'node:cluster'
import type { LinkChannel, LinkMessage } from './link.ts'

/** Other messages travel on the same channel (prom-client's, Node's own): ours are in an envelope. */
type Envelope = Readonly<{ clientsvia: LinkMessage }>

/** The primary's end of the channel to one worker process. */
export function channelTo(worker: Worker): LinkChannel {
  return {
    send: (message) => {
      if (worker.isConnected()) worker.send({ clientsvia: message } satisfies Envelope, () => undefined)
    },
    onMessage: (listener) => void worker.on('message', (value: unknown) => open(value, listener)),
  }
}

/** A worker process's end. */
export function channelToPrimary(): LinkChannel {
  return {
    // The callback keeps a closed channel from throwing: the process is about to end with its primary.
    send: (message) => void process.send?.({ clientsvia: message } satisfies Envelope, undefined, {}, () => undefined),
    onMessage: (listener) => void process.on('message', (value: unknown) => open(value, listener)),
  }
}

function open(value: unknown, listener: (message: LinkMessage) => void): void {
  if (typeof value === 'object' && value !== null && 'clientsvia' in value) listener((value as Envelope).clientsvia)
}
