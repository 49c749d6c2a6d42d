// Opens images with a defect in every way there is, and tells what that comes to.
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Disk } from '../../src/disk/disk.ts';
import { FlatDisk } from '../../src/disk/flat.ts';
import { openVhdStorage } from '../../src/disk/open-storage.ts';
import { VhdError } from '../../src/errors.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { decodeVhd } from '../../src/stream/decode.ts';
import { firstDifference } from './bytes.ts';
import type { Defect, Opening, Unreadable } from './defects.ts';
import { type BaseName, baseOf } from './defects-bases.ts';
import { bytesOf, ChunkSource } from './streams-sources.ts';

/** What reading comes to. */
export interface Outcome {
  /** Opening it. */
  readonly opening: Opening;
  /** Blocks that reject, with the code that they reject with. */
  readonly unreadable: Unreadable | undefined;
  /** Where the bytes that were read differ from those expected, -1 if nowhere. */
  readonly difference: number;
}

/** Bytes that are read in one go, of what has no blocks. */
const PIECE_BYTES = 64 * 1024;

/** What a defect is expected to come to. */
export function expectedOutcome({ reading = 'opens', unreadable }: Defect): Outcome {
  return { opening: reading, unreadable: reading === 'opens' ? unreadable : undefined, difference: -1 };
}

/** What opening for writing is expected to come to. */
export function expectedWriting({ writing, reading = 'opens' }: Defect): Opening {
  return writing ?? reading;
}

/** What decoding as a stream is expected to come to. */
export function expectedStream(defect: Defect): Opening {
  const { stream, unreadable, reading = 'opens' } = defect;
  if (stream !== undefined) return stream;
  return isChild(defect) ? 'ERR_VHD_DIFFERENCING' : (unreadable?.code ?? reading);
}

/** A sound base in the form of an image with a defect. */
export function soundImage(base: BaseName): Defect {
  const sound = baseOf(base);
  const none = { name: base, base, what: 'nothing', rule: 'file.leaked', repair: 'identical' } as const;
  const content = (): Uint8Array => sound.content;
  const parent = (): Uint8Array | undefined => sound.parent?.image;
  return { ...none, sound, image: () => sound.image, parent, expected: content, repaired: content };
}

/** Puts image and parent into a folder; the path of the image. */
export async function writeDefect(defect: Defect, folder: string, name = 'image.vhd'): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, defect.image());
  const parent = defect.parent();
  if (defect.sound.parent === undefined) return path;
  const parentPath = join(folder, defect.sound.parent.name);
  if (parent === undefined) await rm(parentPath, { force: true });
  else await writeFile(parentPath, parent);
  return path;
}

/** The image in memory, over its parent if it has one. */
export async function openInMemory(defect: Defect, writable = false): Promise<Disk> {
  const { parent } = defect.sound;
  const bytes = defect.parent() ?? parent?.image;
  let below: Disk | undefined;
  if (bytes !== undefined) {
    const storage = new MemoryStorage(bytes);
    below = parent?.isRaw === true ? new FlatDisk(storage, bytes.length, true) : await openVhdStorage(storage);
  }
  return openVhdStorage(new MemoryStorage(defect.image()), {
    writable,
    ...(isChild(defect) ? { parent: below } : {}),
  });
}

function isChild({ name, base }: Defect): boolean {
  return (base === 'differencing' || base === 'over-raw') && name !== 'differencing-says-dynamic';
}

/** Opens something, reads all of it block by block, and closes it. */
export async function outcomeOf(opening: Promise<Disk>, defect: Defect): Promise<Outcome> {
  let disk: Disk;
  try {
    disk = await opening;
  } catch (error) {
    return { opening: codeOf(error), unreadable: undefined, difference: -1 };
  }
  try {
    return { opening: 'opens', ...(await readAll(disk, defect)) };
  } finally {
    await disk.close();
  }
}

async function readAll(disk: Disk, defect: Defect): Promise<Omit<Outcome, 'opening'>> {
  const expected = defect.expected();
  if (disk.size !== expected.length) throw new Error(`expected ${expected.length} bytes, found ${disk.size}`);
  const blockSize = defect.sound.blockSize || PIECE_BYTES;
  const unreadable: { code: Unreadable['code']; blocks: number[] }[] = [];
  let difference = -1;
  for (let start = 0; start < disk.size; start += blockSize) {
    const piece = new Uint8Array(Math.min(blockSize, disk.size - start));
    try {
      await disk.read(piece, start);
      const found = firstDifference(piece, expected.subarray(start, start + piece.length));
      if (found >= 0 && difference < 0) difference = start + found;
    } catch (error) {
      const [last] = unreadable;
      if (last === undefined) unreadable.push({ code: codeOf(error), blocks: [start / blockSize] });
      else last.blocks.push(start / blockSize);
    }
  }
  return { unreadable: unreadable[0], difference };
}

/** The code of an error of the format; every other error is thrown again. */
export function codeOf(error: unknown): VhdError['code'] {
  if (error instanceof VhdError) return error.code;
  throw error;
}

/** The code that a stream of the image ends with, or what its bytes are; undefined if they are the right ones. */
export async function streamOutcome(
  defect: Defect,
): Promise<{ readonly opening: Opening; readonly difference: number }> {
  try {
    const decoded = await decodeVhd(new ChunkSource(defect.image(), 5000));
    const content = decoded.isAscending ? await bytesOf(decoded.raw()) : await scattered(decoded);
    return { opening: 'opens', difference: firstDifference(content, defect.expected()) };
  } catch (error) {
    return { opening: codeOf(error), difference: -1 };
  }
}

async function scattered(decoded: Awaited<ReturnType<typeof decodeVhd>>): Promise<Uint8Array> {
  const content = new Uint8Array(decoded.size ?? 0);
  for await (const { bytes, start } of decoded.extents()) content.set(bytes, start);
  return content;
}
