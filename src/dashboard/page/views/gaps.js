import { actionButton, empty, field, h, replace } from '../dom.js'
import { when } from '../format.js'
import { answerOf } from './knowledge.js'

/** Questions that nobody could answer: write the answer, ask again, done. */
export function gapsView({ api, companyId, mayWrite }) {
  const list = h('div', {})
  const load = async () => {
    const page = await api.get(`/companies/${companyId}/gaps?solved=false&limit=50`)
    replace(list, page.items.length === 0 ? empty('Every question so far had an answer.') : page.items.map((gap) => gapOf(api, companyId, gap, mayWrite)))
  }
  load().catch((error) => replace(list, h('p', { class: 'problem' }, error.message)))
  return h('div', {}, h('h1', {}, 'Unanswered questions'), list)
}

function gapOf(api, companyId, gap, mayWrite) {
  const path = `/companies/${companyId}/gaps/${gap.id}`
  const result = h('div', {})
  const answer = h('textarea', { rows: 2, maxLength: 1000 })
  const card = h('article', { class: 'card gap-card' })
  const replay = async () => {
    const { answered, answer: heard } = await api.post(`${path}/replay`)
    replace(result, h('p', { class: answered ? 'good' : 'why' }, answered ? 'A caller would now hear:' : 'There is still no answer:'), answerOf(heard))
  }
  const save = async () => {
    await api.post(`${path}/entry`, { answer: answer.value })
    card.classList.add('solved')
    await replay()
  }
  replace(
    card,
    h('p', { class: 'bubble caller' }, gap.question),
    h('p', { class: 'quiet' }, when(gap.askedAt), ' · ', h('a', { href: `#/calls/${gap.callSid}` }, 'the call')),
    mayWrite ? field('Answer, as it is said', answer) : null,
    h('div', { class: 'row' }, mayWrite ? actionButton('Create entry', save, 'primary') : null, actionButton('Ask again', replay)),
    result,
  )
  return card
}
