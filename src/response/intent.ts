import { WEEKDAYS } from '../tenancy/company.ts'
import { digitRun } from './spoken-numbers.ts'
import type { Weekday } from './spoken-hours.ts'
import { contentWords, plainText } from './words.ts'
import { asksPrice } from './knowledge.ts'

/** What a caller does with a sentence, before it is known what it is about. 'ask' is everything that wants an answer. */
export type SpeechAct =
  | 'greeting'
  | 'thanks'
  | 'goodbye'
  | 'repeat'
  | 'hold'
  | 'robot'
  | 'who'
  | 'person'
  | 'message'
  | 'yes'
  | 'no'
  | 'foreign'
  | 'thin'
  | 'ask'

export type DayMention = Weekday | 'today' | 'tomorrow' | 'weekend'

export type Understanding = Readonly<{
  act: SpeechAct
  /** The words that matter: greetings, fillers and courtesies taken off. */
  rest: string
  /** A yes or no in front of something else: "no, how much is it". */
  opening: 'yes' | 'no' | null
  day: DayMention | null
  /** Asks when somebody is there, not when somebody comes. */
  isAboutHours: boolean
  isAboutPrice: boolean
  /** Leans on what was said before: "and how much is that". */
  isFollowUp: boolean
  zip: string | null
}>

/** Pure. `ownNames` are the agent's and the company's, which callers say when they greet. */
export function understand(text: string, mishearings: Readonly<Record<string, string>>, ownNames: readonly string[]): Understanding {
  const plain = plainText(text, mishearings)
  const opening = /^(?:yes|yeah|yep|yup|sure|okay|ok)\b/.test(plain) ? 'yes' : /^(?:no|nope|nah)\b/.test(plain) ? 'no' : null
  const rest = withoutCourtesies(plain, ownNames)
  return {
    act: speechAct(plain, rest, ownNames),
    rest,
    opening,
    day: dayMentioned(plain),
    isAboutHours: HOURS_TALK.test(plain) && !VISIT_TALK.test(plain),
    isAboutPrice: asksPrice(plain),
    isFollowUp: FOLLOW_UP.test(rest) || FOLLOW_UP.test(plain),
    zip: digitRun(plain, 5),
  }
}

const HOURS_TALK = /\b(?:open|opens|opened|close|closes|closed|hours|hour)\b|\b(?:anyone|anybody|someone|somebody|you) (?:guys )?(?:be )?(?:there|in)\b/
const VISIT_TALK = /\b(?:come|coming|send|technician|tech|appointment|book|schedule|visit|emergency|night|breaks?|garage|window)\b/
const FOLLOW_UP = /^(?:and|also|but|what about|how about|what if)\b|\b(?:that|it|those|them|this one|that one|one of those)$|^(?:does|do|is|are|can|will|would) (?:that|it|they|those|this)\b|\b(?:of that|for that|with that|about that|is that|does that|does it|is it)\b/

function speechAct(plain: string, rest: string, ownNames: readonly string[]): SpeechAct {
  if (plain === '') return 'thin'
  if (isAll(plain, [...YES, ...GLAD]) && has(plain, YES)) return 'yes'
  if (/^(?:no|nope|nah)(?: (?:no|nope|not (?:really|now|yet|today)))*$/.test(plain)) return 'no'
  if (isAll(plain, [...HOLD, ...COURTESY]) && has(plain, HOLD)) return 'hold'
  if (has(plain, GOODBYE) && isAll(plain, [...GOODBYE, ...THANKS, ...COURTESY], MISHEARD_WORDS)) return 'goodbye'
  if (isAll(plain, [...THANKS, ...COURTESY]) && has(plain, THANKS)) return 'thanks'
  if (isAll(plain, [...REPEAT, ...COURTESY]) && has(plain, REPEAT)) return 'repeat'
  if (isForeign(plain)) return 'foreign'
  if (ROBOT.test(plain)) return 'robot'
  if (WHO.test(rest) || asksForOwnName(rest, ownNames)) return 'who'
  if (PERSON.some((pattern) => pattern.test(rest)) && !NOT_A_PERSON.test(rest)) return 'person'
  if (MESSAGE.test(rest)) return 'message'
  if (rest === '') return /\b(?:hi|hello|hey|hiya|morning|afternoon|evening)\b/.test(plain) ? 'greeting' : 'thin'
  return contentWords(rest).length === 0 && rest.split(' ').length <= 4 && !/^(?:how much|when|where|who)\b/.test(rest) ? 'thin' : 'ask'
}

