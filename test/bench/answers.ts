/**
 * How well callers' own words find their answer: `node test/bench/answers.ts [--words-only]`. Two lists. The first may be looked at, and its
 * failures are printed one by one. The second, test/response/held-out.ts, is only counted: nothing may be chosen on it. "-" is an
 * honest "I don't know"; a reply that asks which of two things was meant is counted by itself.
 */
import { SystemClock, later } from '../../src/core/clock.ts'
import { EmbeddedEmbedder } from '../../src/response/embedded-embedder.ts'
import { createResponder } from '../../src/response/intelligence-loop.ts'
import { createKnowledgeIndex } from '../../src/response/knowledge.ts'
import { HELD_OUT_HARBOR_LANE, HELD_OUT_POLAR_BAY } from '../response/held-out.ts'
import type { Utterance } from '../response/utterances.ts'
import { contextOf, demoCompany, withoutForms, questionOf, replyTo } from '../support/fake-company.ts'

const SEEN = {
  'polar-bay-air': [
    ['could you tell me your opening hours please', 'hours'], ['until when can i reach you today', 'hours|open-now'], ['when do yall close on saturday', 'hours'], ['do you guys work sundays', 'hours|emergency-service'],
    ["i'm over in fort myers beach is that in your range", 'service-area'], ['do you travel to naples', 'service-area'], ['whereabouts is your shop', 'address'],
    ['what would it cost me to have a guy take a look', 'diagnostic-fee'], ['hows your pricing', 'diagnostic-fee'], ['if you do the repair do i still owe the visit fee', 'diagnostic-credit'],
    ['what do you want for a tune up', 'tune-up-price'], ['yearly maintenance how much is that', 'tune-up-price'], ['what exactly is done at a maintenance visit', 'tune-up-contents'], ["it's time to have my system serviced", 'tune-up-booking|booking'],
    ["the air isn't blowing cold anymore", 'not-cooling'], ['house is eighty eight degrees and the unit just runs', 'not-cooling'], ['our central air died', 'not-cooling'], ['would anyone be free this afternoon', 'same-day'], ['i need somebody here asap', 'same-day|booking'],
    ['could you set me up with a service visit', 'booking'], ['id like to get someone scheduled for thursday', 'booking'], ['what time slots are there', 'windows'], ['will it be a long visit', 'visit-length'], ['is it okay if nobody is home', 'must-be-home'],
    ['i need to push back my visit', 'reschedule'], ['please take me off the schedule i dont need it anymore', 'cancel'], ['your guy was supposed to be here an hour ago', 'technician-eta'], ['do you come out at three in the morning', 'emergency-service'], ['does it cost extra on sundays', 'after-hours-fee'],
    ['theres a puddle under the indoor unit', 'water-leak'], ['the copper line has frost all over it', 'frozen-coil'], ['could you put some more refrigerant in', 'refrigerant'], ['its making a terrible racket outside', 'noise'], ['it stinks like mildew when it kicks on', 'smell'], ['the heat stopped working in my house', 'furnace-repair'],
    ['do you guys handle heat pumps', 'heat-pump'], ['nothing on the thermostat display', 'thermostat'], ['it pops the breaker every time it starts', 'breaker'], ['what would you charge to vacuum out my ducts', 'duct-cleaning'], ['my son has asthma can you improve the air', 'air-quality'], ['when should the filter be swapped', 'filter'],
    ['ballpark for replacing the entire system', 'new-system'], ['would you give me a written quote at no charge', 'estimate'], ['i want cooling in my garage', 'mini-split'], ['can you work on a goodman', 'brands'], ['what is your monthly club', 'maintenance-plan'], ['if it fails again am i covered', 'warranty'], ['could i spread out the payments', 'financing'], ['is visa ok', 'payment'],
    ['theres an error on the invoice you sent', 'pay-bill'], ['any discount for veterans', 'discounts'], ['we own a bakery and the rooftop unit is down', 'commercial'], ['do you carry insurance', 'licensed'], ['are you locally owned', 'about'], ['i am very unhappy with your work', 'complaint'], ['do you need installers i have ten years experience', 'jobs'], ['can you unclog my kitchen sink', 'plumbing'],
    ['what is a good setting for the summer', 'temperature'], ['whats the weather tomorrow', '-'], ['can you order me a pizza', '-'], ['who is the president', '-'], ['do you rent cars', '-'], ['i lost my wallet at the airport', '-'],
  ],
  'harbor-lane-dental': [
    ['when are you guys in on friday', 'hours'], ['how would i get to your practice', 'address'], ['can i leave my car somewhere', 'parking'], ['we just moved to town and need a family dentist', 'new-patients|children'], ['whats the fee for a first checkup', 'new-patient-price'], ['i want to come in next tuesday', 'booking'],
    ["it's been six months so i'm due", 'cleaning'], ['price for a hygiene visit cleaning', 'cleaning-price'], ['are you in network with aetna', 'insurance'], ['is medicare okay', 'medicaid'], ['i have to pay out of pocket no coverage', 'no-insurance'], ['one of my back teeth is aching', 'toothache'], ['half of my front tooth snapped off', 'broken-tooth'],
    ['can you squeeze in an urgent patient', 'emergency|booking'], ['my endodontist said i need a root canal', 'root-canal'], ['cost of a crown please', 'crown'], ['how pricey are fillings', 'filling'], ['i would like my teeth whiter for a wedding', 'whitening'], ['could you replace a tooth i lost years ago with an implant', 'implants'], ['can i straighten my bottom teeth', 'braces'],
    ['does dr ortiz remove wisdom teeth', 'extraction'], ['my four year old needs a dentist', 'children'], ['dental visits make me panic', 'sedation'], ["i won't be able to make it please cancel", 'cancel'], ['could we do a later day instead', 'reschedule'], ['am i on the book for tomorrow', 'confirm-appointment'], ['anything i have to bring along', 'first-visit-bring'],
    ['is there a woman dentist', 'dentists'], ['do you accept care credit', 'payment'], ['i think i was charged too much', 'bill'], ['send my films to my new dentist', 'records'], ['i need something stronger for the pain', 'prescription'], ['is this bump something to worry about', 'diagnosis'], ['i was treated badly at my last visit', 'complaint'], ['can you do my taxes', '-'], ['what time does the bank close', '-|hours'],
  ],
} as const

