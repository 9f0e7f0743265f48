import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'

export const DASHBOARD_PATH = '/dashboard'

const PAGE = join(import.meta.dirname, 'page')

/** The page loads its own files, talks to its own server and plays sounds it was given; nothing else, and nobody may frame it. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  'media-src blob:',
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
].join('; ')

const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=15552000; includeSubDomains',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  // A new version is seen at the next visit; unchanged files are not sent again.
  'cache-control': 'no-cache',
}

/** The administrators' web page. It holds no secret and knows no more than the API: who signs in there sees what the API shows them. */
export async function registerDashboard(app: FastifyInstance): Promise<void> {
  const index = await readFile(join(PAGE, 'index.html'))
  await app.register(async (pages) => {
    pages.addHook('onSend', async (_request, reply) => void reply.headers(HEADERS))
    await pages.register(fastifyStatic, { root: PAGE, prefix: `${DASHBOARD_PATH}/`, decorateReply: false, index: false, dotfiles: 'ignore', redirect: false })
    // With and without the slash: the server takes them for one path, and the page names its files from the root.
    pages.get(DASHBOARD_PATH, async (_request, reply) => reply.type('text/html; charset=utf-8').send(index))
  })
}
