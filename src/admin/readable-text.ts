import type { FieldProblem } from './problems.ts'

/** Control characters but tab and line ends: no name, sentence or number holds one, and few things that texts are handed to expect them. */
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/
/** The deepest of our schemas has nine levels; whoever walks a body may do so by recursion. */
const MAX_DEPTH = 32
/** Enough to see what is wrong. */
const MOST = 20

/**
 * What in a body, query or path is no text, though JSON lets it through: control characters, and half a character (a lone surrogate). Keys
 * count too, and so does nesting without end.
 */
export function unreadableIn(whole: unknown): readonly FieldProblem[] {
  const found: FieldProblem[] = []
  const waiting: { value: unknown; path: readonly string[] }[] = [{ value: whole, path: [] }]
  for (let next = waiting.pop(); next !== undefined && found.length < MOST; next = waiting.pop()) {
    const { value, path } = next
    const refuse = (message: string): void => void found.push({ field: path.join('.') || 'body', message })
    if (typeof value === 'string') {
      const problem = problemOf(value)
      if (problem !== null) refuse(problem)
    } else if (typeof value === 'object' && value !== null) {
      if (path.length >= MAX_DEPTH) return [{ field: path.slice(0, 3).join('.'), message: `is nested deeper than ${MAX_DEPTH} levels` }]
      for (const [key, part] of Object.entries(value)) {
        if (problemOf(key) === null) waiting.push({ value: part, path: [...path, key] })
        else refuse('has a field whose name is no text')
      }
    }
  }
  return found
}

function problemOf(text: string): string | null {
  if (CONTROL.test(text)) return 'holds a control character'
  return text.isWellFormed() ? null : 'holds half a character'
}
