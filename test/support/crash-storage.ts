// A storage that can be asked at any moment what a crash would leave of it.
import type { Storage, StorageCapabilities } from '../../src/storage/storage.ts';
import { truncatedError } from '../../src/storage/storage.ts';
import type { Random } from './seed.ts';

const SECTOR = 512;
const PAGE = 16 * 1024;
const SECTORS_PER_PAGE = PAGE / SECTOR;

/** One state of one sector: what it held after a change. */
interface Version {
  readonly change: number;
  /** True if the sector was cut off: that does not tear, it comes and goes with the length. */
  readonly isCut: boolean;
  /** All of the sector, with what earlier changes had made of it. */
  readonly bytes: Uint8Array;
  /** The part of the sector that this change wrote, `from` inclusive, `to` exclusive. */
  readonly from: number;
  readonly to: number;
}

interface SizeVersion {
  readonly change: number;
  readonly byteLength: number;
}

/** How much of what is not durable a crash leaves. */
export type Loss = 'nothing-durable-only' | 'whole-writes' | 'any-sectors' | 'killed';
/** All of them. */
export const LOSSES: readonly [Loss, ...Loss[]] = ['any-sectors', 'whole-writes', 'killed', 'nothing-durable-only'];

/** The calls that a test may hold up. */
export type DelayedCall = 'read' | 'write' | 'flush';

/** A file that a crash could have left. Shares its bytes with others until it is asked for them. */
export class CrashedFile {
  readonly byteLength: number;
  /** The same for files that are the same; two that differ have the same key with odds of one in 2^64. */
  readonly key: string;
  readonly #pages: ReadonlyMap<number, Uint8Array>;
  readonly #sectors: ReadonlyMap<number, Uint8Array>;

  constructor(
    pages: ReadonlyMap<number, Uint8Array>,
    sectors: ReadonlyMap<number, Uint8Array>,
    byteLength: number,
    key: string,
  ) {
    this.#pages = pages;
    this.#sectors = sectors;
    this.byteLength = byteLength;
    this.key = key;
  }

  /** A copy of its bytes. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.byteLength);
    for (const [page, content] of this.#pages) put(bytes, content, page * PAGE);
    for (const [sector, content] of this.#sectors) put(bytes, content, sector * SECTOR);
    return bytes;
  }
}

/**
 * Keeps, for every sector, each state it went through since the one that is durable. Power may fail at any moment:
 * then every sector is in its durable state or in any later one (512 bytes are atomic, longer writes tear); the length
 * is the durable one or any later one. A process that is killed loses nothing of the calls that had resolved; of those
 * under way some are carried out and others are not.
 *
 * This covers every subset of the unflushed writes, carried out in any order: what a sector holds in the end is what the
 * last write to reach it made of it, so an order of writes is, for one sector, the choice of one of its states, and the
 * sectors are chosen independently. Two writes into parts of one sector meet in the system's cache before either goes to
 * the medium, so the sector goes there with both or with the earlier one; that is why a state is all of the sector.
 */
export class CrashStorage implements Storage {
  readonly name = 'crash';
  readonly capabilities: StorageCapabilities;
  /** Called before anything changes, and before and after every barrier. */
  onMoment: () => void = () => undefined;
  /** Resolves when a call may go on; lets a test make calls overlap. `position` counts the barriers for those. */
  delay: (call: DelayedCall, position: number) => Promise<void> = () => Promise.resolve();
  #volatile: Uint8Array;
  #byteLength: number;
  /** Replaced and never changed: files that a crash left go on sharing the old ones. */
  #durable: ReadonlyMap<number, Uint8Array>;
  #durableLength: number;
  #durableSerial = 0;
  #changeCount = 0;
  #barrierCount = 0;
  readonly #underWay = new Set<number>();
  readonly #pending = new Map<number, Version[]>();
  #sizes: SizeVersion[] = [];
  #isDropped = false;

  constructor(content: Uint8Array, capabilities: Partial<StorageCapabilities> = {}) {
    this.capabilities = {
      writable: true,
      discard: 'ignored',
      durableFlush: true,
      preferredIoSize: 4096,
      ...capabilities,
    };
    this.#volatile = Uint8Array.from(content);
    this.#durable = pagesOf(content);
    this.#byteLength = content.length;
    this.#durableLength = content.length;
  }

  async size(): Promise<number> {
    return this.#byteLength;
  }

