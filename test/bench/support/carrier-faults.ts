import { join } from 'node:path'
import { loadCompanyFile } from '../../../src/response/company-file.ts'
import { openEmbeddedStore } from '../../../src/storage/embedded-store.ts'
import { seedCompanies } from '../../../src/storage/seed.ts'
import type { OutboxItem } from '../../../src/events/outbox.ts'
import { FAULTS, clock } from '../../vendors/faults.ts'
import { ACCOUNT, TwilioStandIn } from '../../vendors/twilio-rest.ts'
import type { FaultSubject } from './fault-calls.ts'

const COMPANY = 'polar-bay-air'
/** Whoever is told of callers who left in the middle of something. */
const TOLD = { name: 'Dana', phoneNumberE164: '+12395550188', anyHour: true }
const SLOW_MS = 2000
/** The longest that a text may be waited for is ten seconds. */
const DECIDED_WITHIN_MS = 15_000
const POLL_MS = 50
const QUESTIONS = [
  { wav: 'faq-hours.wav', answer: /saturday/i },
  { wav: 'booking-i-would-like-to-schedule-an-appointment.wav', answer: /what|which|when|where|need|name|number/i },
] as const

/** A caller asks, begins to book, and hangs up: somebody of the company is texted to call back, by Twilio's REST API. */
export async function texting(): Promise<FaultSubject> {
  const twilio = await TwilioStandIn.start()
  twilio.slowMs = SLOW_MS
  let folder = ''
  return {
    name: 'texts and call control (Twilio REST)',
    faults: FAULTS,
    environment: {
      STT_ENGINE: 'embedded', TTS_ENGINE: 'embedded', LLM_ENGINE: 'none', EMBEDDINGS_ENGINE: 'embedded', DEMO_COMPANIES: 'false',
      TWILIO_ACCOUNT_SID: ACCOUNT.accountSid, TWILIO_AUTH_TOKEN: ACCOUNT.authToken, TWILIO_BASE_URL: twilio.url,
    },
    account: ACCOUNT,
    asksBoth: true,
    questions: QUESTIONS,
    during: 'agent-speaks',
    seed: async (dataDir) => {
      folder = dataDir
      await seedTexting(dataDir)
    },
    fail: (fault) => twilio.vendor.fail(fault),
    fresh: () => undefined,
    left: async (callSid) => [`the text about it: ${await fate(folder, callSid)}`],
    stop: () => twilio.stop(),
  }
}

async function seedTexting(dataDir: string): Promise<void> {
  const file = loadCompanyFile(join(import.meta.dirname, '../../../media/companies/polar-bay-air.json'))
  const store = await openEmbeddedStore({ dataDir, onProblem: (problem) => console.error(problem) })
  try {
    await seedCompanies(store, [{ ...file, company: { ...file.company, notifications: { ...file.company.notifications, people: [TOLD] } } }])
  } finally {
    await store.close()
  }
}

/** By its state in the outbox, in the words of the report. A text of which nobody can know whether it was taken is not sent twice. */
const WORDS: Readonly<Record<OutboxItem['state'], string>> = {
  waiting: 'not taken, tried again later',
  claimed: 'under way',
  sending: 'under way',
  done: 'sent',
  unknown: 'may have been taken: shown to people, not sent twice',
  failed: 'refused: shown to people',
  dropped: '**dropped**',
}

async function fate(dataDir: string, callSid: string): Promise<string> {
  const store = await openEmbeddedStore({ dataDir, onProblem: (problem) => console.error(problem) })
  const since = clock.now()
  try {
    for (;;) {
      const items = await store.outbox.list(COMPANY, { kind: 'message', to: TOLD.phoneNumberE164, before: null, limit: 50 })
      const text = items.find(({ work }) => work.kind === 'message' && work.message.callSid === callSid)
      const isSettled = text !== undefined && (text.state === 'waiting' ? text.attempts > 0 : WORDS[text.state] !== 'under way')
      if (isSettled || clock.now() - since > DECIDED_WITHIN_MS) return text === undefined ? '**lost**' : WORDS[text.state]
      await clock.sleep(POLL_MS)
    }
  } finally {
    await store.close()
  }
}
