import type { Readable } from 'node:stream'
import type { Test } from 'tap'
import type { RecordingFacts, RecordingStore } from '../../src/call/recording.ts'
import { uuidv7 } from '../../src/core/ids.ts'

export function recordingFacts(companyId: string, changes: Partial<RecordingFacts> = {}): RecordingFacts {
  const startedAt = changes.startedAt ?? '2026-03-02T15:00:00.000Z'
  return { id: uuidv7(new Date(startedAt)), companyId, callSid: 'CA1', from: '+12395550111', to: '+12395550100', startedAt, notice: 'This call is recorded.', ...changes }
}

export async function bytesOf(stream: Readable | null): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of stream ?? []) parts.push(Buffer.from(part as Uint8Array))
  return Buffer.concat(parts)
}

const { signal } = new AbortController()
export const END = { endedAt: '2026-03-02T15:01:00.000Z', endedBy: 'call', silenced: [{ fromMs: 10, toMs: 20, because: 'private' }] } as const

/** What every place for recordings promises. */
export function recordingStoreContract(t: Test, open: (t: Test) => RecordingStore): void {
  t.test('what was written is read back, whole and in part, and by its own company only', async (t) => {
    const store = open(t)
    const facts = recordingFacts('polar-bay')
    const sink = await store.create('polar-bay', facts)
    await sink.write(0, new Uint8Array(320).fill(1))
    await sink.write(640, new Uint8Array(320).fill(3))
    await sink.write(320, new Uint8Array(320).fill(2))
    t.same((await store.get('polar-bay', facts.id, signal))?.end, null, 'it is going on')
    await sink.finish(END)
    const recording = await store.get('polar-bay', facts.id, signal)
    t.match(recording, { ...facts, end: END, durationMs: 60 })
    const size = recording?.sizeBytes ?? 0
    const whole = await bytesOf(await store.read('polar-bay', facts.id, { from: 0, to: size }, signal))
    t.equal(whole.length, size)
    t.same([...new Set(whole.subarray(-960))], [1, 2, 3])
    t.same(await bytesOf(await store.read('polar-bay', facts.id, { from: size - 322, to: size - 318 }, signal)), Buffer.from([2, 2, 3, 3]))
    t.equal(await store.get('harbor-lane', facts.id, signal), null)
    t.equal(await store.read('harbor-lane', facts.id, { from: 0, to: 1 }, signal), null)
    t.equal(await store.delete('harbor-lane', facts.id), false)
    t.equal(await store.delete('polar-bay', '../../../etc/passwd'), false)
    t.same(await store.list('harbor-lane', { before: null, limit: 10 }, signal), [])
    await t.rejects(store.create('harbor-lane', recordingFacts('polar-bay')), { code: 'INVALID_INPUT' })
  })

  t.test('recordings are listed newest first, page by page, by call, caller and time', async (t) => {
    const store = open(t)
    const made = ['2026-03-01T10:00:00.000Z', '2026-03-02T10:00:00.000Z', '2026-03-03T10:00:00.000Z'].map((startedAt, index) =>
      recordingFacts('polar-bay', { startedAt, callSid: `CA${index}`, from: index === 1 ? '+12395550122' : '+12395550111' }),
    )
    for (const facts of made) await (await store.create('polar-bay', facts)).finish(END)
    const ids = async (page: object): Promise<readonly string[]> => (await store.list('polar-bay', { before: null, limit: 10, ...page }, signal)).map(({ callSid }) => callSid)
    t.same(await ids({}), ['CA2', 'CA1', 'CA0'])
    t.same(await ids({ limit: 2 }), ['CA2', 'CA1'])
    t.same(await ids({ before: made[1]?.id ?? '' }), ['CA0'])
    t.same(await ids({ callSid: 'CA1' }), ['CA1'])
    t.same(await ids({ from: '+12395550111' }), ['CA2', 'CA0'])
    t.same(await ids({ startedBefore: '2026-03-02T10:00:00.000Z' }), ['CA0'])
    t.same(await ids({ startedFrom: '2026-03-02T10:00:00.000Z' }), ['CA2', 'CA1'])
    t.same(await store.companies(signal), ['polar-bay'])
  })

  t.test('a recording that is deleted while it is made stays deleted', async (t) => {
    const store = open(t)
    const facts = recordingFacts('polar-bay')
    const sink = await store.create('polar-bay', facts)
    await sink.write(0, new Uint8Array(320).fill(1))
    t.equal(await store.delete('polar-bay', facts.id), true)
    await sink.write(320, new Uint8Array(320).fill(1))
    await sink.finish(END)
    t.equal(await store.get('polar-bay', facts.id, signal), null)
    t.same(await store.list('polar-bay', { before: null, limit: 10 }, signal), [])
    t.equal(await store.delete('polar-bay', facts.id), false)
  })
}
