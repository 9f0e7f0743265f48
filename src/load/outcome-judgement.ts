import { DateTime } from 'luxon'
import type { ScriptOutcome } from './call-script.ts'
import type { MadeByCall } from './turn-records.ts'

/** What is not as the script wants it, in words; empty: exactly this was made, and nothing else. */
export function outcomeProblems(outcome: ScriptOutcome, made: MadeByCall): string[] {
  return [...matched('appointment', outcome.appointments, made.appointments, appointmentProblem), ...matched('lead', outcome.leads, made.leads, leadProblem)]
}

/** Each thing that is wanted takes the first that fits; what is left on either side is a problem. */
function matched<Wanted, Found>(what: string, wanted: readonly Wanted[], found: readonly Found[], problem: (wanted: Wanted, found: Found) => string | null): string[] {
  const problems: string[] = []
  const left = [...found]
  for (const one of wanted) {
    const fits = left.findIndex((candidate) => problem(one, candidate) === null)
    if (fits >= 0) left.splice(fits, 1)
    else {
      const first = left.shift()
      problems.push(first === undefined ? `no ${what} was made` : `the ${what} made is not the one wanted: ${problem(one, first)}`)
    }
  }
  return [...problems, ...left.map((extra) => `a ${what} was made that nobody wanted: ${JSON.stringify(extra).slice(0, 200)}`)]
}

function appointmentProblem(wanted: ScriptOutcome['appointments'][number], made: MadeByCall['appointments'][number]): string | null {
  const at = DateTime.fromISO(made.startsAt, { zone: wanted.timeZone })
  const weekday = at.setLocale('en-US').toFormat('cccc').toLowerCase()
  const clock = at.toFormat('HH:mm')
  if (made.status !== wanted.status) return `it is ${made.status}, not ${wanted.status}`
  if (made.serviceId !== wanted.serviceId) return `it is for ${made.serviceId}, not ${wanted.serviceId}`
  if (!wanted.weekdays.some((day) => day === weekday)) return `it is on a ${weekday}, not a ${wanted.weekdays.join(' or ')}`
  if (clock < wanted.from || clock >= wanted.before) return `it begins at ${clock}, not from ${wanted.from} to ${wanted.before}`
  if (wanted.name !== undefined && !wanted.name.test(made.customer.name)) return `it is for "${made.customer.name}", not ${String(wanted.name)}`
  if (wanted.phone !== undefined && wanted.phone !== made.customer.phoneNumberE164) return `the number is ${made.customer.phoneNumberE164}, not ${wanted.phone}`
  if (wanted.address !== undefined && !wanted.address.test(made.customer.address?.street ?? '')) return `the address is "${made.customer.address?.street ?? ''}", not ${String(wanted.address)}`
  return null
}

function leadProblem(wanted: ScriptOutcome['leads'][number], made: MadeByCall['leads'][number]): string | null {
  if (made.kind !== wanted.kind) return `it is of kind ${made.kind}, not ${wanted.kind}`
  for (const [slot, pattern] of Object.entries(wanted.slots)) {
    if (!pattern.test(made.slots[slot] ?? '')) return `${slot} is "${made.slots[slot] ?? ''}", not ${String(pattern)}`
  }
  return null
}
