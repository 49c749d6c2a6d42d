// Which links a read touches, and what a chain makes of parents that are smaller, damaged, missing or others.
import { describe, expect, it } from 'vitest';
import { FlatDisk } from '../../../src/disk/flat.ts';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildChain, type Chain, expectedExtents, type LinkShape, openChain } from '../../support/build-chain.ts';
import { buildImage } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { expectBytes, expectExtents, expectedOf } from '../../support/chain-checks.ts';
import { collect } from '../../support/collect.ts';
import { ProbeStorage } from '../../support/probe-storage.ts';

const KiB = 1024;
const BLOCK = 4 * KiB;
const SIZE = 8 * BLOCK;

/** A child of full, partly owned and absent blocks over parents of every type. */
const shapes: LinkShape[] = [
  {
    size: SIZE,
    blockSize: BLOCK,
    blocks: [
      { index: 4, data: pattern(BLOCK, 1) },
      { index: 1, data: pattern(BLOCK, 2), sectors: [0, 1, 2, 7] },
      { index: 5, data: pattern(BLOCK, 3), sectors: [] },
    ],
  },
  {
    size: SIZE,
    blockSize: 2 * BLOCK,
    alignment: 'aligned',
    blocks: [{ index: 0, data: pattern(2 * BLOCK, 4), sectors: [8, 9, 10, 11, 12] }],
  },
  { type: 'fixed', data: pattern(SIZE, 5) },
];
const chain = buildChain(shapes);

/** Probes around the storages of a chain, the child's first. */
function probesOf(links: Chain): ProbeStorage[] {
  return links.map(({ image }, depth) => new ProbeStorage(new MemoryStorage(image, { name: `link ${depth}` })));
}

function storageFrom(probes: readonly ProbeStorage[]): { storageOf: (link: unknown, depth: number) => ProbeStorage } {
  return {
    storageOf: (_link, depth) => {
      const probe = probes[depth];
      if (probe === undefined) throw new Error(`no probe for link ${depth}`);
      return probe;
    },
  };
}

/** Stretches of the child by whose they are: [start, length, depth]. */
const STRETCHES: readonly (readonly [number, number, number])[] = [
  [4 * BLOCK, BLOCK, 0],
  [4 * BLOCK + 100, 3000, 0],
  [BLOCK, 1536, 0],
  [BLOCK + 7 * 512 + 3, 500, 0],
  [BLOCK + 3 * 512, 1024, 1],
  [0, BLOCK, 2],
  [5 * BLOCK, BLOCK, 2],
  [BLOCK + 5 * 512, 1024, 2],
];

describe('a read of a chain', () => {
  it.each(STRETCHES)(
    'of %i+%i, which depth %i owns, makes no call on a link above it',
    async (start, length, owner) => {
      expect(expectedExtents(chain, start, start + length).map(({ depth }) => depth)).toEqual([owner]);
      const probes = probesOf(chain);
      const disk = await openChain(chain, storageFrom(probes));
      for (const probe of probes) probe.calls.length = 0;
      const content = chain[0]?.content ?? new Uint8Array(0);
      await expectBytes(disk, content, [start, length]);
      expect(probes.slice(owner + 1).map(({ calls }) => calls)).toEqual(chain.slice(owner + 1).map(() => []));
      // Again, now that the bitmaps are known: the owner alone is read, once.
      for (const probe of probes) probe.calls.length = 0;
      await expectBytes(disk, content, [start, length]);
      expect(probes.map((probe) => probe.count('read'))).toEqual(chain.map((_, depth) => (depth === owner ? 1 : 0)));
      await disk.close();
    },
  );

  it('of what a link owns is not disturbed by parents that cannot be read', async () => {
    for (const [start, length, owner] of STRETCHES) {
      const probes = probesOf(chain);
      const disk = await openChain(chain, storageFrom(probes));
      for (const probe of probes.slice(owner + 1)) {
        probe.before = ({ kind }) => {
          if (kind !== 'close') throw Object.assign(new Error('unreadable'), { code: 'EIO' });
        };
      }
      await expectBytes(disk, chain[0]?.content ?? new Uint8Array(0), [start, length]);
      await disk.close();
    }
  });

  it('of what a parent that cannot be read owns rejects with its error, and the next read is not disturbed', async () => {
    for (const [start, length, owner] of STRETCHES.filter(([, , depth]) => depth > 0)) {
      const probes = probesOf(chain);
      const disk = await openChain(chain, storageFrom(probes));
      const ownerProbe = probes[owner];
      if (ownerProbe === undefined) throw new Error('no such link');
      const error = Object.assign(new Error('unreadable'), { code: 'EIO' });
      ownerProbe.before = ({ kind }) => {
        if (kind === 'read') throw error;
      };
      await expect(disk.read(new Uint8Array(length), start)).rejects.toBe(error);
      await expect(disk.read(new Uint8Array(SIZE), 0)).rejects.toBe(error);
      ownerProbe.before = () => undefined;
      await expectBytes(disk, chain[0]?.content ?? new Uint8Array(0), [0, SIZE]);
      await disk.close();
    }
  });

  it('asks parents that are full of holes in no more calls than it has stretches', async () => {
    const probes = probesOf(chain);
    const disk = await openChain(chain, storageFrom(probes));
    for (const probe of probes) probe.calls.length = 0;
    await disk.readBytes(0, SIZE);
    const runs = expectedExtents(chain, 0, SIZE);
    for (const [depth, probe] of probes.entries()) {
      const owned = runs.filter((run) => run.depth === depth).length;
      // Its runs, cut at blocks, and the bitmap of each of its blocks.
      expect(probe.count('read'), `depth ${depth}`).toBeLessThanOrEqual(2 * owned + 8);
    }
    await disk.close();
  });
});

