// Our side: what a disk of ours holds, and how its blocks lie in the file.
import { readFile } from 'node:fs/promises';
import { expect } from 'vitest';
import type { VhdDisk } from '../../src/disk/vhd-disk.ts';
import { decodeDynamicHeader } from '../../src/format/dynamic-header.ts';
import { decodeFooter } from '../../src/format/footer.ts';
import type { Contents } from './contents.ts';

const MIB = 1024 * 1024;
/** Above this, a fixed disk is read only where there is something, and around it. */
const READ_WHOLE_LIMIT = 1024 * MIB;

/** Compares a disk with what it is to hold: all of it, as its extents tell it. */
export async function expectDiskHolds(disk: VhdDisk, contents: Contents): Promise<void> {
  expect(disk.size).toBe(contents.size);
  if (disk.type === 'fixed' && disk.size > READ_WHOLE_LIMIT) {
    for (const { position, length } of contents.ranges()) await expectRange(disk, contents, position, length);
    return;
  }
  let position = 0;
  for await (const { start, length, kind } of disk.extents()) {
    expect(start).toBe(position);
    position += length;
    if (kind === 'data') await expectRange(disk, contents, start, length);
    else expect([start, length, contents.isZeroIn(start, length)]).toEqual([start, length, true]);
  }
  expect(position).toBe(disk.size);
}

async function expectRange(disk: VhdDisk, contents: Contents, position: number, length: number): Promise<void> {
  const end = position + length;
  for (let start = position; start < end; start += MIB) {
    const bytes = await disk.readBytes(start, Math.min(MIB, end - start));
    expect(contents.difference(bytes, start)).toBeUndefined();
  }
}

/** How the blocks of a dynamic image lie in its file, by the file alone. */
export interface FileLayout {
  /** Sectors of the bitmaps, in file order. */
  readonly blocks: readonly number[];
  /** Sectors from one bitmap to the next, each distance once. */
  readonly strides: readonly number[];
  /** Sector behind the table. */
  readonly tableEnd: number;
  /** Sector of the end footer. */
  readonly footer: number;
  readonly hasBothFooters: boolean;
}

/** Reads the layout of a dynamic image, which must not be large. */
export async function readLayout(path: string): Promise<FileLayout> {
  const file = await readFile(path);
  const front = file.subarray(0, 512);
  const footer = decodeFooter(front).value;
  const header = decodeDynamicHeader(file.subarray(footer.dataOffset, footer.dataOffset + 1024)).value;
  const entryCount = Math.ceil(footer.currentSize / header.blockSize);
  const table = new DataView(file.buffer, file.byteOffset + header.tableOffset, entryCount * 4);
  const entries = Array.from({ length: entryCount }, (_, index) => table.getUint32(index * 4));
  const blocks = entries.filter((entry) => entry !== 0xffff_ffff).toSorted((one, other) => one - other);
  const distances = blocks.slice(1).map((entry, index) => entry - (blocks[index] ?? 0));
  return {
    blocks,
    strides: [...new Set(distances)],
    tableEnd: Math.ceil((header.tableOffset + header.maxTableEntries * 4) / 512),
    footer: file.length / 512 - 1,
    hasBothFooters: Buffer.compare(front, file.subarray(-512)) === 0,
  };
}
