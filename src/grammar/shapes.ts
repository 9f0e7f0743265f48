import type { ChoiceOption, SlotShape } from '../core/expectation.ts'
import { rarityOfPair } from './letter-pairs.ts'
import { cardinalWord, cardinalWords, ordinalWord, UNITS } from './numbers.ts'
import type { GrammarBuilder } from './word-grammar.ts'
import { grammarWords } from './words.ts'

/** Rare ways of saying a thing lose against usual ones that fit as well. In nats. */
const RARE = 3
const UNUSUAL = 1

/**
 * Adds everything that may be said into one slot, between two states. `slot` is its index. A choice marks the value on its way in; other
 * shapes leave it to `canonicalValue` to read the words.
 */
export function addShape(grammar: GrammarBuilder, from: number, to: number, slot: number, shape: SlotShape, again: boolean, asked: boolean, cost: number): void {
  const begin = (value?: string): number => {
    const state = grammar.state()
    grammar.arc(from, {
      to: state,
      begins: slot,
      ...(again ? { again: true as const } : {}),
      ...(value === undefined ? {} : { value }),
      ...(cost === 0 ? {} : { cost }),
    })
    return state
  }
  const end = grammar.state()
  grammar.arc(end, { to, ends: true })
  switch (shape.kind) {
    case 'choice':
      addChoice(grammar, begin, end, shape.options, asked)
      break
    case 'digits':
      addDigits(grammar, begin(), end, shape.counts, asked)
      break
    case 'yes-no':
      for (const words of YES) grammar.phrase(begin('yes'), words.split(' '), end)
      for (const words of NO) grammar.phrase(begin('no'), words.split(' '), end)
      break
    case 'date':
      addDate(grammar, begin(), end)
      break
    case 'money':
      addMoney(grammar, begin(), end)
      break
    case 'name':
      addName(grammar, begin(), end)
      break
    case 'spelling':
      addSpelling(grammar, begin(), end)
      break
    case 'words':
      break
  }
}

/** Ways into an answer of this kind, all optional. */
export function leadIns(shape: SlotShape): readonly string[] {
  switch (shape.kind) {
    case 'digits':
      return ['my number is', 'the number is', 'my phone number is', 'my zip code is', 'the zip code is', 'my zip is', 'the zip is', 'number', 'my cell is', 'my cell phone is',
        'phone number is', 'zip code', 'you can reach me at', 'call me at', 'at', 'area code', 'my account number is', 'the account number is', 'it ends in']
    case 'date':
      return ['how about', 'what about', 'maybe', 'can you do', 'could you do', 'could we do', "let's do", "let's say", 'can you come', 'could you come', 'can i come in',
        'i can do', 'works for me is', 'on', 'for', 'at', 'sometime', 'some time', 'any time', 'how about on', 'preferably', 'the best would be', 'i would prefer', "i'd prefer"]
    case 'money':
      return ['about', 'around', 'roughly', 'up to', 'no more than', 'maybe', 'my budget is', 'under', 'at most']
    case 'name':
      return ['my name is', 'my first name is', 'my last name is', 'the name is', 'the last name is', 'last name is', 'first name is', 'name is', "my name's", "name's", 'this is', "i'm", 'i am', 'it is',
        "it's", 'under', 'you can call me', 'call me', 'last name', 'first name']
    case 'spelling':
      return ["it's spelled", 'it is spelled', "that's", 'spelled', 'my name is spelled', 'my last name is spelled', 'my first name is spelled', 'that is', 'it goes']
    case 'choice':
    case 'yes-no':
    case 'words':
      return []
  }
}

function addChoice(grammar: GrammarBuilder, begin: (value: string) => number, end: number, options: readonly ChoiceOption[], asked: boolean): void {
  for (const option of options) {
    for (const phrase of new Set([option.value, ...option.aliases])) {
      const words = grammarWords(phrase)
      if (words.length > 0) grammar.phrase(begin(option.value), words, end)
      keepCapitals(grammar, phrase)
    }
  }
  if (asked) for (const [words, value] of shortForms(options)) grammar.phrase(begin(value), words, end, UNUSUAL)
}

