import type { LoadReport, Percentiles } from './report.ts'

const WIDTH = 760
const BAR_HEIGHT = 22
const HISTOGRAM_HEIGHT = 180
const HISTOGRAM_STEP_MS = 50
/** The promises drawn into the plots, ms. */
const TARGET_MS = 600
const HARD_MS = 1000

/** One HTML file that needs nothing else: styles and plots are inside. */
export function reportPage(report: LoadReport): string {
  const passed = report.failedCalls === 0
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Load report, ${escape(report.startedAt)}</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 800px; margin: 32px auto; padding: 0 20px; color: #1c2430; background: #fff }
  h1 { font-size: 24px; margin: 0 } h2 { font-size: 17px; margin: 32px 0 8px }
  .lead { color: #56616f; margin: 4px 0 20px } .badge { padding: 2px 10px; border-radius: 12px; color: #fff; font-size: 13px }
  .ok { background: #1b7f4d } .bad { background: #b3261e }
  .cards { display: grid; grid-template-columns: repeat(4, 1fr); gap: 12px }
  .card { border: 1px solid #dde3ea; border-radius: 8px; padding: 10px 14px } .card b { display: block; font-size: 22px } .card span { color: #56616f; font-size: 13px }
  table { border-collapse: collapse; width: 100% } td, th { text-align: right; padding: 4px 8px; border-bottom: 1px solid #e8ecf1; font-variant-numeric: tabular-nums }
  td:first-child, th:first-child { text-align: left } th { color: #56616f; font-weight: 500 } svg text { font: 12px system-ui, sans-serif; fill: #3b4654 }
</style>
<h1>Load report <span class="badge ${passed ? 'ok' : 'bad'}">${passed ? 'all expectations met' : `${report.failedCalls} of ${report.calls} calls failed`}</span></h1>
<p class="lead">${report.calls} calls, ${report.concurrency} at once, to ${escape(report.target)}, ${escape(report.startedAt)}. All times by the caller's ear unless marked as the server's.</p>
<div class="cards">
  ${card('gap p50, prompt answers', report.heard.gap?.p50)}${card('gap p95', report.heard.gap?.p95)}
  ${card('greeting p95', report.heard.greeting?.p95)}${card('silence after barge-in p95', report.interruptions.timeToSilence?.p95)}
</div>
<h2>How long callers waited for an answer</h2>
${histogram(report.gapsMs)}
<h2>Where the time went, by the server's records</h2>
${stageBars(report)}
<h2>Percentiles, ms</h2>
<table><tr><th></th><th>n</th><th>p50</th><th>p95</th><th>p99</th><th>max</th></tr>
${row('greeting', report.heard.greeting)}${row('gap, prompt answers', report.heard.gap)}${row('gap, all answers', report.heard.gapWithPatience)}
${row('silence after barge-in', report.interruptions.timeToSilence)}${row('webhook', report.heard.answerToWebhook)}
${report.stages.map(({ stage, percentiles }) => row(`server: ${stage}`, percentiles)).join('\n')}</table>
<h2>Interruptions and silence</h2>
<table>
${fact('barge-ins wanted', report.interruptions.expected)}${fact('missed or late', report.interruptions.missed)}${fact('stale frames after clear', report.interruptions.staleFrames)}
${fact('back-channels and noises over the agent', report.interruptions.backChannels)}${fact('false stops', report.interruptions.falseStops)}${fact('cut-ins', report.interruptions.cutIns)}
${fact('silences over 1.2 s', report.silences)}${fact('frames dropped', report.droppedFrames)}${fact('harness late at most, ms', Math.round(report.harnessWorstLateMs))}${fact('words not judged', report.unjudgedWords)}
</table>
<h2>Scripts</h2>
<table><tr><th>script</th><th>calls</th><th>failed</th><th>gap p50</th><th>gap p95</th></tr>
${report.perScript.map((entry) => `<tr><td>${escape(entry.script)}</td><td>${entry.calls}</td><td>${entry.failedCalls}</td><td>${round(entry.gap?.p50)}</td><td>${round(entry.gap?.p95)}</td></tr>`).join('\n')}</table>
${report.failures.length === 0 ? '' : `<h2>Failures</h2><ul>${report.failures.map((failure) => `<li><b>${escape(failure.script)}</b>${failure.step === null ? '' : `, step ${failure.step + 1}`}: ${escape(failure.what)} <small>${failure.callSid}</small></li>`).join('')}</ul>`}
</html>
`
}

function histogram(gapsMs: readonly number[]): string {
  if (gapsMs.length === 0) return '<p>No answers were heard.</p>'
  const counts = new Map<number, number>()
  for (const gap of gapsMs) {
    const bin = Math.floor(gap / HISTOGRAM_STEP_MS)
    counts.set(bin, (counts.get(bin) ?? 0) + 1)
  }
  const from = Math.min(0, ...counts.keys())
  const to = Math.max(HARD_MS / HISTOGRAM_STEP_MS + 2, ...counts.keys())
  const most = Math.max(...counts.values())
  const x = (ms: number): number => ((ms / HISTOGRAM_STEP_MS - from) / (to - from + 1)) * WIDTH
  const bars = [...counts].map(([bin, count]) => {
    const height = (count / most) * (HISTOGRAM_HEIGHT - 40)
    const left = x(bin * HISTOGRAM_STEP_MS)
    const width = Math.max(1, x((bin + 1) * HISTOGRAM_STEP_MS) - left - 1)
    return `<rect x="${left.toFixed(1)}" y="${(HISTOGRAM_HEIGHT - 20 - height).toFixed(1)}" width="${width.toFixed(1)}" height="${height.toFixed(1)}" fill="${bin * HISTOGRAM_STEP_MS >= HARD_MS ? '#b3261e' : '#2f6fdb'}"><title>${bin * HISTOGRAM_STEP_MS} ms: ${count}</title></rect>`
  })
  const lines = [TARGET_MS, HARD_MS].map(
    (ms, index) => `<line x1="${x(ms).toFixed(1)}" x2="${x(ms).toFixed(1)}" y1="2" y2="${HISTOGRAM_HEIGHT - 20}" stroke="#8a94a1" stroke-dasharray="4 3"/><text x="${(x(ms) + 4).toFixed(1)}" y="${24 - index * 13}">${ms} ms</text>`,
  )
  const tickMs = Math.max(200, Math.ceil((to - from) / 12 / 4) * 200)
  const ticks: string[] = []
  for (let ms = Math.ceil((from * HISTOGRAM_STEP_MS) / tickMs) * tickMs; ms <= to * HISTOGRAM_STEP_MS; ms += tickMs) {
    ticks.push(`<text x="${x(ms).toFixed(1)}" y="${HISTOGRAM_HEIGHT - 4}">${ms}</text>`)
  }
  return `<svg viewBox="0 0 ${WIDTH} ${HISTOGRAM_HEIGHT}" width="100%" role="img" aria-label="histogram of gaps">${bars.join('')}${lines.join('')}${ticks.join('')}</svg>`
}

function stageBars(report: LoadReport): string {
  if (report.stages.length === 0) return '<p>The server offered no records.</p>'
  const scale = (WIDTH - 240) / Math.max(...report.stages.map(({ percentiles }) => percentiles.p95), 1)
  const bars = report.stages.map(({ stage, percentiles }, index) => {
    const y = index * BAR_HEIGHT
    return `<text x="0" y="${y + 15}">${escape(stage)}</text><rect x="100" y="${y + 3}" width="${(percentiles.p95 * scale).toFixed(1)}" height="15" fill="#c7d9f7"/><rect x="100" y="${y + 3}" width="${(percentiles.p50 * scale).toFixed(1)}" height="15" fill="#2f6fdb"/><text x="${(108 + percentiles.p95 * scale).toFixed(1)}" y="${y + 15}">${round(percentiles.p50)} / ${round(percentiles.p95)} ms</text>`
  })
  return `<svg viewBox="0 0 ${WIDTH} ${report.stages.length * BAR_HEIGHT}" width="100%" role="img" aria-label="p50 and p95 a stage">${bars.join('')}</svg><p class="lead">Dark: p50, light: p95.</p>`
}

function card(name: string, value: number | undefined): string {
  return `<div class="card"><b>${value === undefined ? '–' : `${Math.round(value)} ms`}</b><span>${name}</span></div>`
}

function row(name: string, values: Percentiles | null): string {
  if (values === null) return ''
  return `<tr><td>${escape(name)}</td><td>${values.count}</td><td>${round(values.p50)}</td><td>${round(values.p95)}</td><td>${round(values.p99)}</td><td>${round(values.max)}</td></tr>`
}

function fact(name: string, value: number): string {
  return `<tr><td>${name}</td><td>${value}</td></tr>`
}

function round(value: number | undefined): string {
  return value === undefined ? '–' : String(Math.round(value))
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}
