import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { decodeMulaw } from '../../src/audio/g711.ts'
import { readWav } from '../../src/audio/wav.ts'
import { RecordingFiles } from '../../src/storage/recording-files.ts'
import { MemoryRecordings } from '../support/memory-recordings.ts'
import { END, recordingFacts, recordingStoreContract } from './recording-store-contract.ts'

t.test('recordings in files', async (t) => recordingStoreContract(t, (t) => new RecordingFiles(t.testdir({}))))
t.test('recordings in memory, for tests', async (t) => recordingStoreContract(t, () => new MemoryRecordings()))

t.test('the file is a WAV file that any player opens, while the call goes on too, and nobody else on the machine reads it', async (t) => {
  const folder = t.testdir({})
  const store = new RecordingFiles(folder)
  const facts = recordingFacts('Polar/Bay ..')
  const sink = await store.create('Polar/Bay ..', facts)
  await sink.write(0, Uint8Array.from({ length: 3200 }, (_, index) => (index % 2 === 0 ? 0x11 : 0x22)))
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const wav = join(folder, names.find((name) => name.endsWith('.wav')) ?? '')
  const bytes = readFileSync(wav)
  t.equal(bytes.readUInt32LE(4), bytes.length - 8)
  const { channels, sampleRateHz } = readWav(bytes)
  t.equal(sampleRateHz, 8000)
  t.same([channels.length, channels[0]?.length, channels[0]?.[5], channels[1]?.[5]], [2, 1600, decodeMulaw(Uint8Array.of(0x11))[0], decodeMulaw(Uint8Array.of(0x22))[0]])
  await sink.finish(END)
  t.equal(statSync(wav).mode & 0o777, 0o600)
  t.notMatch(names.join(), /Polar|CA1|2395550111/, 'no name says who called whom')
})

t.test('a server that is killed in the middle of a call leaves a recording that can be played', async (t) => {
  const folder = t.testdir({})
  const victim = spawn(process.execPath, [join(import.meta.dirname, 'recording-victim.ts'), folder], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => victim.kill('SIGKILL'))
  let written = ''
  for await (const chunk of victim.stdout) {
    written += String(chunk)
    if (written.split('\n').length > 30) break
  }
  victim.kill('SIGKILL')
  await new Promise((resolve) => victim.once('exit', resolve))
  const store = new RecordingFiles(folder)
  const [recording] = await store.list('polar-bay', { before: null, limit: 10 })
  t.ok(recording !== undefined && recording.durationMs > 5000, `${recording?.durationMs} ms were kept`)
  t.equal(recording?.end, null, 'and nobody says that it ended in order')
  const name = readdirSync(folder, { recursive: true, encoding: 'utf8' }).find((name) => name.endsWith('.wav'))
  const { channels } = readWav(readFileSync(join(folder, name ?? '')))
  t.same([...new Set(channels[0])], [...decodeMulaw(Uint8Array.of(0x11))], 'the caller on the left')
  t.same([...new Set(channels[1])], [...decodeMulaw(Uint8Array.of(0x22))], 'the agent on the right')
})

t.test('facts that were damaged are an error that names the recording, never a crash and never a stranger\'s', async (t) => {
  const folder = t.testdir({})
  const store = new RecordingFiles(folder)
  const facts = recordingFacts('polar-bay')
  await (await store.create('polar-bay', facts)).finish(END)
  const json = join(folder, readdirSync(folder, { recursive: true, encoding: 'utf8' }).find((name) => name.endsWith('.json')) ?? '')
  writeFileSync(json, '{"id":')
  await t.rejects(store.get('polar-bay', facts.id), { code: 'STORE_FAILED', message: new RegExp(facts.id) })
  writeFileSync(json, JSON.stringify({ ...facts, companyId: 'harbor-lane', end: null }))
  t.equal(await store.get('polar-bay', facts.id), null)
})
