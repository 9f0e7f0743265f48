import { createServer, type Server, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import { SMTPServer } from 'smtp-server'
import t, { type Test } from 'tap'
import { SystemClock } from '../../src/core/clock.ts'
import type { SendOutcome } from '../../src/events/channel.ts'
import { MailNotifier } from '../../src/events/mail-notifier.ts'
import { passwordLinks } from '../../src/notification-plane.ts'
import { SmtpChannel } from '../../src/events/smtp-channel.ts'
import { NOBODY_LISTENS } from '../support/services.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

const signal = new AbortController().signal
const TEXT = { itemId: '0195b2f0-0000-7000-8000-000000000001', to: 'office@example.com', subject: 'New lead: Dana', text: 'Line one\n\nLine two, with ü.' }

/** A mail server that may refuse or break at a step. */
async function mailServer(t: Test, over: { refuseRecipient?: number; refuseData?: number; refuseUser?: boolean } = {}): Promise<{ url: string; mails: { to: string[]; body: string }[] }> {
  const mails: { to: string[]; body: string }[] = []
  const problem = (code: number): Error => Object.assign(new Error('no'), { responseCode: code })
  const server = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    authOptional: true,
    onAuth: (auth, _session, done) => (over.refuseUser === true ? done(problem(535)) : done(null, { user: auth.username })),
    onRcptTo: (_address, _session, done) => done(over.refuseRecipient === undefined ? null : problem(over.refuseRecipient)),
    onData: (stream, session, done) => {
      let body = ''
      stream.on('data', (chunk: Buffer) => (body += chunk.toString('utf8')))
      stream.on('end', () => {
        if (over.refuseData !== undefined) return done(problem(over.refuseData))
        mails.push({ to: session.envelope.rcptTo.map((one) => one.address), body })
        done()
      })
    },
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  server.on('error', () => undefined)
  t.teardown(() => new Promise<void>((resolve) => server.close(resolve)))
  return { url: `smtp://127.0.0.1:${(server.server.address() as AddressInfo).port}`, mails }
}

/** A server that talks as told, line by line, then breaks off at `breakAt`. */
async function brokenServer(t: Test, breakAt: 'greeting' | 'MAIL' | 'DATA' | 'the end'): Promise<string> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    if (breakAt === 'greeting') return void socket.destroy()
    socket.write('220 here\r\n')
    let inData = false
    socket.on('data', (chunk) => {
      for (const line of chunk.toString().split('\r\n')) {
        if (inData) {
          if (line === '.') socket.destroy()
        } else if (line.startsWith('EHLO')) socket.write('250 here\r\n')
        else if (line.startsWith('MAIL') && breakAt === 'MAIL') socket.destroy()
        else if (line.startsWith('MAIL')) socket.write('250 ok\r\n')
        else if (line.startsWith('RCPT')) socket.write('250 ok\r\n')
        else if (line === 'DATA') {
          if (breakAt === 'DATA') socket.destroy()
          else {
            inData = true
            socket.write('354 go on\r\n')
          }
        }
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const send = (url: string): Promise<SendOutcome> => new SmtpChannel({ clock: new SystemClock(), url, from: 'ClientsVia <voice@example.com>' }).send('a', TEXT, signal)

t.test('an e-mail arrives as it was written, under an id of its own', async (t) => {
  const { url, mails } = await mailServer(t)
  t.same(await send(url), { kind: 'taken', providerId: `<${TEXT.itemId}@example.com>` })
  t.same(mails[0]?.to, ['office@example.com'])
  t.match(mails[0]?.body, /From: ClientsVia <voice@example\.com>[\s\S]*Subject: New lead: Dana/)
  t.match(mails[0]?.body, new RegExp(`Message-ID: <${TEXT.itemId}@example\\.com>`, 'i'))
})

t.test('what the server says "not now" to is asked again, what it says "never" to is not', async (t) => {
  const cases = [[{ refuseRecipient: 450 }, 'not-taken'], [{ refuseRecipient: 550 }, 'refused'], [{ refuseData: 452 }, 'not-taken'], [{ refuseData: 554 }, 'refused']] as const
  for (const [over, kind] of cases) {
    const { url, mails } = await mailServer(t, over)
    t.match(await send(url), { kind }, JSON.stringify(over))
    t.equal(mails.length, 0)
  }
  const { url } = await mailServer(t, { refuseUser: true })
  t.match(await send(url.replace('smtp://', 'smtp://user:wrong@')), { kind: 'refused', reason: /535/ })
})

t.test('a connection that breaks before the message is handed over has sent nothing; after it, nobody knows', async (t) => {
  t.match(await send(`smtp://127.0.0.1:${NOBODY_LISTENS}`), { kind: 'not-taken' })
  for (const breakAt of ['greeting', 'MAIL', 'DATA'] as const) t.match(await send(await brokenServer(t, breakAt)), { kind: 'not-taken' }, breakAt)
  t.match(await send(await brokenServer(t, 'the end')), { kind: 'unknown' })
})

t.test('an address or a subject makes no header of its own', async (t) => {
  const { url, mails } = await mailServer(t)
  const channel = new SmtpChannel({ clock: new SystemClock(), url, from: 'voice@example.com' })
  await channel.send('a', { ...TEXT, subject: 'Hi\r\nBcc: everybody@example.com' }, signal)
  t.same(mails[0]?.to, ['office@example.com'])
  t.notMatch(mails[0]?.body, /^Bcc:/m)
})

t.test('a password link goes by e-mail, its token after a #, and is asked for again when the server is busy', async (t) => {
  const { url, mails } = await mailServer(t)
  const message = { email: 'pat@example.com', name: 'Pat', token: 'one-use-token', expiresInMinutes: 30 }
  const mail = new SmtpChannel({ clock: new SystemClock(), url, from: 'voice@example.com' })
  const linkOf = passwordLinks('https://admin.example.com/reset', () => 'https://voice.example.com')
  await new MailNotifier({ clock: new SystemClock(), mail, linkOf }).passwordReset(message)
  t.match(mails[0]?.body.replace(/=\r\n/g, ''), /https:\/\/admin\.example\.com\/reset#one-use-token/)
  await new MailNotifier({ clock: new SystemClock(), mail, linkOf: passwordLinks(null, () => 'https://voice.example.com') }).passwordReset(message)
  t.match(mails[1]?.body.replace(/=\r\n/g, ''), /https:\/\/voice\.example\.com\/dashboard#\/password\/one-use-token/, 'the dashboard has a page for it')

  const clock = new VirtualClock()
  const outcomes: SendOutcome[] = [{ kind: 'not-taken', reason: 'SMTP 450', retryAfterMs: null }, { kind: 'taken', providerId: null }]
  let asked = 0
  const scripted = { unavailable: async () => null, send: async () => outcomes[asked++] ?? { kind: 'unknown', reason: 'lost' } as const }
  const notifier = new MailNotifier({ clock, mail: scripted, linkOf })
  await clock.runUntil(notifier.passwordReset(message))
  t.equal(asked, 2)
  await t.rejects(notifier.passwordReset(message), { code: 'ENGINE_FAILED', message: 'lost' })
  t.equal(asked, 3, 'a server that hangs is not asked again')
})
