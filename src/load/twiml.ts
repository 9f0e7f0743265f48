import { DOMParser, onErrorStopParsing, type Document, type Element } from '@xmldom/xmldom'
import { ClientsViaError } from '../core/errors.ts'

/** A carrier stops a document that goes on and on; real ones hold a handful of verbs. */
const MOST_VERBS = 50

/** The part of TwiML that a voice call can be answered with here. URLs are absolute. */
export type TwimlVerb =
  | Readonly<{
      verb: 'connect-stream'
      url: string
      parameters: Readonly<Record<string, string>>
      /** Posted to when the stream is over, instead of going on with the next verb. */
      action: string | null
      statusCallback: string | null
    }>
  | Readonly<{ verb: 'say'; text: string }>
  | Readonly<{ verb: 'pause'; seconds: number }>
  | Readonly<{ verb: 'dial'; number: string; action: string | null }>
  | Readonly<{ verb: 'record'; action: string | null }>
  | Readonly<{ verb: 'redirect'; url: string }>
  | Readonly<{ verb: 'hang-up' }>

/** Reads TwiML as strictly as the carrier (errors 12100, 12200). Throws MESSAGE_MALFORMED saying what is wrong. */
export function readTwiml(xml: string, baseUrl: string): TwimlVerb[] {
  const document = parse(xml)
  const root = document.documentElement
  if (root === null || root.tagName !== 'Response') throw malformed('the root element is not <Response>')
  const verbs = elementsOf(root)
  if (verbs.length > MOST_VERBS) throw malformed(`${verbs.length} verbs, at most ${MOST_VERBS} are read`)
  return verbs.map((element) => readVerb(element, baseUrl))
}

function parse(xml: string): Document {
  try {
    // The parser recovers from most mistakes by default; the carrier does not.
    return new DOMParser({ onError: onErrorStopParsing }).parseFromString(xml, 'text/xml')
  } catch (error) {
    throw malformed(error instanceof Error ? error.message : String(error))
  }
}

function readVerb(element: Element, baseUrl: string): TwimlVerb {
  switch (element.tagName) {
    case 'Connect':
      return readConnect(element, baseUrl)
    case 'Say':
      return { verb: 'say', text: textOf(element) }
    case 'Pause':
      return { verb: 'pause', seconds: Number(element.getAttribute('length') ?? '1') }
    case 'Dial': {
      const nouns = elementsOf(element)
      const number = nouns.length === 0 ? textOf(element) : textOf(nouns[0] as Element)
      if (number === '') throw malformed('<Dial> names no number')
      return { verb: 'dial', number, action: urlOf(element, 'action', baseUrl) }
    }
    case 'Record':
      return { verb: 'record', action: urlOf(element, 'action', baseUrl) }
    case 'Redirect':
      return { verb: 'redirect', url: absolute(textOf(element), baseUrl) }
    case 'Hangup':
    case 'Reject':
      return { verb: 'hang-up' }
    default:
      throw malformed(`<${element.tagName}> is not a verb this caller knows`)
  }
}

function readConnect(connect: Element, baseUrl: string): TwimlVerb {
  const nouns = elementsOf(connect)
  const stream = nouns[0]
  if (nouns.length !== 1 || stream === undefined || stream.tagName !== 'Stream') throw malformed('<Connect> must hold exactly one <Stream>')
  const url = stream.getAttribute('url') ?? ''
  if (!/^wss?:\/\//.test(url)) throw malformed(`<Stream url="${url}"> is not a WebSocket URL`)
  if (url.includes('?')) throw malformed('<Stream url> has a query string, which the carrier does not send; use <Parameter>')
  const track = stream.getAttribute('track')
  if (track !== null && track !== 'inbound_track') throw malformed(`<Stream track="${track}">: a bidirectional stream has the inbound track only (31941)`)
  const parameters: Record<string, string> = {}
  for (const parameter of elementsOf(stream)) {
    const name = parameter.getAttribute('name')
    const value = parameter.getAttribute('value')
    if (parameter.tagName !== 'Parameter' || name === null || value === null) throw malformed('<Stream> holds something other than <Parameter name value>')
    if (name.length + value.length >= 500) throw malformed(`<Parameter name="${name}"> is ${name.length + value.length} characters, the carrier takes under 500`)
    parameters[name] = value
  }
  return {
    verb: 'connect-stream',
    url,
    parameters,
    action: urlOf(connect, 'action', baseUrl),
    statusCallback: urlOf(stream, 'statusCallback', baseUrl),
  }
}

function elementsOf(element: Element): Element[] {
  const found: Element[] = []
  for (let child = element.firstChild; child !== null; child = child.nextSibling) {
    if (child.nodeType === child.ELEMENT_NODE) found.push(child as Element)
  }
  return found
}

function textOf(element: Element): string {
  return (element.textContent ?? '').trim()
}

function urlOf(element: Element, attribute: string, baseUrl: string): string | null {
  const value = element.getAttribute(attribute)
  return value === null || value === '' ? null : absolute(value, baseUrl)
}

function absolute(url: string, baseUrl: string): string {
  if (!URL.canParse(url, baseUrl)) throw malformed(`"${url}" is not a URL`)
  return new URL(url, baseUrl).href
}

function malformed(reason: string): ClientsViaError {
  return new ClientsViaError('MESSAGE_MALFORMED', `TwiML: ${reason}`)
}
