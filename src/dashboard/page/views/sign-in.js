import { actionButton, field, h, replace } from '../dom.js'

const HINTS = {
  DEVICE_PENDING: 'This browser is new here. Approve it from a device that is signed in: your name, then Devices. Then sign in again.',
  DEVICE_LIMIT: 'You have as many devices as there may be. Remove one first.',
}

/** What a refusal means here, for people. */
export function hintOf(error) {
  return HINTS[error.code] ?? error.message
}

export function signInView(api, { notice, kind }, onSignedIn) {
  const email = h('input', { type: 'email', name: 'email', autocomplete: 'username', required: true, autofocus: true })
  const password = h('input', { type: 'password', name: 'password', autocomplete: 'current-password', required: true })
  const problem = h('p', { class: kind, role: 'alert' }, notice)
  const button = h('button', { type: 'submit', class: 'primary' }, 'Sign in')
  const submit = async (event) => {
    event.preventDefault()
    button.disabled = true
    replace(problem)
    problem.className = 'problem'
    try {
      await api.signIn(email.value.trim(), password.value)
      onSignedIn()
    } catch (error) {
      replace(problem, hintOf(error))
      password.value = ''
      password.focus()
    } finally {
      button.disabled = false
    }
  }
  const others = h('div', {})
  void api.methods().then(({ oidc }) => replace(others, oidc ? actionButton('Sign in through your organisation', async () => location.assign(await api.beginOidc())) : null), () => undefined)
  return h('main', { class: 'sign-in' }, h('form', { class: 'card', on: { submit } }, h('h1', {}, h('img', { src: '/dashboard/icon.svg', alt: '', width: '40px' }), 'ClientsVia'), field('E-mail', email), field('Password', password), problem, button, others, h('p', {}, h('a', { href: '#/forgot' }, 'Forgot your password?'))))
}
