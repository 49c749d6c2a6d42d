import { checkBytes, checkOneOf, checkRange, VhdError, type WarningListener } from '../errors.ts';
import { settleAll } from '../storage/settle.ts';
import { closedError, type PlacedBytes, type Storage } from '../storage/storage.ts';
import { type Abandonable, watchAbandoned } from './abandoned.ts';
import { type Disk, type Extent, type ExtentOptions, resolveRange } from './disk.ts';
import { GatheredWrites } from './gathered-writes.ts';
import { RangeLock } from './range-lock.ts';

/**
 * When a write is durable: `flush` at the next flush, small ones gathered until then; `always` when it resolves.
 */
export type Durability = 'flush' | 'always';
/** The words of {@link Durability}. */
export const DURABILITIES: readonly string[] = ['flush', 'always'];

/** How a disk takes writes. */
export interface WriteOptions {
  /** When a write is durable: `flush` (default) at the next flush, `always` when it resolves. */
  readonly durability?: Durability | undefined;
  /** Hears what went on all the same; by default nobody does, and `process.emitWarning` where a path is opened. */
  readonly onWarning?: WarningListener | undefined;
}

/** The option names of {@link WriteOptions}. */
export const WRITE_OPTIONS: readonly string[] = ['durability', 'onWarning'];

/**
 * Checks the options of writing.
 * @throws TypeError on an unknown word, and a listener that is no function
 */
export function checkWriteOptions({ durability, onWarning }: WriteOptions): void {
  checkOneOf('durability', durability, DURABILITIES);
  if (onWarning === undefined || typeof onWarning === 'function') return;
  throw new TypeError(`onWarning: expected a function, found ${typeof onWarning}`);
}

/** A disk that small writes are held back from. */
export interface BackingDisk extends Disk {
  /** Name of the file, for messages. */
  readonly name: string;
  /**
   * Checks that it takes calls.
   * @throws VhdError `ERR_VHD_POISONED` after a failure that leaves unknown what the file holds, `ERR_VHD_CLOSED`
   */
  checkUsable(): void;
  /** Writes ranges that lie apart, in the order of the disk; if it rejects, some of them may be written. */
  writeEach(writes: readonly PlacedBytes[]): Promise<void>;
}

/** How much is gathered. */
export interface GatherLimits {
  /** Shorter writes are gathered, longer ones go to the disk at once. */
  readonly gatherBelow: number;
  /** Bytes gathered before they go to the disk. There are three arenas of this size, and copies while they leave. */
  readonly arenaBytes: number;
}

/** Copying 64 KiB takes about as long as a call on a file; three times 2 MiB is a block that fills, one that leaves, one to go on with. */
export const GATHER_LIMITS: GatherLimits = { gatherBelow: 64 * 1024, arenaBytes: 2 * 1024 * 1024 };

/**
 * A disk open for writing, whose small writes are gathered: each resolves as soon as it is copied; they leave when an
 * arena of 2 MiB is full, at a flush, and at the close, what touches as one. An awaited write of 4 KiB costs a
 * microsecond that way instead of fifty.
 *
 * Everything that goes to the disk below goes there in the order of the calls: a longer write, a discard, or the
 * extents of a range of which something is held send off first what is held. Reads fill in what is held. If something
 * that was held cannot be written, the caller who wrote it has long been told that it was: the disk is poisoned then,
 * and every later call rejects with `ERR_VHD_POISONED`, flush and close included.
 */
export class WriteBackDisk implements Disk {
  readonly size: number;
  readonly readOnly: boolean = false;
  readonly #disk: BackingDisk;
  readonly #isAlways: boolean;
  readonly #gatherBelow: number;
  /** What takes small writes; undefined while no arena is free. */
  #filling: GatheredWrites | undefined;
  #free: GatheredWrites[] = [];
  /** Resolves when every write has been taken in that waits for an arena; whatever is called meanwhile comes after them. */
  #queue: Promise<void> | undefined;
  /** Arenas on their way to the disk; never reject. */
  readonly #leaving = new Set<Promise<void>>();
  /** Calls that go on to the disk below when something else has ended; shared, it only tells when none is left. */
  readonly #calls = new RangeLock();
  readonly #abandonable: Abandonable;
  #poison: VhdError | undefined;
  #closing: Promise<void> | undefined;

