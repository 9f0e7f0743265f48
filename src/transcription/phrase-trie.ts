import type { Encode } from './token-automaton.ts'

export type TrieNode = { readonly children: Map<number, TrieNode>; ends: boolean; readonly depth: number }

/** A company's terms as token paths. Whole phrases, not their words: words alone pull unrelated speech towards the menu. */
export class PhraseTrie {
  readonly root: TrieNode = newNode(0)

  constructor(phrases: readonly string[], encode: Encode) {
    for (const phrase of phrases.slice(0, MOST_PHRASES)) {
      const plain = phrase.trim()
      if (plain === '') continue
      for (const written of new Set([plain, plain.toLowerCase(), `${(plain[0] as string).toUpperCase()}${plain.slice(1)}`])) this.#add(encode(written, false))
    }
  }

  #add(tokens: readonly number[]): void {
    let node = this.root
    for (const token of tokens) {
      let child = node.children.get(token)
      if (child === undefined) {
        child = newNode(node.depth + 1)
        node.children.set(token, child)
      }
      node = child
    }
    node.ends = true
  }
}

/** More than a company lists; a longer list would only slow the first decode down. */
const MOST_PHRASES = 1000

function newNode(depth: number): TrieNode {
  return { children: new Map(), ends: false, depth }
}
