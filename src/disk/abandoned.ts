import type { WarningListener } from '../errors.ts';

/** What has to be known of a disk when it is gone. */
export interface Abandonable {
  /** True from a write to the flush that makes it durable. */
  isUnflushed: boolean;
  /** The disk is closed: nobody is to hear of it any more. */
  readonly release: () => void;
}

/** What is open, without what would keep it from being garbage-collected. */
const open = new Set<Watched>();

class Watched implements Abandonable {
  isUnflushed = false;
  readonly #name: string;
  readonly #onWarning: WarningListener;

  constructor(name: string, onWarning: WarningListener) {
    this.#name = name;
    this.#onWarning = onWarning;
    open.add(this);
  }

  readonly release = (): void => {
    this.isUnflushed = false;
    open.delete(this);
  };

  warn(why: string): void {
    if (!this.isUnflushed) return;
    this.release();
    const message = `${why}: what was written since its last flush is lost or may be`;
    this.#onWarning({ code: 'WARN_VHD_UNFLUSHED', message, storage: this.#name });
  }
}

const registry = new FinalizationRegistry<Watched>((watched) => {
  watched.warn('the disk was dropped without being closed');
  watched.release();
});

/**
 * Warns if a disk is garbage-collected with writes that were not flushed: nobody can close it any more. Returns what
 * the disk keeps up to date; it does not keep the disk alive.
 */
export function watchAbandoned(disk: object, name: string, onWarning: WarningListener | undefined): Abandonable {
  if (onWarning === undefined) return { isUnflushed: false, release: () => undefined };
  const watched = new Watched(name, onWarning);
  registry.register(disk, watched);
  return watched;
}

/** Warns of every disk that is open still and has writes that were not flushed; for the end of a program. */
export function warnOfUnflushed(): void {
  for (const watched of [...open]) watched.warn('the program ends without closing the disk');
}
