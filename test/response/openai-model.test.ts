import t from 'tap'
import { ClientsViaError } from '../../src/core/errors.ts'
import type { ModelPatience, ModelPiece, ModelTool } from '../../src/response/model-engine.ts'
import { OpenAiModel } from '../../src/response/openai-model.ts'
import type { ModelPrompt } from '../../src/response/prompts.ts'
import { SteadyClock } from '../support/steady-clock.ts'
import { FAULTS, clock as vendorClock } from '../vendors/faults.ts'
import { OpenAiStandIn } from '../vendors/openai.ts'

const clock = new SteadyClock()
vendorClock.follow(clock)
const PROMPT: ModelPrompt = { id: 'test@1', system: 'Answer. <source>Is there parking? There is parking behind the house, and it costs nothing.</source>', user: '<caller>where is the parking</caller>', canary: 'abc' }
const TOOL: ModelTool = { name: 'transfer', description: 'Connects the caller.', parameters: { type: 'object', properties: { to: { type: 'string' } }, required: ['to'], additionalProperties: false } }
const SHORT: ModelPatience = { firstPieceMs: 250, gapMs: 250 }
const LONG: ModelPatience = { firstPieceMs: 5000, gapMs: 5000 }
const never = new AbortController().signal

const standIn = await OpenAiStandIn.start()
t.teardown(() => standIn.stop())
const models = (['responses', 'chat'] as const).map((api) => ({ api, model: new OpenAiModel({ clock, apiKey: 'key-1', baseUrl: standIn.baseUrl, model: 'gpt-test', api }) }))
t.teardown(async () => {
  for (const { model } of models) await model.close()
})

async function piecesOf(model: OpenAiModel, patience: ModelPatience, signal: AbortSignal = never): Promise<ModelPiece[]> {
  const pieces: ModelPiece[] = []
  for await (const piece of model.answer(PROMPT, [TOOL], patience, signal)) pieces.push(piece)
  return pieces
}

const textOf = (pieces: readonly ModelPiece[]): string => pieces.flatMap((piece) => (piece.kind === 'text' ? [piece.text] : [])).join('')

for (const { api, model } of models) {
  t.test(`${api}: what the model says comes piece by piece, with what it cost and what it asks for`, async (t) => {
    standIn.reply = () => ({ text: 'Behind the house.', calls: [{ name: 'transfer', arguments: { to: 'desk' } }] })
    const pieces = await piecesOf(model, LONG)
    t.equal(textOf(pieces), 'Behind the house.')
    t.ok(pieces.filter((piece) => piece.kind === 'text').length >= 3)
    t.same(pieces.find((piece) => piece.kind === 'call'), { kind: 'call', name: 'transfer', argumentsJson: '{"to":"desk"}' })
    const usage = pieces.find((piece) => piece.kind === 'usage')
    t.match(usage, { usage: { outputTokens: 3, cachedInputTokens: 0, isEstimate: false } })
    const seen = standIn.asked.at(-1)
    t.equal(seen?.authorization, 'Bearer key-1')
    t.equal(seen?.model, 'gpt-test')
    t.same(seen?.tools, ['transfer'])
    if (api === 'responses') t.equal(seen?.body['store'], false, 'the vendor is told to keep nothing')
  })

  t.test(`${api}: every way a vendor fails is an error of the catalogue, in time`, async (t) => {
    standIn.reply = () => ({ text: 'There is parking behind the house and it costs nothing at all.' })
    for (const fault of FAULTS) {
      await standIn.fail(fault)
      const startedAt = clock.now()
      const requestsBefore = standIn.requests
      const error = await piecesOf(model, SHORT).then(() => null, (reason: unknown) => reason)
      const tookMs = clock.now() - startedAt
      if (fault === 'dribble') {
        // Something always comes, so the stream itself is alive: what ends it is that no sentence does. See the turn's own deadline.
        t.ok(error instanceof ClientsViaError, fault)
      } else t.ok(error instanceof ClientsViaError, `${fault}: ${String(error)}`)
      if (error instanceof ClientsViaError) {
        t.ok(['ENGINE_UNAVAILABLE', 'ENGINE_FAILED', 'DEADLINE_PASSED'].includes(error.code), `${fault}: ${error.code}`)
        t.ok(error.retryable, fault)
        t.notMatch(error.message, /key-1/, 'no secret in an error')
      }
      t.ok(tookMs < 2000, `${fault}: ${Math.round(tookMs)} ms`)
      t.ok(standIn.requests - requestsBefore <= 1, `${fault}: a turn has no time to ask twice`)
      await standIn.fail(null)
    }
  })

  t.test(`${api}: an answer that ends without being finished is a failure, whatever it said`, async (t) => {
    standIn.reply = () => ({ text: 'There is parking behind the house.' })
    standIn.endsAfterTokens = 3
    t.teardown(() => (standIn.endsAfterTokens = null))
    const said: string[] = []
    await t.rejects(async () => {
      for await (const piece of model.answer(PROMPT, [], LONG, never)) if (piece.kind === 'text') said.push(piece.text)
    }, { code: 'ENGINE_FAILED' })
    t.equal(said.join(''), 'There is parking')
  })

  t.test(`${api}: a caller who interrupts ends the stream at the vendor too, with the caller's reason`, async (t) => {
    standIn.reply = () => ({ text: Array.from({ length: 200 }, (_, index) => `word${index}`).join(' ') })
    standIn.tokenMs = 10
    t.teardown(() => (standIn.tokenMs = 0))
    const call = new AbortController()
    const reason = new Error('interrupted')
    let pieces = 0
    await t.rejects(async () => {
      for await (const piece of model.answer(PROMPT, [], LONG, call.signal)) {
        if (piece.kind === 'text' && ++pieces === 5) call.abort(reason)
      }
    }, reason)
    while (standIn.asked.at(-1)?.state === 'open') await clock.sleep(5)
    const seen = standIn.asked.at(-1)
    t.equal(seen?.state, 'aborted')
    t.ok((seen?.sentTokens ?? 200) < 30, `${seen?.sentTokens} tokens were generated`)
  })

  t.test(`${api}: aborted before the first byte`, async (t) => {
    await standIn.fail('hang')
    t.teardown(() => standIn.fail(null))
    const call = new AbortController()
    const reason = new Error('hung up')
    const answer = piecesOf(model, LONG, call.signal)
    await clock.sleep(20)
    call.abort(reason)
    await t.rejects(answer, reason)
  })
}

t.test('a wrong key is known before the first caller', async (t) => {
  standIn.apiKey = 'right'
  t.teardown(() => (standIn.apiKey = null))
  const wrong = new OpenAiModel({ clock, apiKey: 'wrong', baseUrl: standIn.baseUrl, model: 'gpt-test', api: 'responses' })
  t.teardown(() => wrong.close())
  await t.rejects(wrong.warm(never), { code: 'ENGINE_UNAVAILABLE', details: { status: 401 } })
})
