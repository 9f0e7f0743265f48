import type { TokenAutomaton } from './token-automaton.ts'

/** A step of the decoder over several hypotheses: for each, a row of log-probabilities over the whole vocabulary. */
export type Rows = Readonly<{ count: number; width: number; logProbabilities: Float32Array }>
/** The decoder as the beam sees it: `parents[i]` with `tokens[i]` behind it becomes hypothesis i. */
export type NextRows = (parents: readonly number[], tokens: readonly number[]) => Promise<Rows>

export type HeardSentence = Readonly<{
  tokens: readonly number[]
  /** Sum over the tokens and the end, over the whole vocabulary: it also says how well the sentence fits the sound. */
  logProbability: number
  /** Beam score: with the bonus a token, without rare ways of speaking. */
  score: number
  /** For each token how much better the best other one would have been; punctuation aside. The last is the end's. */
  regrets: readonly number[]
  /** Its wording, whatever the spelling. */
  plain: string
}>
/** Sentences of the grammar, best first; at least one unless nothing ended within `mostSteps`. */
export type BeamResult = Readonly<{ sentences: readonly HeardSentence[]; steps: number }>

export type BeamOptions = Readonly<{
  endToken: number
  mostSteps: number
  /** Hypotheses at once. */
  width: number
  /** What a token is worth, in nats: without it a sentence that leaves slots out always scores better. */
  tokenBonus: number
  /** What it costs to say no more than this wording, in nats, besides what the grammar asks. */
  endCost?: (plain: string) => number
  /** A token without case, space and marks: hypotheses that differ in those alone say the same. */
  plain: (token: number) => string
}>

/**
 * Beam search held to a grammar. Log-probabilities stay those of the whole vocabulary: made to sum to one over what the grammar allows, they
 * would hide how badly speech from outside fits. `onStep` is awaited between steps: a place to give way, or to throw.
 */
export async function grammarBeam(automaton: TokenAutomaton, first: Rows, next: NextRows, options: BeamOptions, onStep: () => Promise<void>): Promise<BeamResult> {
  const { width, tokenBonus } = options
  const done: HeardSentence[] = []
  let live: Hypothesis[] = [{ state: automaton.start, tokens: [], logProbability: 0, cost: 0, bonus: 0, regrets: [], plain: '' }]
  let rows = first
  let steps = 1
  for (; ; steps += 1) {
    const grown = grow(automaton, live, rows, options, done)
    const bestDone = done.reduce((best, sentence) => Math.max(best, sentence.score), -Infinity)
    const kept = chosen(grown.filter((candidate) => candidate.score > bestDone - DONE_MARGIN), live, width, options.plain)
    if (kept.length === 0 || steps >= options.mostSteps) break
    await onStep()
    rows = await next(kept.map((candidate) => candidate.parent), kept.map((candidate) => candidate.token))
    live = kept.map((candidate) => extended(live, candidate, options.plain))
  }
  return { sentences: pooled(done), steps }
}

/** With a bonus a longer sentence may still overtake a finished one, after a word that fits badly: 3 lost one order in fifteen. */
const DONE_MARGIN = 6

/**
 * Best first, by what all spellings of a wording are worth together: "five, two" and "5 2" are one witness each for the same thing. Of a
 * wording the likeliest spelling stands for all.
 */
function pooled(done: readonly HeardSentence[]): HeardSentence[] {
  const byWording = new Map<string, HeardSentence[]>()
  for (const sentence of done) {
    const known = byWording.get(sentence.plain)
    if (known === undefined) byWording.set(sentence.plain, [sentence])
    else known.push(sentence)
  }
  return [...byWording.values()]
    .map((spellings) => {
      const best = spellings.reduce((likeliest, sentence) => (sentence.score > likeliest.score ? sentence : likeliest))
      return { ...best, score: best.score + Math.log(spellings.reduce((sum, sentence) => sum + Math.exp(sentence.score - best.score), 0)) }
    })
    .sort((a, b) => b.score - a.score)
}

/** The best, but of those that say the same in another spelling only so many: a beam full of commas and capitals hears nothing new. */
function chosen(candidates: readonly Candidate[], live: readonly Hypothesis[], width: number, plain: BeamOptions['plain']): Candidate[] {
  const kept: Candidate[] = []
  const wordings = new Map<string, number>()
  for (const candidate of candidates) {
    const wording = (live[candidate.parent] as Hypothesis).plain + plain(candidate.token)
    const count = wordings.get(wording) ?? 0
    if (count >= SPELLINGS_KEPT) continue
    wordings.set(wording, count + 1)
    if (kept.push(candidate) === width) break
  }
  return kept
}

const SPELLINGS_KEPT = 2

type Hypothesis = Readonly<{ state: number; tokens: readonly number[]; logProbability: number; cost: number; bonus: number; regrets: readonly number[]; plain: string }>
type Candidate = Readonly<{ parent: number; token: number; next: number; logProbability: number; cost: number; bonus: number; regret: number; score: number }>

function grow(automaton: TokenAutomaton, live: readonly Hypothesis[], rows: Rows, { endToken, endCost: costOfEnding, tokenBonus }: BeamOptions, done: HeardSentence[]): Candidate[] {
  const candidates: Candidate[] = []
  live.forEach((hypothesis, parent) => {
    const row = rows.logProbabilities.subarray(parent * rows.width, (parent + 1) * rows.width)
    const best = bestWord(automaton, row)
    const endCost = automaton.endCost(hypothesis.state)
    if (endCost < Infinity) {
      const end = row[endToken] as number
      done.push({
        plain: hypothesis.plain,
        tokens: hypothesis.tokens,
        logProbability: hypothesis.logProbability + end,
        score: hypothesis.logProbability + end - hypothesis.cost - endCost - (costOfEnding?.(hypothesis.plain) ?? 0) + tokenBonus * hypothesis.bonus,
        regrets: [...hypothesis.regrets, Math.max(0, best - end)],
      })
    }
    const { tokens, next, costs, bonuses } = automaton.arcs(hypothesis.state)
    for (let i = 0; i < tokens.length; i += 1) {
      const token = tokens[i] as number
      const said = row[token] as number
      const logProbability = hypothesis.logProbability + said
      const cost = hypothesis.cost + (costs[i] as number)
      const bonus = hypothesis.bonus + (bonuses[i] as number)
      candidates.push({
        parent,
        token,
        next: next[i] as number,
        logProbability,
        cost,
        bonus,
        regret: automaton.isMark(token) ? 0 : Math.max(0, best - said),
        score: logProbability - cost + tokenBonus * bonus,
      })
    }
  })
  return candidates.sort((a, b) => b.score - a.score)
}

/** The most that any token but a punctuation mark got. */
function bestWord(automaton: TokenAutomaton, row: Float32Array): number {
  let best = -Infinity
  for (let token = 0; token < row.length; token += 1) {
    const value = row[token] as number
    if (value > best && !automaton.isMark(token)) best = value
  }
  return best
}

function extended(live: readonly Hypothesis[], candidate: Candidate, plain: BeamOptions['plain']): Hypothesis {
  const { parent, token, next, logProbability, cost, bonus, regret } = candidate
  const before = live[parent] as Hypothesis
  return { state: next, tokens: [...before.tokens, token], logProbability, cost, bonus, regrets: [...before.regrets, regret], plain: before.plain + plain(token) }
}
