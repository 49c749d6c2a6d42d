import { VhdError } from '../errors.ts';
import { hex, readLatin1, readUint64, viewOf } from '../format/bytes.ts';
import { checksumOf } from '../format/checksum.ts';
import { batByteLength } from '../format/layout.ts';
import { shellPath } from '../format/shell.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import type { PlacedBytes, Storage } from '../storage/storage.ts';
import type { SoundExamination } from './recognise.ts';

/** Versions from here on have a checksum over unsigned bytes (libvhd). */
const UNSIGNED_SINCE = 0x0001_0002;
const CHECKSUM_FIELD = 24;
const MAX_BATMAP_BYTES = 1024 * 1024;

/** A batmap as it stands in the file. */
interface Batmap {
  /** Byte offset of the sector that tells of it. */
  readonly offset: number;
  readonly head: Uint8Array;
  /** Byte offset of its bits. */
  readonly start: number;
  readonly map: Uint8Array;
}

/**
 * The batmap (blktap) with the bits of dropped blocks cleared, and the sector that tells its checksum: its bits say that a
 * block is whole, which would be wrong of one that blktap puts there anew. Empty if there is none, or nothing to clear.
 * @throws VhdError `ERR_VHD_UNSUPPORTED` if it is damaged, of an old version, or the image is encrypted
 */
export async function batmapWithout(
  storage: Storage,
  image: SoundExamination,
  dropped: Iterable<number>,
): Promise<PlacedBytes[]> {
  const batmap = await readBatmap(storage, image);
  if (batmap === undefined || !clearBits(batmap.map, dropped)) return [];
  const { offset, head, start, map } = batmap;
  viewOf(head).setUint32(CHECKSUM_FIELD, checksumOf(map, map.length));
  return [
    { position: offset, bytes: head },
    { position: start, bytes: map },
  ];
}

async function readBatmap(
  storage: Storage,
  { header, endFooterOffset, fileSize }: SoundExamination,
): Promise<Batmap | undefined> {
  if (header === undefined) return undefined;
  const offset = header.tableOffset + batByteLength(header.maxTableEntries);
  const dataLimit = endFooterOffset ?? fileSize;
  if (offset + SECTOR_BYTES > dataLimit) return undefined;
  const head = new Uint8Array(SECTOR_BYTES);
  await storage.read(head, offset);
  if (readLatin1(head, 0, 8) !== 'tdbatmap') return undefined;
  const view = viewOf(head);
  const start = readUint64(view, 8) ?? Number.MAX_SAFE_INTEGER;
  const length = view.getUint32(16) * SECTOR_BYTES;
  if (head[29] === 1) throw refused(storage.name, offset, 'blktap has encrypted it, so that zeros in it are none');
  if (start + length > dataLimit || length > MAX_BATMAP_BYTES) {
    throw damaged(storage.name, offset, `${length} bytes at ${start}`);
  }
  const map = new Uint8Array(length);
  await storage.read(map, start);
  const stored = view.getUint32(CHECKSUM_FIELD);
  const isKnown = view.getUint32(20) >= UNSIGNED_SINCE;
  if (!isKnown || stored !== checksumOf(map, length)) throw damaged(storage.name, offset, `checksum ${hex(stored)}`);
  return { offset, head, start, map };
}

/** Clears the bits of some blocks, the most significant first; true if one was set. */
function clearBits(map: Uint8Array, blocks: Iterable<number>): boolean {
  let isChanged = false;
  for (const block of blocks) {
    const mask = 0x80 >> (block & 7);
    const byte = map[block >> 3] ?? 0;
    if ((byte & mask) === 0) continue;
    map[block >> 3] = byte & ~mask;
    isChanged = true;
  }
  return isChanged;
}

function damaged(name: string, offset: number, found: string): VhdError {
  return refused(name, offset, `its batmap (blktap) is damaged, or of an old version: found ${found}`);
}

function refused(storage: string, offset: number, why: string): VhdError {
  return new VhdError('ERR_VHD_UNSUPPORTED', `it cannot be compacted: ${why}`, {
    ...{ storage, offset },
    remedy: `vhd convert ${shellPath(storage)} NEW.vhd`,
  });
}
