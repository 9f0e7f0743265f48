import { z } from 'zod'

/** 'HH:MM', 24 hours, in the company's time zone. '24:00' is the end of the day. */
export const timeOfDaySchema = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$|^24:00$/, 'must be HH:MM')

export const openIntervalSchema = z
  .strictObject({ opens: timeOfDaySchema, closes: timeOfDaySchema })
  .refine((interval) => interval.opens < interval.closes, { message: 'must close after it opens', path: ['closes'] })

export const WEEKDAYS = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'] as const
const daySchema = z.array(openIntervalSchema).max(4).default([])

/** A day without intervals is a day off. */
export const weekSchema = z.strictObject({
  monday: daySchema,
  tuesday: daySchema,
  wednesday: daySchema,
  thursday: daySchema,
  friday: daySchema,
  saturday: daySchema,
  sunday: daySchema,
})

export type Week = Readonly<z.infer<typeof weekSchema>>
