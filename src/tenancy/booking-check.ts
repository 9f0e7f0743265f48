import type { Company } from './company.ts'

type Refuse = (field: string, problem: string) => never

/** What services, resources and calendars say of each other. */
export function checkBooking(company: Pick<Company, 'services' | 'resources' | 'calendars' | 'booking'>, refuse: Refuse): void {
  const resources = distinctIds('resources', company.resources, refuse)
  distinctIds('services', company.services, refuse)
  distinctIds('calendars', company.calendars, refuse)
  for (const [index, service] of company.services.entries()) {
    for (const [place, resourceId] of service.resourceIds.entries()) {
      if (!resources.has(resourceId)) refuse(`services.${index}.resourceIds.${place}`, `there is no resource "${resourceId}"`)
    }
    if (service.windows !== null) checkWindows(`services.${index}.windows`, service.windows, refuse)
  }
  for (const [index, calendar] of company.calendars.entries()) {
    if (calendar.resourceId !== null && !resources.has(calendar.resourceId)) refuse(`calendars.${index}.resourceId`, `there is no resource "${calendar.resourceId}"`)
  }
  checkWindows('booking.windows', company.booking.windows, refuse)
}

/** A caller who is promised "between ten and twelve" must not be in "between eleven and one" as well. */
function checkWindows(field: string, windows: Company['booking']['windows'], refuse: Refuse): void {
  const sorted = [...windows].sort((a, b) => (a.from < b.from ? -1 : 1))
  for (const [index, window] of sorted.entries()) {
    const next = sorted[index + 1]
    if (next !== undefined && next.from < window.to) refuse(field, `${window.from} to ${window.to} and ${next.from} to ${next.to} overlap`)
  }
}

function distinctIds(field: string, items: readonly Readonly<{ id: string }>[], refuse: Refuse): ReadonlySet<string> {
  const ids = new Set<string>()
  for (const [index, item] of items.entries()) {
    if (ids.has(item.id)) refuse(`${field}.${index}.id`, `"${item.id}" is taken`)
    ids.add(item.id)
  }
  return ids
}
