import t from 'tap'
import { outcomeProblems } from '../../src/load/outcome-judgement.ts'
import { readScript, scriptedCompany } from '../support/script-call.ts'

const SCRIPTS = ['booking-clean', 'booking-one-sentence', 'booking-correction', 'booking-question', 'booking-digits', 'booking-spelled-name', 'booking-change-of-mind', 'booking-emergency', 'booking-hang-up']
const COMPANIES: Readonly<Record<string, 'polar-bay-air' | 'juniper-coffee'>> = { '+15550100000': 'polar-bay-air', '+15550100002': 'juniper-coffee' }

for (const name of [...SCRIPTS, 'order-latte']) {
  const script = readScript(name)
  t.test(script.description, async (t) => {
    const company = scriptedCompany(COMPANIES[script.to] ?? 'polar-bay-air')
    const call = await company.clock.runUntil(company.play(script), 300_000)
    const told = call.turns.map((turn) => `${turn.input}: ${turn.heard} -> ${turn.said}`)
    if (script.outcome === undefined) throw new Error(`${name} says nothing about its outcome`)
    t.same(outcomeProblems(script.outcome, call.made), [], told.join('\n'))
    t.same(company.errors, [])
    for (const [index, step] of script.steps.entries()) {
      if (step.do !== 'say') continue
      const asked = call.turns.filter((turn) => turn.input !== 'answered')[index]
      for (const pattern of step.expect.says) t.match(asked?.delivered ?? '', pattern, `${step.text} -> ${asked?.delivered}`)
      if (step.expect.action !== undefined) t.equal(asked?.actions[0]?.kind, step.expect.action)
    }
  })
}

t.test(readScript('booking-race').description, async (t) => {
  const script = readScript('booking-race')
  const company = scriptedCompany('polar-bay-air')
  const both = Promise.all([company.play(script, '+12395550160'), company.play(script, '+12395550170')])
  const calls = await company.clock.runUntil(both, 300_000)
  for (const call of calls) t.same(outcomeProblems(script.outcome ?? { appointments: [], leads: [] }, call.made), [], call.turns.map((turn) => `${turn.heard} -> ${turn.said}`).join('\n'))
  const [first, second] = company.desk.booked
  t.equal(company.desk.booked.length, 2)
  t.not(first?.startsAt, second?.startsAt, 'each has a time of their own')
  const beaten = calls.filter((call) => call.turns.some((turn) => /just been taken/.test(turn.delivered)))
  t.equal(beaten.length, 1, 'and one of them was told so')
  t.same(company.errors, [])
})
