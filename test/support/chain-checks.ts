// What must be true of a disk over a chain of images.
import { expect } from 'vitest';
import { type Disk, type Extent, mergeExtents } from '../../src/disk/disk.ts';
import { isAllZeros } from '../../src/format/zeros.ts';
import { type Chain, expectedExtents, ownerOf } from './build-chain.ts';
import { firstDifference } from './bytes.ts';
import { collect } from './collect.ts';

/** A range of the virtual disk. */
export type Range = readonly [position: number, length: number];

/** What a disk must hold and whose its bytes are. */
export interface ExpectedChain {
  readonly content: Uint8Array;
  /** The runs of a range. */
  readonly extents: (start: number, end: number) => readonly Extent[];
  /** Bytes of the file of the image at a depth. */
  readonly fileBytes: (depth: number, offset: number, length: number) => Uint8Array | Promise<Uint8Array>;
}

/** What a chain that nobody writes to must look like. */
export function expectedOf(chain: Chain): ExpectedChain {
  return {
    content: chain[0]?.content ?? new Uint8Array(0),
    extents: (start, end) => expectedExtents(chain, start, end),
    fileBytes: (depth, offset, length) => chain[depth]?.image.subarray(offset, offset + length) ?? new Uint8Array(0),
  };
}

/** Every byte of the disk is the one expected. */
export async function expectBytes(disk: Disk, content: Uint8Array, [position, length]: Range): Promise<void> {
  const target = new Uint8Array(length).fill(0xdd);
  await disk.read(target, position);
  const at = firstDifference(target, content.subarray(position, position + length));
  if (at === -1) return;
  const [found, expected] = [target[at] ?? 'none', content[position + at] ?? 'none'];
  expect.fail(`read ${position}+${length}: byte ${position + at} is ${found}, expected ${expected}`);
}

/** The runs of a range are those expected, as long as possible; where they tell a place, their bytes stand there. */
export async function expectExtents(disk: Disk, expected: ExpectedChain, [start, length]: Range): Promise<void> {
  const range = { start, length };
  const wanted = expected.extents(start, start + length);
  expect(await collect(disk.extents(range)), `extents ${start}+${length}`).toEqual(wanted);
  const located = await collect(disk.extents({ ...range, located: true }));
  await expectPlaces(located, expected);
  const withoutPlaces = located.map((extent) => ({ ...extent, fileOffset: undefined }));
  expect(await collect(mergeExtents(listed(withoutPlaces))), `located ${start}+${length}`).toEqual(wanted);
  const coarse = await collect(disk.extents({ ...range, coarse: true }));
  expectCover(coarse, range, expected.content);
  const coarsePlaces = await collect(disk.extents({ ...range, coarse: true, located: true }));
  expectCover(coarsePlaces, range, expected.content);
  await expectPlaces(coarsePlaces, expected);
}

/** The bytes of every run of data stand in the file at its depth where it says; no other run tells a place. */
async function expectPlaces(extents: readonly Extent[], { content, fileBytes }: ExpectedChain): Promise<void> {
  for (const { start, length, kind, depth, fileOffset } of extents) {
    expect(fileOffset === undefined, `${kind} at ${start}`).toBe(kind === 'zero');
    if (fileOffset === undefined) continue;
    const found = await fileBytes(depth, fileOffset, length);
    const at = firstDifference(found, content.subarray(start, start + length));
    if (at !== -1) expect.fail(`${start}+${length} at ${fileOffset} of depth ${depth}: byte ${start + at} differs`);
  }
}

/** The runs lie one behind the other, cover the range, do not continue each other, and are zero where they say so. */
function expectCover(
  extents: readonly Extent[],
  { start, length }: { start: number; length: number },
  content: Uint8Array,
): void {
  let position = start;
  for (const [index, extent] of extents.entries()) {
    expect(extent.start).toBe(position);
    expect(extent.length).toBeGreaterThan(0);
    position += extent.length;
    if (extent.kind === 'zero') expect(isAllZeros(content.subarray(extent.start, position))).toBe(true);
    const before = extents[index - 1];
    const place = before?.fileOffset === undefined ? undefined : before.fileOffset + before.length;
    const isContinued = before?.kind === extent.kind && before.depth === extent.depth && place === extent.fileOffset;
    expect(isContinued, `the run at ${extent.start} continues the one before it`).toBe(false);
  }
  expect(position).toBe(start + length);
}

/** A disk over a chain after changes. */
export interface ChangedChain {
  /** What it was before. */
  readonly chain: Chain;
  /** What it holds now. */
  readonly bytes: Uint8Array;
  /** For each of its bytes, 1: written or discarded since. */
  readonly touched: Uint8Array;
}

/**
 * Where nothing was written the run is of the link that it was of. What was written is of the child, unless it is zero
 * without it; the rest of its sector may be of the child or not be yet.
 */
export function expectOwner({ chain, touched, bytes }: ChangedChain, { start, length, kind, depth }: Extent): void {
  // A dynamic image owns the whole of a block that anything was written into.
  if (chain.length === 1) {
    expect(depth).toBe(0);
    return;
  }
  for (let at = start; at < start + length; at += 512 - (at % 512)) {
    const end = Math.min(start + length, at - (at % 512) + 512);
    const sector = touched.subarray(at - (at % 512), at - (at % 512) + 512);
    const owner = { at, ...ownerOf(chain, at) };
    const isOwner = owner.kind === kind && owner.depth === depth;
    if (!sector.includes(1)) {
      if (!isOwner) expect({ at, kind, depth }).toEqual(owner);
      continue;
    }
    if (depth === 0) continue;
    const isHidden = (byte: number, index: number): boolean => byte !== 0 && touched[at + index] === 1;
    const isWrong = bytes.subarray(at, end).some(isHidden);
    if (isWrong || !(isOwner || isAllZeros(bytes.subarray(at, end)))) {
      expect.fail(`${JSON.stringify({ at, kind, depth })}, but it was written`);
    }
  }
}

async function* listed<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}