const COURTESY = [
  'hi', 'hello', 'hey', 'hiya', 'there', 'good morning', 'good afternoon', 'good evening', 'please', 'sorry', 'excuse me', 'okay', 'ok', 'alright', 'all right',
  'well', 'so', 'oh', 'um', 'uh', 'uhm', 'hmm', 'mhm', 'er', 'ah', 'yes', 'yeah', 'yep', 'no', 'right', 'sure', 'great', 'perfect', 'awesome', 'wonderful', 'cool', 'sir', 'ma am',
  "ma'am", 'then', 'just', 'now', 'for now', 'and', 'but', 'actually', 'like', 'you know', 'i mean', 'i see', 'got it', 'great thanks',
]
const THANKS = ['thank you', 'think you', 'thanks', 'thank you so much', 'thank you very much', 'thanks a lot', 'thanks so much', 'many thanks', 'appreciate it', 'i appreciate it', 'i appreciate your help',
  'thanks for your help', 'thank you for your help', 'for your help', 'that is helpful', 'that helps', 'cheers', 'much appreciated', 'you have been very helpful', 'that is great', 'that was great', 'very much', 'so much']
const GOODBYE = [
  'bye', 'bye bye', 'goodbye', 'good bye', 'that is all', 'that is it', 'that will be all', 'that is everything', 'that will be it', 'that is all i needed', 'that is all i need',
  'that was all', 'that is all for now', 'that is all for today', 'i am good', 'i am all good', 'i am all set', 'i am set', 'we are all set', 'i am done', 'we are done', 'nothing else', 'nothing', 'no nothing else', 'no thank you', 'no thanks', 'not right now',
  'have a good day', 'have a nice day', 'have a great day', 'have a good one', 'have a good night', 'have a good evening', 'have a good weekend', 'talk to you later', 'talk to you soon', 'see you', 'see you later', 'take care', 'good night', 'you too', 'that is all thank you',
  'i have to go', 'i got to go', 'i will call back', 'i will call you back', 'i will call back later', 'never mind', 'that is all i wanted to know', 'that is what i needed',
]
const HOLD = [
  'wait', 'wait a minute', 'wait a second', 'wait a moment', 'hold on', 'hold on a second', 'hold on a minute', 'hold on a sec', 'hold please', 'hold the line', 'hang on', 'hang on a second', 'hang on a minute', 'hang on a sec', 'one moment', 'one second',
  'one sec', 'one minute', 'just a moment', 'just a second', 'just a sec', 'just a minute', 'a second', 'a moment', 'give me a second', 'give me a minute', 'give me a moment', 'give me one second', 'give me a sec', 'bear with me', 'let me check', 'let me see', 'let me think',
  'let me look', 'let me get my calendar', 'let me get a pen', 'let me grab a pen', 'let me find it', 'let me check my calendar', 'let me ask my wife', 'let me ask my husband', 'hold that thought', 'just hold on', 'can you hold', 'can you hold on', 'can you hold on a second', 'can you wait a second', 'can you wait',
]
const REPEAT = [
  'repeat', 'repeat that', 'repeat it', 'repeat that please', 'say that again', 'say it again', 'say again', 'say that one more time', 'one more time', 'again', 'come again', 'pardon', 'pardon me', 'what', 'what was that', 'what did you say', 'what did you just say', 'huh', 'excuse me',
  'can you repeat that', 'could you repeat that', 'can you repeat it', 'could you repeat', 'can you repeat', 'can you say that again', 'could you say that again', 'would you repeat that', 'would you say that again', 'i did not hear that', 'i did not hear you', 'i did not catch that', 'i did not get that', 'i could not hear you', 'i could not hear that', 'i missed that', 'i can not hear you',
  'can you repeat that one more time', 'could you please repeat that', 'can you please repeat that', 'can you please say that again', 'could you please say that again', 'can you speak up', 'what is that', 'what is that again', 'you broke up', 'you are breaking up',
]
const YES = ['yes', 'yeah', 'yep', 'yup', 'ya', 'sure', 'ok', 'okay', 'please', 'please do', 'yes please', 'go ahead', 'that would be great', 'that would be good', 'that would be fine', 'sounds good', 'sounds great', 'absolutely', 'of course', 'do that', 'correct', 'right', 'uh huh', 'mhm', 'mm hmm',
  'why not', 'i would', 'i would like that', 'let us do that', 'yes i would', 'yes i do', 'i do', 'definitely', 'that is fine', 'fine', 'that works', 'connect me', 'put me through', 'yes connect me', 'yes that would be great', 'i would love that', 'you can do that']

