import type { Expectation } from '../core/expectation.ts'
import type { Reading } from '../core/reading.ts'
import type { Form } from '../tenancy/form.ts'
import type { FormState, Provenance, TimeOffer } from './form-state.ts'
import type { ReadWhen } from './slot-finder.ts'

/** What a form needs to know of the call it is in. Pure: the readers are functions of their words alone. */
export type FormContext = Readonly<{
  /** With the company's services as the options of its service slots. */
  form: Form
  /** E.164; null where the carrier sent none. */
  callerNumber: string | null
  /** RFC 3339. */
  now: string
  /** ISO day in the company's time zone. */
  today: string
  readWhen: ReadWhen
  /** The words in the light of what was asked; for engines that listen for nothing in particular. */
  readText: (expectation: Expectation, text: string, source: 'text' | 'keys') => Reading
  /** Liquid; null where it names what is not there. */
  render: (template: string, values: Readonly<Record<string, string>>) => string | null
}>

/** What a form wants of the world. Nothing of it is done by the form. */
export type FormWish =
  /** Free times for what is said in the slots. */
  | Readonly<{ kind: 'search' }>
  /** Everything is said and agreed to. */
  | Readonly<{ kind: 'submit' }>
  /** The caller could not be understood: a person, or a message, takes over. */
  | Readonly<{ kind: 'transfer' }>
  | Readonly<{ kind: 'message' }>

/** One step of a form. `say` is in order; its last sentence is what is asked. */
export type FormMove = Readonly<{
  state: FormState
  say: readonly string[]
  expect: Expectation
  wish: FormWish | null
  /** False: nothing in the words was for the form, and an attempt was used up. Somebody else may know better. */
  understood: boolean
}>

/** What a caller said to a form: the part of the sentence that is no question to the company. */
export type Said = Readonly<{
  text: string
  reading: Reading | null
  source: Extract<Provenance, 'heard' | 'keys' | 'typed'>
  /** A question stood beside it: then a yes is not yet a yes. */
  withQuestion: boolean
}>

export type Offering = Readonly<{ offers: readonly TimeOffer[]; wanted: TimeOffer | null }>
