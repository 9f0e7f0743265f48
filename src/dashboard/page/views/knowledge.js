import { actionButton, empty, field, h, replace } from '../dom.js'
import { ms } from '../format.js'
import { traceOf } from './calls.js'

export function knowledgeView({ api, companyId, mayWrite }) {
  const base = `/companies/${companyId}`
  const results = h('div', {})
  const list = h('div', { class: 'entries' })
  const more = h('div', { class: 'more' })
  const asked = h('input', { type: 'text', placeholder: 'What a caller might say', maxLength: 1000, 'aria-label': 'Utterance' })
  const search = h('input', { type: 'search', placeholder: 'Search entries', maxLength: 200, 'aria-label': 'Search', on: { change: () => load(null) } })

  const test = async () => {
    if (asked.value.trim() === '') return
    const { matches, answer } = await api.post(`${base}/knowledge-test`, { text: asked.value })
    replace(results, answerOf(answer), matchesOf(matches))
  }
  const load = async (cursor) => {
    const query = new URLSearchParams({ limit: '20', ...(search.value.trim() === '' ? {} : { text: search.value }), ...(cursor === null ? {} : { cursor }) })
    const page = await api.get(`${base}/knowledge?${query}`)
    if (cursor === null) replace(list)
    list.append(...page.items.map(entryOf))
    if (list.childElementCount === 0) list.append(empty('Nothing found.'))
    replace(more, page.nextCursor === null ? null : actionButton('More entries', () => load(page.nextCursor)))
  }
  load(null).catch((error) => replace(list, h('p', { class: 'problem' }, error.message)))
  return h(
    'div',
    {},
    h('h1', {}, 'Knowledge'),
    h('form', { class: 'card test', on: { submit: (event) => event.preventDefault() } }, h('h2', {}, 'Test an utterance'), h('div', { class: 'row' }, asked, actionButton('Ask', test, 'primary')), results),
    mayWrite ? newEntry(api, base, () => load(null)) : null,
    h('div', { class: 'tools' }, search),
    list,
    more,
  )
}

export function answerOf(answer) {
  const { said, actions, learned, stages, firstPartMs, trace } = answer
  return h(
    'div',
    { class: 'answer' },
    said.length === 0 ? empty('Nothing would be said.') : said.map(({ text, source, entryId }) => h('p', { class: 'bubble agent' }, text, ' ', h('span', { class: `tag source-${source}` }, source), entryId === null ? null : h('span', { class: 'tag entry' }, entryId))),
    actions.map((action) => h('p', { class: 'event' }, 'then: ', action.kind, ' ', action.label ?? action.reason ?? '')),
    learned?.gap === true ? h('p', { class: 'why' }, 'This would be noted as a gap: nobody has written the answer yet.') : null,
    h('p', { class: 'quiet' }, 'first words after ', ms(firstPartMs), ' · ', stages.map(({ stage, ms: took }) => `${stage} ${ms(took)}`).join(', ')),
    traceOf(trace),
  )
}

function matchesOf(matches) {
  if (matches.length === 0) return empty('No entry matches.')
  return h(
    'table',
    { class: 'list' },
    h('thead', {}, h('tr', {}, ['Entry', 'By the phrase', 'Score', 'Words', 'Meaning'].map((name) => h('th', {}, name)))),
    h('tbody', {}, matches.map(({ entry, matchedPhrase, score, lexicalScore, semanticScore }) => h('tr', {}, h('td', {}, entry.question), h('td', { class: 'quiet' }, matchedPhrase), h('td', {}, scoreOf(score)), h('td', {}, lexicalScore.toFixed(2)), h('td', {}, semanticScore === null ? '–' : semanticScore.toFixed(2))))),
  )
}

function scoreOf(score) {
  return h('span', { class: 'score' }, h('span', { class: 'fill', width: `${Math.max(0, Math.min(1, score)) * 60}px` }), score.toFixed(2))
}

function entryOf(entry) {
  return h(
    'details',
    { class: 'card entry' },
    h('summary', {}, h('span', { class: 'tag' }, entry.category), ' ', entry.question, entry.enabled ? null : h('span', { class: 'tag warn' }, 'off')),
    h('p', { class: 'bubble agent' }, entry.answer),
    entry.callerPhrases.length === 0 ? null : h('p', { class: 'quiet' }, 'Callers say: ', entry.callerPhrases.slice(0, 8).join(' · ')),
    h('p', { class: 'quiet' }, `${entry.id} · ${entry.mode} · used ${entry.usage.accessCount} times`, entry.usage.successRate === null ? '' : `, right ${Math.round(entry.usage.successRate * 100)} %`),
  )
}

function newEntry(api, base, onSaved) {
  const question = h('input', { type: 'text', maxLength: 300, required: true })
  const answer = h('textarea', { rows: 3, maxLength: 1000, required: true })
  const phrases = h('textarea', { rows: 2, placeholder: 'one a line' })
  const save = async () => {
    await api.post(`${base}/knowledge`, { question: question.value, answer: answer.value, callerPhrases: linesOf(phrases.value) })
    for (const input of [question, answer, phrases]) input.value = ''
    onSaved()
  }
  return h('details', { class: 'card' }, h('summary', {}, 'Add an entry'), field('Question', question), field('Answer, as it is said', answer), field('Ways callers ask it', phrases), actionButton('Save', save, 'primary'))
}

export function linesOf(text) {
  return text.split('\n').map((line) => line.trim()).filter((line) => line !== '')
}