  /** Wraps a disk, which it closes with itself. */
  constructor(disk: BackingDisk, options: WriteOptions = {}, limits: GatherLimits = GATHER_LIMITS) {
    this.#disk = disk;
    this.size = disk.size;
    this.#isAlways = options.durability === 'always';
    this.#gatherBelow = Math.min(limits.gatherBelow, limits.arenaBytes + 1);
    for (let count = 0; count < 3; count++) this.#free.push(new GatheredWrites(limits.arenaBytes));
    this.#filling = this.#free.pop();
    this.#abandonable = watchAbandoned(this, disk.name, options.onWarning);
  }

  async read(target: Uint8Array, position: number): Promise<void> {
    this.#checkUsable();
    checkBytes('read', target);
    checkRange('read', position, target.length, this.size);
    if (this.#queue !== undefined) await this.#queue;
    const held = this.#filling?.overlaps(position, target.length) === true ? this.#filling : undefined;
    await (held === undefined ? this.#disk.read(target, position) : this.#readAround(held, target, position));
    // It may have waited for what was on its way and did not arrive: then it read the bytes that were there before.
    this.#checkPoison();
  }

  async #readAround(held: GatheredWrites, target: Uint8Array, position: number): Promise<void> {
    const gaps = held.copyTo(target, position);
    await settleAll(
      gaps.map(({ start, end }) => this.#disk.read(target.subarray(start - position, end - position), start)),
    );
  }

  async write(source: Uint8Array, position: number): Promise<void> {
    this.#checkUsable();
    checkBytes('write', source);
    checkRange('write', position, source.length, this.size);
    if (source.length === 0) return;
    const isGathered = source.length < this.#gatherBelow && !this.#isAlways;
    if (!isGathered) return this.#change(position, source.length, () => this.#disk.write(source, position));
    this.#abandonable.isUnflushed = true;
    if (this.#queue === undefined && this.#filling?.put(source, position) === true) return;
    await (this.#queue === undefined && this.#putInNext(source, position)
      ? this.#whenNotFirst()
      : this.#enqueue(source, position));
    this.#checkPoison();
  }

  /** Sends off what is held and takes in a write; false if no arena is free. */
  #putInNext(source: Uint8Array, position: number): boolean {
    this.#sendOff();
    return this.#filling?.put(source, position) === true;
  }

  /** One arena fills while another leaves: who fills faster waits here. */
  async #whenNotFirst(): Promise<void> {
    if (this.#free.length === 0) await Promise.race(this.#leaving);
  }

  /** Takes a write in, after those that wait already, as soon as an arena has room. */
  async #enqueue(source: Uint8Array, position: number): Promise<void> {
    const queue = (this.#queue ?? Promise.resolve()).then(async () => {
      while (this.#poison === undefined && !this.#putInFreeOne(source, position)) await Promise.race(this.#leaving);
    });
    this.#queue = queue;
    // The first to hear of its end: those that wait for it come right behind, before anybody can call anew.
    void queue.then(() => {
      if (this.#queue === queue) this.#queue = undefined;
    });
    await queue;
  }

  #putInFreeOne(source: Uint8Array, position: number): boolean {
    return this.#filling?.put(source, position) === true || this.#putInNext(source, position);
  }

  async discard(position: number, length: number): Promise<void> {
    this.#checkUsable();
    checkRange('discard', position, length, this.size);
    if (length > 0) await this.#change(position, length, () => this.#disk.discard(position, length));
  }

  async *extents(options: ExtentOptions = {}): AsyncGenerator<Extent> {
    this.#checkUsable();
    const { start, end } = resolveRange('extents', options, this.size);
    if (this.#queue !== undefined) await this.#queue;
    await this.#settleRange(start, end - start);
    yield* this.#disk.extents(options);
  }

  async cloneTo(target: Storage): Promise<boolean> {
    this.#checkUsable();
    return this.#beforeClose(async () => {
      if (this.#queue !== undefined) await this.#queue;
      await this.#settleRange(0, this.size);
      return (await this.#disk.cloneTo?.(target)) === true;
    });
  }

  async flush(): Promise<void> {
    this.#checkUsable();
    await this.#beforeClose(() => this.#flush());
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #checkUsable(): void {
    if (this.#closing !== undefined) throw closedError(this.#disk.name);
    this.#checkPoison();
    this.#disk.checkUsable();
  }

  #checkPoison(): void {
    if (this.#poison !== undefined) throw this.#poison;
  }

  /** Changes bytes on the disk below, after what is held of them has been sent there. */
  async #change(position: number, length: number, change: () => Promise<void>): Promise<void> {
    await this.#beforeClose(async () => {
      if (this.#queue !== undefined) await this.#queue;
      if (this.#filling?.overlaps(position, length) === true) this.#sendOff();
      // Marked on both sides: a flush may start in between.
      this.#abandonable.isUnflushed = true;
      await change();
      this.#abandonable.isUnflushed = true;
      if (this.#isAlways) await this.#flush();
    });
  }

  /** Makes a call that the close is to wait for. */
  #beforeClose<T>(call: () => Promise<T>): Promise<T> {
    return this.#calls.run(0, 0, false, call);
  }

  /** Waits until nothing of a range is held; what could not be written is told. */
  async #settleRange(position: number, length: number): Promise<void> {
    if (this.#filling?.overlaps(position, length) === true) this.#sendOff();
    await Promise.all(this.#leaving);
    this.#checkPoison();
  }

  async #flush(): Promise<void> {
    this.#abandonable.isUnflushed = false;
    try {
      if (this.#queue !== undefined) await this.#queue;
      await this.#settleRange(0, this.size);
      await this.#disk.flush();
    } catch (error) {
      this.#abandonable.isUnflushed = true;
      throw error;
    }
  }

  async #close(): Promise<void> {
    if (this.#queue !== undefined) await this.#queue;
    this.#sendOff();
    await Promise.all(this.#leaving);
    await this.#calls.idle();
    this.#abandonable.release();
    this.#filling = undefined;
    this.#free = [];
    await this.#disk.close();
    this.#checkPoison();
  }

  /** Has everything that is held written to the disk, in calls that are made before this returns. */
  #sendOff(): void {
    const gathered = this.#filling;
    if (gathered === undefined || gathered.isEmpty) return;
    this.#filling = this.#free.pop();
    const leaving = this.#writeOut(gathered).then(() => {
      this.#leaving.delete(leaving);
      gathered.clear();
      if (this.#filling === undefined) this.#filling = gathered;
      else this.#free.push(gathered);
    });
    this.#leaving.add(leaving);
  }

  /** Writes what was held; never rejects, nor throws where there is no memory left for joining pieces. */
  async #writeOut(gathered: GatheredWrites): Promise<void> {
    let writes: readonly PlacedBytes[] = [];
    try {
      writes = gathered.take();
      await this.#disk.writeEach(writes);
    } catch (error) {
      this.#poison ??= this.#lostError(writes, error);
    }
  }

  #lostError(writes: readonly PlacedBytes[], cause: unknown): VhdError {
    const why = cause instanceof Error ? cause.message : String(cause);
    const [first, last] = [writes[0], writes.at(-1)];
    const position = first?.position ?? 0;
    const range = `bytes ${position} to ${(last?.position ?? 0) + (last?.bytes.length ?? 0)} of the disk`;
    const { expected, found, rule } = cause instanceof VhdError ? cause : {};
    return new VhdError(
      'ERR_VHD_POISONED',
      `of what was gathered from ${range}, not all could be written out: ${why}`,
      {
        storage: this.#disk.name,
        offset: position,
        rule,
        expected,
        found,
        cause,
        remedy: 'close it, see to the cause, open it again: everything before the last flush that resolved is there',
      },
    );
  }
}