  async read(target: Uint8Array, position: number): Promise<void> {
    await this.delay('read', position);
    const found = this.#byteLength - position;
    if (found < target.length) throw truncatedError(this.name, position, target.length, found);
    target.set(this.#volatile.subarray(position, position + target.length));
  }

  async write(source: Uint8Array, position: number): Promise<void> {
    this.onMoment();
    await this.#change(position, (change) => this.#put(source, position, change));
  }

  async truncate(byteLength: number): Promise<void> {
    this.onMoment();
    await this.#change(byteLength, (change) => this.#resize(byteLength, change));
  }

  async flush(): Promise<void> {
    this.onMoment();
    const upTo = this.#changeCount;
    const underWay = new Set(this.#underWay);
    await this.delay('flush', ++this.#barrierCount);
    this.#settle((change) => change <= upTo && !underWay.has(change));
    this.onMoment();
  }

  async discard(position: number, length: number): Promise<void> {
    if (this.capabilities.discard === 'zeroes') await this.write(new Uint8Array(length), position);
  }

  async close(): Promise<void> {
    return undefined;
  }

  async #change(position: number, apply: (change: number) => void): Promise<void> {
    const change = ++this.#changeCount;
    this.#underWay.add(change);
    apply(change);
    await this.delay('write', position);
    this.#underWay.delete(change);
  }

  #put(source: Uint8Array, position: number, change: number): void {
    const end = position + source.length;
    if (end > this.#byteLength) this.#resize(end, change);
    this.#volatile.set(source, position);
    this.#note(position, end, { change, isCut: false });
  }

  #resize(byteLength: number, change: number): void {
    if (byteLength > this.#volatile.length) {
      const room = new Uint8Array(byteLength * 2);
      room.set(this.#volatile);
      this.#volatile = room;
    }
    if (byteLength < this.#byteLength) {
      this.#volatile.fill(0, byteLength, this.#byteLength);
      this.#note(byteLength, this.#byteLength, { change, isCut: true });
    }
    this.#byteLength = byteLength;
    this.#sizes.push({ change, byteLength });
  }

  #note(position: number, end: number, kind: Pick<Version, 'change' | 'isCut'>): void {
    const first = Math.floor(position / SECTOR);
    const copy = this.#volatile.slice(first * SECTOR, Math.ceil(end / SECTOR) * SECTOR);
    for (let sector = first; sector * SECTOR < end; sector++) {
      const start = sector * SECTOR;
      const version: Version = {
        ...kind,
        bytes: copy.subarray(start - first * SECTOR, start - first * SECTOR + SECTOR),
        from: Math.max(position - start, 0),
        to: Math.min(end - start, SECTOR),
      };
      const versions = this.#pending.get(sector);
      if (versions === undefined) this.#pending.set(sector, [version]);
      else versions.push(version);
    }
  }

  #settle(isDurable: (change: number) => boolean): void {
    const pages = new Map(this.#durable);
    for (const [sector, versions] of this.#pending) {
      const index = versions.findLastIndex((version) => isDurable(version.change));
      const version = versions[index];
      if (version === undefined) continue;
      const page = Math.floor(sector / SECTORS_PER_PAGE);
      let content = pages.get(page);
      if (content === undefined || content === this.#durable.get(page)) {
        content = padded(content ?? new Uint8Array(0));
        pages.set(page, content);
      }
      content.set(version.bytes, (sector % SECTORS_PER_PAGE) * SECTOR);
      if (index === versions.length - 1) this.#pending.delete(sector);
      else versions.splice(0, index + 1);
    }
    this.#durable = pages;
    this.#durableSerial++;
    const index = this.#sizes.findLastIndex((size) => isDurable(size.change));
    this.#durableLength = this.#sizes[index]?.byteLength ?? this.#durableLength;
    this.#sizes.splice(0, index + 1);
  }

  /**
   * What the system may do when a barrier fails: what was not durable stays readable, but counts as written, so that no
   * later barrier brings it to the medium.
   */
  dropUnflushed(): void {
    this.#pending.clear();
    this.#sizes = [];
    this.#isDropped = true;
  }

  /** One of the files that a crash now could leave. */
  crash(loss: Loss, random: Random): CrashedFile {
    if (loss === 'killed' && this.#isDropped) return this.#asRead();
    const survives = this.#survivors(loss, random);
    const byteLength = this.#crashedLength(loss, survives, random);
    const sectors = new Map<number, Uint8Array>();
    const key = new Key(this.#durableSerial, byteLength);
    const odds = random.pick(ODDS);
    for (const [sector, versions] of this.#pending) {
      if (sector * SECTOR >= byteLength) continue;
      const bytes =
        loss === 'killed'
          ? this.#killedSector(sector, versions, survives, key)
          : this.#chosenSector(loss, versions, { survives, random, odds }, key);
      if (bytes !== undefined) sectors.set(sector, bytes);
    }
    return new CrashedFile(this.#durable, sectors, byteLength, key.toString());
  }

  /** What reads give now. */
  #asRead(): CrashedFile {
    const pages = pagesOf(this.#volatile.subarray(0, this.#byteLength));
    return new CrashedFile(pages, new Map(), this.#byteLength, `as read/${this.#changeCount}`);
  }

  /** Whether a change comes through a crash in which changes do so as a whole. */
  #survivors(loss: Loss, random: Random): (change: number) => boolean {
    const keep = new Map<number, boolean>();
    return (change) => {
      if (loss === 'nothing-durable-only') return false;
      if (loss === 'killed' && !this.#underWay.has(change)) return true;
      const known = keep.get(change) ?? random.oneIn(2);
      keep.set(change, known);
      return known;
    };
  }

  /** What the calls that were carried out made of a sector; of those that were not it has nothing. */
  #killedSector(
    sector: number,
    versions: readonly Version[],
    survives: (change: number) => boolean,
    key: Key,
  ): Uint8Array | undefined {
    const carriedOut = versions.filter((version) => survives(version.change));
    const last = carriedOut.at(-1);
    if (last === versions[carriedOut.length - 1]) {
      key.addState(last?.change);
      return last?.bytes;
    }
    for (const version of carriedOut) key.addPart(version.change);
    const page = this.#durable.get(Math.floor(sector / SECTORS_PER_PAGE));
    const offset = (sector % SECTORS_PER_PAGE) * SECTOR;
    const bytes = page?.slice(offset, offset + SECTOR) ?? new Uint8Array(SECTOR);
    for (const { bytes: written, from, to } of carriedOut) bytes.set(written.subarray(from, to), from);
    return bytes;
  }

  #chosenSector(
    loss: Loss,
    versions: readonly Version[],
    choice: { survives: (change: number) => boolean; random: Random; odds: Odds },
    key: Key,
  ): Uint8Array | undefined {
    const { survives, random, odds } = choice;
    const last = versions.findLast((version) => survives(version.change));
    // Writes on their way to the medium tear: some of their sectors arrive, others do not.
    const isTorn = loss === 'any-sectors' || (loss === 'whole-writes' && random.oneIn(6));
    const written = versions.filter((version) => !version.isCut);
    const chosen = isTorn ? written[pickIndex(written.length, odds, random) - 1] : last;
    key.addState(chosen?.change);
    return chosen?.bytes;
  }

  #crashedLength(loss: Loss, survives: (change: number) => boolean, random: Random): number {
    if (loss === 'any-sectors') {
      const index = random.below(this.#sizes.length + 1);
      return this.#sizes[index]?.byteLength ?? this.#durableLength;
    }
    // The system keeps changes of length in order.
    let byteLength = this.#durableLength;
    for (const size of this.#sizes) {
      if (survives(size.change)) byteLength = size.byteLength;
      else if (loss !== 'killed') break;
    }
    return byteLength;
  }
}

/** How a crash treats the sectors under way: nearly all arrived, nearly none, or anything. */
type Odds = 'even' | 'most' | 'few';
const ODDS: readonly [Odds, ...Odds[]] = ['even', 'most', 'few'];

/** 0 for the durable state, else the number of a later one. */
function pickIndex(count: number, odds: Odds, random: Random): number {
  if (odds === 'even' || random.oneIn(8)) return random.below(count + 1);
  return odds === 'most' ? count : 0;
}

/** Tells files of one storage apart: from which durable bytes they are, their length, and what else came through. */
class Key {
  readonly #prefix: string;
  #first = 0x811c_9dc5;
  #second = 0x1234_5678;

  constructor(serial: number, byteLength: number) {
    this.#prefix = `${serial}/${byteLength}`;
  }

  /** The next sector is in the state a change gave it; undefined: in the durable one. */
  addState(change = 0): void {
    this.#add(change * 2);
  }

  /** The next sector holds what a change wrote, among others. */
  addPart(change: number): void {
    this.#add(change * 2 + 1);
  }

  #add(value: number): void {
    this.#first = Math.imul(this.#first ^ value, 0x0100_0193);
    this.#second = Math.imul(this.#second ^ (value * 17), 0x85eb_ca6b) ^ (this.#second >>> 15);
  }

  toString(): string {
    return `${this.#prefix}/${this.#first >>> 0}/${this.#second >>> 0}`;
  }
}

function put(target: Uint8Array, source: Uint8Array, offset: number): void {
  if (offset < target.length) target.set(source.subarray(0, target.length - offset), offset);
}

function pagesOf(content: Uint8Array): Map<number, Uint8Array> {
  const pages = new Map<number, Uint8Array>();
  for (let page = 0; page * PAGE < content.length; page++) {
    pages.set(page, padded(content.subarray(page * PAGE, (page + 1) * PAGE)));
  }
  return pages;
}

function padded(content: Uint8Array): Uint8Array {
  const page = new Uint8Array(PAGE);
  page.set(content);
  return page;
}
