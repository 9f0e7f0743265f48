import { actionButton, empty, field, h, replace } from '../dom.js'
import { when } from '../format.js'
import { answerOf } from './knowledge.js'

const TONES = ['warm', 'neutral', 'formal', 'upbeat']
const PRESETS = ['brisk', 'balanced', 'patient']

/** The agent's draft, what differs from what callers hear, and the step from the one to the other. */
export function agentView({ api, companyId, mayWrite }) {
  const page = h('div', {}, empty('Loading …'))
  const load = async () => {
    const company = await api.get(`/companies/${companyId}`)
    const path = `/companies/${companyId}/agents/${company.agentId}`
    const [{ value: agent, etag }, versions] = await Promise.all([api.read(path), api.get(`${path}/versions`)])
    const newest = versions.items[0] ?? null
    const changes = newest === null ? [] : (await api.get(`${path}/diff?from=${newest.version}`)).changes.filter((change) => !IGNORED.test(change.path))
    replace(
      page,
      h('h1', {}, agent.name, ' ', h('span', { class: 'tag' }, newest === null ? 'never published' : `version ${newest.version}`)),
      h('div', { class: 'columns' }, form(api, path, agent, etag, mayWrite, load), h('div', {}, publishing(api, path, agent, newest, changes, mayWrite, load), tryIt(api, companyId), history(api, path, versions.items, mayWrite, load))),
    )
  }
  load().catch((error) => replace(page, h('p', { class: 'problem' }, error.message)))
  return page
}

const IGNORED = /^(version|draftVersion|publishedAt|updatedAt|createdAt)$/

function form(api, path, agent, etag, mayWrite, reload) {
  const text = (value, rows = 2) => h('textarea', { rows, value, disabled: !mayWrite })
  const choice = (values, chosen) => h('select', { disabled: !mayWrite }, values.map((value) => h('option', { value, selected: value === chosen }, value)))
  const name = h('input', { type: 'text', value: agent.personality.name, disabled: !mayWrite })
  const tone = choice(TONES, agent.personality.tone)
  const preset = choice(PRESETS, agent.speech.preset)
  const bargeIn = h('input', { type: 'checkbox', checked: agent.speech.bargeIn, disabled: !mayWrite })
  const greeting = text(agent.greeting.text)
  const afterHours = text(agent.greeting.afterHours)
  const unknown = text(agent.lines.unknown.join('\n'))
  const goodbye = text(agent.lines.goodbye, 1)
  const save = async () => {
    const change = {
      personality: { ...agent.personality, name: name.value, tone: tone.value },
      greeting: { ...agent.greeting, text: greeting.value, afterHours: afterHours.value },
      speech: { ...agent.speech, preset: preset.value, bargeIn: bargeIn.checked },
      lines: { ...agent.lines, unknown: unknown.value.split('\n').map((line) => line.trim()).filter((line) => line !== ''), goodbye: goodbye.value },
    }
    await api.patch(path, change, etag)
    await reload()
  }
  return h(
    'section',
    { class: 'card' },
    h('h2', {}, 'Draft'),
    h('div', { class: 'row' }, field('Name it gives itself', name), field('Tone', tone)),
    field('Greeting', greeting),
    field('Greeting after hours', afterHours),
    field('When it does not know, one a line', unknown),
    field('Goodbye', goodbye),
    h('div', { class: 'row' }, field('End of turn', preset, 'brisk answers soonest, patient waits longest'), h('label', { class: 'check' }, bargeIn, ' callers may interrupt')),
    mayWrite ? actionButton('Save draft', save, 'primary') : null,
  )
}

function publishing(api, path, agent, newest, changes, mayWrite, reload) {
  const publish = async () => {
    await api.post(`${path}/publish`, { draftVersion: agent.draftVersion })
    await reload()
  }
  return h(
    'section',
    { class: 'card' },
    h('h2', {}, 'What callers do not hear yet'),
    newest === null ? h('p', {}, 'Nothing is published.') : changes.length === 0 ? empty('The draft is what callers hear.') : h('ul', { class: 'diff' }, changes.map(changeOf)),
    mayWrite && (newest === null || changes.length > 0) ? actionButton('Publish', publish, 'primary') : null,
  )
}

function changeOf({ path, before, after }) {
  return h('li', {}, h('code', {}, path), before === undefined ? null : h('del', {}, shown(before)), after === undefined ? null : h('ins', {}, shown(after)))
}

function shown(value) {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function tryIt(api, companyId) {
  const asked = h('input', { type: 'text', placeholder: 'Ask the draft something', 'aria-label': 'Question' })
  const result = h('div', {})
  let continueWith
  const ask = async () => {
    const answer = await api.post(`/companies/${companyId}/try`, { text: asked.value, agent: 'draft', ...(continueWith === undefined ? {} : { continueWith }) })
    continueWith = answer.continueWith
    replace(result, h('p', { class: 'bubble caller' }, asked.value), answerOf(answer))
    asked.value = ''
  }
  return h('section', { class: 'card' }, h('h2', {}, 'Try the draft'), h('div', { class: 'row' }, asked, actionButton('Ask', ask)), result)
}

function history(api, path, versions, mayWrite, reload) {
  const back = (version) => async () => {
    await api.post(`${path}/rollback`, { version })
    await reload()
  }
  return h(
    'section',
    { class: 'card' },
    h('h2', {}, 'Versions'),
    versions.length === 0 ? empty('None yet.') : h('ul', { class: 'versions' }, versions.slice(0, 8).map(({ version, publishedAt }, index) => h('li', {}, h('strong', {}, version), ' ', when(publishedAt), index === 0 || !mayWrite ? null : actionButton('Roll back to it', back(version), 'small')))),
  )
}
