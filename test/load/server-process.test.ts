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
