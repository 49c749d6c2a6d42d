import { SECTOR_BYTES } from '../format/spec.ts';
import { dataRuns, isAllZeros, ZERO_PIECE } from '../format/zeros.ts';
import type { JournalCut, JournalWrite } from '../open-journal.ts';
import { type Storage, type StorageCapabilities, type StoredRange, truncatedError } from '../storage/storage.ts';
import { tooManyChanges } from './journal.ts';

/** What a draft changes, as a journal has it. */
export interface DraftChanges {
  /** Bytes of the file afterwards. */
  readonly fileSizeAfter: number;
  /** Every byte that changes, in file order. */
  readonly writes: readonly JournalWrite[];
  /** What is cut off the end and is not zero; undefined if that is more than a journal keeps. */
  readonly cut: readonly JournalCut[] | undefined;
}

/** Most changed sectors that a draft holds: the table of the largest disk with blocks of 512 KiB, and what goes with it. */
const MAX_SECTORS = 34_816;
/** Most sectors that become zeros where the file has others: those of a block of 64 MiB. They take no memory of their own. */
const MAX_ZEROED_SECTORS = 135_168;
/** Most bytes that change, before and after together. */
const MAX_CHANGED_BYTES = 2 * MAX_SECTORS * SECTOR_BYTES;
/** Stands for every sector of zeros; never written to. */
const ZERO_SECTOR = ZERO_PIECE.subarray(0, SECTOR_BYTES);
/** Most cut bytes that are not zero and are kept so that the cut can be taken back. */
const MAX_KEPT_BYTES = 2 * 1024 * 1024;
const PIECE_BYTES = 1024 * 1024;

/**
 * An image as it would be with changes that are not made yet: what is written goes into memory, all else is read from the
 * file behind it. So a plan can be looked at, and checked, before a byte of the file is touched.
 */
export class Draft implements Storage {
  readonly name: string;
  readonly capabilities: StorageCapabilities;
  readonly #base: Storage;
  readonly #baseBytes: number;
  /** Bytes of the file behind it that are still to be seen. */
  #visibleBytes: number;
  #byteLength: number;
  /** What is zeros behind the bytes that are still to be seen is not among them. */
  readonly #sectors = new Map<number, Uint8Array>();
  #heldCount = 0;

  private constructor(base: Storage, baseBytes: number) {
    this.name = base.name;
    this.capabilities = { ...base.capabilities, writable: true };
    this.#base = base;
    this.#baseBytes = baseBytes;
    this.#visibleBytes = baseBytes;
    this.#byteLength = baseBytes;
  }

  /** A draft without changes of `base`, which stays open and must not change meanwhile. */
  static async over(base: Storage): Promise<Draft> {
    return new Draft(base, await base.size());
  }

  async size(): Promise<number> {
    return this.#byteLength;
  }

