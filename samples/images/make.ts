/**
 * Makes the images of this folder, sound ones and broken ones, always the same bytes. It shows how `vhdkit/format` puts
 * an image together; to make images for use, `createVhd` is the way.
 *
 *   npx tsx samples/images/make.ts [FOLDER]
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { createVhdStorage, MemoryStorage } from 'vhdkit/core';
import {
  allOnesBitmap,
  bitmapByteLength,
  DISK_TYPE,
  DYNAMIC_HEADER_BYTES,
  type DynamicHeader,
  decodeDynamicHeader,
  decodeFooter,
  encodeDynamicHeader,
  encodeFooter,
  FOOTER_BYTES,
  type Footer,
  newFooter,
  parseUuid,
  SECTOR_BYTES,
  timestampFor,
  UNUSED_BAT_ENTRY,
  type VhdType,
} from 'vhdkit/format';
import { FAT_DISK_GEOMETRY, fatDisk } from './fat-disk.ts';

const CREATED = new Date('2026-11-24T12:00:00Z');
const GIB = 1024 ** 3;
const BLOCK_BYTES = 4096;
const TABLE_OFFSET = FOOTER_BYTES + DYNAMIC_HEADER_BYTES;
const SECOND_BLOCK_OFFSET = TABLE_OFFSET + SECTOR_BYTES + SECTOR_BYTES + BLOCK_BYTES;
const PARENT_NAME = 'dynamic-4g.vhd';

/** Every image by its name. */
export async function makeImages(): Promise<ReadonlyMap<string, Uint8Array>> {
  const empty = await emptyDisk();
  const fixed = Buffer.concat([fatDisk(), encodeFooter(fatFooter('fixed', 1))]);
  const header = decodeDynamicHeader(empty.subarray(FOOTER_BYTES, TABLE_OFFSET)).value;
  const dynamic = blocksOfFatDisk(header, fatFooter('dynamic', 2));
  return new Map<string, Uint8Array>([
    ['fixed-fat12.vhd', fixed],
    ['dynamic-fat12.vhd', dynamic],
    [PARENT_NAME, empty],
    ['child-of-4g.vhd', childOf(empty)],
    ['legacy-511.vhd', Buffer.concat([fatDisk(), encodeFooter(fatFooter('fixed', 5))]).subarray(0, -1)],
    ['footer-lost.vhd', dynamic.subarray(0, -FOOTER_BYTES)],
    [
      'footers-disagree.vhd',
      Buffer.concat([dynamic.subarray(0, -FOOTER_BYTES), encodeFooter(fatFooter('dynamic', 7))]),
    ],
    ['bad-checksum.vhd', withByte(fixed, fixed.length - FOOTER_BYTES + 27, 0x42)],
    ['cut-short.vhd', dynamic.subarray(0, 8192)],
    ['stale-sectors.vhd', withByte(dynamic, SECOND_BLOCK_OFFSET, 0b1111_0111)],
  ]);
}

/** The identifier of the image of a number. */
function uuidOf(number: number): string {
  return `2026da7a-0000-4000-8000-${String(number).padStart(12, '0')}`;
}

function fatFooter(type: VhdType, number: number): Footer {
  const uniqueId = parseUuid(uuidOf(number));
  const timestamp = timestampFor(CREATED.getTime());
  return newFooter({ type, size: fatDisk().length, uniqueId, timestamp, geometry: FAT_DISK_GEOMETRY });
}

async function emptyDisk(): Promise<Uint8Array> {
  const storage = new MemoryStorage();
  const disk = await createVhdStorage(storage, { size: 4 * GIB, uuid: uuidOf(3), timestamp: CREATED });
  await disk.close();
  return storage.toBytes();
}

/** The disk with FAT12 as a dynamic image: footer copy, header, table, the blocks that are not zero, footer. */
function blocksOfFatDisk(plainHeader: DynamicHeader, footer: Footer): Buffer {
  const disk = fatDisk();
  const table = Buffer.alloc(SECTOR_BYTES, 0xff);
  const blocks: Uint8Array[] = [];
  let position = TABLE_OFFSET + table.length;
  for (let start = 0; start < disk.length; start += BLOCK_BYTES) {
    const data = disk.subarray(start, start + BLOCK_BYTES);
    const isEmpty = data.every((byte) => byte === 0);
    table.writeUInt32BE(isEmpty ? UNUSED_BAT_ENTRY : position / SECTOR_BYTES, (start / BLOCK_BYTES) * 4);
    if (isEmpty) continue;
    const bitmapBytes = bitmapByteLength(BLOCK_BYTES);
    blocks.push(allOnesBitmap(bitmapBytes), data);
    position += bitmapBytes + BLOCK_BYTES;
  }
  const header = { ...plainHeader, blockSize: BLOCK_BYTES, maxTableEntries: disk.length / BLOCK_BYTES };
  const footerBytes = encodeFooter(footer);
  return Buffer.concat([footerBytes, encodeDynamicHeader(header), table, ...blocks, footerBytes]);
}

/** A differencing image without blocks of its own, whose parent is an empty dynamic one. */
function childOf(parent: Uint8Array): Buffer {
  const parentFooter = decodeFooter(parent.subarray(0, FOOTER_BYTES)).value;
  const parentHeader = decodeDynamicHeader(parent.subarray(FOOTER_BYTES, TABLE_OFFSET)).value;
  const table = Buffer.alloc(parentHeader.maxTableEntries * 4, 0xff);
  // The name with its folder, in a sector of its own behind the table: W2ru is a relative path in UTF-16, low byte first.
  const relativePath = Buffer.from(`.\\${PARENT_NAME}`, 'utf16le');
  const pathSector = Buffer.concat([relativePath], SECTOR_BYTES);
  const locator = {
    platformCode: 'W2ru',
    dataSpace: SECTOR_BYTES,
    dataByteLength: relativePath.length,
    dataOffset: TABLE_OFFSET + table.length,
  };
  const header: DynamicHeader = {
    ...parentHeader,
    parentUniqueId: parentFooter.uniqueId,
    parentTimestamp: parentFooter.timestamp,
    // In the header the bytes of UTF-16 stand the other way round.
    parentNameBytes: Buffer.concat([Buffer.from(PARENT_NAME, 'utf16le').swap16()], 512),
    parentLocators: [locator, ...parentHeader.parentLocators.slice(1)],
  };
  const uniqueId = parseUuid(uuidOf(4));
  const footer = encodeFooter({ ...parentFooter, diskType: DISK_TYPE.differencing, uniqueId });
  return Buffer.concat([footer, encodeDynamicHeader(header), table, pathSector, footer]);
}

function withByte(image: Uint8Array, offset: number, value: number): Uint8Array {
  const changed = Uint8Array.from(image);
  changed[offset] = value;
  return changed;
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const folder = argv[2] ?? fileURLToPath(new URL('.', import.meta.url));
  await mkdir(folder, { recursive: true });
  for (const [name, bytes] of await makeImages()) await writeFile(join(folder, name), bytes);
}
