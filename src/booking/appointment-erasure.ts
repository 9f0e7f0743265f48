import { forgotten, names, numberPattern } from '../call/erasure.ts'
import type { Appointment } from './appointment.ts'
import type { AppointmentRepository } from './appointment-repository.ts'

type ForgetfulStore = Readonly<{
  name: string
  erase: (companyId: string, phoneNumberE164: string, signal: AbortSignal) => Promise<number>
  find: (companyId: string, phoneNumberE164: string, signal: AbortSignal) => Promise<number>
}>

const PAGE = 200

/**
 * The caller's own visits go whole, also those to come: their time is free again. Where somebody else's visit names the number ("call my
 * neighbour at ..."), the number goes and the visit stays.
 */
export function appointmentStore(appointments: AppointmentRepository): ForgetfulStore {
  return {
    name: 'appointments',
    erase: async (companyId, number, signal) => {
      let erased = 0
      const pattern = numberPattern(number)
      for (const appointment of await everyAppointment(appointments, companyId, signal)) {
        if (appointment.customer.phoneNumberE164 === number) {
          if (await appointments.delete(companyId, appointment.id, signal)) erased += 1
        } else if (names(appointment, pattern)) {
          const { reason, answers, customer } = forgotten({ reason: appointment.reason, answers: appointment.answers, customer: { ...appointment.customer, phoneNumberE164: '' } }, pattern)
          const rest: Appointment = { ...appointment, reason, answers, customer: { ...customer, phoneNumberE164: appointment.customer.phoneNumberE164 } }
          // Its own time is claimed anew, so no more than that is asked of the resource.
          await appointments.save(companyId, rest, appointment.version, { capacity: Number.MAX_SAFE_INTEGER, now: appointment.updatedAt ?? appointment.startsAt }, [], signal)
          erased += 1
        }
      }
      return erased
    },
    find: async (companyId, number, signal) => {
      const pattern = numberPattern(number)
      return (await everyAppointment(appointments, companyId, signal)).filter((appointment) => names(appointment, pattern)).length
    },
  }
}

/** Read to the end before anything is deleted: a page begins after an appointment that must still be there. */
async function everyAppointment(appointments: AppointmentRepository, companyId: string, signal: AbortSignal): Promise<readonly Appointment[]> {
  const all: Appointment[] = []
  for (let after: string | null = null; ; ) {
    const page: readonly Appointment[] = await appointments.list(companyId, { after, limit: PAGE }, signal)
    all.push(...page)
    after = page.at(-1)?.id ?? null
    if (page.length < PAGE || after === null) return all
  }
}
