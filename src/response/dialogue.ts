import type { FormState } from '../forms/form-state.ts'

/** What the conversation is about, carried from turn to turn. Frozen; a responder returns the next one, the call keeps it on commit. */
export type DialogueState = Readonly<{
  greeted: boolean
  /** The last reply, as planned, for "say that again". */
  lastReply: readonly string[]
  /** Turns in a row without an answer; the second one offers a person or a message. */
  unansweredCount: number
  /** Times in a row that sound was there and no words: noise, or a line too bad. Silence between them does not break the row. */
  inaudibleCount?: number
  /** Set while the agent waits for a yes or no, and what each would do; after 'which', for one of two things. */
  offer: Readonly<{
    kind: 'transfer' | 'message' | 'more' | 'goodbye' | 'which'
    entryId: string | null
    /** Whom a yes to a transfer reaches; absent: whoever is free first. */
    targetId?: string
    /** The other entry of a 'which'; `entryId` is the one named first. */
    otherEntryId?: string
  }> | null
  /** The knowledge entry the talk is about, for "and how much is that?". */
  topicEntryId: string | null
  /** The caller asked us to wait: silence prompts pause. */
  onHold: boolean
  callerName: string | null
  /** What is being filled in, or was last; absent in talks from before there were forms. */
  form?: FormState | null
}>

export const INITIAL_DIALOGUE: DialogueState = Object.freeze({
  greeted: false,
  lastReply: [],
  unansweredCount: 0,
  offer: null,
  topicEntryId: null,
  onHold: false,
  callerName: null,
})