/** "AC" must be heard as it is written. */
function keepCapitals(grammar: GrammarBuilder, phrase: string): void {
  for (const written of phrase.match(/[\p{L}']*\p{Lu}[\p{L}']*/gu) ?? []) {
    const word = written.toLowerCase()
    if (written === word || written === word[0]?.toUpperCase() + word.slice(1)) continue
    const known = Object.hasOwn(grammar.written, word) ? (grammar.written[word] as string[]) : []
    if (!known.includes(written)) grammar.written[word] = [...known, written]
  }
}

/** Asked for the roast, callers say "dark": what comes before the word that several options end in, where it tells them apart. */
function shortForms(options: readonly ChoiceOption[]): [string[], string][] {
  const phrases = options.map((option) => ({ value: option.value, words: grammarWords(option.value) }))
  const taken = new Set(options.flatMap((option) => [option.value, ...option.aliases].map((phrase) => grammarWords(phrase).join(' '))))
  const short = new Map<string, { words: string[]; values: Set<string> }>()
  for (const { value, words } of phrases) {
    const head = words.at(-1)
    if (words.length < 2 || phrases.filter((other) => other.words.at(-1) === head && other.words.length > 1).length < 2) continue
    const rest = words.slice(0, -1)
    const key = rest.join(' ')
    const entry = short.get(key) ?? { words: rest, values: new Set<string>() }
    entry.values.add(value)
    short.set(key, entry)
  }
  return [...short].flatMap(([key, { words, values }]) => (values.size === 1 && !taken.has(key) && !EMPTY_WORDS.has(words.at(-1) as string) ? [[words, [...values][0] as string]] : []))
}

const EMPTY_WORDS: ReadonlySet<string> = new Set(['of', 'a', 'the', 'some', 'with', 'and', 'in', 'on', 'for', 'to', 'lot', 'lots', 'bit'])

/**
 * Digits one by one, doubled, in pairs and hundreds, as many as are wanted. Where they were asked for, fewer may be heard as well: a caller
 * pauses inside a number, and held to its whole length a recogniser would make up the rest.
 */
function addDigits(grammar: GrammarBuilder, from: number, end: number, counts: readonly number[], asked: boolean): void {
  const longest = Math.max(...counts)
  const places = [from, ...Array.from({ length: longest }, () => grammar.state())]
  // Behind "eighty" no "seven" may follow: that is eighty-seven, and no ten digits are to be made of nine that way.
  const afterTens = places.map(() => grammar.state())
  const to = (place: number): number | undefined => places[place]
  for (const [place, at] of places.entries()) {
    const tens = afterTens[place] as number
    for (const state of [at, tens]) {
      if (counts.includes(place)) grammar.skip(state, end)
      else if (asked && place > 0) grammar.arc(state, { to: end, cost: longest < LONG_NUMBER ? SHORT : SHORT_OF_LONG })
    }
    const one = to(place + 1)
    if (one === undefined) continue
    for (const unit of UNITS) grammar.arc(at, { to: one, word: unit, dictated: true })
    grammar.word(at, 'oh', one)
    for (const zero of ['zero', 'oh']) grammar.word(tens, zero, one)
    const two = to(place + 2)
    if (two === undefined) continue
    const doubled = grammar.state()
    grammar.word(at, 'double', doubled, UNUSUAL)
    for (const unit of [...UNITS, 'oh']) grammar.word(doubled, unit, two)
    for (const state of [at, tens]) {
      for (let n = 10; n < 100; n += 1) grammar.arc(state, { to: n >= 20 && n % 10 === 0 ? (afterTens[place + 2] as number) : two, word: cardinalWord(n), inWords: true, cost: RARE })
    }
    const three = to(place + 3)
    if (three === undefined) continue
    const tripled = grammar.state()
    grammar.word(at, 'triple', tripled, UNUSUAL)
    for (const unit of [...UNITS, 'oh']) grammar.word(tripled, unit, three)
    const hundred = grammar.state()
    for (const unit of UNITS.slice(1)) grammar.arc(at, { to: hundred, word: unit, inWords: true, cost: RARE })
    grammar.arc(hundred, { to: three, word: 'hundred', inWords: true })
    const thousand = to(place + 4)
    if (thousand === undefined) continue
    grammar.arc(hundred, { to: thousand, word: 'thousand', inWords: true })
    const hundreds = grammar.state()
    for (let n = 10; n < 100; n += 1) grammar.arc(at, { to: hundreds, word: cardinalWord(n), inWords: true, cost: RARE })
    grammar.arc(hundreds, { to: thousand, word: 'hundred', inWords: true })
  }
}

