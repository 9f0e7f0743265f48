import type { NextRows, Rows } from './grammar-beam.ts'
import type { PhraseTrie, TrieNode } from './phrase-trie.ts'

export type BiasedResult = Readonly<{ tokens: readonly number[]; logProbability: number; steps: number }>
export type BiasedOptions = Readonly<{ endToken: number; mostSteps: number; weight: number; width?: number }>

/**
 * Open speech with an ear for the company's terms: each token along a term earns `weight`, and gives it back when the term is not finished.
 * The first tokens may not be the end: in noise a beam likes nothing better than silence.
 */
export async function biasedBeam(trie: PhraseTrie, first: Rows, next: NextRows, options: BiasedOptions, onStep: () => Promise<void>): Promise<BiasedResult> {
  const width = options.width ?? BEAM_WIDTH
  let live: Hypothesis[] = [{ tokens: [], logProbability: 0, earned: 0, pending: 0, node: trie.root }]
  let rows = first
  let best: Hypothesis | null = null
  let bestScore = -Infinity
  let steps = 1
  for (; ; steps += 1) {
    const grown: Candidate[] = []
    for (const [parent, hypothesis] of live.entries()) {
      const row = rows.logProbabilities.subarray(parent * rows.width, (parent + 1) * rows.width)
      if (hypothesis.tokens.length >= FEWEST_TOKENS) {
        const logProbability = hypothesis.logProbability + (row[options.endToken] as number)
        const score = logProbability + hypothesis.earned - hypothesis.pending
        if (score > bestScore) {
          bestScore = score
          best = { ...hypothesis, logProbability }
        }
      }
      for (const token of candidatesOf(row, trie, hypothesis.node, width)) {
        if (token !== options.endToken) grown.push(grow(hypothesis, parent, token, row[token] as number, trie, options.weight))
      }
    }
    const kept = grown
      .sort((a, b) => b.score - a.score)
      .slice(0, width)
      // Scores fall with every token but those of terms.
      .filter((candidate) => candidate.score > bestScore)
    if (kept.length === 0 || steps >= options.mostSteps) break
    await onStep()
    rows = await next(kept.map((candidate) => candidate.parent), kept.map((candidate) => candidate.token))
    live = kept.map(({ parent, token, logProbability, earned, pending, node }) => ({ tokens: [...(live[parent] as Hypothesis).tokens, token], logProbability, earned, pending, node }))
  }
  const winner = best ?? live[0]
  return { tokens: winner?.tokens ?? [], logProbability: winner?.logProbability ?? 0, steps }
}

const BEAM_WIDTH = 2
const FEWEST_TOKENS = 2

type Hypothesis = Readonly<{ tokens: readonly number[]; logProbability: number; earned: number; pending: number; node: TrieNode }>
type Candidate = Readonly<{ parent: number; token: number; logProbability: number; earned: number; pending: number; node: TrieNode; score: number }>

/** The likeliest tokens, and whatever goes on with a term even where it is not among them. */
function candidatesOf(row: Float32Array, trie: PhraseTrie, node: TrieNode, width: number): Set<number> {
  const top: number[] = []
  for (let token = 0; token < row.length; token += 1) {
    const value = row[token] as number
    if (top.length === width + 1 && value <= (row[top.at(-1) as number] as number)) continue
    let at = top.length
    while (at > 0 && value > (row[top[at - 1] as number] as number)) at -= 1
    top.splice(at, 0, token)
    if (top.length > width + 1) top.pop()
  }
  return new Set([...top, ...node.children.keys(), ...trie.root.children.keys()])
}

function grow(hypothesis: Hypothesis, parent: number, token: number, said: number, trie: PhraseTrie, weight: number): Candidate {
  let { earned, pending } = hypothesis
  let node = hypothesis.node.children.get(token)
  if (node === undefined) {
    // The term was not finished: what it earned since its last end is given back, and another may begin here.
    earned -= pending
    pending = 0
    node = trie.root.children.get(token)
  }
  if (node !== undefined) {
    earned += weight
    pending = node.ends ? 0 : pending + weight
  }
  const logProbability = hypothesis.logProbability + said
  return { parent, token, logProbability, earned, pending, node: node ?? trie.root, score: logProbability + earned }
}
