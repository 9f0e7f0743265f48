import type { FastifyRequest, RouteOptions } from 'fastify'
import { pathOf, Problem } from './problems.ts'

/** What routes exist, by path: to refuse a route without rules at start, and to tell 405 from 404. */
export class RouteTable {
  readonly #paths = new Map<string, { pattern: RegExp; methods: Set<string> }>()

  /** Throws when a route does not say who may use it, or writes without saying what its audit line is called. */
  add(options: RouteOptions): void {
    const methods = [options.method].flat()
    const rules = options.config?.rules
    if (rules === undefined) throw new Error(`${methods.join(',')} ${options.url} declares no permission: register it with route()`)
    const entry = this.#paths.get(options.url) ?? { pattern: patternOf(options.url), methods: new Set<string>() }
    for (const method of methods) {
      if (rules.audit === null && !['GET', 'HEAD'].includes(method)) throw new Error(`${method} ${options.url} writes without an audit line`)
      entry.methods.add(method)
    }
    this.#paths.set(options.url, entry)
  }

  methodsOf(path: string): readonly string[] {
    return [...this.#paths.values()].filter((entry) => entry.pattern.test(path)).flatMap((entry) => [...entry.methods])
  }
}

/** The error for a path or method that is not served: 405 names what is. */
export function answerNotFound(request: FastifyRequest, routes: RouteTable, prefix: string): never {
  const path = pathOf(request.url)
  const methods = routes.methodsOf(path)
  if (methods.length > 0) {
    throw new Problem(405, 'METHOD_NOT_ALLOWED', `${request.method} is not served here`, { headers: { allow: [...new Set(methods)].sort().join(', ') } })
  }
  throw new Problem(404, 'NOT_FOUND', path.startsWith(prefix) ? 'no such resource' : 'not found')
}

function patternOf(url: string): RegExp {
  const segments = url.split('/').map((segment) => (segment.startsWith(':') ? '[^/]+' : segment.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')))
  return new RegExp(`^${segments.join('/')}/?$`)
}
