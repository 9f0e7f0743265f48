import type { FastifyError } from 'fastify'
import { ZodError, type z } from 'zod'
import { isClientsViaError } from '../core/errors.ts'
import { Refusal } from '../security/refusals.ts'

/** RFC 9457, with a code for machines and a trace id to quote to support. Every error of the API is one of these. */
export type ProblemDocument = Readonly<{
  type: string
  title: string
  status: number
  detail: string
  instance: string
  code: string
  traceId: string
  errors?: readonly FieldProblem[]
}>
export type FieldProblem = Readonly<{ field: string; message: string }>

export type ProblemExtras = Readonly<{ errors?: readonly FieldProblem[]; headers?: Readonly<Record<string, string>> }>

/** What a handler throws when neither the core's catalogue nor a refusal says it: the REST conventions themselves. */
export class Problem extends Error {
  readonly status: number
  readonly code: string
  readonly extras: ProblemExtras

  constructor(status: number, code: string, detail: string, extras: ProblemExtras = {}) {
    super(detail)
    this.name = 'Problem'
    this.status = status
    this.code = code
    this.extras = extras
  }
}

export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (error instanceof Refusal) return ofRefusal(error)
  if (error instanceof ZodError) return invalidInput(error)
  if (isClientsViaError(error)) {
    // What a 5xx says is for the log: it may name paths, hosts or rows.
    const detail = error.status >= 500 ? GENERIC_DETAIL : error.message
    const field = error.details['field']
    return new Problem(error.status, error.code, detail, {
      ...(typeof field === 'string' ? { errors: [{ field, message: error.message }] } : {}),
      ...(error.status === 503 ? { headers: { 'retry-after': '1' } } : {}),
    })
  }
  return ofFastify(error) ?? new Problem(500, 'INTERNAL_ERROR', GENERIC_DETAIL)
}

export function documentOf(problem: Problem, traceId: string, instance: string): ProblemDocument {
  return {
    type: `urn:clientsvia:problem:${problem.code.toLowerCase().replaceAll('_', '-')}`,
    title: TITLES.get(problem.status) ?? 'Error',
    status: problem.status,
    detail: problem.message,
    instance,
    code: problem.code,
    traceId,
    ...(problem.extras.errors === undefined ? {} : { errors: problem.extras.errors }),
  }
}

/** Of a request's target, which a client may send in any form; '' for one that is no URL. */
export function pathOf(target: string): string {
  return URL.parse(target, 'http://local')?.pathname ?? ''
}

/** Names every field that is wrong, an unknown one too. */
export function invalidInput(error: ZodError): Problem {
  const errors = error.issues.flatMap((issue) => fieldsOf(issue))
  return new Problem(400, 'INVALID_INPUT', errors.map((entry) => `${entry.field}: ${entry.message}`).join('; '), { errors })
}

function fieldsOf(issue: z.core.$ZodIssue): FieldProblem[] {
  const path = issue.path.map(String)
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => ({ field: [...path, key].join('.'), message: 'is not a known field' }))
  return [{ field: path.join('.') || 'body', message: issue.message }]
}

const GENERIC_DETAIL = 'something went wrong on our side; the trace id finds it in our logs'

function ofRefusal(refusal: Refusal): Problem {
  const headers: Record<string, string> = {}
  if (refusal.retryAfterMs !== null) headers['retry-after'] = String(Math.ceil(refusal.retryAfterMs / 1000))
  if (refusal.status === 401) headers['www-authenticate'] = 'Bearer realm="clientsvia"'
  const deviceId = refusal.details['deviceId']
  const detail = typeof deviceId === 'string' ? `${refusal.message} (device ${deviceId})` : refusal.message
  return new Problem(refusal.status, refusal.code, detail, { headers })
}

/** Fastify's own errors about the request; anything else of its is ours to answer for. */
function ofFastify(error: unknown): Problem | null {
  if (!isFastifyError(error)) return null
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new Problem(413, 'BODY_TOO_LARGE', 'the body is larger than this route takes')
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new Problem(415, 'UNSUPPORTED_MEDIA_TYPE', 'the body must be application/json')
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new Problem(400, 'BODY_MALFORMED', 'the body is not valid JSON')
    case 'FST_ERR_BAD_URL':
      return new Problem(400, 'PATH_MALFORMED', 'the path is not a valid URL')
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new Problem(414, 'PATH_TOO_LONG', 'a part of the path is longer than any name here')
    default:
      return error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500
        ? new Problem(error.statusCode, 'BAD_REQUEST', 'the request cannot be read')
        : null
  }
}

function isFastifyError(error: unknown): error is FastifyError {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && (error.code.startsWith('FST_') || 'statusCode' in error)
}

const TITLES = new Map([
  [400, 'Bad Request'], [401, 'Unauthorized'], [403, 'Forbidden'], [404, 'Not Found'], [405, 'Method Not Allowed'], [409, 'Conflict'],
  [408, 'Request Timeout'], [412, 'Precondition Failed'], [413, 'Content Too Large'], [414, 'URI Too Long'], [416, 'Range Not Satisfiable'],
  [415, 'Unsupported Media Type'], [422, 'Unprocessable Content'],
  [428, 'Precondition Required'], [429, 'Too Many Requests'], [431, 'Request Header Fields Too Large'], [500, 'Internal Server Error'], [502, 'Bad Gateway'], [503, 'Service Unavailable'],
  [504, 'Gateway Timeout'],
])
