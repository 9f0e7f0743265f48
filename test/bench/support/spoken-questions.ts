import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeMulaw } from '../../../src/audio/g711.ts'
import { readWav } from '../../../src/audio/wav.ts'
import type { Clip } from '../../vendors/deepgram-ears.ts'
import { sentenceOf } from './light-caller.ts'

/** Words of the shape "where is the amber lantern?", which a turn detector takes for a whole question, and which lean on nothing said before. */
const THINGS = ['amber lantern', 'silver compass', 'maple cradle', 'copper kettle', 'velvet curtain', 'marble statue', 'cedar bucket', 'woollen blanket']
export const TOPICS: readonly Readonly<{ question: string; answer: string }>[] = THINGS.map((thing) => ({
  question: `Where is the ${thing}?`,
  answer: `Our ${thing} is kept in the front room, where everybody may look at it.`,
}))

/** One recorded sentence, said so that every topic has a sound of its own: the lowest bit differs, which nobody hears and a stand-in can tell. */
export function spokenTopics(): readonly Clip[] {
  const wav = readWav(readFileSync(join(import.meta.dirname, '../../../media/calls/faq-hours.wav')))
  const plain = encodeMulaw(wav.channels[0] as Int16Array)
  const { voicedEndMs } = sentenceOf(plain)
  return TOPICS.map(({ question }, topic) => {
    let seed = topic + 1
    const mulaw = plain.map((code) => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff
      return code ^ ((seed >> 16) & 1)
    })
    const words = question.split(' ')
    const eachMs = voicedEndMs / words.length
    return { mulaw, words: words.map((text, index) => ({ text, startMs: index * eachMs, endMs: (index + 1) * eachMs })) }
  })
}
