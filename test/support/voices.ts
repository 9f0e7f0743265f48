import type { SpeakableText } from '../../src/core/speakable-text.ts'
import type { Voice } from '../../src/synthesis/synthesizer.ts'

/** For tests that are about voices: what they say needs no sanitizer. */
export function speakable(text: string): SpeakableText {
  return text as SpeakableText
}

export const SLT: Voice = { id: 'slt', speed: 1 }

export async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}