/**
 * In nats: how much better a number must fit without its missing digits. Callers pause inside ten digits, hardly inside four. Of ten-digit numbers
 * whose last digit was cut away 77 in 100 are known to be short this way (of whole ones 3 are thought so); at 6 it was 12, and the rest got a
 * digit that nobody said. At 3 as many whole ones are right, and a caller who pauses behind the ninth digit is taken at ten.
 */
const SHORT = 4
const SHORT_OF_LONG = 2
const LONG_NUMBER = 7

const YES: readonly string[] = [
  'yes', 'yeah', 'yep', 'yup', 'sure', 'correct', 'right', "that's right", "that's correct", 'that is right', 'that is correct', 'absolutely', 'definitely', 'of course', 'okay',
  'alright', 'all right', 'uh huh', 'mm hmm', 'exactly', 'please do', 'yes please', 'go ahead', 'sounds good', 'sounds great', 'perfect', 'great', 'i do', 'yes i do', 'it is', 'yes it is', 'i am',
  'yes i am', "that's it", 'that works', 'that works for me', 'works for me', "that's fine", "that's good", 'fine', 'good', 'yes sir', "yes ma'am", 'yes that is right', "yes that's right",
  'yes that is correct', "yes that's correct", 'you got it', 'i guess so', 'i think so', 'why not', "that'd be great", 'that would be great', 'yes we do', 'we do', 'affirmative', 'yeah sure', 'yes sure',
]
const NO: readonly string[] = [
  'no', 'nope', 'nah', 'no thanks', 'no thank you', 'not really', "that's wrong", "that's not right", "that's not correct", "that's incorrect", 'that is wrong', 'that is not right', 'incorrect', 'wrong',
  'negative', 'not yet', "i don't", 'i do not', "no i don't", 'no i do not', "it isn't", "it's not", 'it is not', "no it's not", "no it isn't", "i'm not", "no i'm not", 'not at all', 'no way', 'not now',
  'not today', 'never', "no that's wrong", "no that's not right", "i don't think so", "no we don't", "we don't", 'uh uh', 'no sir', "no ma'am", 'not quite', "it's wrong", 'of course not', 'absolutely not',
]

const WEEKDAYS = 'monday tuesday wednesday thursday friday saturday sunday'.split(' ')
export const MONTHS: readonly string[] = 'january february march april may june july august september october november december'.split(' ')
const RELATIVE_DAYS = ['today', 'tonight', 'tomorrow', 'the day after tomorrow', 'next week', 'this week', 'this weekend', 'next weekend', 'the weekend', 'next month', 'right away', 'right now', 'now',
  'as soon as possible', 'as soon as you can', 'asap', 'the earliest', 'your earliest', 'first thing', 'any day', 'anytime', 'whenever', 'the end of the week', 'later this week', 'later today']
const DAY_PARTS = ['morning', 'afternoon', 'evening', 'night', 'noon', 'midday', 'lunchtime', 'midnight']

/** A day, a part of it and a time, one to three of them in any order: "next Tuesday after four", "ten in the morning on the fifth". */
function addDate(grammar: GrammarBuilder, from: number, end: number): void {
  let at = from
  for (let part = 0; part < MOST_DATE_PARTS; part += 1) {
    const said = grammar.state()
    addDay(grammar, at, said)
    addTime(grammar, at, said)
    grammar.skip(said, end)
    const next = grammar.state()
    grammar.skip(said, next)
    for (const link of ['on', 'in the', 'at', 'for', 'in', 'or', 'early', 'late', 'and']) grammar.phrase(said, link.split(' '), next)
    at = next
  }
}

const MOST_DATE_PARTS = 3

