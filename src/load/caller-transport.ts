/** What a carrier does to a server: posts webhooks and opens media streams. Sockets implement it; so can a call in virtual time. */
export interface CallerTransport {
  /** Form-encoded, as the carrier posts it. Rejects when the server cannot be reached. */
  post(url: string, fields: Readonly<Record<string, string>>, signal: AbortSignal): Promise<WebhookAnswer>
  /** Resolves when the stream is open. `listener` is called from then on, never before. */
  connect(url: string, listener: StreamListener, signal: AbortSignal): Promise<StreamConnection>
}

export type WebhookAnswer = Readonly<{ status: number; contentType: string; body: string }>

export type StreamListener = Readonly<{
  text: (message: string) => void
  binary: () => void
  /** Once; nothing follows. */
  closed: (code: number) => void
}>

export type StreamConnection = Readonly<{
  send: (message: string) => void
  close: () => void
}>
