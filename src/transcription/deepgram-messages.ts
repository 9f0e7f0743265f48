import { z } from 'zod'
import type { Word } from './transcriber.ts'

/** What the listening vendor says, of either protocol. Times are milliseconds of the audio sent on this connection. */
export type ListenMessage =
  | Readonly<{
      kind: 'results'
      /** The stretch of audio that the words are all of. */
      startMs: number
      endMs: number
      words: readonly Word[]
      /** The vendor will not take these words back. */
      final: boolean
    }>
  /** Nothing was said since this word: what was heard up to it stands. */
  | Readonly<{ kind: 'utterance-end'; lastWordEndMs: number }>
  | Readonly<{ kind: 'turn'; hint: 'eager-end' | 'resumed' | 'end'; confidence: number; atMs: number }>
  | Readonly<{ kind: 'error'; reason: string }>
  /** Understood, and nothing to do about it. */
  | Readonly<{ kind: 'other' }>

/** A message of /v1/listen or /v2/listen, as the vendor's library hands it over; null when it is none. A turn's news may be two messages. */
export function parseListenMessage(raw: unknown): readonly ListenMessage[] | null {
  const parsed = messageSchema.safeParse(raw)
  if (!parsed.success) return null
  const message = parsed.data
  switch (message.type) {
    case 'Results': {
      const heard = message.channel.alternatives[0]
      const startMs = millis(message.start)
      const endMs = millis(message.start + message.duration)
      const words = heard === undefined ? [] : wordsOf(heard.transcript, heard.words, startMs, endMs)
      return [{ kind: 'results', startMs, endMs, words, final: message.is_final }]
    }
    case 'UtteranceEnd':
      return [{ kind: 'utterance-end', lastWordEndMs: millis(message.last_word_end) }]
    case 'TurnInfo':
      return turnNews(message)
    case 'Error':
      return [{ kind: 'error', reason: message.description }]
    case 'Metadata':
    case 'SpeechStarted':
    case 'Connected':
    case 'ConfigureSuccess':
    case 'ConfigureFailure':
      return [{ kind: 'other' }]
  }
}

const HINTS = new Map([
  ['EagerEndOfTurn', 'eager-end'],
  ['TurnResumed', 'resumed'],
  ['EndOfTurn', 'end'],
] as const)

function turnNews(message: z.output<typeof turnInfo>): readonly ListenMessage[] {
  const startMs = millis(message.audio_window_start)
  const endMs = millis(message.audio_window_end)
  const words = wordsOf(message.transcript, message.words, startMs, endMs)
  const results: ListenMessage = { kind: 'results', startMs, endMs, words, final: message.event === 'EndOfTurn' }
  const hint = HINTS.get(message.event as 'EndOfTurn')
  return hint === undefined ? [results] : [results, { kind: 'turn', hint, confidence: message.end_of_turn_confidence, atMs: endMs }]
}

type VendorWord = z.output<typeof wordSchema>

/** With punctuation where the vendor knows it; with times shared out evenly where it has none. */
function wordsOf(transcript: string, words: readonly VendorWord[], startMs: number, endMs: number): Word[] {
  const timed = words.flatMap(({ word, punctuated_word: punctuated, start, end }) =>
    start === undefined || end === undefined ? [] : [{ text: punctuated ?? word, startMs: millis(start), endMs: millis(end) }],
  )
  if (timed.length > 0 && timed.length === words.length) return timed
  const texts = transcript.split(/\s+/).filter((text) => text !== '')
  const eachMs = (endMs - startMs) / Math.max(1, texts.length)
  return texts.map((text, i) => ({ text, startMs: startMs + i * eachMs, endMs: startMs + (i + 1) * eachMs }))
}

function millis(ofSeconds: number): number {
  return Math.round(ofSeconds * 1000)
}

/** A stream of a day. */
const seconds = z.number().min(0).max(86_400)
const wordSchema = z.object({ word: z.string(), punctuated_word: z.string().optional(), start: seconds.optional(), end: seconds.optional() })
const turnInfo = z.object({
  type: z.literal('TurnInfo'),
  event: z.string(),
  transcript: z.string(),
  words: z.array(wordSchema).default([]),
  audio_window_start: seconds,
  audio_window_end: seconds,
  end_of_turn_confidence: z.number().default(0),
})
const messageSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('Results'),
    start: seconds,
    duration: seconds,
    is_final: z.boolean().default(false),
    channel: z.object({ alternatives: z.array(z.object({ transcript: z.string(), words: z.array(wordSchema).default([]) })) }),
  }),
  z.object({ type: z.literal('UtteranceEnd'), last_word_end: z.number() }),
  turnInfo,
  z.object({ type: z.literal('Error'), description: z.string().default('no reason given') }),
  z.object({ type: z.literal('Metadata') }),
  z.object({ type: z.literal('SpeechStarted') }),
  z.object({ type: z.literal('Connected') }),
  z.object({ type: z.literal('ConfigureSuccess') }),
  z.object({ type: z.literal('ConfigureFailure') }),
])
