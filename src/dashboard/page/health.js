/** Parts of the server that are away or stood in for, as the health report tells of them: the worst first. */
export function awayParts({ parts }) {
  return Object.entries(parts)
    .filter(([, { ok, degraded }]) => !ok || degraded)
    .sort(([, a], [, b]) => Number(a.ok) - Number(b.ok))
    .map(([part, { detail }]) => ({ part, detail }))
}