const GLAD = ['great', 'thank you', 'thanks', 'perfect', 'alright', 'all right', 'oh', 'um', 'uh', 'well']

/** A line swallows a word or two of a goodbye: "no that is all think you by". */
const MISHEARD_WORDS = 2
const ASKS = /^(?:what|how|when|where|who|why|which|much|many|do|does|did|can|could|is|are|will|would|need|want)$/

/** True when the words are nothing but these phrases, one after the other. `spare`: words without meaning that may be between them. */
function isAll(plain: string, phrases: readonly string[], spare = 0): boolean {
  let left = plain
  let skipped = 0
  while (left !== '') {
    let longest = ''
    for (const phrase of phrases) if (phrase.length > longest.length && `${left} `.startsWith(`${phrase} `)) longest = phrase
    if (longest === '') {
      longest = left.split(' ', 1)[0] as string
      skipped++
      if (skipped > spare || contentWords(longest).length > 0 || ASKS.test(longest)) return false
    }
    left = left.slice(longest.length).trim()
  }
  return true
}

function has(plain: string, phrases: readonly string[]): boolean {
  return phrases.some((phrase) => ` ${plain} `.includes(` ${phrase} `))
}

const ROBOT = /\b(?:are you|am i (?:talking|speaking) (?:to|with)|is this|you are) (?:an? )?(?:(?:real|live|actual|human|automated|ai|talking) ?)*(?:robot|machine|computer|bot|ai|human|person|recording|being|automated|answering machine|answering service|assistant)\b/
const WHO = /^(?:and )?(?:who is this|who am i (?:speaking|talking) (?:to|with)|who are you|who did i (?:reach|call)|who is (?:speaking|calling|there)|what (?:is|was) your name(?: again)?|what company is this|what business is this|what is the name of (?:your|the) (?:company|business|office)|which company is this|what is this number|who do i have)(?: please)?$/
const PERSON: readonly RegExp[] = [
  /\b(?:speak|talk|chat) (?:to|with)\b/,
  /\b(?:transfer|connect|patch|put) me\b/,
  /\b(?:real|live|actual|human) (?:person|human|agent|being|representative|somebody|someone)\b/,
  /^(?:an? |the )?(?:agent|operator|representative|human|person|receptionist|someone|somebody|manager|supervisor|customer service|front desk)$/,
  /\b(?:can|could|may) i (?:get|have|reach) (?:an? |the |your |some|through to )?(?:person|human|operator|manager|supervisor|representative|agent|one|body|billing|owner|front desk|receptionist)\b/,
  /\b(?:i )?(?:want|need|give me|get me) (?:an? |the |your )?(?:real |live )?(?:person|human|operator|manager|supervisor|representative|agent|front desk)\b/,
  /\bis there (?:anyone|anybody|someone|somebody|a person) (?:i can|there i can|available|to)\b/,
  /\bget (?:me )?(?:someone|somebody|a person|a human) on the (?:phone|line)\b/,
  /^(?:the )?\w+ (?:department|desk) please$/,
]
const NOT_A_PERSON = /\b(?:transfer|connect|move) (?:my|the|our)\b|\bspeaks? spanish\b|\babout what\b|\bam i (?:speaking|talking)\b/
const MESSAGE = /\b(?:leave|take) (?:an? |him |her |them |you |y'all )*(?:a )?(?:quick )?(?:message|voicemail|voice mail|note)\b|\bcall me back\b|\bcalled back\b|\b(?:have|get|ask) (?:someone|somebody|him|her|them|a \w+|the \w+|\w+) (?:to )?(?:call|phone|ring) me\b|\bcall ?back\b|^(?:a )?(?:message|voicemail)$|\breturn my call\b|\bgive me a call\b/

function asksForOwnName(rest: string, ownNames: readonly string[]): boolean {
  if (!/^(?:is this|have i reached|did i reach|is that|do i have|am i calling)\b/.test(rest)) return false
  return ownNames.some((name) => rest.includes(plainText(name)) || rest.includes(plainText(name).split(' ').slice(0, 2).join(' ')))
}

const SPANISH = new Set('hola buenos buenas dias tardes noches por favor necesito quiero habla hablas espanol gracias ayuda aire casa tengo problema mi el la los una un para con cita cuanto cuesta usted puede puedo llamar donde esta que no si senor senora dientes diente dolor'.split(' '))

/** A Spanish opener, which the recogniser writes down as best it can. */
function isForeign(plain: string): boolean {
  const tokens = plain.split(' ')
  const spanish = tokens.filter((token) => SPANISH.has(token)).length
  if (/\b(?:hola|necesito|espanol|buenos dias|buenas tardes|por favor)\b/.test(plain) && spanish * 2 >= tokens.length) return true
  return spanish >= 3 && spanish * 2 > tokens.length
}

const OPENERS = [
  ...COURTESY, ...THANKS,
  'how are you', 'how are you doing', 'how are you today', 'i was wondering', 'i was just wondering', 'i am wondering', 'i am just wondering', 'i am calling about', 'i am calling to', 'i am calling because', 'i am just calling to', 'i was calling to', 'i was calling about', 'i wanted to',
  'can you tell me', 'could you tell me', 'do you know', 'i have a question', 'i have a quick question', 'i had a question', 'i just had a question', 'i would like to know', 'i want to know', 'i wanted to know', 'i just want to know', 'i need to know', 'quick question', 'i was hoping', 'tell me', 'if', 'about', 'let me ask you', 'listen',
  'wait a minute', 'hold on', 'wait', 'one second', 'i am trying to find out', 'can you help me', 'maybe you can help me', 'can i ask', 'just curious', 'by chance',
]

function withoutCourtesies(plain: string, ownNames: readonly string[]): string {
  const openers = [...OPENERS, ...ownNames.map((name) => plainText(name))]
  let left = plain
  for (;;) {
    let longest = ''
    for (const opener of openers) if (opener.length > longest.length && `${left} `.startsWith(`${opener} `)) longest = opener
    if (longest === '') break
    left = left.slice(longest.length).trim()
  }
  return left.replace(/(?: (?:please|thanks|thank you|sir|ma'am|um|uh))+$/, '').trim()
}

function dayMentioned(plain: string): DayMention | null {
  for (const weekday of WEEKDAYS) if (new RegExp(`\\b${weekday}s?\\b`).test(plain)) return weekday
  if (/\bweekends?\b/.test(plain)) return 'weekend'
  if (/\btomorrow\b/.test(plain)) return 'tomorrow'
  return /\b(?:today|tonight)\b/.test(plain) ? 'today' : null
}
