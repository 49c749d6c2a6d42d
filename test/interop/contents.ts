// What a disk is to hold: a few places with a pattern, zeros everywhere else. Sizes may be far beyond what can be read.
import { open } from 'node:fs/promises';
import type { Disk } from '../../src/disk/disk.ts';
import { firstDifference, pattern } from '../support/bytes.ts';

const MIB = 1024 * 1024;
const ZEROS = Buffer.alloc(64 * 1024);

/** A stretch that holds a pattern. */
export interface Place {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** A range of a disk. */
export interface Range {
  readonly position: number;
  readonly length: number;
}

/** Contents of a disk that begins with a partition table. */
export interface PartitionedContents {
  readonly contents: Contents;
  readonly partitions: readonly Range[];
}

/** The contents of a whole disk. */
export class Contents {
  readonly size: number;
  /** In order, none touching another. */
  readonly places: readonly Place[];

  constructor(size: number, places: readonly Place[]) {
    this.size = size;
    this.places = places;
  }

  /** The places that a disk with blocks is worth trying at: both ends, a whole block, across two, single sectors. */
  static forBlocks(size: number, blockSize: number): Contents {
    const blockCount = Math.ceil(size / blockSize);
    const ranges: [number, number][] = [[0, 512]];
    if (blockCount > 1) ranges.push([blockSize - 1024, 1024], [(blockCount - 1) * blockSize, 512]);
    if (blockCount > 4) {
      const middle = Math.floor(blockCount / 2) * blockSize;
      ranges.push([blockSize, blockSize], [middle - 700, 1500], [middle + blockSize / 2 + 512, 512]);
    }
    if (blockCount > 60) ranges.push([Math.floor(blockCount * 0.77) * blockSize + 4096, 70_000]);
    ranges.push([size - 512, 512]);
    return new Contents(size, placesOf(ranges, size));
  }

  /**
   * The places of `forBlocks` on a disk of more than 60 blocks, the first sector being a partition table: 7-Zip reads
   * far into a disk only by its partitions, and these hold all the places.
   */
  static withPartitions(size: number, blockSize: number): PartitionedContents {
    const plain = Contents.forBlocks(size, blockSize);
    const blockCount = Math.ceil(size / blockSize);
    const partitions = [
      { position: blockSize - 1024, length: 2 * blockSize },
      { position: Math.floor(blockCount / 2) * blockSize - 1024, length: 2 * blockSize },
      { position: Math.floor(blockCount * 0.77) * blockSize, length: blockSize },
      { position: (blockCount - 1) * blockSize, length: size - (blockCount - 1) * blockSize },
    ];
    const table = { position: 0, bytes: partitionTable(partitions) };
    return { contents: new Contents(size, [table, ...plain.places.slice(1)]), partitions };
  }

  /** Writes it all to a disk that is zeros. */
  async writeTo(disk: Disk): Promise<void> {
    // Not in order, so that blocks do not lie in the file as on the disk.
    for (const { bytes, position } of this.places.toReversed()) await disk.write(bytes, position);
  }

  /** The same on a disk that is larger, with zeros behind it. */
  grown(size: number): Contents {
    return new Contents(size, this.places);
  }

  /** Makes a raw file of it, with holes. */
  async writeRaw(path: string): Promise<void> {
    const file = await open(path, 'wx');
    try {
      await file.truncate(this.size);
      for (const { bytes, position } of this.places) await file.write(bytes, 0, bytes.length, position);
    } finally {
      await file.close();
    }
  }

  /** The bytes of a range. */
  slice(start: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (const place of this.places) {
      const from = Math.max(start, place.position);
      const to = Math.min(start + length, place.position + place.bytes.length);
      if (from < to) bytes.set(place.bytes.subarray(from - place.position, to - place.position), from - start);
    }
    return bytes;
  }

  /** The same with something written over it. */
  with(position: number, bytes: Uint8Array): Contents {
    const end = position + bytes.length;
    const pieces = this.places.flatMap((place) => [
      { position: place.position, bytes: place.bytes.subarray(0, Math.max(0, position - place.position)) },
      { position: Math.max(end, place.position), bytes: place.bytes.subarray(Math.max(0, end - place.position)) },
    ]);
    const kept = [...pieces.filter((piece) => piece.bytes.length > 0), { position, bytes }];
    return new Contents(
      this.size,
      kept.toSorted((one, other) => one.position - other.position),
    );
  }

  /** The places that a range touches. */
  placesIn(start: number, length: number): Place[] {
    return this.places.filter(
      (place) => place.position < start + length && start < place.position + place.bytes.length,
    );
  }

  /** True if a range is all zeros, however large it is. */
  isZeroIn(start: number, length: number): boolean {
    return this.placesIn(start, length).every(({ position, bytes }) =>
      isZero(bytes.subarray(Math.max(0, start - position), Math.max(0, start + length - position))),
    );
  }

  /** Says where bytes that were read from `position` on are not what they should be; undefined if they are. */
  difference(bytes: Uint8Array, position: number): string | undefined {
    if (this.placesIn(position, bytes.length).length === 0 && isZero(bytes)) return undefined;
    const wanted = this.slice(position, bytes.length);
    const index = firstDifference(bytes, wanted);
    if (index === -1) return undefined;
    return `byte ${position + index}: expected ${wanted[index] ?? '-'}, found ${bytes[index] ?? '-'}`;
  }

  /** Ranges worth reading where reading all is too much: every place with what is around it, and both ends. */
  ranges(): Range[] {
    const around = this.places.map(({ position, bytes }) => {
      const start = Math.max(0, position - 3 * 512);
      return { position: start, length: Math.min(this.size, position + bytes.length + 3 * 512) - start };
    });
    return [{ position: 0, length: Math.min(this.size, MIB) }, ...around];
  }
}

function placesOf(ranges: readonly [number, number][], size: number): Place[] {
  const places: Place[] = [];
  for (const [position, length] of ranges.toSorted((one, other) => one[0] - other[0])) {
    const last = places.at(-1);
    const start = Math.max(position, last === undefined ? 0 : last.position + last.bytes.length);
    const end = Math.min(size, position + length);
    if (start < end) places.push({ position: start, bytes: pattern(end - start, places.length + 1) });
  }
  return places;
}

/** A master boot record of primary partitions. */
function partitionTable(partitions: readonly Range[]): Uint8Array {
  const sector = new Uint8Array(512);
  const view = new DataView(sector.buffer);
  for (const [index, { position, length }] of partitions.entries()) {
    const entry = 446 + 16 * index;
    view.setUint8(entry + 4, 0x83);
    view.setUint32(entry + 8, position / 512, true);
    view.setUint32(entry + 12, length / 512, true);
  }
  view.setUint16(510, 0x55aa);
  return sector;
}

/** True if every byte is zero. */
export function isZero(bytes: Uint8Array): boolean {
  for (let start = 0; start < bytes.length; start += ZEROS.length) {
    const piece = bytes.subarray(start, start + ZEROS.length);
    if (Buffer.compare(piece, ZEROS.subarray(0, piece.length)) !== 0) return false;
  }
  return true;
}
