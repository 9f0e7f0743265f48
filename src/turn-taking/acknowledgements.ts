/**
 * True when every word only says "I am listening": said over the agent it asks for nothing. False for no words at all.
 */
export function isAcknowledgement(text: string): boolean {
  const words = wordsOf(text)
  return words.length > 0 && words.every((word) => ACKNOWLEDGEMENTS.has(word))
}

/** True when the words take the turn however short they are: "no", "stop", "wait", "hold on", "actually". */
export function takesTheTurn(text: string): boolean {
  const words = wordsOf(text)
  return words.some((word) => STOP_WORDS.has(word)) || /\b(hold on|hang on|one moment|one second|excuse me)\b/.test(words.join(' '))
}

export function hasWords(text: string): boolean {
  return wordsOf(text).length > 0
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().replaceAll('’', "'").match(/[\p{L}\p{N}']+/gu) ?? []
}

/** "uh-huh" arrives as "uh" and "huh"; sounds that are no words are here as recognisers spell them. */
const ACKNOWLEDGEMENTS: ReadonlySet<string> = new Set(
  (
    'yeah yes yep yup ya ok okay k kay uh huh uhhuh ah aha oh hm hmm mhm mm mmm mmhmm um right alright all sure good great nice cool fine ' +
    "got it gotcha see i exactly perfect thanks thank you wow really that's true absolutely definitely of course so very well"
  ).split(' '),
)
const STOP_WORDS: ReadonlySet<string> = new Set(['no', 'nope', 'stop', 'wait', 'actually', 'but', 'sorry', 'pardon', 'question', 'what', 'help', 'cancel'])
