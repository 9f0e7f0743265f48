import { CallRecorder } from '../../src/call/call-recorder.ts'
import { SystemClock } from '../../src/core/clock.ts'
import type { SpeakableText } from '../../src/core/speakable-text.ts'
import { RecordingFiles } from '../../src/storage/recording-files.ts'

/** Records a caller who says 0x11 and an agent who says 0x22, until it is killed. */
const recorder = new CallRecorder({
  clock: new SystemClock(),
  store: new RecordingFiles(process.argv[2] ?? ''),
  call: { companyId: 'polar-bay', callSid: 'CA1', from: '+12395550111', to: '+12395550100' },
  notice: 'This call is recorded.' as SpeakableText,
  onFailure: (error) => {
    throw error
  },
})
recorder.noticeHeard(0)
let mediaMs = 0
const frame = (value: number): Uint8Array => new Uint8Array(160).fill(value)
// Faster than a call, so that there is something on the disk at once.
setInterval(() => {
  for (let count = 0; count < 50; count++, mediaMs += 20) {
    recorder.agent(frame(0x22), mediaMs)
    recorder.caller({ mulaw: frame(0x11), mediaMs })
  }
  process.stdout.write(`${mediaMs}\n`)
}, 10)
