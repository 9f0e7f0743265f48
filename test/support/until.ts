/** Nobody waits this long for something that still comes; what does not come shall not hang the suite. */
const GIVE_UP_MS = 30_000
/** Most things need a few turns of the loop; what needs a process or a disk is asked about less often. */
const TURNS = 50
const POLL_MS = 2

/**
 * Lets sockets, threads and processes work until something is so: for what real things do in their own time. Where time is virtual nothing
 * has to be waited for.
 */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + GIVE_UP_MS
  for (let asked = 0; !(await condition()); asked += 1) {
    if (performance.now() > giveUpAt) throw new Error(`did not become so within ${GIVE_UP_MS / 1000} s: ${condition}`)
    await new Promise((resolve) => (asked < TURNS ? setImmediate(resolve) : setTimeout(resolve, POLL_MS)))
  }
}
