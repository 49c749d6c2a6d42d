import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createVhdStorage } from '../../../src/disk/create-storage.ts';
import type { Disk } from '../../../src/disk/disk.ts';
import { FlatDisk } from '../../../src/disk/flat.ts';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import type { VhdDisk } from '../../../src/disk/vhd-disk.ts';
import { decodeBitmap } from '../../../src/format/bitmap.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { encodeVhd } from '../../../src/stream/encode.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { CHILD_IDENTITY, contentOfChild, referenceTo } from '../../support/children.ts';
import { checkParameters } from '../../support/seed.ts';
import { imageWith, type Patch, ProbeDisk, rawDisk, vastDisk } from '../../support/streams-disks.ts';
import { bytesOf, failureOf } from '../../support/streams-sources.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

const open = (image: Uint8Array, parent?: Disk): Promise<VhdDisk> => openVhdStorage(new MemoryStorage(image), { parent });

interface Contents {
  readonly size: number;
  readonly patches: readonly Patch[];
}

function bytesWith({ size, patches }: Contents): Uint8Array {
  const bytes = new Uint8Array(size);
  for (const patch of cutTo(size, patches)) bytes.set(patch.bytes, patch.position);
  return bytes;
}

function cutTo(size: number, patches: readonly Patch[]): Patch[] {
  const inside = patches.filter(({ position }) => position < size);
  return inside.map(({ position, bytes }) => ({ position, bytes: bytes.subarray(0, size - position) }));
}

/** Two disks that have much in common: the second is the first with some more written over it, zeros among that. */
const pairs = fc
  .record({
    sectors: fc.tuple(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 5000 })),
    isSameSize: fc.boolean(),
    blockSize: fc.constantFrom(512 * KiB, 2 * MiB),
    type: fc.constantFrom('fixed' as const, 'dynamic' as const),
    places: fc.array(
      fc.record({
        where: fc.double({ min: 0, max: 0.999, noNaN: true }),
        length: fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 700_000 })),
        fill: fc.constantFrom('pattern' as const, 'zeros' as const),
        isCommon: fc.boolean(),
      }),
      { maxLength: 8 },
    ),
  })
  .map(({ sectors, isSameSize, blockSize, type, places }) => {
    const [first, second] = [sectors[0] * 512, (isSameSize ? sectors[0] : sectors[1]) * 512];
    const larger = Math.max(first, second);
    const patchOf = ({ where, length, fill }: (typeof places)[number], index: number): Patch => {
      const position = Math.floor(where * larger);
      const bytes = fill === 'zeros' ? new Uint8Array(length) : pattern(length, index + 1);
      return { position, bytes: bytes.subarray(0, larger - position) };
    };
    const all = places.map(patchOf);
    const common = all.filter((_, index) => places[index]?.isCommon);
    return { blockSize, type, parent: { size: first, patches: common }, child: { size: second, patches: [...common, ...all] } };
  });

function parentOf({ size, patches }: Contents, type: 'fixed' | 'dynamic' = 'dynamic'): Promise<Uint8Array> {
  return imageWith(type, size, cutTo(size, patches));
}

/** The sectors that a child owns, read from its own bitmaps. */
async function ownedSectors(image: Uint8Array, parent: Disk): Promise<Set<number>> {
  const disk = await open(image, parent);
  const owned = new Set<number>();
  for await (const { start, length, depth } of disk.extents()) {
    for (let sector = start / 512; depth === 0 && sector < (start + length) / 512; sector++) owned.add(sector);
  }
  await disk.close();
  return owned;
}

