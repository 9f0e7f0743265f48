import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startArguments } from '../../src/load/server-process.ts'

const root = join(import.meta.dirname, '../..')

t.test('a container and whatever measures the server start it with the flags of npm start', async (t) => {
  const started = startArguments()
  const flags = started.filter((argument) => argument.startsWith('-'))
  t.same(flags, ['--v8-pool-size=1'])
  t.ok(existsSync(started.at(-1) ?? ''), 'and with a file that is there, wherever they are called from')
  const compose = readFileSync(join(root, 'deploy/docker-compose.yml'), 'utf8')
  t.match(compose, `CMD ["node", ${flags.map((flag) => `"${flag}"`).join(', ')}, "src/main.ts"]`)
  t.match(readFileSync(join(root, 'package.json'), 'utf8'), `"dev": "node --watch ${flags.join(' ')} src/main.ts"`)
})

t.test('the engine knows every flag that the server gives it', async (t) => {
  const given = [...startArguments(), ...(/setFlagsFromString\(`(--[a-z-]+)=/.exec(readFileSync(join(root, 'src/main.ts'), 'utf8'))?.slice(1) ?? []).map((flag) => `${flag}=100`)].filter((argument) => argument.startsWith('--'))
  t.equal(given.length, 2)
  t.equal(execFileSync(process.execPath, [...given, '-p', '1'], { encoding: 'utf8' }).trim(), '1')
  t.throws(() => execFileSync(process.execPath, ['--no-such-flag=1', '-p', '1'], { stdio: 'ignore' }))
})
