import { Agent, fetch as undiciFetch, type RequestInit as UndiciRequest } from 'undici'

/** The runtime's own fetch drops an idle connection after 4 s, and then most turns of a call begin with a TLS handshake of some 100 ms. */
const KEEP_ALIVE_MS = 60_000

export type KeepAliveFetch = Readonly<{ fetch: typeof fetch; close: () => Promise<void> }>

/** A fetch with connections of its own, kept while callers think. For SDKs that take a fetch; addresses are strings or URLs. */
export function keepAliveFetch(connectTimeoutMs: number): KeepAliveFetch {
  const agent = new Agent({ keepAliveTimeout: KEEP_ALIVE_MS, connect: { timeout: connectTimeoutMs } })
  // The runtime's fetch does not take an agent of this release of undici; undici's own does, and its types differ in nothing that is used.
  return {
    fetch: (input, init) => undiciFetch(String(input), { ...init, dispatcher: agent } as UndiciRequest),
    close: () => agent.destroy(),
  }
}
