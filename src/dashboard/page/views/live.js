import { actionButton, empty, h, replace } from '../dom.js'
import { EventReader } from '../events.js'
import { ms, timeOf } from '../format.js'
import { awayParts } from '../health.js'

const RECONNECT_MS = 2000
const KEPT_EVENTS = 60
const HEALTH_EVERY_MS = 15_000

/** Calls as they happen. `signal` ends it when another page is opened. */
export function liveView({ api, companyId, signal, mayHangUp, maySeeHealth }) {
  const calls = h('section', { class: 'cards' })
  const log = h('ol', { class: 'log' })
  const state = h('span', { class: 'state' }, 'connecting')
  const health = h('ul', { class: 'away', role: 'status' })
  const live = new Map()

  const show = () => {
    const shown = [...live.values()].map(({ callSid, startedAt, heard, delivered }) =>
      h(
        'article',
        { class: 'card live' },
        h('header', {}, h('span', { class: 'dot' }), h('strong', {}, 'since ', timeOf(startedAt)), h('a', { class: 'quiet', href: `#/calls/${callSid}` }, callSid.slice(0, 10), '…')),
        heard === '' ? null : h('p', { class: 'bubble caller' }, heard),
        delivered === '' ? null : h('p', { class: 'bubble agent' }, delivered),
        mayHangUp ? actionButton('Hang up', () => api.post(`/companies/${companyId}/live-calls/${callSid}/hang-up`), 'danger small') : null,
      ),
    )
    replace(calls, shown.length === 0 ? empty('Nobody is on the line. A call shows here the moment it is answered.') : shown)
  }

  const take = ({ kind, data }) => {
    if (kind === 'session.ended') return
    const event = JSON.parse(data)
    const known = live.get(event.callSid) ?? { callSid: event.callSid, startedAt: event.at, heard: '', delivered: '' }
    if (kind === 'call.ended') live.delete(event.callSid)
    else live.set(event.callSid, { ...known, heard: event.heard ?? known.heard, delivered: event.delivered ?? known.delivered })
    log.prepend(h('li', {}, h('time', {}, timeOf(event.at)), h('span', { class: `kind ${kind.replace('.', '-')}` }, kind.replace('.', ' ')), h('a', { href: `#/calls/${event.callSid}` }, lineOf(kind, event))))
    while (log.childElementCount > KEPT_EVENTS) log.lastElementChild.remove()
    show()
  }

  const follow = async () => {
    for (const call of (await api.get(`/companies/${companyId}/live-calls`)).items) live.set(call.callSid, { ...call, heard: '', delivered: '' })
    show()
    const reader = new EventReader()
    while (!signal.aborted) {
      try {
        const headers = reader.lastEventId === '' ? {} : { 'last-event-id': reader.lastEventId }
        const stream = await api.stream(`/companies/${companyId}/events`, headers, signal)
        state.className = 'state on'
        replace(state, 'live')
        for await (const piece of stream) for (const event of reader.push(piece)) take(event)
      } catch (error) {
        if (signal.aborted || error.status === 401) return
      }
      state.className = 'state'
      replace(state, 'reconnecting')
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS))
    }
  }
  const watchHealth = async () => {
    while (!signal.aborted) {
      const report = await api.get('/health').catch(() => null)
      if (report !== null) replace(health, awayParts(report).map(({ part, detail }) => h('li', {}, h('strong', {}, part), ' ', detail)))
      await new Promise((resolve) => setTimeout(resolve, HEALTH_EVERY_MS))
    }
  }
  show()
  if (maySeeHealth) void watchHealth()
  follow().catch((error) => replace(state, error.message))
  return h('div', {}, h('h1', {}, 'Live calls ', state), health, calls, h('h2', {}, 'What just happened'), log)
}

function lineOf(kind, event) {
  if (kind === 'turn.finished') return event.heard === undefined ? `turn ${event.turn}, after ${ms(event.gapMs)}` : `${event.heard === '' ? '(nothing said)' : `“${event.heard}”`} → ${event.delivered || '(nothing)'}${event.gapMs === null ? '' : ` · ${ms(event.gapMs)}`}`
  if (kind === 'call.ended') return event.outcome.replaceAll('-', ' ')
  if (kind === 'limit.reached') return `the limit of ${event.limit} was reached`
  return 'a call came in'
}
