import { z } from 'zod'
import type { ApiClient } from './cli-client.ts'

const pageSchema = z.object({
  items: z.array(z.looseObject({ id: z.string(), createdAt: z.string(), status: z.string(), kind: z.string(), callerName: z.string().nullable(), phoneNumberE164: z.string().nullable(), summary: z.string() })),
  nextCursor: z.string().nullable(),
})

/** Newest first, one line each: what somebody who calls back needs. */
export async function listLeads(client: ApiClient, companyId: string, status: string | undefined, write: (text: string) => void, signal: AbortSignal): Promise<void> {
  const filter = status === undefined ? '' : `&status=${encodeURIComponent(status)}`
  for (let cursor: string | null = ''; cursor !== null; ) {
    const at: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const page: z.infer<typeof pageSchema> = pageSchema.parse(await client.ask('GET', `/companies/${encodeURIComponent(companyId)}/leads?limit=200${filter}${at}`, undefined, signal))
    for (const lead of page.items) write(`${[lead.createdAt, lead.id, lead.status, lead.kind, lead.phoneNumberE164 ?? '-', lead.callerName ?? '-', lead.summary].join('\t')}\n`)
    cursor = page.nextCursor
  }
}

/** What has become of a lead, under the version that was looked at. */
export async function setLead(client: ApiClient, companyId: string, leadId: string, status: string, note: string | undefined, write: (text: string) => void, signal: AbortSignal): Promise<void> {
  const path = `/companies/${encodeURIComponent(companyId)}/leads/${encodeURIComponent(leadId)}`
  await client.change('PATCH', path, { status, ...(note === undefined ? {} : { note }) }, signal)
  write(`lead ${leadId}, ${status}\n`)
}
