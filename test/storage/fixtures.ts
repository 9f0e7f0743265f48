import type { CallRecord, Gap, TurnRecord } from '../../src/call/call-record.ts'
import { agentSchema, type Agent } from '../../src/tenancy/agent.ts'
import { companySchema, type Company, type CompanyInput } from '../../src/tenancy/company.ts'
import { knowledgeEntrySchema, type KnowledgeEntry, type KnowledgeEntryInput } from '../../src/tenancy/knowledge-entry.ts'

export function company(id: string, changes: Partial<CompanyInput> = {}): Company {
  return companySchema.parse({ id, name: `Company ${id}`, industry: 'hvac', timeZone: 'America/New_York', agentId: 'front-desk', ...changes })
}

export function agent(companyId: string, id = 'front-desk', greeting = 'Hello, how can I help?'): Agent {
  return agentSchema.parse({
    id,
    companyId,
    name: 'Front desk',
    personality: { name: 'Robin' },
    greeting: { text: greeting, emergencyText: 'Please hold.' },
    voice: {},
  })
}

export function entry(companyId: string, id: string, changes: Partial<KnowledgeEntryInput> = {}): KnowledgeEntry {
  return knowledgeEntrySchema.parse({ id, companyId, question: 'When are you open?', answer: 'From eight to five.', ...changes })
}

export function call(companyId: string, callSid: string, changes: Partial<CallRecord> = {}): CallRecord {
  return {
    companyId,
    callSid,
    agentId: 'front-desk',
    agentVersion: 1,
    from: '+15550100099',
    to: '+15550100000',
    startedAt: '2026-03-02T15:00:00.000Z',
    endedAt: null,
    outcome: 'in-progress',
    carrierStatus: 'in-progress',
    durationSeconds: null,
    streamErrors: [],
    lostFrameCount: 0,
    ...changes,
  }
}

export function turn(number: number, changes: Partial<TurnRecord> = {}): TurnRecord {
  return {
    turn: number,
    startedAt: '2026-03-02T15:00:05.000Z',
    input: 'speech',
    heard: 'when are you open',
    said: 'From eight to five.',
    delivered: 'From eight',
    sources: ['fixed-answer'],
    entryIds: ['hours'],
    actions: [{ kind: 'transfer', phoneNumberE164: '+15550100001', label: 'the service desk', timeoutSeconds: 25 }],
    gapMs: 412.5,
    patienceMs: 0,
    stages: [
      { stage: 'endpoint', ms: 240 },
      { stage: 'synthesis', ms: 172.5 },
    ],
    work: [{ stage: 'knowledge', ms: 31, outcome: 'done' }],
    budgetExceededByMs: 0,
    stalled: false,
    speculation: { started: 2, wasted: 1, used: true },
    endpoint: { rule: 'complete-question', score: 0.9, waitMs: 240, lastVoicedMs: 4100 },
    interruption: { atMs: 5200, heardMs: 640, rule: 'words' },
    trace: [{ step: 'knowledge', detail: { entryId: 'hours', score: 0.91 } }],
    ...changes,
  }
}

export function gap(companyId: string, id: string, callSid: string): Gap {
  return { id, companyId, callSid, turn: 2, question: 'do you fix pools', askedAt: '2026-03-02T15:00:09.000Z', solvedByEntryId: null }
}
