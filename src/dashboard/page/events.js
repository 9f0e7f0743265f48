/**
 * Server-sent events from a stream of text: fields and blank lines as the HTML standard has them. Feed it pieces as they come; it
 * gives every event that is whole.
 */
export class EventReader {
  #rest = ''
  lastEventId = ''

  push(text) {
    this.#rest += text
    const events = []
    for (;;) {
      const end = /\r\n\r\n|\n\n|\r\r/.exec(this.#rest)
      if (end === null) return events
      const event = this.#read(this.#rest.slice(0, end.index))
      this.#rest = this.#rest.slice(end.index + end[0].length)
      if (event !== null) events.push(event)
    }
  }

  #read(block) {
    let kind = 'message'
    const data = []
    for (const line of block.split(/\r\n|\n|\r/)) {
      const colon = line.indexOf(':')
      if (colon === 0) continue
      const name = colon < 0 ? line : line.slice(0, colon)
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
      if (name === 'data') data.push(value)
      else if (name === 'event') kind = value
      else if (name === 'id') this.lastEventId = value
    }
    return data.length === 0 ? null : { kind, id: this.lastEventId, data: data.join('\n') }
  }
}
