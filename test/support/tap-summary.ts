/**
 * Reads TAP on standard input, prints every failing line as it comes and one closing line: `N passed, N failed, N skipped`.
 * tap keeps its own exit status; this reporter only adds a summary that people and build servers can read at a glance.
 */
import { Parser } from 'tap-parser'

const counts = { passed: 0, failed: 0, skipped: 0 }
let passedOverall = true

function watch(parser: Parser, path: readonly string[]): void {
  const childNames = new Set<string>()
  parser.on('child', (child: Parser) => {
    childNames.add(child.name)
    watch(child, [...path, child.name])
  })
  parser.on('assert', (result) => {
    const isSubtestSummary = childNames.has(result.name)
    if (result.skip || result.todo) counts.skipped += 1
    else if (isSubtestSummary && result.ok) return
    else if (result.ok) counts.passed += 1
    else {
      if (!isSubtestSummary) counts.failed += 1
      process.stdout.write(`not ok ${[...path, result.name].join(' > ')}\n`)
      if (result.diag) process.stdout.write(`${JSON.stringify(result.diag, null, 2)}\n`)
    }
  })
  parser.on('extra', (line: string) => process.stdout.write(line))
}

const root = new Parser((results) => {
  passedOverall = results.ok
})
watch(root, [])
process.stdin.pipe(root)
root.on('complete', () => {
  // A crash or a timeout fails a file without a failing assertion.
  if (!passedOverall && counts.failed === 0) counts.failed = 1
  process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`)
  process.exitCode = passedOverall ? 0 : 1
})
