import { actionButton, empty, field, h, replace } from '../dom.js'
import { when } from '../format.js'

/** What can still become of a visit, by how it stands. */
const NEXT = { requested: [['confirmed', 'Confirm'], ['cancelled', 'Call off']], held: [['cancelled', 'Call off']], confirmed: [['cancelled', 'Call off']] }
const LEAD_NEXT = { new: [['contacted', 'Contacted'], ['closed', 'Done']], contacted: [['converted', 'Became a visit'], ['closed', 'Done']] }

/** Who comes, who wants to be called, and what is free. */
export function bookingsView({ api, companyId, mayBook }) {
  const base = `/companies/${companyId}`
  const [visits, leads, desk] = [h('div', {}), h('div', {}), h('div', {})]
  const told = (place) => (error) => replace(place, h('p', { class: 'problem' }, error.message))
  const loadVisits = async () => {
    const from = new Date(Date.now() - 24 * 3_600_000).toISOString()
    const { items } = await api.get(`${base}/appointments?limit=100&startsFrom=${encodeURIComponent(from)}`)
    const open = items.filter(({ status }) => status !== 'cancelled')
    replace(visits, open.length === 0 ? empty('No visits ahead.') : table(['When', 'What', 'Who', 'Status', ''], open.map((visit) => visitOf(api, base, visit, mayBook, loadVisits))))
  }
  const loadLeads = async () => {
    const pages = await Promise.all(['new', 'contacted'].map((status) => api.get(`${base}/leads?limit=50&status=${status}`)))
    const open = pages.flatMap(({ items }) => items)
    replace(leads, open.length === 0 ? empty('Nobody waits for a call.') : table(['Since', 'Who', 'What they wanted', 'Status', ''], open.map((lead) => leadOf(api, base, lead, mayBook, loadLeads))))
  }
  const loadDesk = async () => {
    const { items } = await api.get(`${base}/services`)
    const services = items.filter(({ enabled }) => enabled)
    replace(desk, services.length === 0 ? empty('The company offers no services yet.') : bookingDesk(api, base, services, mayBook, loadVisits))
  }
  loadVisits().catch(told(visits))
  loadLeads().catch(told(leads))
  loadDesk().catch(told(desk))
  return h('div', {}, h('h1', {}, 'Bookings'), h('h2', {}, 'Visits'), visits, h('h2', {}, 'To call back'), leads, h('h2', {}, 'What is free'), desk)
}

function table(names, rows) {
  return h('table', { class: 'list' }, h('thead', {}, h('tr', {}, names.map((name) => h(name === '' ? 'td' : 'th', {}, name)))), h('tbody', {}, rows))
}

function visitOf(api, base, visit, mayBook, reload) {
  const path = `${base}/appointments/${encodeURIComponent(visit.id)}`
  const { customer } = visit
  return h(
    'tr',
    {},
    h('td', {}, visit.window === null ? when(visit.startsAt) : `${when(visit.window.startsAt)} to ${when(visit.window.endsAt)}`),
    h('td', {}, visit.serviceId ?? visit.reason, h('div', { class: 'quiet' }, visit.resourceId)),
    h('td', {}, customer.name, h('div', { class: 'quiet number' }, customer.phoneNumberE164)),
    h('td', {}, h('span', { class: `tag ${visit.status}` }, visit.status), visit.callSid === null ? null : h('a', { href: `#/calls/${encodeURIComponent(visit.callSid)}` }, 'the call')),
    h('td', {}, mayBook ? nextSteps(api, path, NEXT[visit.status], reload) : null),
  )
}

function leadOf(api, base, lead, mayBook, reload) {
  const path = `${base}/leads/${encodeURIComponent(lead.id)}`
  return h(
    'tr',
    {},
    h('td', {}, when(lead.createdAt)),
    h('td', {}, lead.callerName ?? '–', h('div', { class: 'quiet number' }, lead.phoneNumberE164 ?? 'withheld')),
    h('td', {}, lead.summary),
    h('td', {}, h('span', { class: 'tag' }, `${lead.kind}, ${lead.status}`), lead.callSid === null ? null : h('a', { href: `#/calls/${encodeURIComponent(lead.callSid)}` }, 'the call')),
    h('td', {}, mayBook ? nextSteps(api, path, LEAD_NEXT[lead.status], reload) : null),
  )
}

/** A button for each thing that can become of a visit or a lead. */
function nextSteps(api, path, steps, reload) {
  const become = async (status) => {
    // Under the version that is there now: whoever was faster is not overwritten unseen.
    const { etag } = await api.read(path)
    await api.patch(path, { status }, etag)
    await reload()
  }
  return (steps ?? []).map(([status, label]) => actionButton(label, () => become(status), 'small'))
}

/** Asks as a caller would, and books what is chosen. */
function bookingDesk(api, base, services, mayBook, booked) {
  const service = h('select', {}, services.map(({ id, name }) => h('option', { value: id }, name)))
  const words = h('input', { value: 'tomorrow', maxLength: 200 })
  const [name, phone] = [h('input', { maxLength: 120 }), h('input', { maxLength: 20, placeholder: '+15550100000' })]
  const result = h('div', {})
  const book = async ({ startsAt, resourceId }) => {
    await api.post(`${base}/appointments`, { serviceId: service.value, startsAt, resourceId, customer: { name: name.value, phoneNumberE164: phone.value }, reason: 'booked by hand' })
    replace(result, h('p', { class: 'good' }, 'It is in the books.'))
    await booked()
  }
  const look = async () => {
    const query = new URLSearchParams({ serviceId: service.value, when: words.value, limit: '6' })
    const { understood, items } = await api.get(`${base}/availability?${query}`)
    const openings = items.map((opening) => h('li', {}, opening.said, ' ', mayBook ? actionButton('Book', () => book(opening), 'small') : null))
    replace(result, h('p', { class: 'quiet' }, `Understood as ${understood.said}.`), items.length === 0 ? empty('Nothing is free then.') : h('ul', { class: 'versions' }, openings))
  }
  return h(
    'div',
    { class: 'card' },
    h('div', { class: 'row' }, field('Service', service), field('When, in a caller\'s words', words), actionButton('Look', look, 'primary')),
    mayBook ? h('div', { class: 'row' }, field('Name', name), field('Number', phone)) : null,
    result,
  )
}
