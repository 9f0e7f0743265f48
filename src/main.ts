import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadConfig } from './config.ts'
import { isClientsViaError } from './core/errors.ts'
import { createLogger } from './observability/logger.ts'
import { createPlatform } from './platform.ts'

/** A second signal means: now. */
let signals = 0

async function main(): Promise<void> {
  const config = loadConfig(process.env)
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as { version: string }
  const logger = createLogger({ level: config.log.level, speech: config.log.speech, version })
  const platform = await createPlatform(config, logger)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      signals += 1
      if (signals > 1) process.exit(130)
      logger.info({ signal, liveCalls: platform.service.registry.liveCount }, 'stopping')
      void platform.stop().then(() => process.exit(0))
    })
  }
  process.on('unhandledRejection', (reason) => logger.error({ error: String(reason) }, 'unhandled rejection'))
  const { port, publicBaseUrl } = await platform.start()
  logger.info({ port, publicBaseUrl, voiceWebhook: `${publicBaseUrl}/twilio/voice`, testCall: testCallCommand(publicBaseUrl) }, 'clientsvia ready')
  if (process.stdout.isTTY) process.stdout.write(welcome(publicBaseUrl, config.twilio !== null, config.demoCompanies))
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
