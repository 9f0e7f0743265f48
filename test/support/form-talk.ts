import { createResponder } from '../../src/response/intelligence-loop.ts'
import { INITIAL_DIALOGUE, type DialogueState } from '../../src/response/dialogue.ts'
import type { TurnInput } from '../../src/response/responder.ts'
import { contextOf, demoCompany, OPEN_AT, questionOf, replyTo, type Reply } from './fake-company.ts'
import { FakeDesk } from './fake-desk.ts'

export type FormTalk = Readonly<{ desk: FakeDesk; readonly dialogue: DialogueState; say: (input: string | TurnInput) => Promise<Reply>; values: () => Readonly<Record<string, string>> }>

/** A caller of a demo company in writing, with a desk whose books can be looked into. */
export function formTalk(name: Parameters<typeof demoCompany>[0], options: Readonly<{ from?: string; wallTime?: Date; recall?: boolean }> = {}): FormTalk {
  const demo = demoCompany(name)
  const forms = demo.company.forms.map((form) => ({ ...form, slots: form.slots.map((slot) => ({ ...slot, recall: options.recall === true })) }))
  const context = contextOf({ ...demo, company: { ...demo.company, forms } })
  const desk = new FakeDesk(context.company)
  const responder = createResponder({ model: null, desk })
  let dialogue: DialogueState = { ...INITIAL_DIALOGUE, greeted: true }
  let turn = 0
  return {
    desk,
    get dialogue() {
      return dialogue
    },
    values: () => Object.fromEntries(Object.entries(dialogue.form?.slots ?? {}).map(([id, slot]) => [id, slot.value])),
    async say(input) {
      turn += 1
      const question = { ...questionOf(context, input, { dialogue, wallTime: options.wallTime ?? OPEN_AT, turn }), from: options.from ?? '+12395550142', effects: desk.effects(turn) }
      const reply = await replyTo(responder, question)
      dialogue = reply.dialogue
      return reply
    },
  }
}

/** Every answer of a talk, so that a failing test shows how it came to it. */
export async function through(call: FormTalk, ...said: readonly string[]): Promise<string[]> {
  const replies: string[] = []
  for (const words of said) replies.push(`${words} -> ${(await call.say(words)).said}`)
  return replies
}
