import { totalmem } from 'node:os'
import { z } from 'zod'
import { LOOP_LAG_LIMIT_MS } from '../observability/load-monitor.ts'
import { about, baseUrl, isLoopback, text, whole, yesOrNo } from './variables.ts'

export type LogLevel = (typeof LOG_LEVELS)[number]
export type ServerConfig = Readonly<{
  host: string
  /** 0: any free one. */
  port: number
  /** As told; null: wherever it listens (see `publicBaseUrl`). No trailing slash. */
  publicBaseUrl: string | null
  trustedProxyHops: number
  shutdownGraceMs: number
  /** Processes that answer calls. */
  workers: number
  /** Above this much memory a process takes no new calls. */
  memoryLimitBytes: number
  /** Nor where its event loop is this late for seconds on end. */
  loopLagLimitMs: number
}>

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const

/** Where the server listens, how much of the machine it takes, and what it logs. */
export const serverVariables = {
  PORT: whole(0, 65_535).register(about, { says: 'TCP port to listen on; 0 takes any free one.', example: '3000', default: '3000' }),
  HOST: text().register(about, {
    says: 'Address to listen on. Anything but loopback needs TWILIO_AUTH_TOKEN and PUBLIC_BASE_URL.',
    example: '0.0.0.0',
    default: '127.0.0.1',
  }),
  PUBLIC_BASE_URL: baseUrl.optional().register(about, {
    says: 'How the carrier reaches this server. Without it: http://HOST:PORT.',
    example: 'https://voice.example.com',
    default: null,
  }),
  TRUSTED_PROXY_HOPS: whole(0, 10).register(about, {
    says: 'How many proxies in front of this server may name the client in X-Forwarded-For.',
    example: '1',
    default: '0',
  }),
  SHUTDOWN_GRACE_SECONDS: whole(0, 3600).register(about, { says: 'How long calls may go on after a request to stop.', example: '60', default: '60' }),
  WORKERS: whole(1, 64).register(about, { says: 'Processes that answer calls on this port; npm start -- --workers N says the same.', example: '2', default: '1' }),
  MEMORY_LIMIT_MB: whole(256, 1_048_576).optional().register(about, {
    says: 'A process that holds more than this takes no new calls. Without it: nine tenths of what the machine or container has, shared among the workers.',
    example: '2048',
    default: null,
  }),
  LOOP_LAG_LIMIT_MS: whole(10, 600_000).register(about, {
    says: 'A process whose event loop is later than this for three seconds takes no new calls, in ms. The carrier holds 120 ms of our sound.',
    example: '60',
    default: String(LOOP_LAG_LIMIT_MS),
  }),
  LOG_LEVEL: z
    .enum(LOG_LEVELS, { error: `must be one of ${LOG_LEVELS.join(', ')}` })
    .register(about, { says: `Least severe line that is logged: ${LOG_LEVELS.join(', ')}.`, example: 'debug', default: 'info' }),
  LOG_SPEECH: yesOrNo().register(about, { says: 'Whether the words of callers and agents may be in the log. For development.', example: 'true', default: 'false' }),
}
export type ServerValues = z.output<z.ZodObject<typeof serverVariables>>

/** `isSigned`: whether the carrier can be told from everybody else. */
export function serverProblems({ HOST, PUBLIC_BASE_URL }: ServerValues, isSigned: boolean): string[] {
  const problems: string[] = []
  if (!isLoopback(HOST) && !isSigned) {
    problems.push(`HOST is ${HOST}, which others can reach, but there is no TWILIO_AUTH_TOKEN to tell Twilio from them: set it, or set HOST=127.0.0.1`)
  }
  if (!isLoopback(HOST) && PUBLIC_BASE_URL === undefined) {
    problems.push(`PUBLIC_BASE_URL is missing: with HOST=${HOST} it must say how Twilio reaches this server; for example PUBLIC_BASE_URL=https://voice.example.com`)
  }
  return problems
}

export function serverConfig(values: ServerValues): ServerConfig {
  return {
    host: values.HOST,
    port: values.PORT,
    publicBaseUrl: values.PUBLIC_BASE_URL ?? null,
    trustedProxyHops: values.TRUSTED_PROXY_HOPS,
    shutdownGraceMs: values.SHUTDOWN_GRACE_SECONDS * 1000,
    workers: values.WORKERS,
    memoryLimitBytes: values.MEMORY_LIMIT_MB === undefined ? memoryOf(values.WORKERS) : values.MEMORY_LIMIT_MB * 1024 * 1024,
    loopLagLimitMs: values.LOOP_LAG_LIMIT_MS,
  }
}

/** A container's own limit where it has one, else the machine's memory. */
function memoryOf(workers: number): number {
  const limit = process.constrainedMemory()
  const available = limit > 0 && limit < totalmem() ? limit : totalmem()
  return Math.floor((available * 0.9) / workers)
}
