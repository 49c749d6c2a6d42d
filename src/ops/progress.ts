/** How far a long operation is. */
export interface Progress {
  /** What it is doing, such as `copy` or `plan`. */
  readonly phase: string;
  /** Bytes of the virtual disk dealt with, skipped ones included. */
  readonly doneBytes: number;
  /** Bytes there are in all; undefined if that is not known, as on a pipe. */
  readonly totalBytes: number | undefined;
  /** Bytes that did not have to be moved because they are empty. */
  readonly skippedBytes: number;
  /** How much of a source was read whose total is not known, from 0 to 1: only compressed files tell it. */
  readonly share?: number | undefined;
}

/** Called now and then, at most ten times a second and once at the end of a phase; also once before a device is written. */
export type ProgressListener = (progress: Progress) => void;

const INTERVAL_MILLISECONDS = 100;

/** Counts what was copied and skipped, and tells a listener now and then. */
export class ProgressMeter {
  copiedBytes = 0;
  skippedBytes = 0;
  /** Of `copiedBytes`, those that share room with the source instead. */
  clonedBytes = 0;
  readonly #phase: string;
  readonly #totalBytes: number | undefined;
  readonly #listener: ProgressListener | undefined;
  #lastTold = 0;

  /** For a phase over `totalBytes`, undefined if nobody knows. */
  constructor(phase: string, totalBytes: number | undefined, listener: ProgressListener | undefined) {
    this.#phase = phase;
    this.#totalBytes = totalBytes;
    this.#listener = listener;
  }

  /** Tells that the first byte is about to be written. */
  begin(): void {
    this.#tell();
  }

  /** Counts bytes that were moved. */
  copied(byteLength: number): void {
    this.copiedBytes += byteLength;
    this.#tellNowAndThen();
  }

  /** Counts bytes that did not have to be moved, because they share room with those of the source. */
  cloned(byteLength: number): void {
    this.clonedBytes += byteLength;
    this.copied(byteLength);
  }

  /** Counts bytes that were empty. */
  skipped(byteLength: number): void {
    this.skippedBytes += byteLength;
    this.#tellNowAndThen();
  }

  /** Tells the final figures. */
  finish(): void {
    this.#tell();
  }

  #tellNowAndThen(): void {
    if (this.#listener === undefined) return;
    const now = performance.now();
    if (now - this.#lastTold < INTERVAL_MILLISECONDS) return;
    this.#lastTold = now;
    this.#tell();
  }

  #tell(): void {
    this.#listener?.({
      phase: this.#phase,
      doneBytes: this.copiedBytes + this.skippedBytes,
      totalBytes: this.#totalBytes,
      skippedBytes: this.skippedBytes,
    });
  }
}
