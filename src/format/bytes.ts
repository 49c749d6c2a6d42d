import type { Finding } from './rules.ts';

/** A value read from the file, and what was found wrong with it. */
export interface Decoded<T> {
  /** The best reading there is. */
  readonly value: T;
  /** What is wrong, in the order of the fields; empty if nothing is. */
  readonly findings: readonly Finding[];
}

/** Stands for an offset of all ones ("none"), and for one no file can reach. */
export const NO_OFFSET = -1;
const MAX_HIGH_WORD = 0x1fffff;

/** A view over exactly the bytes of `bytes`, wherever they lie in their buffer. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A copy of some bytes. `slice` is no copy where the bytes are a `Buffer`. */
export function copyOf(bytes: Uint8Array, start = 0, end: number = bytes.length): Uint8Array {
  return Uint8Array.prototype.slice.call(bytes, start, end);
}

/** Reads an unsigned 64-bit number; undefined above 2^53 - 1, where a JavaScript number would round. */
export function readUint64(view: DataView, offset: number): number | undefined {
  const high = view.getUint32(offset);
  return high > MAX_HIGH_WORD ? undefined : high * 0x1_0000_0000 + view.getUint32(offset + 4);
}

/** Writes a whole number from 0 to 2^53 - 1, or {@link NO_OFFSET} as 64 ones. */
export function writeUint64(view: DataView, offset: number, value: number): void {
  view.setBigUint64(offset, value === NO_OFFSET ? 0xffff_ffff_ffff_ffffn : BigInt(value));
}

/** Reads bytes as Latin-1 text, one character a byte. */
export function readLatin1(bytes: Uint8Array, offset: number, byteLength: number): string {
  return String.fromCharCode(...bytes.subarray(offset, offset + byteLength));
}

/** Writes Latin-1 text into a field; what the text does not fill stays as it is. */
export function writeLatin1(bytes: Uint8Array, offset: number, text: string): void {
  for (let index = 0; index < text.length; index++) bytes[offset + index] = text.charCodeAt(index) & 0xff;
}

/** An unsigned number as `0x…` with at least `digits` digits. */
export function hex(value: number, digits = 8): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

/** The 64 bits at `offset` as `0x…`, exact whatever their value. */
export function hexUint64(view: DataView, offset: number): string {
  return `0x${view.getBigUint64(offset).toString(16).padStart(16, '0')}`;
}

/** Text out of an image made safe for a message: quoted, control characters escaped. */
export function quote(text: string): string {
  return `'${escapeControls(text)}'`;
}

/** Text out of an image with every control, format, separator and unpaired surrogate character written as an escape. */
export function escapeControls(text: string): string {
  return replaceUnseen(text, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

/** The same with another escape for what a terminal does not show as it is. */
export function replaceUnseen(text: string, escape: (character: string) => string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, escape);
}