function addDay(grammar: GrammarBuilder, from: number, to: number): void {
  for (const day of RELATIVE_DAYS) grammar.phrase(from, day.split(' '), to)
  const weekday = grammar.state()
  grammar.skip(from, weekday)
  for (const which of ['this', 'next', 'this coming', 'this next', 'the following', 'a']) grammar.phrase(from, which.split(' '), weekday)
  const dayNamed = grammar.state()
  for (const day of WEEKDAYS) grammar.word(weekday, day, dayNamed)
  grammar.skip(dayNamed, to)
  const theDay = grammar.state()
  grammar.word(from, 'the', theDay)
  grammar.word(dayNamed, 'the', theDay)
  const monthDay = grammar.state()
  const ofMonth = grammar.state()
  for (const month of MONTHS) {
    grammar.word(from, month, monthDay)
    grammar.word(dayNamed, month, monthDay)
    grammar.word(ofMonth, month, to)
  }
  grammar.word(monthDay, 'the', theDay)
  const ordinal = grammar.state()
  for (let n = 1; n <= 31; n += 1) {
    grammar.word(theDay, ordinalWord(n), ordinal)
    grammar.word(monthDay, ordinalWord(n), to)
    grammar.word(monthDay, cardinalWord(n), to, UNUSUAL)
  }
  grammar.skip(ordinal, to)
  grammar.word(ordinal, 'of', ofMonth)
  const counted = grammar.state()
  const inSome = grammar.state()
  grammar.word(from, 'in', inSome)
  for (const count of ['a', 'an', 'two', 'three', 'four', 'five', 'six', 'ten']) grammar.word(inSome, count, counted)
  grammar.phrase(inSome, ['a', 'couple', 'of'], counted)
  for (const unit of ['day', 'days', 'week', 'weeks', 'hour', 'hours', 'month', 'months']) grammar.word(counted, unit, to)
}

function addTime(grammar: GrammarBuilder, from: number, to: number): void {
  const clock = grammar.state()
  grammar.skip(from, clock)
  for (const near of ['at', 'after', 'before', 'around', 'about', 'by', 'from', 'any time after', 'anytime after', 'sometime after', 'sometime around', 'as early as', 'no later than', 'until']) {
    grammar.phrase(from, near.split(' '), clock)
  }
  const between = grammar.state()
  grammar.word(from, 'between', between)
  const betweenSaid = grammar.state()
  addClock(grammar, between, betweenSaid)
  grammar.word(betweenSaid, 'and', clock)
  const timed = grammar.state()
  addClock(grammar, clock, timed)
  grammar.skip(timed, to)
  grammar.word(timed, 'to', clock, RARE)
  const part = grammar.state()
  grammar.skip(from, part)
  for (const which of ['in the', 'the', 'this', 'early', 'late', 'mid', 'early in the', 'late in the', 'later in the', 'around', 'after', 'before', 'at']) grammar.phrase(from, which.split(' '), part)
  for (const name of DAY_PARTS) grammar.word(part, name, to)
}

function addClock(grammar: GrammarBuilder, from: number, to: number): void {
  const hourSaid = grammar.state()
  const minutesSaid = grammar.state()
  for (let hour = 1; hour <= 12; hour += 1) {
    const word = cardinalWord(hour)
    grammar.word(from, word, hourSaid)
    for (const fraction of ['half past', 'quarter past', 'a quarter past', 'quarter to', 'a quarter to', 'quarter after']) grammar.phrase(from, [...fraction.split(' '), word], minutesSaid, UNUSUAL)
  }
  for (const minutes of [10, 15, 20, 25, 30, 35, 40, 45, 50, 55]) grammar.word(hourSaid, cardinalWord(minutes), minutesSaid)
  grammar.phrase(hourSaid, ['oh', 'five'], minutesSaid)
  grammar.word(hourSaid, "o'clock", minutesSaid)
  grammar.skip(hourSaid, minutesSaid)
  grammar.skip(minutesSaid, to)
  for (const half of ['am', 'pm', 'in the morning', 'in the afternoon', 'in the evening', 'at night']) grammar.phrase(minutesSaid, half.split(' '), to)
}

