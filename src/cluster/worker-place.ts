/** Which of the server's processes this is; the first does what must be done once. */
export type WorkerPlace = Readonly<{ place: number; of: number }>

/** For a server of one process. */
export const ALONE: WorkerPlace = { place: 0, of: 1 }

/** As the primary process writes it into the environment: "0/4". Null: this process has no primary. */
export function workerPlace(environment: Readonly<Record<string, string | undefined>>): WorkerPlace | null {
  const match = /^(\d+)\/(\d+)$/.exec(environment['CLIENTSVIA_WORKER'] ?? '')
  return match === null ? null : { place: Number(match[1]), of: Number(match[2]) }
}