const HELD_OUT = { 'polar-bay-air': HELD_OUT_POLAR_BAY, 'harbor-lane-dental': HELD_OUT_HARBOR_LANE } as const
const COMPANIES = ['polar-bay-air', 'harbor-lane-dental'] as const

type Outcome = 'right' | 'asked back' | 'asked amiss' | 'no answer' | 'wrong'

const clock = new SystemClock()
const embedder = process.argv.includes('--words-only') ? null : new EmbeddedEmbedder(clock)
const responder = createResponder({ model: null })
const times: number[] = []
const searchTimes: number[] = []
const counts = { seen: newCount(), heldOut: newCount() }
for (const name of COMPANIES) {
  const file = withoutForms(demoCompany(name))
  const knowledge = createKnowledgeIndex(file.company.id, file.knowledge, 1, embedder, { mishearings: file.company.mishearings })
  const startedAt = clock.now()
  const state = await knowledge.ready
  console.log(`\n${file.company.name}: ${SEEN[name].length} questions seen, ${HELD_OUT[name].length} held out, ${state} index ready after ${Math.round(clock.now() - startedAt)} ms`)
  const context = { ...contextOf(file), knowledge }
  const ask = async (heard: string, expected: string): Promise<Readonly<{ outcome: Outcome; found: string }>> => {
    const searchedAt = clock.now()
    knowledge.searchByWords(heard, { limit: 3 })
    const askedAt = clock.now()
    searchTimes.push(askedAt - searchedAt)
    const reply = await replyTo(responder, { ...questionOf(context, heard), clock, firstPartBy: later(askedAt, 1000) })
    times.push(clock.now() - askedAt)
    const { offer } = reply.dialogue
    if (offer?.kind === 'which') return { outcome: [offer.entryId, offer.otherEntryId].some((id) => expected.split('|').includes(id ?? '')) ? 'asked back' : 'asked amiss', found: reply.said }
    const found = reply.gap || reply.entryIds.length === 0 ? '-' : reply.entryIds.join('+')
    return { outcome: expected.split('|').includes(found) ? 'right' : found === '-' ? 'no answer' : 'wrong', found }
  }
  for (const [heard, expected] of SEEN[name]) {
    const { outcome, found } = await ask(heard, expected)
    counts.seen[outcome]++
    if (outcome !== 'right') console.log(`  ${outcome.padEnd(11)} "${heard}" -> ${found}, not ${expected}`)
  }
  for (const [heard, expected] of HELD_OUT[name] as readonly Utterance[]) counts.heldOut[(await ask(heard, expected)).outcome]++
}
console.log()
print('seen', counts.seen)
print('held out', counts.heldOut)
console.log(`intent to answer: ${spread(times)}`)
console.log(`search by words, on the calling thread: ${spread(searchTimes)}`)
await embedder?.close()

function newCount(): Record<Outcome, number> {
  return { right: 0, 'asked back': 0, 'asked amiss': 0, 'no answer': 0, wrong: 0 }
}

function print(list: string, count: Record<Outcome, number>): void {
  const total = Object.values(count).reduce((sum, one) => sum + one, 0)
  console.log(`${list.padEnd(9)} ${count.right} of ${total} right (${Math.round((100 * count.right) / total)} %), ${count['asked back']} asked back with the right one of two, ${count['asked amiss']} with neither, ${count['no answer']} honestly not known, ${count.wrong} wrong`)
}

function spread(all: readonly number[]): string {
  const sorted = [...all].sort((a, b) => a - b)
  const at = (share: number): string => (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1)
  return `p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, most ${at(1)} ms`
}
