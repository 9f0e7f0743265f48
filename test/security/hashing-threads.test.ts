import { readFileSync, readdirSync } from 'node:fs'
import t from 'tap'
import { SystemClock } from '../../src/core/clock.ts'
import { HashingThreads } from '../../src/security/hashing-threads.ts'
import { PasswordHasher } from '../../src/security/passwords.ts'

const CHEAP = { memoryKiB: 8192, passes: 1, lanes: 1 }

t.test('passwords are hashed and checked on threads of their own, and the pool reads what the threads wrote', async (t) => {
  const threads = new HashingThreads(new SystemClock(), 2)
  t.teardown(() => threads.close())
  const hasher = new PasswordHasher(CHEAP, threads)
  const stored = await hasher.hash('a heron on one leg')
  t.match(stored, /^\$argon2id\$v=19\$m=8192,t=1,p=1\$/)
  t.equal(await hasher.verify(stored, 'a heron on one leg'), true)
  t.equal(await hasher.verify(stored, 'a heron on two legs'), false)
  t.equal(await hasher.verify(null, 'a heron on one leg'), false, 'nobody, after the same work')
  t.equal(await new PasswordHasher(CHEAP).verify(stored, 'a heron on one leg'), true)
  const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => hasher.verify(stored, index % 2 === 0 ? 'a heron on one leg' : 'no')))
  t.same(answers, Array.from({ length: 20 }, (_, index) => index % 2 === 0), 'each gets the answer to their own question')
  await t.rejects(threads.verify('no hash at all', 'x'), { code: 'ENGINE_FAILED' })
})

t.test('a thread that hashes stands back for everything else', { skip: process.platform !== 'linux' && 'threads have a priority of their own on Linux only' }, async (t) => {
  const threads = new HashingThreads(new SystemClock(), 1)
  t.teardown(() => threads.close())
  await threads.hash('x', { memoryCost: 8192, timeCost: 1, parallelism: 1 })
  const nice = readdirSync('/proc/self/task').map((thread) => Number(readFileSync(`/proc/self/task/${thread}/stat`, 'utf8').split(') ')[1]?.split(' ')[16]))
  t.equal(nice.filter((one) => one === 10).length, 1, 'one thread has a lower claim')
  t.equal(Number(readFileSync(`/proc/self/stat`, 'utf8').split(') ')[1]?.split(' ')[16]), nice[0], 'and the loop has kept its own')
})

t.test('a hash that is asked for when the thread is gone is made by another', async (t) => {
  const threads = new HashingThreads(new SystemClock(), 1)
  await threads.hash('x', { memoryCost: 8192, timeCost: 1, parallelism: 1 })
  await threads.close()
  t.match(await threads.hash('x', { memoryCost: 8192, timeCost: 1, parallelism: 1 }), /^\$argon2/)
  await threads.close()
})
