import { GRAIN_MINUTES } from '../tenancy/booking-config.ts'
import type { Appointment } from './appointment.ts'

export const GRAIN_MS = GRAIN_MINUTES * 60_000

/** The pieces of five minutes that an appointment takes, buffer included: numbered from 1970 on, `end` not included. */
export function grainsOf(appointment: Pick<Appointment, 'startsAt' | 'endsAt' | 'bufferMinutes'>): Readonly<{ first: number; end: number }> {
  return {
    first: Math.floor(Date.parse(appointment.startsAt) / GRAIN_MS),
    end: Math.ceil((Date.parse(appointment.endsAt) + appointment.bufferMinutes * 60_000) / GRAIN_MS),
  }
}
