import type { NextRows, Rows } from './grammar-beam.ts'

/**
 * Several hearings of one utterance as one: each token gets the mean of its log-probabilities, so that what only one of them took it for does
 * not win, and a token that one of them rules out is ruled out.
 */
export function jointly(each: readonly NextRows[]): NextRows {
  return async (parents, tokens) => {
    const rows: Rows[] = []
    for (const next of each) rows.push(await next(parents, tokens))
    return meanRows(rows)
  }
}

/** At least one; all of one size. */
export function meanRows(each: readonly Rows[]): Rows {
  const [one, ...others] = each as readonly [Rows, ...Rows[]]
  if (others.length === 0) return one
  const logProbabilities = one.logProbabilities.slice()
  for (const other of others) for (let i = 0; i < logProbabilities.length; i += 1) logProbabilities[i] = (logProbabilities[i] as number) + (other.logProbabilities[i] as number)
  for (let i = 0; i < logProbabilities.length; i += 1) logProbabilities[i] = (logProbabilities[i] as number) / each.length
  return { ...one, logProbabilities }
}
