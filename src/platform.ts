import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { addAdminPlane, type AdminPlane } from './admin-plane.ts'
import { createAnswerEngines, type AnswerEngines } from './answer-engines.ts'
import { FRAME_MS } from './audio/frame.ts'
import { LevelOnlyVoiceActivity } from './audio/level-only-voice-activity.ts'
import { SileroVoiceActivity } from './audio/silero-voice-activity.ts'
import { createBookingPlane } from './booking-plane.ts'
import { CallService } from './call/call-service.ts'
import { RECORDING_LINES } from './call/recording-notice.ts'
import { expiredRecordings } from './call/recording-upkeep.ts'
import { SpendMeter } from './call/spend.ts'
import { keepRetention } from './call/retention.ts'
import { ONLY_PROCESS, takeSeat, type Place } from './cluster/seat.ts'
import { shareMetrics } from './cluster/worker-metrics.ts'
import { publicBaseUrl, type Config } from './config.ts'
import { Breakers } from './core/breaker.ts'
import { SystemClock, later, type Clock } from './core/clock.ts'
import { isClientsViaError } from './core/errors.ts'
import { Scope } from './core/scope.ts'
import type { SpeakableText } from './core/speakable-text.ts'
import { LoadMonitor } from './observability/load-monitor.ts'
import { createMetrics } from './observability/metrics.ts'
import { vendorHealth } from './observability/vendor-health.ts'
import { liveFacts } from './events/live-facts.ts'
import { createNotificationPlane } from './notification-plane.ts'
import { EventBus } from './observability/event-bus.ts'
import type { Logger } from './observability/logger.ts'
import { loadCompanyFile } from './response/company-file.ts'
import type { CompanyContext } from './response/company-context.ts'
import { CachedCompanyContext } from './response/company-context-source.ts'
import { EmbeddedEmbedder } from './response/embedded-embedder.ts'
import { prepareReadings } from './response/form-readings.ts'
import { createResponder } from './response/intelligence-loop.ts'
import { unfinishedLead } from './response/unfinished-lead.ts'
import { phrasesToWarm } from './response/phrases.ts'
import { toSpeakable } from './response/quality.ts'
import { buildServer, closeServer, Readiness } from './server.ts'
import { createSpeechEngines, OWN_OPENAI_KEY } from './speech-engines.ts'
import { openStore } from './storage/open-store.ts'
import { RecordingFiles } from './storage/recording-files.ts'
import { seedCompanies } from './storage/seed.ts'
import { EmbeddedSynthesizer } from './synthesis/embedded-synthesizer.ts'
import { PhraseCache } from './synthesis/phrase-cache.ts'
import { wordsHeard } from './synthesis/word-timing.ts'
import { carriedThrough } from './telephony/carry-through.ts'
import { registerTelephony } from './telephony/telephony.ts'
import { EmbeddedTranscriber } from './transcription/embedded-transcriber.ts'
import { correctMishearings } from './transcription/vocabulary.ts'
import { EchoDetector } from './turn-taking/echo.ts'
import { createTurnDetector } from './turn-taking/endpointing.ts'
import { createInterruptionDetector } from './turn-taking/interruption.ts'

/** A process's ceiling; companies have their own below it. */
export const MAX_CALLS = 400
/** Greeting and stall lines of each company that are ready before the first call is taken. */
const PHRASES_BEFORE_READY = 3
/** Phrases are made ready while nobody calls; on a busy server one at a time, this far apart. */
const LONGEST_WARMING_PAUSE_MS = 20_000
const WARMING_POLL_MS = 500
const LINE_OF_LAST_RESORT = "I'm sorry, something went wrong on our side. Please call back in a few minutes."

export type Platform = Readonly<{
  app: FastifyInstance
  clock: Clock
  service: CallService
  transcriber: EmbeddedTranscriber
  /** For drills, as the recogniser is. */
  breakers: Breakers
  phrases: PhraseCache
  answers: Pick<AnswerEngines, 'forgetDecided'>
  /** Nothing is being heard, judged or made that a caller waits for. Time that waits for this makes a call with the real engines the same on every machine. */
  atRest: () => boolean
  /** Starts listening, then warms what a first call needs. Resolves when calls may come. */
  start: () => Promise<Readonly<{ port: number; publicBaseUrl: string }>>
  /** Takes no new calls, lets the live ones finish within the grace, then closes everything. Idempotent. */
  stop: () => Promise<void>
}>