  async read(target: Uint8Array, position: number): Promise<void> {
    if (position + target.length > this.#byteLength) {
      throw truncatedError(this.name, position, target.length, this.#byteLength - position);
    }
    const stored = Math.min(Math.max(this.#visibleBytes - position, 0), target.length);
    if (stored > 0) await this.#base.read(target.subarray(0, stored), position);
    target.fill(0, stored);
    for (const [sector, bytes] of this.#changedSectors(position, position + target.length)) {
      const start = sector * SECTOR_BYTES;
      const from = Math.max(start, position);
      const to = Math.min(start + SECTOR_BYTES, position + target.length);
      target.set(bytes.subarray(from - start, to - start), from - position);
    }
  }

  /** What the file behind it stores, or is changed. */
  async findData(position: number, length: number): Promise<StoredRange | undefined> {
    const end = position + length;
    const changed = this.#firstChanged(position, end);
    const visibleEnd = Math.min(end, this.#visibleBytes);
    const stored =
      position >= visibleEnd
        ? undefined
        : this.#base.findData === undefined
          ? { start: position, length: visibleEnd - position }
          : await this.#base.findData(position, visibleEnd - position);
    if (changed === undefined || (stored !== undefined && stored.start <= changed.start)) return stored;
    return changed;
  }

  /** The first changed sector in a range, as far as it lies there. */
  #firstChanged(start: number, end: number): StoredRange | undefined {
    let first = Number.POSITIVE_INFINITY;
    for (const [sector] of this.#changedSectors(start, end)) first = Math.min(first, sector);
    if (first === Number.POSITIVE_INFINITY) return undefined;
    const from = Math.max(start, first * SECTOR_BYTES);
    return { start: from, length: Math.min(end, (first + 1) * SECTOR_BYTES) - from };
  }

  #changedSectors(start: number, end: number): readonly (readonly [number, Uint8Array])[] {
    const [first, last] = [Math.floor(start / SECTOR_BYTES), Math.ceil(end / SECTOR_BYTES)];
    if (last - first > this.#sectors.size) {
      return [...this.#sectors].filter(([sector]) => sector >= first && sector < last);
    }
    const found: (readonly [number, Uint8Array])[] = [];
    for (let sector = first; sector < last; sector++) {
      const bytes = this.#sectors.get(sector);
      if (bytes !== undefined) found.push([sector, bytes]);
    }
    return found;
  }

  async write(source: Uint8Array, position: number): Promise<void> {
    const end = position + source.length;
    // What was cut and comes back is zeros.
    this.#byteLength = Math.max(this.#byteLength, end);
    for (let sector = Math.floor(position / SECTOR_BYTES); sector * SECTOR_BYTES < end; sector++) {
      const start = sector * SECTOR_BYTES;
      const from = Math.max(start, position);
      const part = source.subarray(from - position, Math.min(start + SECTOR_BYTES, end) - position);
      if (part.length === SECTOR_BYTES) this.#put(sector, part);
      else (await this.#sectorAt(sector)).set(part, from - start);
    }
  }

  /** A sector that is written as a whole: nothing has to be read. */
  #put(sector: number, bytes: Uint8Array): void {
    if (!isAllZeros(bytes)) this.#keep(sector, bytes.slice());
    else if (sector * SECTOR_BYTES < this.#visibleBytes) this.#keep(sector, ZERO_SECTOR);
    else this.#drop(sector);
  }

  /** A sector that may be written to in part. */
  async #sectorAt(sector: number): Promise<Uint8Array> {
    const known = this.#sectors.get(sector);
    if (known !== undefined && known !== ZERO_SECTOR) return known;
    const start = sector * SECTOR_BYTES;
    const bytes = new Uint8Array(SECTOR_BYTES);
    const stored = known === undefined ? Math.min(Math.max(this.#visibleBytes - start, 0), SECTOR_BYTES) : 0;
    if (stored > 0) await this.#base.read(bytes.subarray(0, stored), start);
    this.#keep(sector, bytes);
    return bytes;
  }

  #keep(sector: number, bytes: Uint8Array): void {
    this.#drop(sector);
    if (bytes !== ZERO_SECTOR) this.#heldCount++;
    this.#sectors.set(sector, bytes);
    const zeroedCount = this.#sectors.size - this.#heldCount;
    if (this.#heldCount > MAX_SECTORS || zeroedCount > MAX_ZEROED_SECTORS) throw tooManyChanges(this.name);
  }

  #drop(sector: number): void {
    const known = this.#sectors.get(sector);
    if (known !== undefined && known !== ZERO_SECTOR) this.#heldCount--;
    this.#sectors.delete(sector);
  }

  async truncate(byteLength: number): Promise<void> {
    this.#byteLength = Math.max(this.#byteLength, byteLength);
    if (byteLength === this.#byteLength) return;
    const lastSector = Math.floor(byteLength / SECTOR_BYTES);
    if (byteLength % SECTOR_BYTES !== 0) (await this.#sectorAt(lastSector)).fill(0, byteLength % SECTOR_BYTES);
    for (const sector of [...this.#sectors.keys()]) {
      if (sector * SECTOR_BYTES >= byteLength) this.#drop(sector);
    }
    this.#visibleBytes = Math.min(this.#visibleBytes, byteLength);
    this.#byteLength = byteLength;
  }

  async flush(): Promise<void> {
    // Nothing goes anywhere.
  }

  async discard(): Promise<void> {
    // Never asked for: it changes nothing, as `capabilities` may say.
  }

  async close(): Promise<void> {
    // The file behind it is somebody else's.
  }

  /**
   * What has to be done to the file to make it so. Reads what stands there now.
   * @throws VhdError `ERR_VHD_LIMIT` if that is more than a journal holds
   */
  async changes(): Promise<DraftChanges> {
    const writes: JournalWrite[] = [];
    let changedBytes = 0;
    for (const { first, end } of runsOf(await this.#changingSectors())) {
      const write = await this.#writeOf(first * SECTOR_BYTES, Math.min(end * SECTOR_BYTES, this.#byteLength));
      if (write === undefined) continue;
      changedBytes += write.before.length + write.after.length;
      if (changedBytes > MAX_CHANGED_BYTES) throw tooManyChanges(this.name);
      writes.push(write);
    }
    return { fileSizeAfter: this.#byteLength, writes, cut: await this.#cut() };
  }

  async #writeOf(offset: number, end: number): Promise<JournalWrite | undefined> {
    const after = new Uint8Array(end - offset);
    await this.read(after, offset);
    const before = new Uint8Array(Math.max(0, Math.min(after.length, this.#baseBytes - offset)));
    if (before.length > 0) await this.#base.read(before, offset);
    return trimmed(offset, before, after);
  }

  /** Sectors that may have other bytes afterwards, in file order. What the file gains is zeros, unless it says otherwise. */
  async #changingSectors(): Promise<number[]> {
    const sectors = [...this.#sectors.keys()];
    // What was cut and came back as zeros: in the file other bytes may stand there.
    const from = Math.ceil(this.#visibleBytes / SECTOR_BYTES) * SECTOR_BYTES;
    for await (const { offset, bytes } of this.#dataOfBase(from, Math.min(this.#byteLength, this.#baseBytes))) {
      const end = offset + bytes.length;
      for (let sector = Math.floor(offset / SECTOR_BYTES); sector * SECTOR_BYTES < end; sector++) {
        if (!this.#sectors.has(sector)) sectors.push(sector);
      }
      if (sectors.length > MAX_SECTORS + MAX_ZEROED_SECTORS) throw tooManyChanges(this.name);
    }
    return sectors.sort((first, second) => first - second);
  }

  /** Of what is cut off, the sectors that are not zero. */
  async #cut(): Promise<JournalCut[] | undefined> {
    const cut: JournalCut[] = [];
    let keptBytes = 0;
    for await (const { offset, bytes } of this.#dataOfBase(this.#byteLength, this.#baseBytes)) {
      keptBytes += bytes.length;
      if (keptBytes > MAX_KEPT_BYTES) return undefined;
      cut.push({ offset, before: bytes.slice() });
    }
    return cut;
  }

  /** What the file behind it has in a range that is not zero, by sectors; the bytes are good until the next are asked for. */
  async *#dataOfBase(from: number, end: number): AsyncGenerator<{ offset: number; bytes: Uint8Array }> {
    let position = from;
    while (position < end) {
      const stored =
        this.#base.findData === undefined ? { start: position } : await this.#base.findData(position, end - position);
      if (stored === undefined) return;
      const bytes = new Uint8Array(Math.min(PIECE_BYTES, end - stored.start));
      await this.#base.read(bytes, stored.start);
      for (const { start, length } of dataRuns(bytes, SECTOR_BYTES, stored.start)) {
        yield { offset: stored.start + start, bytes: bytes.subarray(start, start + length) };
      }
      position = stored.start + bytes.length;
    }
  }
}

/** Neighbours joined, up to a MiB; `end` is exclusive. */
function runsOf(sectors: readonly number[]): { readonly first: number; readonly end: number }[] {
  const runs: { first: number; end: number }[] = [];
  for (const sector of sectors) {
    const last = runs.at(-1);
    if (last?.end === sector && sector - last.first < PIECE_BYTES / SECTOR_BYTES) last.end++;
    else runs.push({ first: sector, end: sector + 1 });
  }
  return runs;
}

/** The same without the bytes that stay as they are at either end; undefined if all do. */
function trimmed(offset: number, before: Uint8Array, after: Uint8Array): JournalWrite | undefined {
  let start = 0;
  while (start < before.length && before[start] === after[start]) start++;
  let end = after.length;
  if (before.length === after.length) while (end > start && before[end - 1] === after[end - 1]) end--;
  if (start === end) return undefined;
  return { offset: offset + start, before: before.slice(start, end), after: after.slice(start, end) };
}
