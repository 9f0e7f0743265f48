import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import type { ApiClient } from './cli-client.ts'

/** What a company sets up for booking, as lists in its own document. */
export const SETUP_LISTS = ['forms', 'services', 'resources'] as const
export type SetupList = (typeof SETUP_LISTS)[number]

const thingSchema = z.looseObject({ id: z.string(), name: z.string(), enabled: z.boolean().optional() })
const itemsSchema = z.object({ items: z.array(thingSchema) })
/** Fields are kept as they are written: the server says what is wrong with them. */
const givenSchema = z.record(z.string(), z.unknown()).pipe(z.looseObject({ id: z.string() }))

/** One line each: its id, what tells it from the others, its name. */
export async function listThings(client: ApiClient, companyId: string, list: SetupList, write: (text: string) => void, signal: AbortSignal): Promise<void> {
  const { items } = itemsSchema.parse(await client.ask('GET', pathOf(companyId, list), undefined, signal))
  for (const item of items) write(`${[item.id, ...FACTS[list](item), item.name].join('\t')}\n`)
}

const FACTS: Readonly<Record<SetupList, (item: z.infer<typeof thingSchema>) => readonly string[]>> = {
  forms: (form) => [String(form['outcome']), onOrOff(form), z.array(z.looseObject({ id: z.string() })).parse(form['slots']).map((slot) => slot.id).join(' ')],
  services: (service) => [`${String(service['durationMinutes'])} min`, onOrOff(service), z.array(z.string()).parse(service['resourceIds']).join(' ') || 'anybody'],
  resources: (resource) => [`${String(resource['capacity'])} at once`, onOrOff(resource), z.array(z.string()).parse(resource['skills']).join(' ') || '-'],
}

/** From a file with one, with a list, or with `{ "services": [...] }`: new ones are added, those that are there replaced whole. */
export async function putThings(client: ApiClient, companyId: string, list: SetupList, file: string, write: (text: string) => void, signal: AbortSignal): Promise<void> {
  const many = z.array(givenSchema)
  const things = z.union([many, z.looseObject({ [list]: many }).transform((given) => many.parse(given[list])), givenSchema.transform((one) => [one])]).parse(JSON.parse(await readFile(file, 'utf8')))
  await putAll(client, companyId, list, things, write, signal)
}

async function putAll(client: ApiClient, companyId: string, list: SetupList, things: readonly z.infer<typeof givenSchema>[], write: (text: string) => void, signal: AbortSignal): Promise<void> {
  const base = pathOf(companyId, list)
  for (const thing of things) {
    // Under the version that was looked at.
    const response = await client.open('GET', base, undefined, {}, signal)
    const version = response.headers.get('etag') ?? ''
    const isThere = itemsSchema.parse(await response.json()).items.some((each) => each.id === thing.id)
    const { id, ...fields } = thing
    const reply = isThere
      ? await client.open('PATCH', `${base}/${encodeURIComponent(id)}`, fields, { 'if-match': version }, signal)
      : await client.open('POST', base, thing, {}, signal)
    await reply.body?.cancel()
    write(`${list.slice(0, -1)} ${id}, ${isThere ? 'changed' : 'new'}\n`)
  }
}

export async function deleteThing(client: ApiClient, companyId: string, list: SetupList, id: string, write: (text: string) => void, signal: AbortSignal): Promise<void> {
  const base = pathOf(companyId, list)
  // Their version is the list's.
  await client.change('DELETE', `${base}/${encodeURIComponent(id)}`, undefined, signal, base)
  write(`${list.slice(0, -1)} ${id}, gone\n`)
}

/** A menu as counters have them: ways to ask, and what can be said into each slot. */
const menuSchema = z.looseObject({ carriers: z.array(z.string()).default([]), slots: z.record(z.string(), z.array(z.string()).min(1)) })

/** A menu becomes the form "order", which takes an order by one sentence and reads it back. `needed`: the slot that no order is without. */
export async function putMenu(client: ApiClient, companyId: string, file: string, needed: string, write: (text: string) => void, signal: AbortSignal): Promise<void> {
  const menu = menuSchema.parse(JSON.parse(await readFile(file, 'utf8')))
  const ids = Object.keys(menu.slots)
  if (!ids.includes(needed)) throw new Error(`the menu has no slot "${needed}": ${ids.join(', ')}`)
  const slots = Object.entries(menu.slots).map(([id, values]) => ({
    id, label: spoken(id), type: 'choice', required: id === needed, prompt: `Which ${spoken(id)} would you like?`, options: values.map((value) => ({ value })),
  }))
  const readBack = `That is ${ids.map((id) => `{% if ${id} %}{{ ${id} }}, {% endif %}`).join('')}right?`
  await putAll(client, companyId, 'forms', [{ id: 'order', name: 'Order', outcome: 'order', opensBySlots: true, carriers: menu.carriers, slots, readBack, done: 'Thank you, it will be ready in a moment.' }], write, signal)
}

/** "coffeeDrink" as "coffee drink". */
function spoken(id: string): string {
  return id.replace(/_/g, ' ').replace(/([a-z])([A-Z])/g, (_whole, before: string, letter: string) => `${before} ${letter.toLowerCase()}`)
}

const templateSchema = z.object({ kind: z.string(), channel: z.string(), source: z.string(), subject: z.string(), text: z.string() })

/** Every text that is sent to people, and whether its wording is the company's own. */
export async function listTemplates(client: ApiClient, companyId: string, write: (text: string) => void, signal: AbortSignal): Promise<void> {
  const { items } = z.object({ items: z.array(templateSchema) }).parse(await client.ask('GET', pathOf(companyId, 'notification-templates'), undefined, signal))
  for (const { kind, channel, source, subject, text } of items) write(`${[kind, channel, source, subject === '' ? text.replaceAll('\n', ' ') : subject].join('\t')}\n`)
}

/** `file` holds `{ "subject", "text" }`. What is risky about the wording is said; what is wrong with it is refused by the server. */
export async function putTemplate(client: ApiClient, companyId: string, kind: string, channel: string, file: string, write: (text: string) => void, signal: AbortSignal): Promise<void> {
  const path = `${pathOf(companyId, 'notification-templates')}/${encodeURIComponent(kind)}/${encodeURIComponent(channel)}`
  const fields = z.record(z.string(), z.unknown()).parse(JSON.parse(await readFile(file, 'utf8')))
  const stored = await client.open('GET', path, undefined, {}, signal)
  await stored.body?.cancel()
  const reply = await client.open('PUT', path, fields, { 'if-match': stored.headers.get('etag') ?? '' }, signal)
  const { warnings } = z.looseObject({ warnings: z.array(z.string()) }).parse(await reply.json())
  write(`template ${kind} ${channel}, kept\n${warnings.map((warning) => `  ${warning}\n`).join('')}`)
}

function pathOf(companyId: string, list: string): string {
  return `/companies/${encodeURIComponent(companyId)}/${list}`
}

function onOrOff(thing: z.infer<typeof thingSchema>): string {
  return thing.enabled === false ? 'off' : 'on'
}
