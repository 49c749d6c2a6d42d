// A storage that can be asked at any moment what a crash would leave of it.
import type { Storage, StorageCapabilities } from '../../src/storage/storage.ts';
import { truncatedError } from '../../src/storage/storage.ts';
import type { Random } from './seed.ts';

const SECTOR = 512;

/** One state of one sector: what it held after a change. */
interface Version {
  readonly change: number;
  /** True if the sector was cut off: that does not tear, it comes and goes with the length. */
  readonly isCut: boolean;
  readonly bytes: Uint8Array;
}

interface SizeVersion {
  readonly change: number;
  readonly byteLength: number;
}

/** How much of what is not durable a crash leaves. */
export type Loss = 'nothing-durable-only' | 'whole-writes' | 'any-sectors' | 'killed';

/**
 * Keeps, for every sector, each state it went through since the one that is durable. Power may fail at any moment:
 * then every sector is in its durable state or in any later one, whatever the order of the writes (512 bytes are
 * atomic, longer writes tear); the length is the durable one or any later one. A process that is killed loses nothing
 * of the calls that had resolved; of those under way some are carried out and others are not.
 */
export class CrashStorage implements Storage {
  readonly name = 'crash';
  readonly capabilities: StorageCapabilities = {
    writable: true,
    discard: 'ignored',
    durableFlush: true,
    preferredIoSize: 4096,
  };
  /** Called before anything changes, and before and after every barrier. */
  onMoment: () => void = () => undefined;
  /** Resolves when a call may go on; lets a test make calls overlap. */
  delay: (call: 'read' | 'write' | 'flush') => Promise<void> = () => Promise.resolve();
  #volatile: Uint8Array;
  #byteLength: number;
  #durable: Uint8Array;
  #durableLength: number;
  #changeCount = 0;
  readonly #underWay = new Set<number>();
  readonly #pending = new Map<number, Version[]>();
  #sizes: SizeVersion[] = [];

  constructor(content: Uint8Array) {
    this.#volatile = Uint8Array.from(content);
    this.#durable = Uint8Array.from(content);
    this.#byteLength = content.length;
    this.#durableLength = content.length;
  }

  async size(): Promise<number> {
    return this.#byteLength;
  }

  async read(target: Uint8Array, position: number): Promise<void> {
    await this.delay('read');
    const found = this.#byteLength - position;
    if (found < target.length) throw truncatedError(this.name, position, target.length, found);
    target.set(this.#volatile.subarray(position, position + target.length));
  }

  async write(source: Uint8Array, position: number): Promise<void> {
    this.onMoment();
    await this.#change((change) => this.#put(source, position, change));
  }

  async truncate(byteLength: number): Promise<void> {
    this.onMoment();
    await this.#change((change) => this.#resize(byteLength, change));
  }

  async flush(): Promise<void> {
    this.onMoment();
    const upTo = this.#changeCount;
    const underWay = new Set(this.#underWay);
    await this.delay('flush');
    this.#settle((change) => change <= upTo && !underWay.has(change));
    this.onMoment();
  }

  async discard(): Promise<void> {
    return undefined;
  }

  async close(): Promise<void> {
    return undefined;
  }

  async #change(apply: (change: number) => void): Promise<void> {
    const change = ++this.#changeCount;
    this.#underWay.add(change);
    apply(change);
    await this.delay('write');
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

  #note(position: number, end: number, version: Omit<Version, 'bytes'>): void {
    for (let sector = Math.floor(position / SECTOR); sector * SECTOR < end; sector++) {
      const bytes = this.#volatile.slice(sector * SECTOR, (sector + 1) * SECTOR);
      const versions = this.#pending.get(sector);
      if (versions === undefined) this.#pending.set(sector, [{ ...version, bytes }]);
      else versions.push({ ...version, bytes });
    }
  }

  #settle(isDurable: (change: number) => boolean): void {
    for (const [sector, versions] of this.#pending) {
      const index = versions.findLastIndex((version) => isDurable(version.change));
      const version = versions[index];
      if (version === undefined) continue;
      this.#durable = withRoom(this.#durable, (sector + 1) * SECTOR);
      this.#durable.set(version.bytes, sector * SECTOR);
      if (index === versions.length - 1) this.#pending.delete(sector);
      else versions.splice(0, index + 1);
    }
    const index = this.#sizes.findLastIndex((size) => isDurable(size.change));
    this.#durableLength = this.#sizes[index]?.byteLength ?? this.#durableLength;
    this.#sizes.splice(0, index + 1);
  }

  /** One of the files that a crash now could leave. */
  crash(loss: Loss, random: Random): Uint8Array {
    const keep = new Map<number, boolean>();
    const survives = (change: number): boolean => {
      if (loss === 'nothing-durable-only') return false;
      if (loss === 'killed' && !this.#underWay.has(change)) return true;
      const known = keep.get(change) ?? random.oneIn(2);
      keep.set(change, known);
      return known;
    };
    const byteLength = this.#crashedLength(loss, survives, random);
    const bytes = new Uint8Array(byteLength);
    bytes.set(this.#durable.subarray(0, byteLength));
    for (const [sector, versions] of this.#pending) {
      const offset = sector * SECTOR;
      if (offset >= byteLength) continue;
      const chosen = this.#crashedSector(loss, versions, survives, random);
      if (chosen !== undefined) bytes.set(chosen.bytes.subarray(0, byteLength - offset), offset);
    }
    return bytes;
  }

  #crashedSector(
    loss: Loss,
    versions: readonly Version[],
    survives: (change: number) => boolean,
    random: Random,
  ): Version | undefined {
    const last = versions.findLast((version) => survives(version.change));
    const written = versions.filter((version) => !version.isCut);
    if (loss === 'any-sectors') return written[random.below(written.length + 1)];
    // Writes on their way to the medium tear: some of their sectors arrive, others do not.
    if (loss !== 'whole-writes' || !random.oneIn(6)) return last;
    return written[random.below(written.length + 1) - 1];
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

function withRoom(bytes: Uint8Array, byteLength: number): Uint8Array {
  if (bytes.length >= byteLength) return bytes;
  const room = new Uint8Array(byteLength * 2);
  room.set(bytes);
  return room;
}
