import { actionButton, empty, h, replace } from '../dom.js'
import { durationOf, ms, outcomeText, seconds, timeOf, when } from '../format.js'
import { STAGE_TEXTS, scaleOf, segmentsOf } from '../waterfall.js'

const OUTCOMES = ['in-progress', 'completed', 'caller-hung-up', 'transferred', 'voicemail', 'connection-lost', 'failed', 'refused']

export function callsView({ api, companyId }) {
  const rows = h('tbody', {})
  const more = h('div', { class: 'more' })
  const outcome = h('select', { 'aria-label': 'Outcome', on: { change: () => load(null) } }, h('option', { value: '' }, 'any outcome'), OUTCOMES.map((one) => h('option', { value: one }, outcomeText(one))))
  const load = async (cursor) => {
    const query = new URLSearchParams({ limit: '25', ...(outcome.value === '' ? {} : { outcome: outcome.value }), ...(cursor === null ? {} : { cursor }) })
    const page = await api.get(`/companies/${companyId}/calls?${query}`)
    if (cursor === null) replace(rows)
    rows.append(...page.items.map(rowOf))
    if (rows.childElementCount === 0) rows.append(h('tr', {}, h('td', { colSpan: 5 }, empty('No calls yet.'))))
    replace(more, page.nextCursor === null ? null : actionButton('Older calls', () => load(page.nextCursor)))
  }
  load(null).catch((error) => replace(rows, h('tr', {}, h('td', { colSpan: 5, class: 'problem' }, error.message))))
  return h(
    'div',
    {},
    h('h1', {}, 'Calls'),
    h('div', { class: 'tools' }, outcome),
    h('table', { class: 'list' }, h('thead', {}, h('tr', {}, ['When', 'Caller', 'Length', 'Outcome', ''].map((name) => h(name === '' ? 'td' : 'th', {}, name)))), rows),
    more,
  )
}

function rowOf(call) {
  const open = () => {
    location.hash = `#/calls/${call.callSid}`
  }
  return h(
    'tr',
    { class: 'link', tabIndex: 0, on: { click: open, keydown: (event) => event.key === 'Enter' && open() } },
    h('td', {}, when(call.startedAt)),
    h('td', { class: 'number' }, call.from),
    h('td', {}, seconds(durationOf(call))),
    h('td', {}, h('span', { class: `tag ${call.outcome}` }, outcomeText(call.outcome))),
    h('td', { class: 'quiet' }, call.lostFrameCount > 0 ? `${call.lostFrameCount} frames lost` : ''),
  )
}

export function callView({ api, companyId, callSid }) {
  const page = h('div', {}, empty('Loading …'))
  const path = `/companies/${companyId}/calls/${encodeURIComponent(callSid)}`
  const load = async () => {
    const [{ call, turns, recordings }, explained] = await Promise.all([api.get(path), api.get(`${path}/explain`)])
    const why = new Map(explained.silences.map((silence) => [silence.turn, silence]))
    const scale = scaleOf(turns)
    replace(
      page,
      h('p', {}, h('a', { href: '#/calls' }, '← Calls')),
      h('h1', {}, call.from, ' ', h('span', { class: `tag ${call.outcome}` }, outcomeText(call.outcome))),
      h('p', { class: 'quiet' }, when(call.startedAt), ' · ', seconds(durationOf(call)), ' · agent version ', call.agentVersion, ' · ', call.callSid),
      recordings.map((recording) => playerOf(api, companyId, recording)),
      turns.length === 0 ? empty('Nothing was said.') : h('p', { class: 'legend' }, 'Silence before each reply, to the scale of ', ms(scale), '. The line marks one second.'),
      turns.map((turn) => turnOf(turn, scale, why.get(turn.turn))),
    )
  }
  load().catch((error) => replace(page, h('p', { class: 'problem' }, error.message)))
  return page
}

