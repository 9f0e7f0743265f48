import cluster from 'node:cluster'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { WorkerLink } from './cluster/link.ts'
import { runPrimary } from './cluster/primary.ts'
import { channelToPrimary } from './cluster/process-channel.ts'
import { ALONE, workerPlace } from './cluster/worker-place.ts'
import { loadConfig, type Config } from './config.ts'
import { SystemClock } from './core/clock.ts'
import { isClientsViaError } from './core/errors.ts'
import { createLogger, type Logger } from './observability/logger.ts'
import { MAX_CALLS, createPlatform, type Platform } from './platform.ts'

/**
 * The engine collects everything anew once the heap has grown by about a tenth, which at a hundred calls is every five seconds, and turns are
 * 20 to 60 ms late behind it. With room for as much again it is once a minute, for 80 MB. (What a process may hold at most is unchanged.)
 */
const HEAP_GROWTH_PERCENT = 100
setFlagsFromString(`--heap-growing-percent=${HEAP_GROWTH_PERCENT}`)

/** A second signal means: now. */
let signals = 0

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { workers: { type: 'string' } } })
  const config = loadConfig(values.workers === undefined ? process.env : { ...process.env, WORKERS: values.workers })
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as { version: string }
  const serverLogger = createLogger({ level: config.log.level, speech: config.log.speech, version })
  const place = workerPlace(process.env)
  if (place === null && config.server.workers > 1) return servePrimary(config, serverLogger)
  const logger = place === null ? serverLogger : serverLogger.child({ worker: place.place })
  const link = place === null ? null : new WorkerLink(channelToPrimary(), new SystemClock())
  let started: Platform | null = null
  // The primary may say so while this process is still starting.
  link?.onNews('stop', () => void (started?.stop() ?? Promise.resolve()).then(() => process.exit(0)))
  const platform = await createPlatform(config, logger, { ...(place ?? ALONE), link })
  started = platform
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      // Ctrl-C reaches every process of the terminal; the primary tells its workers.
      if (place !== null && signal === 'SIGINT') return
      signals += 1
      if (signals > 1) process.exit(130)
      logger.info({ signal, liveCalls: platform.service.registry.liveCount }, 'stopping')
      void platform.stop().then(() => process.exit(0))
    })
  }
  process.on('unhandledRejection', (reason) => logger.error({ error: String(reason) }, 'unhandled rejection'))
  const { port, publicBaseUrl } = await platform.start()
  logger.info({ port, publicBaseUrl, voiceWebhook: `${publicBaseUrl}/twilio/voice`, testCall: testCallCommand(publicBaseUrl) }, 'clientsvia ready')
  if (process.stdout.isTTY && (place?.place ?? 0) === 0) process.stdout.write(welcome(publicBaseUrl, config.twilio !== null, config.demoCompanies))
}

/** `--workers N`: the processes that answer calls are started, watched and told to stop from here. */
async function servePrimary(config: Config, logger: Logger): Promise<void> {
  cluster.setupPrimary({ exec: import.meta.filename, args: [] })
  const primary = runPrimary({
    clock: new SystemClock(),
    logger,
    workers: config.server.workers,
    maxCalls: MAX_CALLS * config.server.workers,
    environment: process.env,
    shutdownGraceMs: config.server.shutdownGraceMs,
  })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      signals += 1
      if (signals > 1) process.exit(130)
      logger.info({ signal, workers: config.server.workers }, 'stopping')
      primary.stop()
    })
  }
  await primary.over
  process.exit(0)
}

const testCallCommand = (publicBaseUrl: string): string => `npm run load -- --target ${publicBaseUrl} --script faq-hours --calls 1`

function welcome(publicBaseUrl: string, signed: boolean, demo: boolean): string {
  const reachable = publicBaseUrl.startsWith('https://')
  return [
    '',
    `  ClientsVia answers at ${publicBaseUrl}`,
    '',
    '  Point a Twilio number at it (Voice, "A call comes in", webhook, HTTP POST):',
    `      ${publicBaseUrl}/twilio/voice`,
    ...(reachable && signed ? [] : ['      (needs PUBLIC_BASE_URL=https://your.host and TWILIO_AUTH_TOKEN; until then only this machine is answered)']),
    ...(demo ? ['', '  Place a test call from another terminal:', `      ${testCallCommand(publicBaseUrl)}`] : []),
    '',
    '',
  ].join('\n')
}

main().catch((error: unknown) => {
  // A start that a signal interrupted: stopping is under way, and must not be cut short while workers load.
  if (signals > 0) return
  process.stderr.write(`${isClientsViaError(error, 'CONFIG_INVALID') ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  process.exit(1)
})
