import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const ROOT = join(import.meta.dirname, '../..')
/** The rows that the product answers for today; the table says of each what proves it, or that nothing does yet. */
const ROWS = [...Array.from({ length: 37 }, (_, index) => `T${index + 1}`), 'T52', 'T53', 'T54']
const UNPROVEN = /^(Not built|Does not apply)/

type Proof = Readonly<{ file: string; name: string }>
type ThreatRow = Readonly<{ id: string; threat: string; defence: string; proofs: readonly Proof[]; text: string }>

/** `| T1 | threat | defence | `test/x.test.ts` "name of the test"<br>... |` */
function rowsOf(document: string): readonly ThreatRow[] {
  return document.split('\n').flatMap((line) => {
    const [, id = '', threat = '', defence = '', text = ''] = line.split(/(?<!\\)\|/).map((cell) => cell.trim())
    if (!/^T\d+$/.test(id)) return []
    const proofs = [...text.matchAll(/`(test\/[\w/.-]+)` “([^”]+)”/g)].map((match) => ({ file: match[1] ?? '', name: match[2] ?? '' }))
    return [{ id, threat, defence, proofs, text }]
  })
}

/** The names in a test file, as the reader of a report sees them. */
function testNamesOf(file: string): ReadonlySet<string> {
  const source = readFileSync(join(ROOT, file), 'utf8')
  return new Set([...source.matchAll(/\btest\(\s*(['"`])((?:\\.|(?!\1).)+)\1/g)].map((match) => (match[2] ?? '').replace(/\\(.)/g, '$1')))
}

const rows = rowsOf(readFileSync(join(ROOT, 'deploy/docs/threats.md'), 'utf8'))

t.test('every threat has one row, with its defence and the tests that prove it, or says plainly that it has none', async (t) => {
  const ids = rows.map((row) => row.id)
  t.same(ids.filter((id, index) => ids.indexOf(id) !== index), [], 'no row twice')
  t.same(ROWS.filter((id) => !ids.includes(id)), [], 'no row missing')
  for (const { id, threat, defence, proofs, text } of rows) {
    t.ok(threat.length > 10 && defence.length > 10, `${id} says what and how`)
    t.ok(proofs.length > 0 || UNPROVEN.test(text), `${id} is proven, or said not to be`)
  }
})

t.test('every test that the table of threats names is in the file it names', async (t) => {
  const missing = rows.flatMap(({ id, proofs }) => proofs.filter(({ file, name }) => !testNamesOf(file).has(name)).map(({ file, name }) => `${id}: ${file} “${name}”`))
  t.same(missing, [])
})

t.test('every test that is named after a threat is in the row of that threat', async (t) => {
  const named = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.test.ts')).map((file) => `test/${file.replaceAll('\\', '/')}`)
  const forgotten: string[] = []
  for (const file of named) {
    for (const name of testNamesOf(file)) {
      const ids = [.../^((?:[A-Z]\d+[,:]? )+)/.exec(`${name} `)?.[1]?.matchAll(/T\d+/g) ?? []].map(([id]) => id)
      for (const id of ids) {
        const isListed = rows.some((row) => row.id === id && row.proofs.some((proof) => proof.file === file && proof.name === name))
        if (!isListed) forgotten.push(`${id}: ${file} “${name}”`)
      }
    }
  }
  t.same(forgotten, [])
})

t.test('every test file that the security documents name is there', async (t) => {
  for (const document of ['deploy/docs/asvs.md', 'deploy/docs/threats.md']) {
    const paths = new Set([...readFileSync(join(ROOT, document), 'utf8').matchAll(/`(test\/[\w/.-]+)`/g)].map((match) => match[1] ?? ''))
    t.ok(paths.size > 5)
    t.same([...paths].filter((path) => !existsSync(join(ROOT, path))), [], document)
  }
})
