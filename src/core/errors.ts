/** Every error the product raises on purpose, in one place: a code for machines, a sentence for people, `retryable` for code. */
const CATALOGUE = {
  CONFIG_INVALID: { retryable: false, status: 500 },
  DEADLINE_PASSED: { retryable: true, status: 504 },
  OVERLOADED: { retryable: true, status: 503 },
  ENGINE_UNAVAILABLE: { retryable: true, status: 503 },
  ENGINE_FAILED: { retryable: true, status: 502 },
  AUDIO_MALFORMED: { retryable: false, status: 400 },
  MESSAGE_MALFORMED: { retryable: false, status: 400 },
  NOT_FOUND: { retryable: false, status: 404 },
  CONFLICT: { retryable: false, status: 409 },
  INVALID_INPUT: { retryable: false, status: 400 },
  UNAUTHENTICATED: { retryable: false, status: 401 },
  FORBIDDEN: { retryable: false, status: 403 },
  STORE_FAILED: { retryable: true, status: 503 },
} as const

export type ErrorCode = keyof typeof CATALOGUE

export class ClientsViaError extends Error {
  readonly code: ErrorCode
  readonly retryable: boolean
  /** The HTTP status that the REST plane answers with. */
  readonly status: number
  /** Facts for logs and problem documents; never secrets, never a caller's words. */
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, details: Readonly<Record<string, unknown>> = {}, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ClientsViaError'
    this.code = code
    this.retryable = CATALOGUE[code].retryable
    this.status = CATALOGUE[code].status
    this.details = details
  }
}

export function isClientsViaError(error: unknown, code?: ErrorCode): error is ClientsViaError {
  return error instanceof ClientsViaError && (code === undefined || error.code === code)
}

/** `otherwise` where what is asked for cannot be had just now; every other failure stands. */
export async function unlessAway<T, U>(asked: Promise<T>, otherwise: U): Promise<T | U> {
  try {
    return await asked
  } catch (error) {
    if (isClientsViaError(error) && error.retryable) return otherwise
    throw error
  }
}
