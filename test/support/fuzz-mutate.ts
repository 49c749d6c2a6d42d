// Changes to an image, drawn at random: where its structures are more often than elsewhere.
import { viewOf } from '../../src/format/bytes.ts';
import { checksumOf } from '../../src/format/checksum.ts';
import { decodeDynamicHeader } from '../../src/format/dynamic-header.ts';
import { pattern } from './bytes.ts';
import { FOOTER_CHECKSUM, HEADER_CHECKSUM } from './defects-edits.ts';
import type { SparseBytes } from './fuzz-bytes.ts';
import type { Random } from './seed.ts';

const HEADER_BYTES = 1024;
const FOOTER_BYTES = 512;
type Field = readonly [offset: number, width: number];

/** The fields that matter, those that matter most more than once. */
const FOOTER_FIELDS: readonly [Field, ...Field[]] = [
  [8, 4],
  [12, 4],
  [16, 8],
  [24, 4],
  [28, 4],
  [40, 8],
  [48, 8],
  [48, 8],
  [56, 4],
  [60, 4],
  [68, 16],
  [84, 1],
  [85, 1],
];
const HEADER_FIELDS: readonly [Field, ...Field[]] = [
  [8, 8],
  [16, 8],
  [16, 8],
  [24, 4],
  [28, 4],
  [28, 4],
  [32, 4],
  [32, 4],
  [40, 16],
  [56, 4],
  [64, 64],
  [576, 24],
  [580, 4],
  [584, 4],
  [592, 8],
  [600, 24],
  [608, 4],
  [616, 8],
];
const NUMBERS = [0n, 1n, 2n, 3n, 4n, 7n, 255n, 256n, 511n, 512n, 513n, 1024n, 1536n, 4096n, 65_536n] as const;
const LARGE_NUMBERS = [
  1n << 21n,
  1n << 31n,
  (1n << 31n) - 1n,
  (1n << 32n) - 1n,
  (1n << 32n) - 2n,
  1n << 40n,
  (1n << 41n) - 512n,
  1n << 52n,
  (1n << 53n) - 1n,
  1n << 53n,
  1n << 63n,
  (1n << 64n) - 1n,
] as const;

/** Where things are in an image, as far as it tells. */
interface Places {
  readonly header: number;
  readonly table: number;
  readonly entryCount: number;
}

/** Changes an image in one to five ways, and makes its checksums right again more often than not. */
export function mutate(image: SparseBytes, others: readonly SparseBytes[], random: Random): void {
  const places = placesOf(image);
  const changes = 1 + random.below(random.oneIn(3) ? 5 : 2);
  for (let change = 0; change < changes; change++) mutateOnce(image, places, others, random);
  if (!random.oneIn(4)) reseal(image, places.header);
}

type Change = (image: SparseBytes, places: Places, random: Random, others: readonly SparseBytes[]) => void;

const CHANGES: readonly [Change, ...Change[]] = [
  changeFooter,
  changeFooter,
  changeHeader,
  changeHeader,
  changeHeader,
  changeEntry,
  changeEntry,
  changeBitmap,
  changeBytes,
  changeBytes,
  changeLength,
  moveBytes,
  splice,
];

function mutateOnce(image: SparseBytes, places: Places, others: readonly SparseBytes[], random: Random): void {
  random.pick(CHANGES)(image, places, random, others);
}

function placesOf(image: SparseBytes): Places {
  const at = Number(viewOf(padded(image.read(0, FOOTER_BYTES), FOOTER_BYTES)).getBigUint64(16));
  const header = at >= FOOTER_BYTES && at + HEADER_BYTES <= image.size ? at : FOOTER_BYTES;
  const { tableOffset, maxTableEntries } = decodeDynamicHeader(
    padded(image.read(header, HEADER_BYTES), HEADER_BYTES),
  ).value;
  const isTable = tableOffset > 0 && tableOffset < image.size;
  return { header, table: isTable ? tableOffset : 1536, entryCount: Math.min(Math.max(maxTableEntries, 1), 4096) };
}

function padded(bytes: Uint8Array, byteLength: number): Uint8Array {
  const whole = new Uint8Array(byteLength);
  whole.set(bytes);
  return whole;
}

/** A field of one of the footers, or of both. */
function changeFooter(image: SparseBytes, _: Places, random: Random): void {
  const [offset, width] = random.pick(FOOTER_FIELDS);
  const value = fieldValue(width, image.read(offset, width), random);
  const which = random.below(4);
  if (which !== 0) image.write(value, image.size - FOOTER_BYTES + offset);
  if (which !== 1) image.write(value, offset);
}

function changeHeader(image: SparseBytes, { header }: Places, random: Random): void {
  const [offset, width] = random.pick(HEADER_FIELDS);
  image.write(fieldValue(width, image.read(header + offset, width), random), header + offset);
}

