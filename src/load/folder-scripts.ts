import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { parseCallScript, readClip, type LoadedScript } from './call-script.ts'

/** Each file is said once after the greeting. What it says is unknown, so only an answer is expected, with time for any pause. */
export async function folderScripts(folder: string): Promise<LoadedScript[]> {
  const files = (await readdir(folder)).filter((name) => name.toLowerCase().endsWith('.wav')).toSorted()
  if (files.length === 0) throw new Error(`--wavs ${folder}: no .wav files`)
  return Promise.all(
    files.map(async (file) => {
      const clip = await readClip(join(folder, file))
      const name = basename(file).slice(0, -4).toLowerCase().replace(/[^a-z0-9]+/g, '-')
      const step = { do: 'say', wav: 'said.wav', text: '(unknown)', voice: 'recorded', when: { after: 'agent-finished' }, expect: { withinMs: 4000 } }
      const script = parseCallScript({ name: `wav-${name}`, description: `The recording ${file}`, to: '+15550100000', line: { snrDb: 40 }, steps: [step] }, file)
      return { script, clips: new Map([['said.wav', clip]]) }
    }),
  )
}
