import { parsePhoneNumberFromString } from 'libphonenumber-js/min'
import type { KnowledgeEntry } from '../tenancy/knowledge-entry.ts'
import type { KnowledgeRepository } from '../tenancy/repositories.ts'
import type { CallRecord, CallRepository, Gap } from './call-record.ts'

const PAGE = 200
/** What stands where a number was. */
const ERASED = '[erased]'

/** Calls, their turns and gaps, as a store that can forget a caller and can be searched for what is left. */
export function callStore(calls: CallRepository): ForgetfulStore {
  return { name: 'calls', erase: (companyId, number, signal) => erase(calls, companyId, number, signal), find: (companyId, number, signal) => find(calls, companyId, number, signal) }
}

type ForgetfulStore = Readonly<{
  name: string
  erase: (companyId: string, phoneNumberE164: string, signal: AbortSignal) => Promise<number>
  find: (companyId: string, phoneNumberE164: string, signal: AbortSignal) => Promise<number>
}>

/** Entries: what a caller asked may have become one of their phrases. */
export function knowledgeStore(knowledge: Pick<KnowledgeRepository, 'listAll' | 'save'>): ForgetfulStore {
  const naming = async (companyId: string, number: string, signal: AbortSignal): Promise<readonly KnowledgeEntry[]> => {
    const pattern = numberPattern(number)
    return (await knowledge.listAll(companyId, signal)).filter((entry) => names(entry, pattern))
  }
  return {
    name: 'knowledge',
    erase: async (companyId, number, signal) => {
      const entries = await naming(companyId, number, signal)
      for (const entry of entries) await knowledge.save(companyId, forgotten(entry, numberPattern(number)), entry.version, signal)
      return entries.length
    },
    find: async (companyId, number, signal) => (await naming(companyId, number, signal)).length,
  }
}

/** The caller's own calls go whole. Where somebody else's call names the number, the number goes and the rest stays. */
async function erase(calls: CallRepository, companyId: string, number: string, signal: AbortSignal): Promise<number> {
  let erased = 0
  for (;;) {
    const own = await calls.list(companyId, { before: null, limit: PAGE, from: number }, signal)
    for (const call of own) if (await calls.deleteCall(companyId, call.callSid, signal)) erased += 1
    if (own.length < PAGE) break
  }
  const pattern = numberPattern(number)
  for await (const call of everyCall(calls, companyId, signal)) {
    if (names(call, pattern)) {
      await calls.update(companyId, call.callSid, forgotten(call, pattern), signal)
      erased += 1
    }
    for (const turn of await calls.turns(companyId, call.callSid, signal)) {
      if (!names(turn, pattern)) continue
      await calls.saveTurn(companyId, call.callSid, forgotten(turn, pattern), signal)
      erased += 1
    }
  }
  for await (const gap of everyGap(calls, companyId, signal)) {
    if (!names(gap, pattern)) continue
    await calls.saveGap(companyId, forgotten(gap, pattern), signal)
    erased += 1
  }
  return erased
}

async function find(calls: CallRepository, companyId: string, number: string, signal: AbortSignal): Promise<number> {
  const pattern = numberPattern(number)
  let left = 0
  for await (const call of everyCall(calls, companyId, signal)) {
    if (names(call, pattern)) left += 1
    for (const turn of await calls.turns(companyId, call.callSid, signal)) if (names(turn, pattern)) left += 1
  }
  for await (const gap of everyGap(calls, companyId, signal)) if (names(gap, pattern)) left += 1
  return left
}

/** Newest first. Each page is read before any of it is changed, so deleting what was yielded would lose the cursor: callers only change. */
async function* everyCall(calls: CallRepository, companyId: string, signal: AbortSignal): AsyncGenerator<CallRecord> {
  let before: string | null = null
  for (;;) {
    const page: readonly CallRecord[] = await calls.list(companyId, { before, limit: PAGE }, signal)
    yield* page
    before = page.at(-1)?.callSid ?? null
    if (page.length < PAGE || before === null) return
  }
}

async function* everyGap(calls: CallRepository, companyId: string, signal: AbortSignal): AsyncGenerator<Gap> {
  let after: string | null = null
  for (;;) {
    const page: readonly Gap[] = await calls.gaps(companyId, { after, limit: PAGE }, signal)
    yield* page
    after = page.at(-1)?.id ?? null
    if (page.length < PAGE || after === null) return
  }
}

/** The number in any way of writing it, with or without its country code: digits with at most three other characters between them. */
export function numberPattern(phoneNumberE164: string): RegExp {
  const national = String(parsePhoneNumberFromString(phoneNumberE164)?.nationalNumber ?? phoneNumberE164.slice(1))
  const country = phoneNumberE164.slice(1, phoneNumberE164.length - national.length)
  const apart = (digits: string): string => [...digits].join('[^0-9]{0,3}')
  return new RegExp(`(?<![0-9])\\(?(?:\\+?${country === '' ? '' : `${apart(country)}[^0-9]{0,3}`})?${apart(national)}(?![0-9])`, 'g')
}

export function names(value: unknown, pattern: RegExp): boolean {
  if (typeof value === 'string') return value.search(pattern) >= 0
  if (typeof value !== 'object' || value === null) return false
  return Object.values(value).some((part) => names(part, pattern))
}

/** The same document without the number. */
export function forgotten<T>(document: T, pattern: RegExp): T {
  return JSON.parse(JSON.stringify(document), (_key, value: unknown) => (typeof value === 'string' ? value.replace(pattern, ERASED) : value)) as T
}
