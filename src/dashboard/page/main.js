import { Api } from './api.js'
import { h, replace } from './dom.js'
import { routeOf } from './routes.js'
import { accountView } from './views/account.js'
import { agentView } from './views/agent.js'
import { bookingsView } from './views/bookings.js'
import { callView, callsView } from './views/calls.js'
import { gapsView } from './views/gaps.js'
import { knowledgeView } from './views/knowledge.js'
import { liveView } from './views/live.js'
import { passwordView } from './views/password.js'
import { hintOf, signInView } from './views/sign-in.js'

const COMPANY = 'clientsvia-company'
const PAGES = [
  ['live', 'Live'],
  ['calls', 'Calls'],
  ['bookings', 'Bookings'],
  ['knowledge', 'Knowledge'],
  ['gaps', 'Gaps'],
  ['agent', 'Agent'],
]
const VIEWS = { live: liveView, calls: callsView, call: callView, bookings: bookingsView, knowledge: knowledgeView, gaps: gapsView, agent: agentView, account: accountView }

const app = document.querySelector('#app')
const api = new Api()
let leave = new AbortController()

/** `kind`: 'hint' for news, 'problem' for what went wrong. */
function signIn(notice = '', kind = 'hint') {
  leave.abort()
  onhashchange = () => signIn()
  const passwords = passwordView(api, location.hash, (said) => {
    // A token that has been used does not stay in the address.
    history.replaceState(null, '', location.pathname)
    signIn(said)
  })
  replace(app, passwords ?? signInView(api, { notice, kind }, () => void start()))
}

async function start() {
  const companies = api.user.companyId === 'platform' ? (await api.get('/companies?limit=200')).items : [await api.get(`/companies/${api.user.companyId}`)]
  const remembered = sessionStorage.getItem(COMPANY)
  const company = companies.find(({ id }) => id === remembered) ?? companies[0]
  if (company === undefined) {
    replace(app, h('main', {}, h('p', {}, 'There is no company yet: make one over the API or with the command “clientsvia company create”.')))
    return
  }
  const picker = h('select', { 'aria-label': 'Company', on: { change: () => choose(picker.value) } }, companies.map(({ id, name }) => h('option', { value: id, selected: id === company.id }, name)))
  const links = PAGES.map(([name, label]) => h('a', { href: `#/${name}` }, label))
  const main = h('main', {})
  let companyId = company.id
  const choose = (id) => {
    companyId = id
    sessionStorage.setItem(COMPANY, id)
    show()
  }
  const show = () => {
    leave.abort()
    leave = new AbortController()
    const { page, callSid } = routeOf(location.hash)
    for (const link of links) link.className = link.hash === `#/${page === 'call' ? 'calls' : page}` ? 'on' : ''
    const may = (permission) => api.user.permissions.includes(permission)
    replace(main, VIEWS[page]({ api, companyId, callSid, signal: leave.signal, mayWrite: may('config:write'), mayBook: may('bookings:write'), mayHangUp: may('calls:write'), maySeeHealth: may('diagnostics:admin') }))
    scrollTo(0, 0)
  }
  replace(
    app,
    h('header', { class: 'bar' }, h('a', { class: 'brand', href: '#/live' }, h('img', { src: '/dashboard/icon.svg', alt: '', width: '26px' }), 'ClientsVia'), picker, h('nav', {}, links), h('span', { class: 'who' }, h('a', { href: '#/account' }, api.user.name), h('button', { type: 'button', class: 'small', on: { click: () => void api.signOut() } }, 'Sign out'))),
    main,
  )
  onhashchange = show
  show()
}

/** Back from the identity provider. What it put into the address is of use once, and does not stay there. */
async function comeBack(query) {
  history.replaceState(null, '', location.pathname + location.hash)
  try {
    await api.finishOidc(query)
    return true
  } catch (error) {
    signIn(hintOf(error), 'problem')
    return false
  }
}

api.onSignedOut = (why) => signIn(why)
const query = new URLSearchParams(location.search)
if (query.has('state')) {
  if (await comeBack(query)) await start().catch((error) => signIn(error.message, 'problem'))
} else if (passwordView(api, location.hash, () => undefined) !== null) signIn()
else if (await api.resume()) await start().catch((error) => signIn(error.message, 'problem'))
else signIn()
