// Chains of very many links, and more bitmaps than are kept.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import type { VhdDisk } from '../../../src/disk/vhd-disk.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { ArrayStorage } from '../../support/array-storage.ts';
import { buildChain, openOver } from '../../support/build-chain.ts';
import { type BlockShape, buildImage } from '../../support/build-image.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { expectBytes } from '../../support/chain-checks.ts';
import { collect } from '../../support/collect.ts';
import { ProbeStorage } from '../../support/probe-storage.ts';
import { Random } from '../../support/seed.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

function uuidOf(level: number): Uint8Array {
  return Uint8Array.of(level >> 8, level & 255, ...new Uint8Array(14).fill(0x77));
}

/** Images, the base first, each of which owns `ownedBlocks` blocks, or parts of them; and what they hold together. */
function longChain(count: number, size: number, ownedBlocks: number): { images: Uint8Array[]; content: Uint8Array } {
  const random = new Random(count);
  const content = new Uint8Array(size);
  const noise = pattern(64 * KiB, 5);
  const images = Array.from({ length: count }, (_, level) => {
    const blockSize = [4 * KiB, 2 * KiB, 8 * KiB][level % 3] ?? 4 * KiB;
    const blocks = new Map<number, BlockShape>();
    while (blocks.size < Math.min(ownedBlocks, size / blockSize)) {
      const index = random.below(size / blockSize);
      const from = random.below(noise.length - blockSize);
      const data = noise.subarray(from, from + blockSize);
      const isWhole = level === 0 || random.oneIn(2);
      const sectors = Array.from({ length: blockSize / 512 }, (__, sector) => sector).filter(() => random.oneIn(2));
      if (blocks.has(index)) continue;
      blocks.set(index, isWhole ? { index, data } : { index, data, sectors });
      for (let sector = 0; sector < blockSize / 512; sector++) {
        if (!isWhole && !sectors.includes(sector)) continue;
        content.set(data.subarray(sector * 512, sector * 512 + 512), index * blockSize + sector * 512);
      }
    }
    const parent = level === 0 ? {} : { parent: { uniqueId: uuidOf(level - 1) } };
    return buildImage({
      size,
      blockSize,
      blocks: [...blocks.values()],
      footer: { uniqueId: uuidOf(level) },
      ...parent,
    });
  });
  return { images, content };
}

async function openAll(images: readonly Uint8Array[], writable = false): Promise<VhdDisk> {
  let parent: VhdDisk | undefined;
  for (const [level, image] of images.entries()) {
    const isTop = level === images.length - 1;
    const storage = new ArrayStorage(image, isTop);
    parent = await openVhdStorage(storage, { parent, writable: writable && isTop });
  }
  if (parent === undefined) throw new Error('no images');
  return parent;
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes that are in use, once everything is gone that nobody holds. */
function bytesInUse(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

describe('a chain of 200 links', () => {
  it('opens, reads and is written to in little memory', async () => {
    const size = 16 * MiB;
    // One block in a hundred of 4 KiB, and as many of the other sizes: more bitmaps than are kept.
    const { images, content } = longChain(200, size, 41);
    const before = bytesInUse();
    const disk = await openAll(images, true);
    const opened = bytesInUse() - before;
    const piece = new Uint8Array(MiB);
    for (let at = 0; at < size; at += MiB) {
      await disk.read(piece, at);
      const difference = firstDifference(piece, content.subarray(at, at + MiB));
      expect(difference === -1 ? -1 : at + difference).toBe(-1);
    }
    for await (const { start, length, depth } of disk.extents()) {
      expect(depth).toBeLessThan(200);
      expect(length, `extent at ${start}`).toBeGreaterThan(0);
    }
    await disk.write(pattern(5000, 9), 3 * MiB - 77);
    content.set(pattern(5000, 9), 3 * MiB - 77);
    await disk.discard(MiB + 100, 9000);
    content.fill(0, MiB + 100, MiB + 9100);
    await expectBytes(disk, content, [0, 4 * MiB]);
    const used = bytesInUse() - before;
    await disk.close();
    // Of each link a table of at most 32 KiB, a header and a footer; and 4 MiB of bitmaps for all of them.
    expect(opened).toBeLessThan(16 * MiB);
    expect(used).toBeLessThan(24 * MiB);
  });

  it('is not the end', async () => {
    const { images, content } = longChain(1000, 64 * KiB, 1);
    const disk = await openAll(images);
    await expectBytes(disk, content, [0, 64 * KiB]);
    expect((await collect(disk.extents())).length).toBeGreaterThan(1);
    await disk.close();
  });
});

describe('more bitmaps than are kept', () => {
  const size = 9 * MiB;
  const blockSize = KiB;
  const blockCount = size / blockSize;
  const garbage = pattern(blockSize, 3);

  it.each(['in new blocks', 'in blocks that are there'])('are written to %s, and none is lost', async (where) => {
    const indexes = where === 'in new blocks' ? [] : Array.from({ length: blockCount }, (_, index) => index);
    const blocks = indexes.map((index) => ({ index, data: garbage, sectors: index % 2 === 0 ? [0] : [] }));
    const [child, ...parents] = buildChain([
      { size, blockSize, blocks },
      { type: 'fixed', data: pattern(size, 4) },
    ]);
    if (child === undefined) throw new Error('a chain has a link');
    const content = child.content.slice();
    const storage = new MemoryStorage(child.image);
    const probe = new ProbeStorage(storage);
    const disk = await openOver(probe, parents, { writable: true, limits: { gatherBelow: 0, arenaBytes: 64 * KiB } });
    const source = pattern(512, 6);
    for (let count = 0; count < blockCount; count++) {
      // Here and there, so that none of them are neighbours.
      const position = ((count * 4099) % blockCount) * blockSize + 512;
      content.set(source, position);
      await disk.write(source, position);
    }
    if (where === 'in blocks that are there') expect(probe.count('flush')).toBeGreaterThan(0);
    await expectBytes(disk, content, [0, size]);
    await disk.close();
    const reopened = await openOver(new ArrayStorage(storage.toBytes()), parents);
    await expectBytes(reopened, content, [0, size]);
  });
});
