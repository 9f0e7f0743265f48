/**
 * An element with its properties and children. Text is always text: nothing that came from a caller can become markup here.
 * `on` holds listeners, `class` the class names; strings, numbers, elements and lists of them are children; null is nothing.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue
    if (name === 'on') for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener)
    else if (name === 'class') element.className = value
    else if (name === 'width') element.style.width = value
    else if (name in element && name !== 'list' && name !== 'for') element[name] = value
    else element.setAttribute(name, value === true ? '' : String(value))
  }
  append(element, children)
  return element
}

function append(parent, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue
    if (Array.isArray(child)) append(parent, child)
    else parent.append(child)
  }
}

export function replace(parent, ...children) {
  parent.replaceChildren()
  append(parent, children)
}

/** A button that is busy while its work is under way, and says what went wrong beside itself. */
export function actionButton(label, work, kind = '') {
  const problem = h('span', { class: 'problem', role: 'alert' })
  const button = h('button', { type: 'button', class: kind, on: { click: run } }, label)
  async function run() {
    button.disabled = true
    problem.textContent = ''
    try {
      await work()
    } catch (error) {
      problem.textContent = error.message
    } finally {
      button.disabled = false
    }
  }
  return h('span', { class: 'action' }, button, problem)
}

export function field(label, input, hint = null) {
  return h('label', { class: 'field' }, h('span', { class: 'label' }, label), input, hint === null ? null : h('span', { class: 'hint' }, hint))
}

export function empty(text) {
  return h('p', { class: 'empty' }, text)
}