describe('parents of other sizes', () => {
  const large = pattern(16 * BLOCK, 11);
  const emptyOf = (size: number, blockSize = BLOCK): LinkShape => ({ size, blockSize });

  it.each([
    ['a whole number of blocks', 2 * BLOCK],
    ['a whole number of sectors', 2 * BLOCK + 1536],
    ['no whole number of sectors', 2 * BLOCK + 700],
    ['less than a sector', 100],
  ])('one that is smaller, %s, reads as zeros behind its end, never as a larger grandparent', async (_name, size) => {
    for (const middle of [emptyOf(size), emptyOf(size, 512)]) {
      const links = buildChain([emptyOf(SIZE, 2 * BLOCK), middle, { type: 'fixed', data: large }]);
      const disk = await openChain(links);
      const content = new Uint8Array(SIZE);
      content.set(large.subarray(0, size));
      await expectBytes(disk, content, [0, SIZE]);
      for (const range of [
        [0, SIZE],
        [size - 50, 100],
        [size, SIZE - size],
        [size + 1, 600],
      ] as const) {
        await expectBytes(disk, content, range);
        await expectExtents(disk, expectedOf(links), range);
      }
      expect(await collect(disk.extents({ start: size }))).toEqual([
        { start: size, length: SIZE - size, kind: 'zero', depth: 1 },
      ]);
      await disk.close();
    }
  });

  it('a larger one ends where the child ends', async () => {
    const links = buildChain([emptyOf(SIZE - 512), { type: 'fixed', data: large }]);
    const disk = await openChain(links);
    expect(disk.size).toBe(SIZE - 512);
    await expectBytes(disk, large.subarray(0, SIZE - 512), [0, SIZE - 512]);
    await expect(disk.read(new Uint8Array(1), SIZE - 512)).rejects.toThrow(RangeError);
    await disk.close();
  });

  it('sizes that go up and down cut at the smallest on the way', async () => {
    const links = buildChain([
      emptyOf(8 * BLOCK),
      emptyOf(3 * BLOCK),
      emptyOf(6 * BLOCK),
      emptyOf(BLOCK),
      { type: 'fixed', data: large },
    ]);
    const disk = await openChain(links);
    expect(await collect(disk.extents())).toEqual([
      { start: 0, length: BLOCK, kind: 'data', depth: 4 },
      { start: BLOCK, length: 2 * BLOCK, kind: 'zero', depth: 3 },
      { start: 3 * BLOCK, length: 5 * BLOCK, kind: 'zero', depth: 1 },
    ]);
    const content = new Uint8Array(8 * BLOCK);
    content.set(large.subarray(0, BLOCK));
    await expectBytes(disk, content, [0, 8 * BLOCK]);
    await disk.close();
  });
});

describe('opening a child', () => {
  const childImage = chain[0]?.image ?? new Uint8Array(0);

  it('without its parent is an error', async () => {
    const storage = new ProbeStorage(new MemoryStorage(childImage));
    await expect(openVhdStorage(storage)).rejects.toMatchObject({ code: 'ERR_VHD_PARENT_MISSING' });
    expect(storage.count('close')).toBe(1);
  });

  it('over another VHD is an error, and closes both', async () => {
    for (const writable of [false, true]) {
      const other = new ProbeStorage(new MemoryStorage(buildImage({ size: SIZE, blockSize: BLOCK })));
      const parent = await openVhdStorage(other);
      const storage = new ProbeStorage(new MemoryStorage(childImage));
      await expect(openVhdStorage(storage, { parent, writable })).rejects.toMatchObject({
        code: 'ERR_VHD_PARENT_UUID',
      });
      expect([storage.count('close'), other.count('close')]).toEqual([1, 1]);
      expect([storage.changes(), other.changes()]).toEqual([[], []]);
    }
  });

  it('over a raw disk takes its bytes', async () => {
    const raw = pattern(SIZE, 5);
    const parent = new FlatDisk(new MemoryStorage(raw), SIZE, true);
    const disk = await openVhdStorage(new MemoryStorage(chain[1]?.image), { parent });
    expect(disk.parent).toBe(parent);
    await expectBytes(disk, chain[1]?.content ?? new Uint8Array(0), [0, SIZE]);
    await disk.close();
  });

  it('closes every link with itself, once', async () => {
    const probes = probesOf(chain);
    const disk = await openChain(chain, storageFrom(probes));
    await Promise.all([disk.close(), disk.close()]);
    expect(probes.map((probe) => probe.count('close'))).toEqual([1, 1, 1]);
    await expect(disk.read(new Uint8Array(1), 0)).rejects.toMatchObject({ code: 'ERR_VHD_CLOSED' });
  });

  it('that cannot be read closes its parents', async () => {
    const probes = probesOf(chain);
    const [child] = probes;
    if (child !== undefined) {
      child.before = ({ kind }) => {
        if (kind === 'read') throw new Error('unreadable');
      };
    }
    await expect(openChain(chain, storageFrom(probes))).rejects.toThrow('unreadable');
    expect(probes.map((probe) => probe.count('close'))).toEqual([1, 1, 1]);
  });
});
