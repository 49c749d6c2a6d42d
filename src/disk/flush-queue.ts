import { VhdError } from '../errors.ts';

/**
 * Runs the flushes of a disk one after the other and lets calls share them: a flush that has not begun yet covers
 * everything that had resolved before any of its callers called. A failure poisons the disk: the kernel may have
 * dropped what could not be written, so that a later flush would succeed without it.
 */
export class FlushQueue {
  readonly #storageName: string;
  readonly #perform: () => Promise<void>;
  #running: Promise<void> = Promise.resolve();
  #queued: Promise<void> | undefined;
  #poison: VhdError | undefined;

  /** `perform` makes durable what had resolved when it is called. */
  constructor(storageName: string, perform: () => Promise<void>) {
    this.#storageName = storageName;
    this.#perform = perform;
  }

  /** @throws VhdError `ERR_VHD_POISONED` after a failure */
  checkUsable(): void {
    if (this.#poison !== undefined) throw this.#poison;
  }

  /** Poisons the disk; the first cause stays. */
  poison(cause: unknown): void {
    this.#poison ??= new VhdError('ERR_VHD_POISONED', 'an earlier flush failed, so what the file holds is not known', {
      storage: this.#storageName,
      cause,
      remedy: 'close it, see to the cause, open it again: everything before the last flush that resolved is there',
    });
  }

  /** Resolves when everything that had resolved before the call is durable. */
  flush(): Promise<void> {
    if (this.#queued === undefined) {
      const queued = this.#running.then(() => {
        this.#queued = undefined;
        return this.#flushNow();
      });
      this.#queued = queued;
      this.#running = queued.catch(() => undefined);
    }
    return this.#queued;
  }

  async #flushNow(): Promise<void> {
    this.checkUsable();
    try {
      await this.#perform();
    } catch (error) {
      this.poison(error);
      throw error;
    }
  }
}
