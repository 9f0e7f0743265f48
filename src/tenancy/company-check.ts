import { ClientsViaError } from '../core/errors.ts'
import { checkBooking } from './booking-check.ts'
import { checkForms } from './form-check.ts'
import { companySchema, type Company } from './company.ts'
import { normalizePhoneNumber } from './phone-numbers.ts'

/**
 * Numbers a caller is never sent to: calls to them cost the company by the minute. North American 900 and 976 numbers are paid
 * services; +870 to +888 without a country are satellites and personal numbers, +979 is paid services worldwide.
 */
const COSTLY = [/^\+1900/, /^\+1\d{3}976/, /^\+(870|878|881|882|883|888|979)/]

/**
 * What the schema of a single field cannot see. Throws INVALID_INPUT naming the field; gives the company back.
 */
export function checkCompany(input: unknown): Company {
  const company = companySchema.parse(input)
  for (const [index, number] of company.phoneNumbers.entries()) checkNumber(`phoneNumbers.${index}`, number)
  if (company.forwardToE164 !== null) checkDestination('forwardToE164', company.forwardToE164)
  if (company.status === 'forward' && company.forwardToE164 === null) refuse('forwardToE164', 'is needed while the status is "forward"')
  if (company.recording.mode !== 'off' && company.retention.audioDays === 0) {
    refuse('retention.audioDays', 'must be at least 1 while calls are recorded: with 0 every recording would be deleted at once')
  }
  const ids = new Set<string>()
  for (const [index, target] of company.transferTargets.entries()) {
    if (ids.has(target.id)) refuse(`transferTargets.${index}.id`, `"${target.id}" is taken`)
    ids.add(target.id)
    checkDestination(`transferTargets.${index}.phoneNumberE164`, target.phoneNumberE164)
    if (company.phoneNumbers.includes(target.phoneNumberE164)) {
      refuse(`transferTargets.${index}.phoneNumberE164`, 'is a number that the agent itself answers: the call would come back')
    }
  }
  const dates = new Set<string>()
  for (const [index, holiday] of company.holidays.entries()) {
    if (dates.has(holiday.date)) refuse(`holidays.${index}.date`, `${holiday.date} is listed twice`)
    dates.add(holiday.date)
  }
  checkBooking(company, refuse)
  checkForms(company.forms, refuse)
  return company
}

function checkDestination(field: string, number: string): void {
  checkNumber(field, number)
  if (COSTLY.some((pattern) => pattern.test(number))) refuse(field, 'is a number that is charged by the minute: calls are not sent there')
}

function checkNumber(field: string, number: string): void {
  if (normalizePhoneNumber(number) !== number) refuse(field, 'is not a telephone number that can be dialled')
}

function refuse(field: string, problem: string): never {
  throw new ClientsViaError('INVALID_INPUT', `${field}: ${problem}`, { field })
}
