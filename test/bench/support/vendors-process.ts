/**
 * Stand-ins of the vendors in a process of their own, so that a bench measures the server and not them: Deepgram (listening, speaking) and
 * OpenAI on loopback with fixed delays. `--clips SCRIPT,...` are the calls whose recordings the listener knows. Prints one JSON line
 * with the addresses and runs until standard input ends; then prints what was asked of it.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { encodeMulaw } from '../../../src/audio/g711.ts'
import { loadScript } from '../../../src/load/call-script.ts'
import type { Clip } from '../../vendors/deepgram-ears.ts'
import { DeepgramStandIn } from '../../vendors/deepgram.ts'
import { OpenAiStandIn } from '../../vendors/openai.ts'

const { values: options } = parseArgs({
  options: {
    clips: { type: 'string', default: 'faq-hours' },
    'first-token': { type: 'string', default: '250' },
    token: { type: 'string', default: '15' },
  },
})

/** The words of a sentence spread over its voiced stretches by their length: near enough for a listener that knows its recordings. */
async function clipsOf(name: string): Promise<Clip[]> {
  const { script, clips } = await loadScript(join(import.meta.dirname, '../../../media/calls'), name)
  return script.steps.flatMap((step) => {
    if (step.do !== 'say') return []
    const clip = clips.get(step.wav)
    const from = clip?.spans[0]?.startMs
    const to = clip?.spans.at(-1)?.endMs
    if (clip === undefined || from === undefined || to === undefined) return []
    const words = step.text.replaceAll(/\[.*?\]/g, ' ').split(/\s+/).filter((word) => word !== '')
    const letters = words.reduce((sum, word) => sum + word.length, 0)
    let at = from
    const timed = words.map((text) => {
      const startMs = at
      at += ((to - from) * text.length) / letters
      return { text, startMs, endMs: at }
    })
    return [{ mulaw: encodeMulaw(clip.samples), words: timed }]
  })
}

const clips = (await Promise.all(options.clips.split(',').map(clipsOf))).flat()
const deepgram = await DeepgramStandIn.start({ hears: { kind: 'clips', clips } })
const openAi = await OpenAiStandIn.start()
openAi.firstTokenMs = Number(options['first-token'])
openAi.tokenMs = Number(options.token)
process.stdout.write(`${JSON.stringify({ deepgram: deepgram.url, openAi: openAi.baseUrl })}\n`)
process.stdin.resume()
process.stdin.once('end', () => {
  const asked = { tokens: openAi.generatedTokens, replies: openAi.asked.length, aborted: openAi.aborted, audioBytes: deepgram.audioBytes, spoken: deepgram.spoken.length }
  process.stdout.write(`${JSON.stringify(asked)}\n`, () => process.exit(0))
})
