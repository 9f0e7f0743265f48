import { field, h, replace } from '../dom.js'

/** Where a link from an e-mail leads, and where people ask for one. Null: the address is about something else. */
export function passwordView(api, hash, done) {
  const [page, token = ''] = hash.replace(/^#\/?/, '').split('/')
  if (page === 'forgot') return forgotView(api)
  return page === 'password' && token !== '' ? newPasswordView(api, decodeURIComponent(token), done) : null
}

function forgotView(api) {
  const email = h('input', { type: 'email', name: 'email', autocomplete: 'username', required: true, autofocus: true })
  return card('Forgot your password?', 'Send me a link', [field('E-mail', email)], async (said) => {
    await api.forgot(email.value.trim())
    // The same whether or not there is such an account.
    replace(said, 'If there is an account with this address, a link is on its way. It is good for a few minutes.')
  })
}

function newPasswordView(api, token, done) {
  const password = h('input', { type: 'password', name: 'new-password', autocomplete: 'new-password', required: true, autofocus: true })
  const again = h('input', { type: 'password', name: 'again', autocomplete: 'new-password', required: true })
  return card('Set a new password', 'Set the password', [field('New password', password), field('Once more', again)], async () => {
    if (password.value !== again.value) throw new Error('The two are not the same.')
    await api.resetPassword(token, password.value)
    done('Your password is set. Sign in with it.')
  })
}

function card(title, label, fields, work) {
  const said = h('p', { class: 'hint', role: 'status' })
  const problem = h('p', { class: 'problem', role: 'alert' })
  const button = h('button', { type: 'submit', class: 'primary' }, label)
  const submit = async (event) => {
    event.preventDefault()
    button.disabled = true
    replace(problem)
    try {
      await work(said)
    } catch (error) {
      replace(problem, error.errors?.[0]?.message ?? error.message)
    } finally {
      button.disabled = false
    }
  }
  return h('main', { class: 'sign-in' }, h('form', { class: 'card', on: { submit } }, h('h1', {}, title), fields, said, problem, button, h('p', {}, h('a', { href: '#/live' }, 'Back to signing in'))))
}
