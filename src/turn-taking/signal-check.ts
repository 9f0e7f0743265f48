import { ClientsViaError } from '../core/errors.ts'
import type { SpeechSignal } from './turn-detector.ts'

/** Throws INVALID_INPUT naming the field when a signal's number is none: one NaN would silence the detector for the rest of the call. */
export function refuseMissingNumbers(signal: SpeechSignal): void {
  switch (signal.kind) {
    case 'energy':
      refuseNone(signal.kind, 'atMs', signal.atMs)
      // Digital silence may be minus infinity.
      if (Number.isNaN(signal.energyDb)) throw notANumber(signal.kind, 'energyDb')
      return
    case 'voice':
      refuseNone(signal.kind, 'atMs', signal.atMs)
      refuseNone(signal.kind, 'probability', signal.probability)
      return
    case 'transcript':
      refuseNone(signal.kind, 'audioEndMs', signal.audioEndMs)
      return
    case 'turn-hint':
      refuseNone(signal.kind, 'atMs', signal.atMs)
      refuseNone(signal.kind, 'confidence', signal.confidence)
      return
    case 'tick':
    case 'agent':
      refuseNone(signal.kind, 'atMs', signal.atMs)
      return
    case 'expect':
      return
  }
}

function refuseNone(kind: string, field: string, value: number): void {
  if (!Number.isFinite(value)) throw notANumber(kind, field)
}

function notANumber(kind: string, field: string): ClientsViaError {
  return new ClientsViaError('INVALID_INPUT', `${kind}.${field} must be a finite number`, { kind, field })
}