function addMoney(grammar: GrammarBuilder, from: number, end: number): void {
  const small = grammar.state()
  const afterHundred = grammar.state()
  const afterThousand = grammar.state()
  const counted = grammar.state()
  for (let n = 1; n < 100; n += 1) {
    grammar.word(from, cardinalWord(n), small)
    grammar.word(afterHundred, cardinalWord(n), counted)
    grammar.word(afterThousand, cardinalWord(n), counted)
  }
  grammar.word(from, 'a', small)
  grammar.word(small, 'hundred', afterHundred)
  grammar.word(small, 'thousand', afterThousand)
  const hundreds = grammar.state()
  for (let n = 1; n < 10; n += 1) grammar.word(afterThousand, cardinalWord(n), hundreds)
  grammar.word(hundreds, 'hundred', afterHundred)
  grammar.word(afterHundred, 'and', afterHundred)
  grammar.word(afterThousand, 'and', afterThousand)
  for (const state of [small, afterHundred, afterThousand]) grammar.skip(state, counted)
  grammar.skip(counted, end)
  const dollars = grammar.state()
  grammar.word(counted, 'dollars', dollars)
  grammar.skip(dollars, end)
  const cents = grammar.state()
  const centsSaid = grammar.state()
  grammar.word(dollars, 'and', cents)
  grammar.skip(dollars, cents)
  for (let n = 1; n < 100; n += 1) {
    grammar.word(cents, cardinalWord(n), centsSaid)
    // "eighty-nine fifty"
    if (n >= 10) grammar.word(small, cardinalWord(n), end, UNUSUAL)
  }
  grammar.word(centsSaid, 'cents', end)
  grammar.skip(centsSaid, end)
  // As it is written: "$89", for a recogniser that writes it so.
  for (let n = 1; n <= MOST_WRITTEN_DOLLARS; n += 1) grammar.word(from, `$${n}`, end)
}

const MOST_WRITTEN_DOLLARS = 999

/** Any words: only a text can be read by it. A spelling may follow the name or stand for it. */
function addName(grammar: GrammarBuilder, from: number, end: number): void {
  let at = from
  const named: number[] = []
  for (let place = 0; place < MOST_NAME_WORDS; place += 1) {
    const next = grammar.state()
    grammar.arc(at, { to: next, any: true })
    grammar.skip(next, end)
    named.push(next)
    at = next
  }
  const firstLetter = grammar.state()
  const spelled = grammar.state()
  for (const letter of LETTERS) {
    grammar.word(from, letter, firstLetter)
    for (const name of named) grammar.word(name, letter, firstLetter)
    grammar.word(firstLetter, letter, spelled)
    grammar.word(spelled, letter, spelled)
  }
  grammar.skip(spelled, end)
}

const MOST_NAME_WORDS = 4

function addSpelling(grammar: GrammarBuilder, from: number, end: number): void {
  const afterLetter = new Map(LETTERS.map((letter) => [letter, grammar.state()]))
  const doubled = grammar.state()
  const nexts = [{ at: from, rarity: (_next: string): number => 0 }, ...[...afterLetter].map(([letter, at]) => ({ at, rarity: (next: string): number => rarityOfPair(letter, next) }))]
  for (const [letter, after] of afterLetter) {
    const said = grammar.state()
    for (const { at, rarity } of nexts) grammar.word(at, letter, said, rarity(letter))
    grammar.skip(said, after)
    grammar.skip(after, end)
    const like = grammar.state()
    for (const link of ['as in', 'for', 'like', 'like in']) grammar.phrase(said, link.split(' '), like, UNUSUAL)
    for (const word of SPELLING_WORDS.filter((candidate) => candidate.startsWith(letter))) grammar.word(like, word, after)
    grammar.word(doubled, letter, after)
    grammar.word(after, 'double', doubled, UNUSUAL)
    for (const aside of ['capital', 'um', 'uh', 'and then']) grammar.phrase(after, aside.split(' '), after, UNUSUAL)
  }
  grammar.word(from, 'double', doubled, UNUSUAL)
}

export const LETTERS: readonly string[] = [...'abcdefghijklmnopqrstuvwxyz']
/** What callers explain a letter with: the aviation alphabet and its household versions. */
const SPELLING_WORDS: readonly string[] = (
  'alpha apple adam able bravo boy baby bob charlie cat car candy delta dog david dad echo elephant edward easy eric foxtrot frank fox father fred golf george girl good hotel henry house happy harry ' +
  'india igloo ice ida ink juliet john james jack jump kilo king kite kate lima lion larry lucy love mike mary mother michael man november nancy nora nick night oscar ocean orange otto papa peter paul pizza ' +
  'quebec queen romeo robert roger red sierra sam sugar susan snake tango tom thomas tiger uniform uncle umbrella united victor victory van violet whiskey william water xray yankee yellow young york zulu zebra zoo'
).split(' ')
