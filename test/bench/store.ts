/**
 * How fast the embedded store acknowledges, and what it costs the thread that asks. Run: node test/bench/store.ts [folder]
 * Give a folder on the disk that the server will use: an acknowledgement waits for that disk.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { openEmbeddedStore, type EmbeddedStore } from '../../src/storage/embedded-store.ts'
import { entry, turn } from '../storage/fixtures.ts'

const folder = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'clientsvia-bench-'))
const store = await openEmbeddedStore({ dataDir: folder, onProblem: (problem) => process.stderr.write(`${problem.message}\n`) })
try {
  const detail = { candidates: Array.from({ length: 40 }, (_, n) => ({ entryId: `entry-${n}`, score: n / 40, phrase: 'how much is a tune-up for a heat pump' })) }
  const record = turn(0, { trace: [{ step: 'knowledge', detail }] })
  process.stdout.write(`node ${process.version}, ${availableParallelism()} processors, turn record ${JSON.stringify(record).length} bytes\n`)
  await measure('turn records, one after another', 2000, 1, (n) => store.calls.saveTurn('a', `CA${n >> 4}`, { ...record, turn: n & 15 }))
  await measure('turn records, 50 calls at once', 4000, 50, (n) => store.calls.saveTurn('b', `CA${n >> 4}`, { ...record, turn: n & 15 }))
  for (let n = 0; n < 60; n++) await store.knowledge.save('a', entry('a', `entry-${n}`, { question: `Question ${n} about heat pumps?` }))
  await measure('one entry', 2000, 1, (n) => store.knowledge.get('a', `entry-${n % 60}`))
  await measure('all 60 entries', 300, 1, () => store.knowledge.listAll('a'))
  await measure('text search', 1000, 1, () => store.knowledge.list('a', { text: 'heat pump', limit: 20 }))
} finally {
  await store.close()
  rmSync(folder, { recursive: true, force: true })
}

async function measure(name: string, count: number, atOnce: number, work: (n: number) => ReturnType<EmbeddedStore['knowledge']['get' | 'listAll']> | Promise<void>): Promise<void> {
  const loop = monitorEventLoopDelay({ resolution: 1 })
  const tookMs: number[] = []
  let next = 0
  loop.enable()
  const cpu = process.threadCpuUsage()
  const startedAt = performance.now()
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (next < count) {
        const n = next++
        const askedAt = performance.now()
        await work(n)
        tookMs.push(performance.now() - askedAt)
      }
    }),
  )
  const seconds = (performance.now() - startedAt) / 1000
  const used = process.threadCpuUsage(cpu)
  loop.disable()
  tookMs.sort((a, b) => a - b)
  const at = (share: number): string => (tookMs[Math.min(count - 1, Math.floor(share * count))] ?? 0).toFixed(2)
  const cpuUs = ((used.user + used.system) / count).toFixed(0)
  const rate = Math.round(count / seconds)
  process.stdout.write(
    `${name.padEnd(34)}${String(rate).padStart(7)}/s   p50 ${at(0.5)}  p99 ${at(0.99)}  max ${at(1)} ms   asking thread ${cpuUs} us each, its loop p99 ${(loop.percentile(99) / 1e6).toFixed(1)} ms\n`,
  )
}
