/** Bytes that must be there before a verdict; shorter audio (1.5 ms) is judged by what there is. */
export const SNIFF_BYTES = 12

const MAGIC: readonly (readonly [string, string])[] = [
  ['RIFF', 'a WAV file'],
  ['RIFX', 'a WAV file'],
  ['ID3', 'an MP3 file'],
  ['OggS', 'an Ogg file'],
  ['fLaC', 'a FLAC file'],
  ['FORM', 'an AIFF file'],
  ['.snd', 'an AU file'],
  ['\x1aE\xdf\xa3', 'a WebM file'],
]

/** What the first bytes are if they are certainly not bare µ-law (a container, or an error document); null if they may be audio. */
export function foreignFormat(head: Uint8Array): string | null {
  const start = String.fromCharCode(...head.subarray(0, SNIFF_BYTES))
  for (const [magic, name] of MAGIC) if (start.startsWith(magic)) return name
  // Speech begins near silence (0x7f, 0xff); a dozen printable characters after a bracket is an error message.
  if (start.length >= SNIFF_BYTES && /^\s*[{<[][\x20-\x7e\s]*$/.test(start)) return 'a text document'
  return null
}

/** Nobody speaks this slowly: 3 s for the shortest word, then 300 ms a character. More is noise, 16-bit samples or a runaway engine. */
export function longestPlausibleBytes(text: string): number {
  return 8 * (3000 + 300 * text.length)
}
