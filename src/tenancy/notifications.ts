import { z } from 'zod'

/** What people are told about. */
export const MESSAGE_KINDS = [
  'appointment_requested',
  'appointment_confirmed',
  'appointment_rescheduled',
  'appointment_cancelled',
  'reminder_day_before',
  'reminder_hour_before',
  'lead_for_people',
  'appointment_for_people',
  'change_asked_for_people',
  'missed_call_for_people',
  'password_link',
] as const
export type MessageKind = (typeof MESSAGE_KINDS)[number]