function playerOf(api, companyId, recording) {
  const place = h('div', { class: 'card player' })
  const facts = `${seconds(recording.durationMs / 1000)} recorded from ${timeOf(recording.startedAt)}${recording.endedBy === 'declined' ? ', until the caller declined' : ''}${recording.silenced.length === 0 ? '' : `; ${recording.silenced.length} private stretch${recording.silenced.length === 1 ? '' : 'es'} silenced`}`
  const play = async () => {
    const sound = await api.blob(`/companies/${companyId}/recordings/${recording.id}/audio`)
    replace(place, h('audio', { controls: true, src: URL.createObjectURL(sound) }), h('span', { class: 'quiet' }, facts))
  }
  replace(place, actionButton('Load recording', play), h('span', { class: 'quiet' }, facts))
  return place
}

function turnOf(turn, scale, silence) {
  return h(
    'article',
    { class: 'turn' },
    turn.heard === '' ? h('p', { class: 'event' }, eventText(turn)) : h('p', { class: 'bubble caller' }, turn.heard),
    h(
      'p',
      { class: 'bubble agent' },
      turn.delivered === '' ? h('em', {}, '(nothing was heard)') : turn.delivered,
      turn.interruption !== null && turn.said.length > turn.delivered.length ? h('span', { class: 'cut', title: turn.interruption.rule }, ' … cut off by the caller') : null,
    ),
    h('div', { class: 'sources' }, turn.sources.map((source) => h('span', { class: `tag source-${source}` }, source)), turn.entryIds.map((id) => h('span', { class: 'tag entry' }, id)), turn.stalled ? h('span', { class: 'tag warn' }, 'bridged with a line') : null),
    turn.gapMs === null ? null : waterfallOf(turn, scale),
    silence === undefined ? null : h('p', { class: 'why' }, silence.why),
    turn.trace.length === 0 ? null : traceOf(turn.trace),
  )
}

function eventText(turn) {
  const texts = { answered: 'The call was answered', silence: 'The caller said nothing', inaudible: 'The caller was not understood', dtmf: 'Keys were pressed', limit: 'A limit was reached' }
  return texts[turn.input] ?? turn.input
}

export function waterfallOf(turn, scale) {
  const bar = h(
    'div',
    { class: 'waterfall', role: 'img', 'aria-label': `${ms(turn.gapMs)} of silence` },
    segmentsOf(turn, scale).map((segment) => h('span', { class: `stage ${segment.stage}`, width: `${segment.widthShare * 100}%`, title: `${segment.stage} ${ms(segment.ms)}: ${STAGE_TEXTS[segment.stage] ?? ''}` }, segment.widthShare > 0.12 ? segment.stage : '')),
  )
  const limit = h('i', { class: 'limit' })
  limit.style.left = `${Math.min(100, (1000 / scale) * 100)}%`
  bar.append(limit)
  return h('div', { class: 'timing' }, bar, h('span', { class: turn.budgetExceededByMs > 0 ? 'gap over' : 'gap' }, ms(turn.gapMs)))
}

/** Lists of things line by line, a thing as its fields: what is left to read is the matter, not the brackets. */
function valueOf(value) {
  if (Array.isArray(value) && value.some((item) => typeof item === 'object' && item !== null)) return h('ul', { class: 'values' }, value.map((item) => h('li', {}, valueOf(item))))
  if (Array.isArray(value)) return value.join(', ')
  if (typeof value === 'object' && value !== null) return Object.entries(value).map(([name, part]) => h('span', { class: 'pair' }, h('b', {}, name), ' ', valueOf(part)))
  return String(value)
}

export function traceOf(trace) {
  return h(
    'details',
    { class: 'trace' },
    h('summary', {}, 'Why this answer'),
    h('table', {}, trace.map(({ step, detail }) => h('tr', {}, h('th', {}, step), h('td', {}, Object.entries(detail).map(([name, value]) => h('div', {}, h('b', {}, name), ' ', valueOf(value))))))),
  )
}
