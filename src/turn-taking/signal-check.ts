import { ClientsViaError } from '../core/errors.ts'
import type { SpeechSignal } from './turn-detector.ts'

/** Throws INVALID_INPUT naming the field when a signal's number is none: one NaN would silence the detector for the rest of the call. */
export function refuseMissingNumbers(signal: SpeechSignal): void {
  for (const field of ['atMs', 'audioEndMs', 'probability', 'confidence'] as const)
    if (field in signal && !Number.isFinite(Reflect.get(signal, field))) throw notANumber(signal.kind, field)
  // Digital silence may be minus infinity.
  if (signal.kind === 'energy' && Number.isNaN(signal.energyDb)) throw notANumber(signal.kind, 'energyDb')
}

function notANumber(kind: string, field: string): ClientsViaError {
  return new ClientsViaError('INVALID_INPUT', `${kind}.${field} must be a finite number`, { kind, field })
}
