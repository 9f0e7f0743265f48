/** Words for numbers, the same everywhere. */
export function ms(value) {
  return value === null || value === undefined ? '–' : value >= 10_000 ? `${(value / 1000).toFixed(1)} s` : `${Math.round(value)} ms`
}

export function seconds(value) {
  if (value === null || value === undefined) return '–'
  const whole = Math.round(value)
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`
}

export function when(timestamp) {
  return new Date(timestamp).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })
}

export function timeOf(timestamp) {
  return new Date(timestamp).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' })
}

/** Seconds of a call: the carrier's word, else what was seen here. */
export function durationOf(call) {
  if (call.durationSeconds !== null) return call.durationSeconds
  return call.endedAt === null ? null : (Date.parse(call.endedAt) - Date.parse(call.startedAt)) / 1000
}

export function outcomeText(outcome) {
  return outcome.replaceAll('-', ' ')
}
