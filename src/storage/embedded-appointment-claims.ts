import type { Appointment } from '../booking/appointment.ts'
import { takenError, type WriteTerms } from '../booking/appointment-repository.ts'
import { grainsOf } from '../booking/grains.ts'
import type { EmbeddedDatabase } from './embedded-database.ts'

/**
 * Takes a seat in every piece of the appointment's time, in the caller's transaction; another seat a piece may be, since what counts is
 * how many there are at a moment, not which. Throws CONFLICT when a piece has none left: the caller's transaction undoes the rest.
 */
export function claimTime(database: EmbeddedDatabase, companyId: string, appointment: Appointment, terms: WriteTerms): void {
  const { first, end } = grainsOf(appointment)
  const heldUntilMs = appointment.status === 'held' && appointment.heldUntil !== null ? Date.parse(appointment.heldUntil) : null
  database.run(
    'DELETE FROM appointment_claims WHERE company_id = ? AND resource_id = ? AND grain >= ? AND grain < ? AND held_until_ms <= ?',
    companyId,
    appointment.resourceId,
    first,
    end,
    Date.parse(terms.now),
  )
  const seats = new Map<number, Set<number>>()
  for (const row of database.all('SELECT grain, seat FROM appointment_claims WHERE company_id = ? AND resource_id = ? AND grain >= ? AND grain < ?', companyId, appointment.resourceId, first, end)) {
    const grain = Number(row['grain'])
    const taken = seats.get(grain) ?? new Set<number>()
    taken.add(Number(row['seat']))
    seats.set(grain, taken)
  }
  for (let grain = first; grain < end; grain++) {
    const taken = seats.get(grain) ?? new Set<number>()
    // By number, not by seat: a resource that was larger yesterday has appointments on seats that are no more.
    if (taken.size >= terms.capacity) throw takenError(appointment)
    let seat = 0
    while (taken.has(seat)) seat += 1
    database.run(
      'INSERT INTO appointment_claims (company_id, resource_id, grain, seat, appointment_id, held_until_ms) VALUES (?, ?, ?, ?, ?, ?)',
      companyId,
      appointment.resourceId,
      grain,
      seat,
      appointment.id,
      heldUntilMs,
    )
  }
}

export function releaseTime(database: EmbeddedDatabase, companyId: string, appointmentId: string): void {
  database.run('DELETE FROM appointment_claims WHERE company_id = ? AND appointment_id = ?', companyId, appointmentId)
}
