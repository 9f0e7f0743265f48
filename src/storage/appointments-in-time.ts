import type { AppointmentRepository } from '../booking/appointment-repository.ts'
import type { JournaledWrites } from './journaled-writes.ts'

/**
 * Appointments for callers, who cannot wait for a database that is away: a look-up has a deadline, and while the database is known to be away
 * nobody asks it again. A booking cannot go to the journal, since only the database knows who has which time; what a caller
 * wanted goes there as a lead instead. A booking that has begun is not cut off here: half-way it would be neither made nor not.
 */
export function appointmentsInTime(appointments: AppointmentRepository, writes: JournaledWrites): AppointmentRepository {
  return {
    get: (companyId, appointmentId, signal) => writes.inTime((inner) => appointments.get(companyId, appointmentId, inner), signal),
    findByKey: (companyId, idempotencyKey, signal) => writes.inTime((inner) => appointments.findByKey(companyId, idempotencyKey, inner), signal),
    list: (companyId, filter, signal) => writes.inTime((inner) => appointments.list(companyId, filter, inner), signal),
    busy: (companyId, range, signal) => writes.inTime((inner) => appointments.busy(companyId, range, inner), signal),
    create: async (companyId, appointment, terms, events, signal) => {
      writes.refuseWhileAway()
      return appointments.create(companyId, appointment, terms, events, signal)
    },
    save: async (companyId, appointment, ifVersion, terms, events, signal) => {
      writes.refuseWhileAway()
      return appointments.save(companyId, appointment, ifVersion, terms, events, signal)
    },
    delete: (companyId, appointmentId, signal) => appointments.delete(companyId, appointmentId, signal),
    deleteEndedBefore: (companyId, before, limit, signal) => appointments.deleteEndedBefore(companyId, before, limit, signal),
  }
}
