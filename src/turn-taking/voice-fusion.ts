import { NoiseFloor } from '../audio/level.ts'

/**
 * The caller's speech out of two witnesses: the level of every 20 ms frame and Silero's probability for every 32 ms. Speech is what
 * both call speech: the level ends it within a frame or two, Silero keeps keyboards and music out. Where noise comes close to the
 * caller's own loudness the level is no witness and Silero decides alone; when Silero is missing or late the level does.
 */
export class VoiceFusion {
  #floor = new NoiseFloor()
  #loudFrames = 0
  #loudSinceMs = 0
  #lastBurstMs = -Infinity
  #energyOn = false
  #levelDb = -Infinity
  /** How loud speech is on this line: the latest peak of what Silero took for it. */
  #speechDb = -Infinity
  #probability = 0
  #voiceOn = false
  #voiceAtMs = -Infinity
  #frameAtMs = 0
  #run: Run | null = null
  /** A run that ended before it was confirmed. */
  #faint: Readonly<{ onsetMs: number; endMs: number }> | null = null
  #lastVoicedMs = -Infinity

  /** The stretch of speech going on now, gaps up to `RUN_GAP_MS` bridged; null in silence. */
  get run(): Readonly<Run> | null {
    return this.#run
  }

  /** End of the last voiced frame; -Infinity before any. */
  get lastVoicedMs(): number {
    return this.#lastVoicedMs
  }

  get lastFrameMs(): number {
    return this.#frameAtMs
  }

  get mode(): 'fused' | 'energy-only' | 'noisy' {
    if (this.#frameAtMs - this.#voiceAtMs > VOICE_LATE_MS) return 'energy-only'
    return this.#noisy ? 'noisy' : 'fused'
  }

  /** Noise that matters, and speech that does not rise far enough above it. */
  get #noisy(): boolean {
    return this.#floor.db > NOISY_FLOOR_DB && this.#speechDb - this.#floor.db < LEVEL_TELLS_DB
  }

  /** A sound has just begun and cannot be told from speech yet. */
  get stirring(): boolean {
    return this.#loudFrames > 0 && this.#loudFrames <= STIRRING_FRAMES
  }

  /** End of the last short loud sound since the voice ended: the t or k of a word that goes on, or a click. */
  get lastBurstMs(): number {
    return this.#lastBurstMs
  }

