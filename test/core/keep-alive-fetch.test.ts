import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import t from 'tap'
import { keepAliveFetch } from '../../src/core/keep-alive-fetch.ts'

const connections = new Set<Socket>()
/** The answer that is being written, and its next piece when the test says so. */
let open: ServerResponse | null = null
let abandoned = 0
const server = createServer((request, response) => {
  let body = ''
  request.on('data', (chunk: Buffer) => (body += chunk.toString()))
  request.on('end', () => {
    const path = (request.url ?? '').split('?')[0]
    if (path === '/echo') response.writeHead(201, { 'content-type': 'application/json', 'x-request-id': 'r1', 'set-cookie': ['a=1', 'b=2'] }).end(JSON.stringify({ method: request.method, url: request.url, body, key: request.headers['authorization'] ?? null }))
    else if (path === '/packs') response.writeHead(200).end(request.headers['accept-encoding'])
    else if (path === '/none') response.writeHead(204).end()
    else if (path === '/busy') response.writeHead(429, { 'retry-after': '7', 'content-type': 'text/plain' }).end('too much')
    else if (path === '/moved') response.writeHead(307, { location: '/echo' }).end()
    else if (path === '/stream') {
      open = response
      response.on('close', () => (abandoned += response.writableFinished ? 0 : 1))
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('one')
    }
  })
})
server.on('connection', (socket) => {
  connections.add(socket)
  socket.on('close', () => connections.delete(socket))
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
const line = keepAliveFetch(1000)
t.teardown(async () => {
  await line.close()
  server.closeAllConnections()
  server.close()
})

type Told = Readonly<{ status: number; ok: boolean; headers: readonly (readonly [string, string])[]; body: string }>
async function told(response: Response): Promise<Told> {
  const headers = [...response.headers].filter(([name]) => !['date', 'connection', 'keep-alive', 'content-length', 'transfer-encoding'].includes(name))
  return { status: response.status, ok: response.ok, headers, body: await response.text() }
}

t.test('it answers as the runtime’s own fetch does', async (t) => {
  const requests: readonly (readonly [string, RequestInit])[] = [
    ['/echo?a=1&b=2', {}],
    ['/echo', { method: 'post', body: '{"q":"é"}', headers: { authorization: 'Bearer k', 'content-type': 'application/json' } }],
    ['/echo', { method: 'PUT', body: new Uint8Array([104, 105]) }],
    ['/none', { method: 'DELETE' }],
    ['/busy', {}],
    ['/moved', { method: 'POST', body: 'again', headers: new Headers({ authorization: 'Bearer k' }) }],
  ]
  for (const [path, init] of requests) t.same(await told(await line.fetch(`${base}${path}`, init)), await told(await fetch(`${base}${path}`, init)), `${init.method ?? 'GET'} ${path}`)
  t.equal(await (await line.fetch(`${base}/packs`)).text(), 'identity', 'save that it takes no answer packed')
  await t.rejects(line.fetch('http://127.0.0.1:1/'), { name: 'TypeError', message: 'fetch failed' }, 'and nobody there is a TypeError')
})

t.test('one connection serves one question after the other', async (t) => {
  await told(await line.fetch(`${base}/echo`))
  const before = connections.size
  for (let i = 0; i < 5; i += 1) await told(await line.fetch(new URL(`${base}/echo`)))
  t.equal(connections.size, before)
})

t.test('a streamed answer is read piece by piece, by loop or by reader', async (t) => {
  const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString()
  const looped = (await line.fetch(`${base}/stream`)).body?.[Symbol.asyncIterator]()
  t.equal(text((await looped?.next())?.value), 'one')
  open?.write('two')
  t.equal(text((await looped?.next())?.value), 'two')
  open?.end()
  t.equal((await looped?.next())?.done, true)
  const reader = (await line.fetch(`${base}/stream`)).body?.getReader()
  t.equal(text((await reader?.read())?.value), 'one')
  open?.end('two')
  t.equal(text((await reader?.read())?.value), 'two')
  t.equal((await reader?.read())?.done, true)
  const whole = line.fetch(`${base}/stream`).then((response) => response.text())
  const before = open
  while (open === before) await new Promise((resolve) => setImmediate(resolve))
  open?.end('!')
  t.equal(await whole, 'one!')
})

t.test('an answer that nobody wants any more is ended at the other side too', async (t) => {
  const leaving = async (leave: (response: Response, controller: AbortController) => Promise<unknown>): Promise<void> => {
    const controller = new AbortController()
    const before = abandoned
    const response = await line.fetch(`${base}/stream`, { signal: controller.signal })
    await leave(response, controller)
    while (abandoned === before) await new Promise((resolve) => setImmediate(resolve))
  }
  const reason = new Error('hung up')
  await leaving(async (response, controller) => {
    const pieces = response.body?.[Symbol.asyncIterator]()
    await pieces?.next()
    controller.abort(reason)
    await t.rejects(pieces?.next() as Promise<unknown>, reason)
  })
  await leaving(async (response) => {
    for await (const piece of response.body ?? []) if (piece.length > 0) break
  })
  await leaving(async (response) => response.body?.cancel())
  await t.rejects(line.fetch(`${base}/stream`, { signal: AbortSignal.abort(reason) }), reason)
  const broken = (await line.fetch(`${base}/stream`)).body?.[Symbol.asyncIterator]()
  await broken?.next()
  open?.destroy()
  await t.rejects(broken?.next() as Promise<unknown>, { name: 'TypeError', message: 'terminated' }, 'one that breaks off is a TypeError, as fetch has it')
})
