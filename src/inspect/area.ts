import { Fields } from './fields.ts';
import type { FileSystem } from './partition-table.ts';
import type { PieceReader } from './piece-reader.ts';

/** What may hold a file system: all that its first 68 KiB say, and a way to read on. */
export interface Area {
  /** Its first bytes, little-endian; fewer than {@link HEAD_BYTES} where it is smaller, none where they are damaged. */
  readonly head: Fields;
  /** Reads on, offsets counted from the start of the area. */
  readonly reader: PieceReader;
}

/** Recognises one kind of file system; null if it is another. Never throws on content. */
export type Probe = (area: Area) => FileSystem | null | Promise<FileSystem | null>;

/** Every magic but those at the end lies in these: the last is that of Btrfs, in the 4 KiB from 64 KiB on. */
export const HEAD_BYTES: number = 68 * 1024;
const SMALL_HEAD_BYTES = 4096;

/** Reads the front of an area: less of it where a part is damaged. */
export async function readArea(reader: PieceReader): Promise<Area> {
  const head = (await reader.readUpTo(0, HEAD_BYTES)) ?? (await reader.readUpTo(0, SMALL_HEAD_BYTES));
  return { head: new Fields(head ?? new Uint8Array(0)), reader };
}

/** A file system of which only some things are known. */
export function fileSystem(type: string, facts: Partial<FileSystem> = {}): FileSystem {
  return { type, version: null, label: null, uuid: null, ...facts };
}

/** True for 1, 2, 4, … */
export function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value));
}
