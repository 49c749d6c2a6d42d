import type { Progress, ProgressListener } from '../src/ops/progress.ts';
import type { Output, Session } from './session.ts';
import { formatBytes } from './sizes.ts';

/** How progress is told: a bar on a terminal, lines of JSON, or not at all. */
export const PROGRESS_MODES = ['auto', 'json', 'none'] as const;

type ProgressMode = (typeof PROGRESS_MODES)[number];

/** The flags of verbs that may take long. */
export interface ProgressFlags {
  /** `false` stands for `--no-progress`. */
  readonly progress?: ProgressMode | false | undefined;
  readonly quiet?: boolean | undefined;
}

/** Shorter operations are over before anybody could read a bar. */
const PATIENCE_MILLISECONDS = 1000;
/** The rate is that of the last seconds. */
const WINDOW_MILLISECONDS = 5000;
const BAR_CELLS = 24;
const CLEAR_LINE = '\r\u001b[K';

/** Tells on standard error how far an operation is. */
export class ProgressDisplay {
  /** To be given to the operation; undefined where nothing is to be told. */
  readonly listener: ProgressListener | undefined;
  readonly #stream: Output;
  readonly #now: () => number;
  readonly #startedAt: number;
  #marks: { readonly time: number; readonly doneBytes: number }[] = [];
  #phase = '';
  #isShown = false;

  constructor(session: Session, flags: ProgressFlags, now: () => number = () => performance.now()) {
    this.#now = now;
    this.#startedAt = now();
    const mode = modeOf(flags);
    // Standard error is set up only where something goes there.
    this.#stream = session.io.stderr;
    if (mode === 'json') this.listener = (progress) => void this.#stream.write(progressLine(progress));
    else if (mode === 'auto' && this.#stream.isTTY === true) this.listener = (progress) => this.#draw(progress);
  }

  /** Removes the bar, before anything else is written. */
  clear(): void {
    if (this.#isShown) this.#stream.write(CLEAR_LINE);
    this.#isShown = false;
  }

  #draw(progress: Progress): void {
    const time = this.#now();
    if (progress.phase !== this.#phase) {
      this.#phase = progress.phase;
      this.#marks = [];
    }
    this.#marks.push({ time, doneBytes: progress.doneBytes });
    while (this.#marks.length > 2 && time - (this.#marks[0]?.time ?? time) > WINDOW_MILLISECONDS) this.#marks.shift();
    if (time - this.#startedAt < PATIENCE_MILLISECONDS) return;
    const line = barLine(progress, this.#bytesPerSecond());
    this.#stream.write(CLEAR_LINE + line.slice(0, columnsOf(this.#stream) - 1));
    this.#isShown = true;
  }

  #bytesPerSecond(): number {
    const [first, last] = [this.#marks[0], this.#marks.at(-1)];
    if (first === undefined || last === undefined || last.time <= first.time) return 0;
    return ((last.doneBytes - first.doneBytes) / (last.time - first.time)) * 1000;
  }
}

/** How wide a terminal is; some say that they have no columns, and pipes do not say. */
export function columnsOf({ columns = 0 }: Output): number {
  return columns >= 20 ? columns : 80;
}

function modeOf({ progress = 'auto', quiet = false }: ProgressFlags): ProgressMode {
  if (progress === 'json') return 'json';
  return progress === false || quiet ? 'none' : progress;
}

function progressLine(progress: Progress): string {
  return `${JSON.stringify({ schema: 'vhdkit/progress/1', ...progress, totalBytes: progress.totalBytes ?? null })}\n`;
}

/** The bar: how far, how much of it empty, how fast, how long still. */
export function barLine(progress: Progress, bytesPerSecond: number): string {
  const { phase, doneBytes, totalBytes, skippedBytes } = progress;
  const rate = bytesPerSecond > 0 ? `${formatBytes(Math.round(bytesPerSecond))}/s` : '';
  const empty = skippedBytes > 0 ? `${formatBytes(skippedBytes)} empty` : '';
  if (totalBytes === undefined) {
    const bar = progress.share === undefined ? phase : `${phase} ${shareBar(progress.share)}`;
    return [bar, formatBytes(doneBytes), rate, empty].filter(Boolean).join('  ');
  }
  const bar = shareBar(totalBytes === 0 ? 1 : Math.min(1, doneBytes / totalBytes));
  const left = bytesPerSecond > 0 ? `${formatDuration((totalBytes - doneBytes) / bytesPerSecond)} left` : '';
  const amount = `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`;
  return [`${phase} ${bar}`, amount, rate, left, empty].filter(Boolean).join('  ');
}

function shareBar(share: number): string {
  const filled = Math.round(share * BAR_CELLS);
  return `${`${Math.floor(share * 100)}%`.padStart(4)} [${'='.repeat(filled)}${' '.repeat(BAR_CELLS - filled)}]`;
}

function formatDuration(seconds: number): string {
  const whole = Math.ceil(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  const two = (value: number): string => String(value).padStart(2, '0');
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
