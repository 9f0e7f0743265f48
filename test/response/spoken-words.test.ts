import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { CachedCompanyContext } from '../../src/response/company-context-source.ts'
import { loadCompanyFile } from '../../src/response/company-file.ts'
import { createKnowledgeIndex } from '../../src/response/knowledge.ts'
import { inCharacter } from '../../src/response/personality.ts'
import { claims, factsOf, polish, toSpeakable, traceable } from '../../src/response/quality.ts'
import { SentenceCutter, sentences } from '../../src/response/sentences.ts'
import { hoursAt, hoursOnDay } from '../../src/response/spoken-hours.ts'
import { digitRun, numbersAsFigures } from '../../src/response/spoken-numbers.ts'
import { renderText, templateProblem, templateScope } from '../../src/response/templates.ts'
import { FileVectorStore } from '../../src/response/vector-store.ts'
import { CLOSED_AT, contextOf, demoCompany, OPEN_AT } from '../support/fake-company.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

const hvac = demoCompany('polar-bay-air')
const dental = demoCompany('harbor-lane-dental')
const polar = contextOf(hvac)
const scope = templateScope(polar, OPEN_AT)

t.test('sentences end where a voice would stop', async (t) => {
  t.same(sentences('Dr. Lewis is in at 8 a.m. tomorrow. It is $89.95 in all! Shall I book? Yes'), ['Dr. Lewis is in at 8 a.m. tomorrow.', 'It is $89.95 in all!', 'Shall I book?', 'Yes'])
  t.same(sentences('We open at 8 a.m. Call then.'), ['We open at 8 a.m.', 'Call then.'])
  t.same(sentences('No. We are closed.'), ['No.', 'We are closed.'])
  const cutter = new SentenceCutter()
  t.same(cutter.push('It depends. '), ['It depends.'], 'a finished sentence does not wait for the next one')
})

t.test('text that arrives in pieces is cut as text that arrives whole, and no word is lost', async () => {
  const piece = fc.constantFrom('Dr. ', 'a', '$89.95', ' ', '. ', '? ', '! ', 'p.m. ', 'Monday', 'the unit ', 'e.g. ', ', ', 'word '.repeat(30), '"Yes." ')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), fc.integer({ min: 1, max: 7 }), (pieces, size) => {
      const text = pieces.join('')
      const cutter = new SentenceCutter()
      const streamed: string[] = []
      for (let at = 0; at < text.length; at += size) streamed.push(...cutter.push(text.slice(at, at + size)))
      streamed.push(...cutter.end())
      const squeezed = (value: string): string => value.replace(/\s+/g, '')
      return JSON.stringify(streamed) === JSON.stringify(sentences(text)) && squeezed(streamed.join('')) === squeezed(text) && streamed.every((sentence) => sentence.length <= 330)
    }),
    { numRuns: 300 },
  )
})

