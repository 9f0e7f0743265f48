/**
 * What the agent's last question makes the caller likely to say. Two rooms read it: turn-taking (keep waiting while digits are
 * missing, do not wait after a plain yes) and response (how to read a short answer).
 */
export type Expectation =
  | Readonly<{ kind: 'open' }>
  | Readonly<{ kind: 'digits'; count: number }>
  | Readonly<{ kind: 'yes-no' }>
  | Readonly<{ kind: 'name' }>
  | Readonly<{ kind: 'date' }>

export const OPEN_EXPECTATION: Expectation = Object.freeze({ kind: 'open' })
