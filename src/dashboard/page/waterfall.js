/**
 * Where the silence before a reply went: its stages one after another, each with its place as a share of `scaleMs`. The stages of a
 * turn add up to its gap; what does not is shown as the rest, never hidden.
 */
export function segmentsOf(turn, scaleMs) {
  const total = turn.gapMs ?? turn.stages.reduce((sum, { ms }) => sum + ms, 0)
  const named = joined(turn.stages.filter(({ ms }) => ms > 0))
  const rest = total - named.reduce((sum, { ms }) => sum + ms, 0)
  const all = rest > 1 ? [...named, { stage: 'other', ms: rest }] : named
  let startMs = 0
  return all.map(({ stage, ms }) => {
    const segment = { stage, ms, startShare: share(startMs, scaleMs), widthShare: share(ms, scaleMs) }
    startMs += ms
    return segment
  })
}

/** What follows itself is one stage: a moment between two others is worth no stripe of its own. */
function joined(stages) {
  const result = []
  for (const { stage, ms } of stages) {
    const last = result.at(-1)
    if (last?.stage === stage) last.ms += ms
    else result.push({ stage, ms })
  }
  return result
}

/** One scale for all turns of a call, so that long waits look long. At least a second: the limit is then always on it. */
export function scaleOf(turns) {
  return Math.max(1000, ...turns.map(({ gapMs }) => gapMs ?? 0))
}

function share(ms, scaleMs) {
  return Math.max(0, Math.min(1, ms / scaleMs))
}

export const STAGE_TEXTS = {
  endpoint: 'sure that the caller has finished',
  patience: 'patience with an unfinished sentence',
  transcript: 'last words recognised',
  context: 'settings read',
  intent: 'intention worked out',
  knowledge: 'knowledge searched',
  template: 'answer worded',
  response: 'language model',
  quality: 'answer checked',
  personality: 'manner',
  synthesis: 'first sound of the voice',
  playout: 'on its way to the line',
  other: 'not named by any stage',
}
