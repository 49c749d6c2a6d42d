import { SECTOR_BYTES } from '../format/spec.ts';
import { dataRuns, isAllZeros } from '../format/zeros.ts';
import type { JournalCut, JournalWrite } from '../open-journal.ts';
import type { Storage, StorageCapabilities, StoredRange } from '../storage/storage.ts';
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

/** Most changed sectors that a draft holds. */
const MAX_SECTORS = 65_536;
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
  readonly #sectors = new Map<number, Uint8Array>();

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
      return this.#base.read(target, Math.max(position, this.#baseBytes));
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
    if (end > this.#byteLength) this.#grow(end);
    for (let sector = Math.floor(position / SECTOR_BYTES); sector * SECTOR_BYTES < end; sector++) {
      const start = sector * SECTOR_BYTES;
      const isWhole = start >= position && start + SECTOR_BYTES <= end;
      const bytes = isWhole ? this.#emptySector(sector) : await this.#sectorAt(sector);
      const from = Math.max(start, position);
      bytes.set(source.subarray(from - position, Math.min(start + SECTOR_BYTES, end) - position), from - start);
    }
  }

  /** For a sector that is written as a whole: nothing has to be read. */
  #emptySector(sector: number): Uint8Array {
    const known = this.#sectors.get(sector);
    if (known !== undefined) return known;
    const bytes = new Uint8Array(SECTOR_BYTES);
    this.#keep(sector, bytes);
    return bytes;
  }

  async #sectorAt(sector: number): Promise<Uint8Array> {
    const known = this.#sectors.get(sector);
    if (known !== undefined) return known;
    const start = sector * SECTOR_BYTES;
    const bytes = new Uint8Array(SECTOR_BYTES);
    const stored = Math.min(Math.max(this.#visibleBytes - start, 0), SECTOR_BYTES);
    if (stored > 0) await this.#base.read(bytes.subarray(0, stored), start);
    this.#keep(sector, bytes);
    return bytes;
  }

  #keep(sector: number, bytes: Uint8Array): void {
    if (this.#sectors.size >= MAX_SECTORS) throw tooManyChanges(this.name);
    this.#sectors.set(sector, bytes);
  }

  #grow(byteLength: number): void {
    // What was cut and comes back is zeros: in the file other bytes stand there.
    const end = Math.min(byteLength, this.#baseBytes);
    for (let sector = Math.ceil(this.#visibleBytes / SECTOR_BYTES); sector * SECTOR_BYTES < end; sector++) {
      if (!this.#sectors.has(sector)) this.#keep(sector, new Uint8Array(SECTOR_BYTES));
    }
    this.#byteLength = byteLength;
  }

  async truncate(byteLength: number): Promise<void> {
    if (byteLength > this.#byteLength) this.#grow(byteLength);
    if (byteLength >= this.#byteLength) return;
    const lastSector = Math.floor(byteLength / SECTOR_BYTES);
    if (byteLength % SECTOR_BYTES !== 0) (await this.#sectorAt(lastSector)).fill(0, byteLength % SECTOR_BYTES);
    for (const sector of [...this.#sectors.keys()]) {
      if (sector * SECTOR_BYTES >= byteLength) this.#sectors.delete(sector);
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

  /** What has to be done to the file to make it so. Reads what stands there now. */
  async changes(): Promise<DraftChanges> {
    const writes: JournalWrite[] = [];
    for (const { offset, after } of this.#runs()) {
      const before = new Uint8Array(Math.max(0, Math.min(after.length, this.#baseBytes - offset)));
      if (before.length > 0) await this.#base.read(before, offset);
      const write = trimmed(offset, before, after);
      if (write !== undefined) writes.push(write);
    }
    return { fileSizeAfter: this.#byteLength, writes, cut: await this.#cut() };
  }

  /** Changed sectors, neighbours joined, up to the end of the file. What the file gains is zeros, unless it says otherwise. */
  #runs(): { offset: number; after: Uint8Array }[] {
    const isSaid = (sector: number, bytes: Uint8Array): boolean =>
      sector * SECTOR_BYTES < this.#baseBytes || !isAllZeros(bytes);
    const sectors = [...this.#sectors]
      .filter(([sector, bytes]) => isSaid(sector, bytes))
      .sort(([first], [second]) => first - second);
    const runs: { offset: number; after: Uint8Array }[] = [];
    let from = 0;
    while (from < sectors.length) {
      const first = sectors[from]?.[0] ?? 0;
      let to = from + 1;
      while (sectors[to]?.[0] === first + to - from) to++;
      const offset = first * SECTOR_BYTES;
      const after = new Uint8Array(Math.min((to - from) * SECTOR_BYTES, this.#byteLength - offset));
      for (const [index, [, bytes]] of sectors.slice(from, to).entries()) {
        const at = index * SECTOR_BYTES;
        after.set(bytes.subarray(0, after.length - at), at);
      }
      runs.push({ offset, after });
      from = to;
    }
    return runs;
  }

  /** Of what is cut off, the sectors that are not zero. */
  async #cut(): Promise<JournalCut[] | undefined> {
    const cut: JournalCut[] = [];
    let keptBytes = 0;
    let position = this.#byteLength;
    while (position < this.#baseBytes) {
      const left = this.#baseBytes - position;
      const stored =
        this.#base.findData === undefined ? { start: position } : await this.#base.findData(position, left);
      if (stored === undefined) break;
      const bytes = new Uint8Array(Math.min(PIECE_BYTES, this.#baseBytes - stored.start));
      await this.#base.read(bytes, stored.start);
      for (const { start, length } of dataRuns(bytes, SECTOR_BYTES, stored.start)) {
        keptBytes += length;
        if (keptBytes > MAX_KEPT_BYTES) return undefined;
        cut.push({ offset: stored.start + start, before: bytes.slice(start, start + length) });
      }
      position = stored.start + bytes.length;
    }
    return cut;
  }
}

/** The same without the bytes that stay as they are at either end; undefined if all do. */
function trimmed(offset: number, before: Uint8Array, after: Uint8Array): JournalWrite | undefined {
  let start = 0;
  while (start < before.length && before[start] === after[start]) start++;
  let end = after.length;
  if (before.length === after.length) while (end > start && before[end - 1] === after[end - 1]) end--;
  if (start === end) return undefined;
  return { offset: offset + start, before: before.subarray(start, end), after: after.subarray(start, end) };
}
