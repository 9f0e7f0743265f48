import type { Test } from 'tap'

/**
 * A folder of the test's own. It goes after everything that the test tears down: tap removes a folder before the teardowns that were registered
 * after it, which is under the feet of a server that still writes there.
 */
export function dataDir(t: Test): string {
  t.teardown(() => {})
  return t.testdir({})
}
