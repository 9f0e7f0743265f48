/** One thing a caller may choose, as it is stored, and the other ways of saying it. `value` itself may always be said. */
export type ChoiceOption = Readonly<{ value: string; aliases: readonly string[] }>

/** What can be said into one slot. `words` is anything at all: nothing constrains it. */
export type SlotShape =
  | Readonly<{ kind: 'choice'; options: readonly ChoiceOption[] }>
  /** A number read out digit by digit; every length that is plausible. A telephone number is [10], a ZIP code [5]. */
  | Readonly<{ kind: 'digits'; counts: readonly number[] }>
  | Readonly<{ kind: 'yes-no' }>
  | Readonly<{ kind: 'date' }>
  | Readonly<{ kind: 'money' }>
  | Readonly<{ kind: 'name' }>
  /** Letter by letter. */
  | Readonly<{ kind: 'spelling' }>
  | Readonly<{ kind: 'words'; /** Whose words can be listened for. */ of?: 'address' }>

/** A form as the ear sees it: what may be said in one sentence, in any order, and what was asked for just now. */
export type FormExpectation = Readonly<{
  kind: 'form'
  formId: string
  /** Ways into the sentence: "can I get". Always optional. */
  carriers: readonly string[]
  slots: readonly Readonly<{ id: string; shape: SlotShape }>[]
  /** The slot whose question was asked last; null while the whole form is open. */
  asked: string | null
}>

/**
 * What the agent's last question makes the caller likely to say. Three rooms read it: transcription (what can be heard), turn-taking
 * (keep waiting while digits are missing, do not wait after a plain yes) and response (how to read a short answer).
 */
export type Expectation = Readonly<{ kind: 'open' }> | Exclude<SlotShape, { kind: 'words' }> | FormExpectation

export const OPEN_EXPECTATION: Expectation = Object.freeze({ kind: 'open' })

/** The shape of the answer to what was asked; null when anything may be said. */
export function askedShape(expectation: Expectation): SlotShape | null {
  if (expectation.kind === 'open') return null
  if (expectation.kind !== 'form') return expectation
  return expectation.slots.find((slot) => slot.id === expectation.asked)?.shape ?? null
}

/** The longest that may be keyed in as the answer to what was asked: one key at once, more of them until they are whole. */
export function keysWanted(expectation: Expectation): number {
  const shape = askedShape(expectation)
  switch (shape?.kind) {
    case 'digits':
      return Math.max(...shape.counts)
    case 'date':
      return DATE_KEYS
    case 'money':
      return MONEY_KEYS
    case 'choice':
      return String(shape.options.length).length
    default:
      return 1
  }
}

/** Month, day and year, two, two and four. */
const DATE_KEYS = 8
/** Whole dollars; the star stands for the point before the cents. */
const MONEY_KEYS = 10

/** The lengths of the number that was asked for, shortest first; null when none was. */
export function digitsWanted(expectation: Expectation): readonly number[] | null {
  const shape = askedShape(expectation)
  return shape?.kind === 'digits' ? [...shape.counts].sort((a, b) => a - b) : null
}
