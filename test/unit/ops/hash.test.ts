import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { FlatDisk } from '../../../src/disk/flat.ts';
import { openDisk, openVhd } from '../../../src/open.ts';
import { convert } from '../../../src/ops/convert.ts';
import { createImage } from '../../../src/ops/create.ts';
import { type DiskHash, hashBlocks, hashDisk } from '../../../src/ops/hash.ts';
import { sha256OfDisk } from '../../../src/ops/hash-plain.ts';
import type { Progress } from '../../../src/ops/progress.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { pattern } from '../../support/bytes.ts';
import { collect } from '../../support/collect.ts';
import { useTempFolder } from '../../support/temp.ts';

const folder = useTempFolder('hash');
const MiB = 1024 ** 2;
const BLOCK = 2 * MiB;
/** No multiple of a block: the last one has 1 MiB and 512 bytes. */
const SIZE = 9 * MiB + 512;

/** Blocks 0, 3 and 4 have data, and the middle of block 3 has none. */
function content(): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  bytes.set(pattern(1000, 1), 5);
  bytes.set(pattern(4096, 2), 6 * MiB);
  bytes.set(pattern(4096, 3), 8 * MiB - 4096);
  bytes.set(pattern(512, 4), 9 * MiB);
  return bytes;
}

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

/** What the README says, once more and in another way. */
function expectedHash(bytes: Uint8Array): DiskHash {
  const blocks: { start: number; sha256: string }[] = [];
  let text = `vhdkit/hash/1 ${bytes.length} 2097152\n`;
  for (let start = 0; start < bytes.length; start += BLOCK) {
    const block = Buffer.from(bytes.subarray(start, start + BLOCK));
    if (block.equals(Buffer.alloc(block.length))) continue;
    blocks.push({ start, sha256: sha256(block) });
    text += `${start} ${sha256(block)}\n`;
  }
  return { virtualSize: bytes.length, blockSize: 2_097_152, root: sha256(text), blocks };
}

const CONTAINERS = ['disk.raw', 'fixed.vhd', 'dynamic.vhd', 'small-blocks.vhd', 'child.vhd', 'stored-zeros.vhd'];

beforeAll(async () => {
  const bytes = content();
  const raw = folder.file('disk.raw');
  await writeFile(raw, bytes);
  await convert(raw, folder.file('fixed.vhd'), { to: 'fixed' });
  await convert(raw, folder.file('dynamic.vhd'), { to: 'dynamic' });
  await convert(raw, folder.file('small-blocks.vhd'), { to: 'dynamic', blockSize: 512 * 1024 });
  await createImage(folder.file('base.vhd'), { size: SIZE, blockSize: 512 * 1024 });
  await using base = await openVhd(folder.file('base.vhd'), { writable: true });
  await base.write(bytes.subarray(0, 7 * MiB), 0);
  // What the child hides: one block is zero in it and not in its parent.
  await base.write(pattern(MiB), 3 * MiB);
  await base.close();
  await createImage(folder.file('child.vhd'), { parent: folder.file('base.vhd') });
  await using child = await openVhd(folder.file('child.vhd'), { writable: true });
  await child.write(bytes.subarray(7 * MiB), 7 * MiB);
  await child.write(new Uint8Array(MiB), 3 * MiB);
  await createImage(folder.file('stored-zeros.vhd'), { size: SIZE });
  await using stored = await openVhd(folder.file('stored-zeros.vhd'), { writable: true });
  await stored.write(pattern(SIZE), 0);
  await stored.write(bytes, 0);
});

describe('the hash of a disk', () => {
  it.each(CONTAINERS)('is the same in %s', async (name) => {
    const { disk } = await openDisk(folder.file(name));
    await using _ = disk;
    const expected = expectedHash(content());
    expect(expected.blocks.map(({ start }) => start)).toEqual([0, 6 * MiB, 8 * MiB]);
    expect(await hashDisk(disk)).toEqual(expected);
    expect(await collect(hashBlocks(disk))).toEqual(expected.blocks);
    expect(await sha256OfDisk(disk)).toBe(sha256(content()));
  });

  it.each([1, 511, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])('is right for a disk of %d bytes', async (size) => {
    for (const bytes of [new Uint8Array(size), pattern(size)]) {
      const disk = new FlatDisk(new MemoryStorage(bytes), size, true);
      expect(await hashDisk(disk)).toEqual(expectedHash(bytes));
      expect(await sha256OfDisk(disk)).toBe(sha256(bytes));
    }
  });

  it('tells disks of zeros apart by their size', async () => {
    const hash = async (size: number) =>
      (await hashDisk(new FlatDisk(new MemoryStorage(new Uint8Array(size)), size, true))).root;
    expect(await hash(512)).not.toBe(await hash(1024));
  });

  it('reads no block that is known to be zero, and takes no time for 2040 GiB of them', async () => {
    const size = 2040 * 1024 * MiB;
    const reads: number[] = [];
    const last = size - BLOCK;
    const disk = {
      size,
      read: async (target: Uint8Array, position: number) => {
        reads.push(position);
        target.fill(7);
      },
      async *extents() {
        yield { start: 0, length: last + 512, kind: 'zero', depth: 0 } as const;
        yield { start: last + 512, length: 512, kind: 'data', depth: 0 } as const;
        yield { start: last + 1024, length: BLOCK - 1024, kind: 'zero', depth: 0 } as const;
      },
    };
    const { blocks } = await hashDisk(disk);
    expect(reads).toEqual([last]);
    expect(blocks).toEqual([{ start: last, sha256: sha256(new Uint8Array(BLOCK).fill(7)) }]);
  });

  it('tells how far it is, with what was empty', async () => {
    const { disk } = await openDisk(folder.file('small-blocks.vhd'));
    await using _ = disk;
    for (const hash of [hashDisk, sha256OfDisk]) {
      const heard: Progress[] = [];
      await hash(disk, { onProgress: (progress) => heard.push(progress) });
      const last = heard.at(-1);
      expect(last).toMatchObject({ phase: 'hash', doneBytes: SIZE, totalBytes: SIZE });
      expect(last?.skippedBytes).toBeGreaterThanOrEqual(4 * MiB);
    }
  });

  it('stops when it is told to, also where there are only zeros', async () => {
    const { disk } = await openDisk(folder.file('dynamic.vhd'));
    await using _ = disk;
    const empty = {
      ...{ size: 2 ** 50, read: () => Promise.resolve() },
      async *extents() {
        yield { start: 0, length: 2 ** 50, kind: 'zero', depth: 0 } as const;
      },
    };
    const reason = new Error('enough');
    await expect(hashDisk(disk, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 10);
    await expect(sha256OfDisk(empty, { signal: controller.signal })).rejects.toBe(reason);
  });

  it('passes the error of a read, and knows its options', async () => {
    const failure = new Error('no');
    const disk = {
      size: 512,
      read: () => Promise.reject(failure),
      async *extents() {
        yield { start: 0, length: 512, kind: 'data', depth: 0 } as const;
      },
    };
    await expect(hashDisk(disk)).rejects.toBe(failure);
    await expect(sha256OfDisk(disk)).rejects.toBe(failure);
    const options = { blockSize: 4096 } as object;
    await expect(hashDisk(disk, options)).rejects.toThrow("unknown option 'blockSize'");
    await expect(sha256OfDisk(disk, options)).rejects.toThrow("unknown option 'blockSize'");
    await expect(collect(hashBlocks(disk, options))).rejects.toThrow("unknown option 'blockSize'");
  });
});