  /** Enough to be told from a click: a convinced Silero soon, anything else only when it lasts. */
  get confirmed(): boolean {
    if (this.#run === null) return false
    const needed = this.mode === 'energy-only' ? ENERGY_ONLY_MS : startAfterMs(this.#run, this.mode === 'noisy')
    return this.#run.voicedMs >= needed
  }

  /**
   * Confirmed by a Silero that believes it: what may silence the agent. One that stays in doubt, as over music, is believed for
   * `DOUBT_MS` only: long enough to hold the agent, too short to take the turn.
   */
  get convinced(): boolean {
    if (this.#run === null || !this.confirmed) return false
    return this.certain || (this.#run.convincedWindows >= CONVINCED_WINDOWS && this.#run.voicedMs <= DOUBT_MS)
  }

  /** This run holds a moment that nothing but a voice sounds like; always so when only the level can be asked. */
  get certain(): boolean {
    return this.#run !== null && (this.mode === 'energy-only' || this.#run.peak >= CERTAIN)
  }

  /** One 20 ms frame that ended at `atMs`. An echo frame is neither speech nor background. */
  energy(atMs: number, energyDb: number, echo: boolean): void {
    // A noisy line is noisy from its first frame; a caller who is already speaking is soon found to pause.
    if (this.#frameAtMs === 0) this.#floor = new NoiseFloor(Math.min(Math.max(energyDb, QUIETEST_FIRST_FLOOR_DB), LOUDEST_FIRST_FLOOR_DB))
    const frameMs = Math.min(Math.max(0, atMs - this.#frameAtMs), FRAME_MS)
    this.#frameAtMs = atMs
    this.#levelDb = energyDb
    // Loudness is followed under echo too: when it turns out to be the caller, their speech began where the loudness did.
    const floorDb = echo ? this.#floor.db : this.#floor.observe(energyDb, this.#run !== null)
    this.#followLevel(atMs, energyDb, floorDb)
    this.#speechDb = Math.max(this.#speechDb - SPEECH_FADES_DB, this.#voiceOn && !echo ? energyDb : -Infinity)
    if (this.#isVoiced(echo)) this.#extend(atMs, frameMs)
    else this.#endRunAfterGap(atMs)
  }

  /** Silero's probability for the window that ended at `atMs`. */
  voice(atMs: number, probability: number): void {
    this.#voiceAtMs = atMs
    this.#probability = probability
    const noisy = this.#noisy
    const wasOn = this.#voiceOn
    this.#voiceOn = probability > (wasOn ? (noisy ? NOISY_OFF : VOICE_OFF) : noisy ? NOISY_ON : VOICE_ON)
    if (this.#run !== null) this.#judge(this.#run, probability)
    // The frames since this window's middle were called voiced on the strength of the window before it.
    if (wasOn && !this.#voiceOn && this.#run !== null)
      this.#lastVoicedMs = Math.max(this.#run.sinceMs, Math.min(this.#lastVoicedMs, atMs))
  }

  /** Frames have stopped coming: nothing is voiced while nothing arrives. */
  silentUntil(atMs: number): void {
    this.#endRunAfterGap(atMs)
  }

  #followLevel(atMs: number, energyDb: number, floorDb: number): void {
    const loud = energyDb > Math.max(floorDb + ON_ABOVE_FLOOR_DB, LOWEST_ON_DB)
    this.#loudFrames = loud ? this.#loudFrames + 1 : 0
    if (this.#loudFrames === 1 && !this.#energyOn) this.#loudSinceMs = atMs - FRAME_MS
    if (this.#loudFrames >= BURST_FRAMES && atMs - this.#lastVoicedMs > RUN_GAP_MS) this.#lastBurstMs = atMs
    if (this.#loudFrames >= ON_FRAMES) this.#energyOn = true
    if (energyDb < this.#offDb) this.#energyOn = false
  }

  /** On a quiet line the weak end of a word is believed when Silero is convinced; over noise that would be the noise. */
  get #convincingDb(): number {
    return this.#floor.db > NOISY_FLOOR_DB ? this.#offDb : LOWEST_OFF_DB
  }

  get #offDb(): number {
    return Math.max(this.#floor.db + OFF_ABOVE_FLOOR_DB, LOWEST_OFF_DB)
  }

  #isVoiced(echo: boolean): boolean {
    if (echo) return false
    switch (this.mode) {
      case 'energy-only':
        return this.#energyOn
      case 'noisy':
        return this.#voiceOn
      case 'fused':
        return this.#voiceOn && (this.#energyOn || (this.#run !== null && this.#probability >= CONVINCED && this.#levelDb > this.#convincingDb))
    }
  }

  #extend(atMs: number, frameMs: number): void {
    if (this.#run === null) {
      const sinceMs = Math.max(this.#lastVoicedMs, atMs - LONGEST_LOOKBACK_MS, this.#energyOn ? this.#loudSinceMs : atMs - frameMs)
      const faint = this.#faint
      const onsetMs = faint !== null && sinceMs - faint.endMs <= FAINT_GAP_MS ? faint.onsetMs : sinceMs
      this.#run = { sinceMs, onsetMs, voicedMs: atMs - sinceMs, peak: 0, convincedWindows: 0 }
      this.#faint = null
      this.#judge(this.#run, this.#probability)
    } else this.#run.voicedMs += frameMs
    this.#lastVoicedMs = atMs
  }

  #judge(run: Run, probability: number): void {
    run.peak = Math.max(run.peak, probability)
    if (probability >= CONVINCED) run.convincedWindows += 1
  }

  #endRunAfterGap(atMs: number): void {
    const run = this.#run
    if (run === null || atMs - this.#lastVoicedMs <= RUN_GAP_MS) return
    if (!this.confirmed && run.voicedMs >= FAINT_MS) this.#faint = { onsetMs: run.onsetMs, endMs: this.#lastVoicedMs }
    this.#run = null
  }
}

type Run = {
  /** Where it began. */
  sinceMs: number
  /** Where the speech began that it belongs to: a short first word may be too little to be told from a click, until more follows. */
  onsetMs: number
  /** Voiced time in it. */
  voicedMs: number
  /** Silero's best, and how many windows it took for speech. */
  peak: number
  convincedWindows: number
}

/** The surer Silero is, the sooner a sound is speech. */
function startAfterMs(run: Readonly<Run>, noisy: boolean): number {
  if (run.peak >= CERTAIN) return CERTAIN_MS
  return run.convincedWindows >= CONVINCED_WINDOWS && !noisy ? CONVINCED_MS : DOUBTFUL_MS
}

const FRAME_MS = 20
/** Three frames above floor + 9 dB begin loudness, one below floor + 6 dB ends it; nothing under -50 dBFS is speech on a phone line. */
const ON_FRAMES = 3
/** One loud frame alone is anything. */
const BURST_FRAMES = 2
/** 80 ms: by then level and Silero have both spoken. */
const STIRRING_FRAMES = 4
const ON_ABOVE_FLOOR_DB = 9
const LOWEST_ON_DB = -50
const OFF_ABOVE_FLOOR_DB = 6
const LOWEST_OFF_DB = -53
/** As a second witness Silero may be generous: callers it scarcely believes are still heard. Alone it must be surer. */
const VOICE_ON = 0.1
const VOICE_OFF = 0.05
const NOISY_ON = 0.3
const NOISY_OFF = 0.2
/** Above this floor the level misses a sixth of speech and more, unless speech stands out from it. */
const NOISY_FLOOR_DB = -50
const LEVEL_TELLS_DB = 18
const QUIETEST_FIRST_FLOOR_DB = -60
const LOUDEST_FIRST_FLOOR_DB = -45
/** 3 dB a second: louder callers than the present one are soon forgotten. */
const SPEECH_FADES_DB = 3 / 50
/** Two windows: then the level decides alone. */
const VOICE_LATE_MS = 96
/** A gap inside a word (a stop consonant) is shorter than this. */
const RUN_GAP_MS = 60
const LONGEST_LOOKBACK_MS = 200
/** A first word said faintly, "two" before "three nine", and what of a sound is enough to be one. */
const FAINT_GAP_MS = 350
const FAINT_MS = 60
const CONVINCED = 0.5
/** One window over a half is the attack of a drum. */
const CONVINCED_WINDOWS = 2
/** Singing and sitars reach 0.8, speech 0.9 within a syllable or two. */
const CERTAIN = 0.9
const DOUBT_MS = 500
const CERTAIN_MS = 80
const CONVINCED_MS = 140
const DOUBTFUL_MS = 1200
const ENERGY_ONLY_MS = 200
