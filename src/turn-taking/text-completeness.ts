import { askedShape, digitsWanted, type Expectation } from '../core/expectation.ts'
import { namesAnHour, type AnswerState } from './answer-state.ts'
import { countSpokenDigits, endsInDictation } from './spoken-digits.ts'
import { countSpelledLetters } from './spoken-letters.ts'

export type Completeness = Readonly<{
  /** Above 0 the sentence sounds finished, below 0 unfinished; see `COMPLETE` and `INCOMPLETE`. */
  score: number
  /** The strongest reason, for the turn's record: 'question', 'trailing-filler', 'digits 7 of 10' ... */
  cue: string
  /** Digits of the number asked for that were not said yet. */
  missingDigits: number
  /** Letters of a word that is being spelled; 0 where none is. */
  letters: number
  /** A short answer and nothing else: what was asked is said, a little more may follow. */
  isBareAnswer: boolean
}>

/** From this score on the shortest wait is enough. */
export const COMPLETE = 1
/** From this score down the caller is expected to go on. */
export const INCOMPLETE = -0.8

/**
 * Whether the words so far sound like a finished turn. Fixed weights, nothing learned: on telephone calls the cues that carry are a
 * question, a closing phrase, a trailing comma, filler, auxiliary or contraction; a full stop says little, for recognisers put one
 * everywhere. `answer` is what was understood of it in the light of what was asked. Pure; a few microseconds.
 */
export function textCompleteness(text: string, expectation: Expectation, answer: AnswerState | null = null): Completeness {
  const trimmed = text.trim()
  const words = wordsOf(trimmed)
  const last = words.at(-1)
  if (last === undefined) return { ...NOTHING_KNOWN, score: -0.3, cue: 'no-words' }
  const counts = digitsWanted(expectation)
  const longest = counts?.at(-1)
  if (counts !== null && longest !== undefined) {
    const count = countSpokenDigits(trimmed)
    const cue = `digits ${count} of ${counts.join(' or ')}`
    if (count >= longest) return { ...NOTHING_KNOWN, score: 2, cue }
    // Not one digit: an answer such as "I don't know it" is read like any other sentence. A shorter length that is plausible may
    // be the whole number: one digit more is waited for, not several.
    if (count > 0) return { ...NOTHING_KNOWN, score: -2, cue, missingDigits: counts.includes(count) ? 1 : longest - count }
  }
  const letters = spelledLetters(trimmed, expectation)
  if (letters > 0) return { ...NOTHING_KNOWN, score: -1.5, cue: `letters ${letters}`, letters }
  const cues: [cue: string, weight: number][] = [answer === 'whole' ? ['answer', ANSWERED] : answer === 'doubtful' ? ['answer', 0] : markCue(trimmed)]
  const asks = trimmed.endsWith('?')
  const closing = isClosing(words)
  const dangling = closing ? null : danglingCue(words, asks)
  if (dangling !== null) cues.push(dangling)
  else if (endsInDictation(trimmed) && askedShape(expectation)?.kind !== 'date') cues.push(['dictation', -0.8])
  if (words.length > 1 && words.at(-2) === last) cues.push(['repeated-word', -0.8])
  if (closing) cues.push(['closing', 1.8])
  // A question cut short still has a question's beginning; only its end tells. Recognisers put a mark behind whole ones: without
  // any, the last word may be half a word.
  if (dangling === null && hasQuestionShape(wordsOf(lastSentence(trimmed)))) cues.push(['question', asks || !/[.!]$/.test(trimmed) ? 0.8 : 1.2])
  const slot = dangling === null ? slotCue(words, expectation) : null
  if (slot !== null) cues.push(slot)
  else if (!asks && words.every((word) => OPENERS.has(word))) cues.push(['opener', -1.3])
  let score = 0
  let strongest = cues[0] as [string, number]
  for (const cue of cues) {
    score += cue[1]
    if (Math.abs(cue[1]) >= Math.abs(strongest[1])) strongest = cue
  }
  // There is room for more in what may be said: a question's mark or a full stop does not end it.
  if (answer === 'part' && score >= COMPLETE) return { ...NOTHING_KNOWN, score: COMPLETE - 0.1, cue: 'form-open' }
  const isBareAnswer = !closing && (answer === 'whole' || (strongest[0] === 'yes-no' && words.length === 1))
  return { ...NOTHING_KNOWN, score: Math.round(score * 100) / 100, cue: strongest[0], isBareAnswer }
}

