import type { Voice } from './synthesizer.ts'

export type VoiceEngineName = 'embedded' | 'deepgram' | 'openai'
type Gender = 'female' | 'male'

/**
 * The same agent at another engine: a voice keeps its name where the engine knows it, else the engine's voice of the same gender
 * speaks, so that a caller hears the nearest thing to the person who spoke before.
 */
export function voiceAt(engine: VoiceEngineName, voice: Voice): Voice {
  if (knows(engine, voice.id)) return voice
  const gender = genderOf(voice.id)
  return { ...voice, id: COUNTERPARTS[voice.id]?.[engine] ?? DEFAULTS[engine][gender] }
}

/** Of a voice of any engine. Names nobody told us about are taken for a woman's, as most agents' are. */
export function genderOf(voiceId: string): Gender {
  return MEN.has(voiceId) || MEN.has(auraName(voiceId)) ? 'male' : 'female'
}

function knows(engine: VoiceEngineName, voiceId: string): boolean {
  switch (engine) {
    case 'embedded':
      return EMBEDDED.has(voiceId)
    case 'deepgram':
      // Vendors add voices faster than lists are kept.
      return /^aura(-2)?-[a-z]+-[a-z]{2}$/.test(voiceId)
    case 'openai':
      return OPENAI.has(voiceId)
  }
}

/** The name in the middle: "aura-2-orion-en". */
function auraName(voiceId: string): string {
  return /^aura(?:-2)?-([a-z]+)-/.exec(voiceId)?.[1] ?? ''
}

const EMBEDDED = new Set(['slt', 'kal', 'kal16', 'awb', 'rms'])
const OPENAI = new Set(['alloy', 'ash', 'ballad', 'cedar', 'coral', 'echo', 'fable', 'marin', 'nova', 'onyx', 'sage', 'shimmer', 'verse'])
const MEN = new Set([
  ...['kal', 'kal16', 'awb', 'rms'],
  ...['ash', 'ballad', 'cedar', 'echo', 'fable', 'onyx', 'verse'],
  ...['angus', 'apollo', 'arcas', 'aries', 'atlas', 'draco', 'hermes', 'hyperion', 'jupiter', 'mars', 'neptune', 'odysseus', 'orion', 'orpheus', 'perseus', 'pluto', 'saturn', 'zeus'],
])
const DEFAULTS: Readonly<Record<VoiceEngineName, Readonly<Record<Gender, string>>>> = {
  embedded: { female: 'slt', male: 'rms' },
  deepgram: { female: 'aura-2-thalia-en', male: 'aura-2-orion-en' },
  openai: { female: 'coral', male: 'ash' },
}
/** Nearer than gender alone: awb is a Scot. */
const COUNTERPARTS: Readonly<Record<string, Readonly<Partial<Record<VoiceEngineName, string>>>>> = {
  awb: { deepgram: 'aura-2-draco-en', openai: 'fable' },
  'aura-2-draco-en': { embedded: 'awb', openai: 'fable' },
  fable: { embedded: 'awb', deepgram: 'aura-2-draco-en' },
}
