import { actionButton, empty, field, h, replace } from '../dom.js'
import { when } from '../format.js'

const PLACES = { loopback: 'this machine', unknown: 'unknown place' }

/** The browsers one signs in from, the sessions that are open, and one's password. */
export function accountView({ api }) {
  const devices = h('section', { class: 'card' }, empty('Loading …'))
  const sessions = h('section', { class: 'card' })
  const load = async () => {
    const [mine, open] = await Promise.all([api.get('/auth/devices'), api.get('/auth/sessions')])
    replace(devices, h('h2', {}, 'Devices'), mine.items.length === 0 ? empty('None yet.') : h('ul', { class: 'versions' }, mine.items.map((device) => deviceOf(api, device, load))))
    const live = open.items.filter((session) => session.live)
    replace(sessions, h('h2', {}, 'Open sessions'), h('ul', { class: 'versions' }, live.map((session) => sessionOf(api, session, load))))
  }
  load().catch((error) => replace(devices, h('p', { class: 'problem' }, error.message)))
  return h('div', {}, h('h1', {}, api.user.name, ' ', h('span', { class: 'tag' }, api.user.role), h('span', { class: 'quiet' }, api.user.email)), h('div', { class: 'columns' }, h('div', {}, devices, sessions), password(api)))
}

function deviceOf(api, device, reload) {
  const act = (what) => async () => {
    await api.post(`/auth/devices/${device.id}/${what}`)
    await reload()
  }
  return h(
    'li',
    {},
    h('span', {}, h('strong', {}, device.label), ' ', h('span', { class: `tag ${device.state === 'pending' ? 'warn' : ''}` }, device.state), h('div', { class: 'quiet' }, 'last seen ', when(device.lastSeenAt))),
    device.state === 'pending' ? actionButton('Approve', act('approve'), 'primary small') : null,
    device.state === 'revoked' ? null : actionButton('Remove', act('revoke'), 'danger small'),
  )
}

function sessionOf(api, session, reload) {
  const end = async () => {
    await api.delete(`/auth/sessions/${encodeURIComponent(session.deviceId)}`)
    await reload()
  }
  const place = session.location.country ?? PLACES[session.location.kind] ?? session.location.kind
  return h('li', {}, h('span', {}, place, ' ', session.current ? h('span', { class: 'tag' }, 'this one') : null, h('div', { class: 'quiet' }, 'since ', when(session.loginTime), ', last used ', when(session.lastActivity))), session.current ? null : actionButton('End', end, 'danger small'))
}

function password(api) {
  const current = h('input', { type: 'password', autocomplete: 'current-password' })
  const next = h('input', { type: 'password', autocomplete: 'new-password' })
  const change = () => api.post('/auth/password', { currentPassword: current.value, newPassword: next.value })
  return h('form', { class: 'card', on: { submit: (event) => event.preventDefault() } }, h('h2', {}, 'Password'), field('Current', current), field('New', next, 'fifteen letters or more; any phrase will do'), actionButton('Change it', change, 'primary'), h('p', { class: 'quiet' }, 'Every session ends with the old password, this one too.'))
}