const NOTHING_KNOWN = { missingDigits: 0, letters: 0, isBareAnswer: false } as const
/** What was asked for is said: as good as a sentence that is whole. */
const ANSWERED = 1

/** Where a spelling was asked for, or a name: the second half of "Smith. S M I". */
function spelledLetters(text: string, expectation: Expectation): number {
  const shape = askedShape(expectation)
  if (shape?.kind !== 'spelling' && shape?.kind !== 'name') return 0
  const letters = countSpelledLetters(text)
  return shape.kind === 'spelling' || (letters > 1 && endsInDictation(text)) ? letters : 0
}

function wordsOf(text: string): readonly string[] {
  const plain = text.toLowerCase().replaceAll('’', "'").replaceAll(/\bgood[- ]bye?\b/g, 'goodbye')
  return plain.match(/[a-z0-9']+/g) ?? []
}

/** Only the last sentence can be the question that is being asked now. */
function lastSentence(text: string): string {
  return text.match(/[^.?!]*[.?!]*$/)?.[0] ?? text
}

function markCue(text: string): [string, number] {
  if (text.endsWith('?')) return ['question-mark', 1.2]
  if (/(\.\.\.|…|[,;:-])$/.test(text)) return ['open-mark', -0.8]
  if (/[.!]$/.test(text)) return ['full-stop', 0.5]
  return ['no-mark', -0.2]
}

/** A last word that sentences do not end in. Questions do end in "for", "is" or "you"; a few words are followed by a day or a place more often than not. */
function danglingCue(words: readonly string[], asks: boolean): [string, number] | null {
  const last = words.at(-1) as string
  if (FILLERS.has(last) || (!asks && SOFT_FILLERS.has(last) && !AS_WELL.has(words.at(-2) ?? ''))) return ['trailing-filler', -1.8]
  if (LINKERS.has(last)) return ['trailing-linker', -1.5]
  if (asks) return ASKING_PREPOSITIONS.has(last) ? ['trailing-preposition', -1.2] : null
  if (LEAD_IN.test(words.join(' '))) return ['trailing-lead-in', -1.5]
  if (PREPOSITIONS.has(last)) return ['trailing-preposition', -1.5]
  // "yes I am", "no it isn't" and "I do" are whole; "my last name is" is not.
  if (AUXILIARIES.has(last) && !(words.length <= 4 && (AGREEING.has(words[0] as string) || last === 'do'))) return ['trailing-auxiliary', -1.5]
  if (/'(m|re|s|ll|ve|d)$/.test(last) && CONTRACTED.has(last.slice(0, last.lastIndexOf("'")))) return ['trailing-contraction', -1.5]
  if (PRONOUNS.has(last)) return ['trailing-pronoun', -1]
  return null
}

function hasQuestionShape(words: readonly string[]): boolean {
  let start = 0
  while (start < words.length && PRELUDES.has(words[start] as string)) start += 1
  const first = words[start]
  if (first === undefined || words.length - start < 3) return false
  const second = words[start + 1] as string
  if (WH_WORDS.has(first) || /^(what|who|where|how|when)'s$/.test(first)) return true
  return ASKING_VERBS.has(first) && (SUBJECTS.has(second) || words.length - start >= 4)
}

/** A farewell, thanks with or without what for, or a plain "that's it". */
function isClosing(words: readonly string[]): boolean {
  const text = words.join(' ')
  if (/\b(good)?bye$/.test(text)) return true
  if (/\b(thank you|thanks)( so| very)?( much)?( for (your|the|all your) [a-z]+)?$/.test(text)) return true
  return CLOSINGS.some((closing) => text === closing || (closing.includes(' ') && text.endsWith(` ${closing}`)))
}

function slotCue(words: readonly string[], expectation: Expectation): [string, number] | null {
  const shape = askedShape(expectation)
  switch (shape?.kind) {
    case undefined:
    case 'digits':
    case 'choice':
    case 'money':
    case 'spelling':
    case 'words':
      return null
    case 'yes-no':
      return words.length <= 4 && (AGREEING.has(words[0] as string) || AGREEING.has(words.at(-1) as string)) ? ['yes-no', 1.5] : null
    case 'name': {
      const name = words.filter((word) => !NAME_LEADS.has(word) && !FILLERS.has(word))
      return name.length >= 2 && !words.some((word) => word.length === 1 && word !== 'i') ? ['name', 0.8] : null
    }
    case 'date': {
      const last = words.at(-1) as string
      if (MONTHS.has(last)) return ['month-alone', -1.5]
      if (words.some((word) => MONTHS.has(word))) return ['date', 0.8]
      // A day alone may go on: "Tuesday" ... "in the morning".
      return words.some((word) => DAYS.has(word)) ? ['date', namesAnHour(words.join(' ')) ? 0.8 : 0.4] : null
    }
  }
}

/** What introduces a request and is none: "I was wondering if you could tell me", "I just wanted to ask". */
const LEAD_IN = /(^| )(tell me|give me|let me|wondering|wondered|(like|want|wanted|need|love) to (know|ask|see|find out)|calling to (ask|see|find out))$/

const set = (words: string): ReadonlySet<string> => new Set(words.split(' '))

const FILLERS = set('um umm uh uhm erm er hmm mm')
const SOFT_FILLERS = set('like well basically')
/** "as well" and "very well" end sentences. */
const AS_WELL = set('as very')
const LINKERS = set('and or but because cause if than the a an my your our their his just some')
/** A turn that has only these so far has only been opened: "Sure. | It's a two thousand eighteen Model S." */
const OPENERS = set('ok okay sure yeah yes well wow right alright all so um umm uh oh hm hmm')
const PREPOSITIONS = set('to of in on at for with from by about into onto between around until before after without as')
/** "When are you open on?" is a question that a recogniser was given half of. */
const ASKING_PREPOSITIONS = set('on at in of by between until before after during')
const AUXILIARIES = set('is am are was were be been do does did have has had can could will would should may might must gonna wanna want need')
const PRONOUNS = set('i we he she they you it this these those')
/** Stems whose contraction needs something after it; "don't" and "let's" are not here. */
const CONTRACTED = set('i you we they he she it that there what who where how here')
const AGREEING = set('yes yeah yep yup no nope nah sure correct right ok okay exactly absolutely definitely please')
const PRELUDES = set('hi hello hey so and well um uh okay ok yes yeah no but sorry please thanks actually also then now')
const WH_WORDS = set('what when where who whose which why how whats')
const ASKING_VERBS = set('do does did is are was were can could will would should may might have has am')
const SUBJECTS = set('i you we they he she it there this that your my the anyone someone any')
const NAME_LEADS = set("my name is it's its this i'm i am the first last under for name's")
const MONTHS = set('january february march april may june july august september october november december')
const DAYS = set('monday tuesday wednesday thursday friday saturday sunday today tomorrow tonight weekend week')
const CLOSINGS: readonly string[] = [
  'bye',
  'goodbye',
  'bye bye',
  'thanks a lot',
  'see you',
  'see you then',
  'see you soon',
  'see you tomorrow',
  'yes please',
  "that's it",
  "that's all",
  "that's right",
  "that's correct",
  'that is all',
  'that is correct',
  'sounds good',
  'sounds great',
  'nothing else',
  'of course',
  'have a good day',
  'have a nice day',
]
