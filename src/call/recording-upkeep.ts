import { deleteRecordings, everyRecording, type Recording, type RecordingStore } from './recording.ts'

type ForgetfulStore = Readonly<{
  name: string
  erase: (companyId: string, phoneNumberE164: string, signal: AbortSignal) => Promise<number>
  find: (companyId: string, phoneNumberE164: string, signal: AbortSignal) => Promise<number>
}>

/** Recordings, as a store that can forget a caller: what they said is in the sound, so the whole recording goes. */
export function recordingStore(recordings: RecordingStore): ForgetfulStore {
  const isTheirs = (recording: Recording, number: string): boolean => recording.from === number || recording.to === number
  return {
    name: 'recordings',
    erase: async (companyId, number, signal) => {
      let erased = 0
      for await (const recording of everyRecording(recordings, companyId, {}, signal)) {
        if (isTheirs(recording, number) && (await recordings.delete(companyId, recording.id))) erased += 1
      }
      return erased
    },
    find: async (companyId, number, signal) => {
      let left = 0
      for await (const recording of everyRecording(recordings, companyId, {}, signal)) if (isTheirs(recording, number)) left += 1
      return left
    },
  }
}

/** For retention: recordings of a company from before `before` (RFC 3339). */
export function expiredRecordings(recordings: RecordingStore): (companyId: string, before: string, signal: AbortSignal) => Promise<number> {
  return (companyId, before, signal) => deleteRecordings(recordings, companyId, { startedBefore: before }, signal)
}

/** What deleted companies have left behind. */
export async function deleteOrphans(recordings: RecordingStore, companyExists: (companyId: string, signal: AbortSignal) => Promise<boolean>, signal: AbortSignal): Promise<number> {
  let deleted = 0
  for (const companyId of await recordings.companies(signal)) {
    if (!(await companyExists(companyId, signal))) deleted += await deleteRecordings(recordings, companyId, {}, signal)
  }
  return deleted
}
