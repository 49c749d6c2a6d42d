import { FORMAT_BYTES } from '../format/magic.ts';

/** What the header of a file of another format tells about it. */
export interface ContainerFacts {
  /** Bytes of the disk in it; null where it does not say, or holds no disk. */
  readonly virtualSize: number | null;
  /** Version of the format; null where there is none to tell apart. */
  readonly version: string | null;
  /** What else is worth knowing, in the order to tell it: variant, label, parent. Text of the file is as it stands there. */
  readonly remarks: readonly string[];
  /** What is wrong with it, one sentence each; default nothing. */
  readonly problems?: readonly string[];
}

/** A size in units, in bytes; null where a number could not hold it. */
export function byteSizeOf(units: bigint, unitBytes = 1): number | null {
  const size = units * BigInt(unitBytes);
  return size > BigInt(Number.MAX_SAFE_INTEGER) ? null : Number(size);
}

/** Longest text taken out of a header, in bytes. */
const MAX_TEXT_BYTES = 1024;

/** UTF-8 text at an offset of the head; empty where it lies outside, or is longer than names are. */
export function textAt(head: Uint8Array, offset: bigint, byteLength: number): string {
  if (byteLength > MAX_TEXT_BYTES || offset + BigInt(byteLength) > BigInt(FORMAT_BYTES)) return '';
  return new TextDecoder().decode(head.subarray(Number(offset), Number(offset) + byteLength));
}

/** UTF-8 text that ends with a NUL or with its field. */
export function textUpToNul(bytes: Uint8Array, offset: number, byteLength: number): string {
  const field = bytes.subarray(offset, offset + byteLength);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
}

/** The texts that say something. */
export function remarksOf(...texts: readonly (string | false | undefined)[]): string[] {
  return texts.filter((text) => typeof text === 'string' && text !== '') as string[];
}
