/** What the synthesizer asks of its worker: one clause at a time, answered in order. */
export type FliteRequest = Readonly<{
  id: number
  text: string
  voiceId: FliteVoiceId
  /** 1 is the voice's own pace. */
  speed: number
  /** 1 is the voice's own pitch; 'rms' keeps its own whatever is asked. */
  pitch: number
  pauseAfterMs: number
}>

export type FliteReply =
  | Readonly<{ kind: 'spoken'; id: number; mulaw: Uint8Array }>
  | Readonly<{ kind: 'failed'; id: number; reason: string }>

export const FLITE_VOICES = ['kal', 'kal16', 'awb', 'rms', 'slt'] as const
export type FliteVoiceId = (typeof FLITE_VOICES)[number]

export function isFliteVoiceId(id: string): id is FliteVoiceId {
  return FLITE_VOICES.some((voice) => voice === id)
}