/** Wires the rooms together: the only place that knows which engine stands behind which contract. */
export async function createPlatform(config: Config, logger: Logger, place: Place = ONLY_PROCESS, clock: Clock = new SystemClock()): Promise<Platform> {
  const scope = new Scope()
  const metrics = createMetrics({ process: true })
  const events = new EventBus()
  if (place.link !== null) shareMetrics(metrics.registry)
  const seat = takeSeat(place, { clock, events, maxCalls: MAX_CALLS })
  const load = new LoadMonitor({ loopLagMs: config.server.loopLagLimitMs, memoryBytes: config.server.memoryLimitBytes })
  const readiness = new Readiness()
  mkdirSync(config.dataDir, { recursive: true })
  const cacheDir = join(config.dataDir, 'cache')

  // Workers load their models while the store opens.
  const voiceActivity = config.voiceActivity === 'level' ? new LevelOnlyVoiceActivity() : new SileroVoiceActivity(clock)
  const transcriber = new EmbeddedTranscriber({ clock, workers: config.sttWorkers, modelCacheDir: join(cacheDir, 'models') })
  const synthesizer = new EmbeddedSynthesizer({ clock })
  const { promise: answering, resolve: startEmbedder } = Promise.withResolvers<void>()
  const embedder = new EmbeddedEmbedder(clock, answering)
  const phrases = new PhraseCache({
    synthesizer,
    folder: join(cacheDir, 'phrases'),
    onFolderError: (error) => logger.warn({ error: String(error) }, 'phrase cache folder not usable'),
  })
  const store = await openStore({
    config,
    clock,
    logger,
    directory: seat.directory,
    onEvent: (event) => seat.publish(event.companyId, { kind: event.type, at: event.at, callSid: event.callSid ?? '', data: liveFacts(event) }),
    signal: scope.signal,
  })
  const directory = store.shared?.directory ?? seat.directory
  for (const { name, check } of store.parts) readiness.part(name, check)
  let listeningAt = ''
  // The vault opens with the administration, before the first call.
  const vault: { secrets: AdminPlane['secrets'] | null } = { secrets: null }
  const notifications = createNotificationPlane({ config, logger, clock, store, metrics, publicBaseUrl: () => listeningAt, secrets: () => vault.secrets })
  const recordings = new RecordingFiles(join(config.dataDir, 'recordings'))
  const spend = new SpendMeter({
    clock,
    calls: store.calls,
    directory,
    rates: config.rates,
    signal: scope.signal,
    onFailure: (companyId, error) => logger.warn({ companyId, error: String(error) }, 'spending not read'),
  })
  const breakers = new Breakers(clock, store.shared?.breakers ?? null)
  readiness.part('vendors', () => vendorHealth(breakers.states))
  metrics.watchParts(() => readiness.report().parts)
  const answers = createAnswerEngines({
    config, clock, logger, metrics, store, breakers, embedder, cacheDir,
    spentTodayCents: (companyId) => spend.spentToday(companyId, scope.signal),
    ownKey: async (companyId) => (await vault.secrets?.reveal(companyId, OWN_OPENAI_KEY, scope.signal)) ?? null,
    signal: scope.signal,
  })
  const speech = createSpeechEngines({
    config,
    clock,
    logger,
    metrics,
    breakers,
    transcriber,
    synthesizer,
    phrases,
    secretOf: async (companyId, name, signal) => (await vault.secrets?.reveal(companyId, name, signal)) ?? null,
  })
  const { voiceOf } = speech
  const companyContexts = new CachedCompanyContext({
    clock,
    ...store.forCalls,
    ...answers.meaning,
    signal: scope.signal,
    onRefreshFailure: (companyId, error) => logger.warn({ companyId, error: String(error) }, 'company not refreshed'),
  })
  const contexts = speech.knowing(companyContexts)
  const booking = createBookingPlane({
    logger, clock, scope, store, contexts,
    reveal: async (companyId, name, signal) => (await vault.secrets?.reveal(companyId, name, signal)) ?? null,
    publicBaseUrl: () => listeningAt,
  })
  const responder = createResponder({ model: answers.model, desk: booking.desk, budget: config.budget })
  const service = new CallService({
    clock,
    logger,
    scope,
    contexts,
    findCompanyByNumber: (number, signal) => store.forCalls.companies.findByPhoneNumber(number, signal),
    calls: store.calls,
    recordings: { store: recordings, speakable },
    spend,
    recordLearning: async (companyId, learning) => {
      if (learning.entryId === null) return
      await store.knowledge.recordUse(companyId, learning.entryId, { at: clock.wallTime().toISOString(), success: !learning.gap })
    },
    observer: {
      callStarted: (companyId, callSid) => {
        metrics.callStarted()
        seat.publish(companyId, { kind: 'call.started', at: clock.wallTime().toISOString(), callSid, data: {} })
      },
      callEnded: (companyId, callSid, outcome, facts) => {
        metrics.callEnded(outcome, facts.durationSeconds, facts.lostFrameCount)
        seat.publish(companyId, { kind: 'call.ended', at: clock.wallTime().toISOString(), callSid, data: { outcome, ...facts } })
        void notifications.callEnded(companyId, callSid, outcome)
      },
      turnFinished: (companyId, callSid, turn) => {
        metrics.turnFinished(turn)
        seat.publish(companyId, { kind: 'turn.finished', at: clock.wallTime().toISOString(), callSid, data: { ...turn } })
      },
      limitReached: (companyId, callSid, limit) =>
        seat.publish(companyId, { kind: 'limit.reached', at: clock.wallTime().toISOString(), callSid, data: { limit } }),
    },
    modelSpend: answers.spendOf,
    speechSpend: speech.spendOf,
    directory,
    overload: () => load.overload,
    unfinished: unfinishedLead,
    conversation: {
      voiceActivity,
      transcriber: speech.transcriber,
      responder,
      createTurnDetector: (preset) => createTurnDetector({ preset }),
      createInterruptionDetector: () => createInterruptionDetector(),
      createEchoGuard: () => new EchoDetector(),
      wordsHeard,
      correct: (context, text) => correctMishearings(text, context.company.mishearings),
      lines: (context) => ({
        stall: context.agent.lines.stall.map(speakable),
        apology: speakable(context.agent.lines.inaudible),
      }),
      voice: voiceOf,
      budget: config.budget,
      effects: booking.effects,
      earlyReplies: config.earlyReplies,
    },
  })
  metrics.watchTranscriptionQueue(() => transcriber.stats.queued)

  const app = buildServer({
    logger,
    readiness,
    metrics: async () => ({ contentType: metrics.contentType, body: await (seat.metricsOfAll ?? metrics.text)() }),
    callRecord: async (callSid) => {
      const companyId = await directory.companyOf(callSid, scope.signal)
      if (companyId === null) return null
      const call = await store.calls.get(companyId, callSid)
      return call === null ? null : { call, turns: await store.calls.turns(companyId, callSid), made: await booking.madeBy(companyId, callSid) }
    },
    stats: () => ({ worker: place.place, pid: process.pid, cpu: process.cpuUsage(), load: { ...load.last, overload: load.overload }, liveCalls: service.registry.liveCount, recogniser: transcriber.stats, voiceActivity: voiceActivity.stats, ...process.memoryUsage() }),
  })
  const telephony = await registerTelephony(app, {
    clock,
    logger,
    // Among several processes the carrier may ask another one what is next: there its own question has to do.
    handler: place.link === null && store.shared === null ? carriedThrough(service, { clock, scope, logger, control: notifications.control }) : service,
    mediaTokens: store.shared?.mediaTokens ?? seat.mediaTokens,
    publicBaseUrl: () => listeningAt,
    twilioAuthToken: config.twilio?.authToken.reveal() ?? null,
    twilioAccountSid: config.twilio?.accountSid ?? null,
    scope,
    texts: notifications.texts,
  })

  /** Nobody is on the line, or work that can wait has waited long enough. */
  const quiet = async (): Promise<void> => {
    const until = later(clock.now(), LONGEST_WARMING_PAUSE_MS)
    while (service.registry.liveCount > 0 && clock.now() < until) await clock.sleep(WARMING_POLL_MS, scope.signal)
  }
  /** Phrases that are being made and written. Waited for at the end: whoever stops the server may remove its folder. */
  const underWay = new Set<Promise<void>>()
  const inBackground = (work: Promise<void>): void => {
    underWay.add(work)
    void work.finally(() => underWay.delete(work))
  }
  const warmCompany = async (companyId: string): Promise<void> => {
    const context = await contexts.load(companyId, scope.signal)
    const voice = { id: context.agent.voice.id, speed: context.agent.voice.speed }
    const texts = [...recordingPhrases(context.company), ...phrasesToWarm(context, clock.wallTime())]
    await voiceOf(context).warm(texts.slice(0, PHRASES_BEFORE_READY), voice, scope.signal)
    const warmTheRest = async (): Promise<void> => {
      await answering
      for (const text of texts.slice(PHRASES_BEFORE_READY)) {
        await quiet()
        await voiceOf(context).warm([text], voice, scope.signal)
      }
      await prepareReadings(context.company, async () => {
        await quiet()
        // Whatever came meanwhile goes first.
        await clock.sleep(FRAME_MS, scope.signal)
      })
    }
    inBackground(
      warmTheRest().catch((error: unknown) => {
        if (!scope.ended) logger.warn({ companyId, error: String(error) }, 'some phrases are not ready')
      }),
    )
  }

  const notWarm = (companyId: string, error: unknown): void => {
    // A company that was just made has no agent yet, one that was deleted has nothing at all.
    if (!scope.ended && !isClientsViaError(error, 'NOT_FOUND')) logger.warn({ companyId, error: String(error) }, 'company not warm')
  }

  const admin = await addAdminPlane(app, {
    config,
    logger,
    clock,
    scope,
    store,
    contexts,
    booking,
    responder,
    directory,
    events,
    recordings,
    notifications,
    readiness,
    isFirst: seat.isFirst,
    saved: (companyId) => {
      seat.saved(companyId)
      store.saved(companyId)
    },
    warm: (companyId) => {
      if (seat.isFirst) answers.knowledgeChanged(companyId)
      inBackground(warmCompany(companyId).catch((error: unknown) => notWarm(companyId, error)))
    },
    print: (line) => process.stdout.write(`${line}\n`),
  })
  vault.secrets = admin.secrets
  const keepOnlyWhatIsWanted = (): void => {
    const onFailure = (companyId: string, error: unknown): void => logger.error({ companyId, error: String(error) }, 'retention not kept')
    void keepRetention(
      { clock, companies: store.companies, calls: store.calls, audio: expiredRecordings(recordings), onFailure },
      (swept) => logger.info({ ...swept }, 'retention kept'),
      scope.signal,
    ).catch((error: unknown) => logger.error({ error: String(error) }, 'retention stopped'))
  }

  seat.onSavedElsewhere((companyId) => admin.savedElsewhere(companyId))
  store.onSavedElsewhere((companyId) => admin.savedElsewhere(companyId))
  store.onGap(() => companyContexts.doubt())
  let stopping: Promise<void> | null = null
  const stop = async (): Promise<void> => {
    readiness.drain()
    const grace = new Scope()
    void clock.sleep(config.server.shutdownGraceMs, grace.signal).then(
      () => grace.end('the grace is over'),
      () => undefined,
    )
    await telephony.drain(grace.signal)
    grace.end('drained')
    await closeServer(app, clock)
    scope.end('the server stops')
    await Promise.all([speech.close(), voiceActivity.close(), transcriber.close(), synthesizer.close(), embedder.close(), answers.close()])
    // What waited for the server to be ready waits no longer.
    startEmbedder()
    await Promise.all(underWay)
    await notifications.stop()
    await admin.close()
    await store.close()
  }

  return {
    app,
    clock,
    service,
    transcriber,
    breakers,
    phrases,
    answers,
    atRest: () => [transcriber, voiceActivity, synthesizer.pool, embedder].every((engine) => engine.unfinished === 0),
    start: async () => {
      // The voice speaks the first lines while the recogniser still loads: two cores, two jobs.
      const ears = Promise.all([transcriber.warm(scope.signal), voiceActivity.warm(scope.signal)])
      const voice = synthesizer.warm(scope.signal)
      store.start(scope.signal)
      if (config.demoCompanies && seat.isFirst) await seedCompanies(store, demoCompanies(), scope.signal)
      const listen = async (): Promise<number> => {
        await app.listen({ host: config.server.host, port: config.server.port })
        const { port } = app.server.address() as AddressInfo
        listeningAt = publicBaseUrl(config, port)
        return port
      }
      // The first process says on /readyz that it is starting; one that joins a running server takes its first call when it can.
      let port = seat.isFirst ? await listen() : null
      const companies = await store.companies.list({ after: null, limit: 100 }, scope.signal)
      await voice
      // One company's trouble is not the others': they are answered without its phrases.
      await Promise.all(companies.filter((company) => company.status === 'active').map((company) => warmCompany(company.id).catch((error: unknown) => notWarm(company.id, error))))
      await ears
      logger.info({ decoder: transcriber.stats.decoder }, 'recogniser ready')
      await admin.start()
      readiness.ready()
      port ??= await listen()
      await seat.ready()
      void load.watch(clock, scope.signal)
      startEmbedder()
      void answers.start(seat.isFirst)
      if (seat.isFirst) keepOnlyWhatIsWanted()
      booking.start(seat.isFirst)
      notifications.start(seat.isFirst)
      return { port, publicBaseUrl: listeningAt }
    },
    stop: () => (stopping ??= stop()),
  }
}

/** What is said about recording comes before the greeting: it has to be ready first. */
function recordingPhrases({ recording }: CompanyContext['company']): readonly SpeakableText[] {
  return recording.mode === 'off' ? [] : [speakable(recording.notice), ...RECORDING_LINES]
}

/** An admin's line as a voice may say it; a line that is nothing but markup falls back to an honest apology. */
function speakable(line: string): SpeakableText {
  return toSpeakable(line) ?? (LINE_OF_LAST_RESORT as SpeakableText)
}

function demoCompanies(): ReturnType<typeof loadCompanyFile>[] {
  const folder = join(import.meta.dirname, '../media/companies')
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => loadCompanyFile(join(folder, name)))
}