describe('encodeVhd against another disk', () => {
  it('gives as many bytes as it says, which over the parent read as the disk, and owns what differs and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(pairs, async ({ blockSize, type, parent, child }) => {
        const [parentImage, content] = [await parentOf(parent, type), bytesWith(child)];
        const against = await open(parentImage);
        const before = await against.readBytes(0, against.size);
        const { byteLength, stream } = await encodeVhd(rawDisk(content), {
          against,
          parentReference: referenceTo(against),
          blockSize,
        });
        const image = await bytesOf(stream);
        expect(image.length).toBe(byteLength);
        expect(byteLength % 4096).toBe(0);
        expect(firstDifference(await contentOfChild(image, await open(parentImage)), content)).toBe(-1);
        const owned = await ownedSectors(image, await open(parentImage));
        for (let sector = 0; sector < content.length / 512; sector++) {
          const bytes = content.subarray(sector * 512, sector * 512 + 512);
          const padded = new Uint8Array(512);
          padded.set(before.subarray(sector * 512, sector * 512 + 512));
          if (owned.has(sector) === (Buffer.compare(bytes, padded) === 0)) expect.fail(`sector ${sector}`);
        }
      }),
      checkParameters(40),
    );
  });

  it('holds no bytes of sectors that it does not own', async () => {
    const content = pattern(2 * MiB, 7);
    const changed = content.slice();
    changed[5 * 512 + 3] = 0;
    const { stream } = await encodeVhd(rawDisk(changed), {
      against: rawDisk(content),
      parentReference: referenceTo(await open(await parentOf({ size: 2 * MiB, patches: [] }))),
    });
    const image = await bytesOf(stream);
    const data = image.subarray(image.length - 4096 - 2 * MiB, image.length - 4096);
    expect(data.subarray(5 * 512, 6 * 512)).toEqual(changed.subarray(5 * 512, 6 * 512));
    expect(data.fill(0, 5 * 512, 6 * 512).every((byte) => byte === 0)).toBe(true);
    const bitmap = image.subarray(image.length - 4096 - 2 * MiB - 512, image.length - 4096 - 2 * MiB);
    expect(decodeBitmap(bitmap, 4096).filter((run) => run.isSet)).toEqual([{ sector: 5, sectorCount: 1, isSet: true }]);
  });

  it('gives a child without blocks of equal disks, as making an empty one does', async () => {
    const image = await parentOf({ size: 5 * MiB, patches: [{ position: MiB, bytes: pattern(MiB) }] });
    const against = await open(image);
    const parentReference = referenceTo(against);
    const { stream } = await encodeVhd(await open(image), { against, parentReference, ...CHILD_IDENTITY });
    const encoded = await bytesOf(stream);
    const made = new MemoryStorage();
    const child = await createVhdStorage(made, { parent: against, parentReference, ...CHILD_IDENTITY });
    await child.close();
    expect(firstDifference(encoded, made.toBytes())).toBe(-1);
  });

  it('gives the very file that writing the differences into a child gives', async () => {
    const base = await parentOf({ size: 9 * MiB, patches: [{ position: 0, bytes: pattern(9 * MiB) }] });
    const patches = [3 * MiB + 512, 8 * MiB, 9 * MiB - 512].map((position) => ({ position, bytes: pattern(512, 5) }));
    const written = new MemoryStorage();
    const parent = await open(base);
    const parentReference = referenceTo(parent);
    const child = await createVhdStorage(written, { parent, parentReference, ...CHILD_IDENTITY });
    for (const { bytes, position } of patches) await child.write(bytes, position);
    await child.close();
    const disk = await open(written.toBytes(), await open(base));
    const { stream } = await encodeVhd(disk, { against: await open(base), parentReference, ...CHILD_IDENTITY });
    expect(firstDifference(await bytesOf(stream), written.toBytes())).toBe(-1);
  });

  it('reads nothing that both know to be empty', async () => {
    const size = 64 * MiB;
    const against = new ProbeDisk(await open(await parentOf({ size, patches: [{ position: 9 * MiB, bytes: pattern(512) }] })));
    const disk = new ProbeDisk(await open(await parentOf({ size, patches: [{ position: 40 * MiB, bytes: pattern(512) }] })));
    const positions: number[] = [];
    against.before = disk.before = (kind, position) => void (kind === 'read' && positions.push(position));
    const parentReference = referenceTo(await open(await parentOf({ size, patches: [] })));
    await bytesOf((await encodeVhd(disk, { against, parentReference })).stream);
    expect(new Set(positions)).toEqual(new Set([8 * MiB, 40 * MiB]));
    expect(positions).toHaveLength(8);
  });

  it('does not read what a link of the chain is known to have in common with the end of it', async () => {
    const size = 64 * MiB;
    const base = new ProbeDisk(new FlatDisk(new MemoryStorage(pattern(size)), size, true));
    const parentReference = { ...referenceTo(await open(await parentOf({ size, patches: [] }))), uniqueId: new Uint8Array(16) };
    const storage = new MemoryStorage();
    const child = await createVhdStorage(storage, { parent: base, parentReference });
    await child.write(pattern(1000, 9), 33 * MiB);
    await child.flush();
    const reads: number[] = [];
    base.before = (kind, position, length) => void (kind === 'read' && reads.push(position, length));
    const { stream } = await encodeVhd(child, { against: base, parentReference });
    const image = await bytesOf(stream);
    // The block that the child has, from either side, and what it completed a sector with.
    expect(reads.filter((_, index) => index % 2 === 0).every((position) => position >= 32 * MiB && position < 34 * MiB)).toBe(true);
    await child.close();
    expect(image.length).toBe(storage.toBytes().length);
  });

  it('finds what the end of a smaller link hides of a larger one below it', async () => {
    const base = rawDisk(pattern(6 * MiB), true);
    const reference = { ...referenceTo(await open(await parentOf({ size: MiB, patches: [] }))), uniqueId: new Uint8Array(16) };
    const small = new MemoryStorage();
    const parent = rawDisk(pattern(6 * MiB), true);
    await (await createVhdStorage(small, { parent, parentReference: reference, size: 3 * MiB })).close();
    const middle = await open(small.toBytes(), base);
    const grown = new MemoryStorage();
    const child = await createVhdStorage(grown, { parent: middle, parentReference: referenceTo(middle), size: 6 * MiB });
    const { stream } = await encodeVhd(child, { against: base, parentReference: reference });
    const image = await bytesOf(stream);
    const content = await contentOfChild(image, rawDisk(pattern(6 * MiB), true));
    expect(firstDifference(content.subarray(0, 3 * MiB), pattern(6 * MiB).subarray(0, 3 * MiB))).toBe(-1);
    expect(content.subarray(3 * MiB).every((byte) => byte === 0)).toBe(true);
    await child.close();
  });

  it.each([
    ['begins to differ', [0, 1]],
    ['ceases to differ', [1, 0]],
  ])('is an error if a block %s meanwhile', async (_, [then = 0, now = 0]) => {
    const disk = new FlatDisk(new MemoryStorage(new Uint8Array(5 * MiB)), 5 * MiB, false);
    await disk.write(Uint8Array.of(then), 3 * MiB);
    const against = rawDisk(pattern(512));
    const parentReference = referenceTo(await open(await parentOf({ size: MiB, patches: [] })));
    const { stream } = await encodeVhd(disk, { against, parentReference });
    await disk.write(Uint8Array.of(now), 3 * MiB);
    expect(await failureOf(bytesOf(stream))).toMatchObject({ code: 'ERR_VHD_SOURCE_CHANGED', offset: 2 * MiB });
  });

  it('keeps four bytes a block of the plan, whatever the size', async () => {
    const size = 256 * MiB;
    const against = rawDisk(pattern(512));
    const parentReference = referenceTo(await open(await parentOf({ size: MiB, patches: [] })));
    const controller = new AbortController();
    const { byteLength, stream } = await encodeVhd(vastDisk(size), { against, parentReference, signal: controller.signal });
    expect(byteLength).toBeGreaterThan(size);
    let seen = 0;
    const reading = (async () => {
      for await (const bytes of stream) if ((seen += bytes.length) > 40 * MiB) controller.abort(new Error('enough'));
    })();
    expect(await failureOf(reading)).toMatchObject({ message: 'enough' });
  });

  it('refuses half of what a child needs', async () => {
    const parentReference = referenceTo(await open(await parentOf({ size: MiB, patches: [] })));
    const disk = rawDisk(new Uint8Array(MiB));
    await expect(encodeVhd(disk, { against: disk })).rejects.toThrow(/parentReference/);
    await expect(encodeVhd(disk, { parentReference })).rejects.toThrow(TypeError);
    await expect(encodeVhd(disk, { type: 'differencing' })).rejects.toThrow(TypeError);
    await expect(encodeVhd(disk, { against: disk, parentReference, type: 'dynamic' })).rejects.toThrow(TypeError);
    await expect(encodeVhd(disk, { against: disk, parentReference, blockSize: 4096 })).rejects.toThrow(RangeError);
  });
});