t.test('nothing but words reaches a voice', async (t) => {
  t.equal(toSpeakable('**Hello** _there_ 😀'), 'Hello there')
  t.equal(toSpeakable('See https://example.com/a?b=c for more.'), 'See for more.')
  t.equal(toSpeakable('[our site](http://x.y)'), 'our site')
  t.equal(toSpeakable('Ok. null'), 'Ok.')
  t.equal(toSpeakable('{"answer": "yes"}'), null)
  t.equal(toSpeakable('answer:'), null)
  t.equal(toSpeakable('Hi {{ name }}'), null)
  t.equal(toSpeakable('<speak>Hi</speak><script>x()</script>'), 'Hi')
  t.equal(toSpeakable('/audio/greeting/hello.mp3'), null)
  t.equal(toSpeakable('parts & labor'), 'parts and labor')
  t.equal(toSpeakable('zero\u200bwidth\u202e'), 'zero width')
  t.equal(toSpeakable(' ... '), null)
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'grapheme' }), fc.string()), (text) => {
      const speakable = toSpeakable(text)
      return speakable === null || (!/[<>{}*_`\u200b]|https?:/.test(speakable) && speakable.length <= 600)
    }),
    { numRuns: 500 },
  )
})

t.test('a reply keeps its cap, one acknowledgement and no second greeting', async (t) => {
  t.same(polish(['Hello there! We open at eight.'], { maxWords: 40, greeted: true }), ['We open at eight.'])
  t.same(polish(['Sure.', 'Of course, it is open.', 'It is open.'], { maxWords: 40, greeted: true }), ['Sure.', 'It is open.'])
  t.same(polish(['One two three.', 'Four five six.', 'Seven.'], { maxWords: 5, greeted: false }), ['One two three.'])
})

t.test('a price, a time or a number that the company never gave is not traceable', async (t) => {
  const facts = factsOf(polar, scope)
  for (const text of ['A tune-up is 89 dollars.', 'A tune-up is $89.', 'It is eighty nine dollars.', 'We close at five.', 'We open at 8 a.m.', 'New systems start at 5,900 dollars.', 'Call 911.', 'One moment, please.']) {
    t.ok(traceable(text, facts), text)
  }
  for (const text of ['A tune-up is 49 dollars.', 'We open at 6 a.m.', 'Call us at 239-555-0188.', 'It is ninety nine dollars.', 'That takes 37 minutes.', 'It costs 24 dollars.', 'We close at midnight.']) {
    t.notOk(traceable(text, facts), text)
  }
  t.same(claims('It is $1,150, from eight to 5 p.m.'), ['price:1150', 'number:8', 'time:5'])
  const ofDental = factsOf(contextOf(dental), templateScope(contextOf(dental), OPEN_AT))
  t.notOk(traceable('A tune-up is 89 dollars.', ofDental), 'another company\'s price is no fact here')
})

t.test('numbers are understood as callers say them', async (t) => {
  t.equal(numbersAsFigures('fifty nine hundred dollars'), '5900 dollars')
  t.equal(numbersAsFigures('one hundred and five'), '105')
  t.equal(numbersAsFigures('one moment'), 'one moment')
  t.equal(digitRun('do you come to three three nine oh one', 5), '33901')
  t.equal(digitRun('my zip is thirty three nine zero four', 5), '33904')
  t.equal(digitRun('call me at 239 555 0188', 5), null)
})

t.test('hours are said as people say them, in the company\'s own time zone', async (t) => {
  const open = hoursAt(hvac.company, OPEN_AT)
  t.match(open, { open: true, closes: 'five', today: 'from eight to five', week: 'Monday through Friday from eight to five, and Saturday from nine to two' })
  const closed = hoursAt(hvac.company, CLOSED_AT)
  t.match(closed, { open: false, nextOpen: 'tomorrow at eight' })
  t.equal(hoursAt(hvac.company, new Date('2026-11-26T15:00:00Z')).open, false, 'closed on a holiday')
  t.match(hoursOnDay(hvac.company, OPEN_AT, 'sunday'), { open: false, spoken: 'closed' })
  const saturdayNight = hoursAt(hvac.company, new Date('2026-03-08T01:00:00Z'))
  t.equal(saturdayNight.nextOpen, 'Monday at eight')
})

t.test('a text can only say what the company has', async (t) => {
  t.equal(renderText('It is {{ prices.tune_up }}.', scope), 'It is 89 dollars.')
  t.equal(renderText('It is {{ prices.unheard_of }}.', scope), null)
  t.equal(renderText('{% include "x" %}', scope), null)
  t.equal(renderText('{{ company.constructor }}', scope), null)
  t.match(templateProblem('{{ prices.unheard_of }}', scope), /unheard_of/)
  const expired = { ...polar, company: { ...hvac.company, prices: { old: { label: 'old', spoken: '5 dollars', amountCents: 500, currency: 'USD', validUntil: '2026-01-01' } } } }
  t.equal(renderText('{{ prices.old }}', templateScope(expired, OPEN_AT)), null, 'an expired price is not said')
})

t.test('the demo companies say nothing broken, long or untraceable', async (t) => {
  t.ok(hvac.knowledge.length >= 40)
  t.ok(dental.knowledge.length >= 25)
  for (const [file, context] of [[hvac, polar], [dental, contextOf(dental)]] as const) {
    for (const wallTime of [OPEN_AT, CLOSED_AT]) {
      const at = templateScope(context, wallTime)
      const facts = factsOf(context, at)
      for (const entry of file.knowledge) {
        const text = renderText(entry.answer, at)
        t.ok(text !== null && text.split(' ').length <= 35 && sentences(text).length <= 3 && traceable(text, facts), `${entry.id}: ${text}`)
      }
    }
  }
})

t.test('a company file with a mistake names the field', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'company-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const good = { company: hvac.company, agent: hvac.agent, knowledge: hvac.knowledge.slice(0, 1) }
  const write = (value: unknown): string => {
    const path = join(folder, 'company.json')
    writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value))
    return path
  }
  t.equal(loadCompanyFile(write(good)).company.name, 'Polar Bay Air')
  t.throws(() => loadCompanyFile(write({ ...good, company: { ...good.company, timeZone: 'Mars' } })), /company\.timeZone/)
  t.throws(() => loadCompanyFile(write({ ...good, knowledge: [{ ...good.knowledge[0], colour: 1 }] })), /knowledge\.0.*colour/)
  t.throws(() => loadCompanyFile(write({ ...good, agent: { ...good.agent, companyId: 'other' } })), /agent\.companyId/)
  t.throws(() => loadCompanyFile(write('{')), { code: 'CONFIG_INVALID' })
})

t.test('manners change words, never facts', async (t) => {
  const formal = { ...hvac.agent, personality: { ...hvac.agent.personality, tone: 'formal', chattiness: 4 } } as const
  t.same(inCharacter(["We're open from eight to five."], formal, { isAnswer: true, turn: 1 }), ['Certainly.', 'We are open from eight to five.'])
  t.same(inCharacter(['Yes, we do.'], formal, { isAnswer: true, turn: 1 }), ['Yes, we do.'])
})

t.test('vectors survive a restart, and a record cut short by a crash does not', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'vectors-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const open = (): FileVectorStore => new FileVectorStore(folder, 3, (error) => t.fail(String(error)))
  const first = open()
  await first.put('m', [{ text: 'hello', vector: Float32Array.of(1, 2, 3) }])
  appendFileSync(join(folder, 'vectors-3.bin'), Buffer.alloc(10))
  const second = open()
  t.same([...(second.get('m', 'hello') ?? [])], [1, 2, 3])
  t.equal(second.get('other', 'hello'), null)
  await second.put('m', [{ text: 'bye', vector: Float32Array.of(4, 5, 6) }])
  t.same([...(open().get('m', 'bye') ?? [])], [4, 5, 6])
  t.notOk(readFileSync(join(folder, 'vectors-3.bin')).includes('hello'), 'texts are not kept')
})

t.test('a server that stops waits for the vectors it is writing, and writes none afterwards', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'vectors-'))
  const store = new FileVectorStore(folder, 3, (error) => t.fail(String(error)))
  const writing = store.put('m', [{ text: 'hello', vector: Float32Array.of(1, 2, 3) }])
  await store.close()
  t.ok(new FileVectorStore(folder, 3, (error) => t.fail(String(error))).get('m', 'hello'))
  await writing
  rmSync(folder, { recursive: true })
  await store.put('m', [{ text: 'late', vector: Float32Array.of(4, 5, 6) }])
})

t.test('a disk that is gone costs vectors their next start, not the server', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'vectors-'))
  const failures: unknown[] = []
  const store = new FileVectorStore(folder, 3, (error) => failures.push(error))
  rmSync(folder, { recursive: true })
  await store.put('m', [{ text: 'hello', vector: Float32Array.of(1, 2, 3) }])
  t.match(failures, [{ code: 'ENOENT' }], 'told')
  t.same([...(store.get('m', 'hello') ?? [])], [1, 2, 3], 'and known as long as the server runs')
  await store.close()
  await store.put('m', [{ text: 'bye', vector: Float32Array.of(4, 5, 6) }])
  t.equal(failures.length, 1, 'after the end nothing is written')
})

t.test('a company is read once, served stale while it is refreshed, and afresh after a save', async (t) => {
  const clock = new VirtualClock()
  const signal = new AbortController().signal
  let reads = 0
  let company = hvac.company
  let isDown = false
  const source = new CachedCompanyContext({
    companies: {
      get: async (companyId) => {
        reads++
        await clock.sleep(20)
        if (isDown) throw new Error('store is down')
        return companyId === company.id ? company : null
      },
    },
    agents: { getPublished: async () => hvac.agent },
    knowledge: { listAll: async () => hvac.knowledge.slice(0, 3), version: async () => 1 },
    embedder: null,
    clock,
  })
  const [first, second] = await clock.runUntil(Promise.all([source.load(company.id, signal), source.load(company.id, signal)]))
  t.equal(first, second)
  t.equal(reads, 1, 'two calls at once read once')
  company = { ...company, name: 'Renamed', version: 1 }
  t.equal((await source.load(company.id, signal)).company.name, 'Polar Bay Air')
  await clock.advance(5 * 60_000)
  t.equal((await source.load(company.id, signal)).company.name, 'Polar Bay Air', 'stale, but at once')
  await clock.advance(50)
  t.equal((await source.load(company.id, signal)).company.name, 'Renamed')
  company = { ...company, name: 'Again', version: 2 }
  source.invalidate(company.id)
  t.equal((await clock.runUntil(source.load(company.id, signal))).company.name, 'Again')
  isDown = true
  await clock.advance(6 * 60_000)
  t.equal((await source.load(company.id, signal)).company.name, 'Again', 'a store that is down does not end a call')
  await clock.advance(50)
  isDown = false
  await t.rejects(clock.runUntil(source.load('nobody', signal)), { code: 'NOT_FOUND' })
  t.equal(clock.pendingTimers, 0)
})

t.test('two companies asked the same never hear each other\'s answers', async (t) => {
  const both = [hvac, dental].map((file) => createKnowledgeIndex(file.company.id, file.knowledge, 1, null))
  const phrases = [...hvac.knowledge, ...dental.knowledge].flatMap((entry) => entry.callerPhrases.slice(0, 2))
  for (const phrase of phrases) {
    for (const index of both) for (const match of index.searchByWords(phrase, { limit: 5 })) if (match.entry.companyId !== index.companyId) t.fail(phrase)
  }
  t.pass(`${phrases.length} questions`)
})