function fieldValue(width: number, old: Uint8Array, random: Random): Uint8Array {
  const bytes = new Uint8Array(Math.max(width, 8));
  if (width > 8) return pattern(width, random.below(1000));
  const current = width === 4 && old.length === 4 ? BigInt(viewOf(old).getUint32(0)) : 0n;
  const kind = random.below(4);
  let value: bigint = random.pick(NUMBERS);
  if (kind === 1) value = random.pick(LARGE_NUMBERS);
  else if (kind === 2) value = current + BigInt(random.below(5)) - 2n;
  else if (kind === 3) value = current ^ (1n << BigInt(random.below(width * 8)));
  viewOf(bytes).setBigUint64(0, BigInt.asUintN(64, value));
  return width === 8 ? bytes : bytes.slice(8 - width, 8);
}

function changeEntry(image: SparseBytes, { table, entryCount }: Places, random: Random): void {
  const entryAt = (index: number): number => table + index * 4;
  const value = new Uint8Array(4);
  const other = padded(image.read(entryAt(random.below(Math.min(entryCount, 64))), 4), 4);
  const known = viewOf(other).getUint32(0);
  const end = Math.floor(image.size / 512) % 0x1_0000_0000;
  const choices = [0, 1, 3, known, known, known + 1, known + 8, end, end - 1, 0xffff_fffe, 0xffff_ffff] as const;
  viewOf(value).setUint32(0, random.oneIn(6) ? random.below(0xffff_ffff) : random.pick(choices));
  image.write(value, entryAt(random.below(random.oneIn(2) ? 4 : entryCount)));
}

function changeBitmap(image: SparseBytes, { table, entryCount }: Places, random: Random): void {
  const entry = padded(image.read(table + random.below(Math.min(entryCount, 16)) * 4, 4), 4);
  const at = viewOf(entry).getUint32(0) * 512 + random.below(512);
  image.write(new Uint8Array(1 + random.below(8)).fill(random.pick([0, 0xff, 0x80, 1])), at);
}

function changeBytes(image: SparseBytes, _: Places, random: Random): void {
  const count = image.pieces.length;
  const piece = image.pieces[random.below(Math.max(count, 1))];
  if (piece === undefined) return;
  const at = piece.offset + random.below(Math.max(1, Math.min(piece.bytes.length, random.oneIn(2) ? 2600 : 1e9)));
  const value = random.pick([0, 1, 0x7f, 0x80, 0xff, 0xc7, random.below(256)]);
  image.write(new Uint8Array(random.pick([1, 1, 2, 4, 8, 512])).fill(value), at);
}

function changeLength(image: SparseBytes, _: Places, random: Random): void {
  const kind = random.below(5);
  if (kind === 0) image.truncate(random.below(Math.min(image.size, 0xffff_ffff) + 1));
  else if (kind === 1) image.truncate(Math.max(0, image.size - 1 - random.below(2048)));
  else if (kind === 2) image.truncate(Math.max(0, image.size - 512 * random.below(9)));
  else if (kind === 3) image.insert(pattern(1 + random.below(1200), random.below(99)), image.size);
  else image.truncate(image.size + random.pick([1, 511, 512, 4096, 65_536]));
}

function moveBytes(image: SparseBytes, _: Places, random: Random): void {
  const at = random.oneIn(2)
    ? random.below(Math.min(image.size, 4096) + 1)
    : Math.max(0, image.size - random.below(2048));
  const length = random.pick([1, 16, 511, 512, 513, 4096]);
  if (random.oneIn(2)) image.insert(pattern(length, random.below(99)), at);
  else image.remove(at, length);
}

/** A structure out of another image, or out of another place of this one. */
function splice(image: SparseBytes, { header, table }: Places, random: Random, others: readonly SparseBytes[]): void {
  const other = others[random.below(Math.max(others.length, 1))] ?? image;
  const kind = random.below(5);
  const end = Math.max(0, other.size - FOOTER_BYTES);
  if (kind === 0) image.write(other.read(end, FOOTER_BYTES), Math.max(0, image.size - FOOTER_BYTES));
  else if (kind === 1) image.write(other.read(random.oneIn(2) ? 0 : end, FOOTER_BYTES), 0);
  else if (kind === 2) image.write(other.read(FOOTER_BYTES, HEADER_BYTES), header);
  else if (kind === 3) image.write(other.read(1536, 512), table);
  else image.write(other.read(0, 1 + random.below(8192)), 512 * random.below(16));
}

/** Makes the checksums of footers and header right, where they seem to be. */
function reseal(image: SparseBytes, header: number): void {
  for (const offset of [0, image.size - FOOTER_BYTES]) seal(image, offset, FOOTER_BYTES, FOOTER_CHECKSUM, 'conectix');
  seal(image, header, HEADER_BYTES, HEADER_CHECKSUM, 'cxsparse');
}

function seal(image: SparseBytes, offset: number, byteLength: number, at: number, cookie: string): void {
  if (offset < 0) return;
  const bytes = image.read(offset, byteLength);
  if (bytes.length !== byteLength || Buffer.from(bytes.subarray(0, 8)).toString('latin1') !== cookie) return;
  viewOf(bytes).setUint32(at, checksumOf(bytes, at));
  image.write(bytes, offset);
}
