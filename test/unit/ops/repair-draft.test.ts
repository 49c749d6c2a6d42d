import { describe, expect, it } from 'vitest';
import { isZeroBetween } from '../../../src/disk/zero-between.ts';
import { Draft } from '../../../src/ops/repair-draft.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import type { StoredRange } from '../../../src/storage/storage.ts';

const KIB = 1024;
const STORED = { start: 2048 * KIB, length: 4 * KIB };

/** A file of 8 MiB of zeros, of which only a stretch in the middle is stored; notes what is read. */
class SparseStorage extends MemoryStorage {
  readonly reads: number[] = [];

  override async read(target: Uint8Array, position: number): Promise<void> {
    this.reads.push(position);
    await super.read(target, position);
  }

  async findData(position: number, length: number): Promise<StoredRange | undefined> {
    const start = Math.max(position, STORED.start);
    const end = Math.min(position + length, STORED.start + STORED.length);
    return start < end ? { start, length: end - start } : undefined;
  }
}

describe('a draft of a repair', () => {
  it('reads no holes when it looks for what is not zero', async () => {
    const base = new SparseStorage(new Uint8Array(8192 * KIB));
    const draft = await Draft.over(base);
    expect(await isZeroBetween(draft, 0, 8192 * KIB)).toBe(true);
    expect(base.reads).toEqual([STORED.start]);
  });

  it('finds what stands in the file, what is written and what was cut off', async () => {
    const bytes = new Uint8Array(8192 * KIB);
    bytes[STORED.start + 5] = 1;
    const draft = await Draft.over(new SparseStorage(bytes));
    expect(await isZeroBetween(draft, 0, 8192 * KIB)).toBe(false);
    expect(await isZeroBetween(draft, STORED.start + 6, 8192 * KIB)).toBe(true);
    await draft.write(Uint8Array.of(1), 6000 * KIB);
    expect(await isZeroBetween(draft, 4096 * KIB, 8192 * KIB)).toBe(false);
    await draft.truncate(2048 * KIB);
    await draft.truncate(4096 * KIB);
    expect(await isZeroBetween(draft, 0, 4096 * KIB)).toBe(true);
  });

  it('holds no zeros where the file has none, and changes nothing by them', async () => {
    const draft = await Draft.over(new MemoryStorage(new Uint8Array(KIB)));
    await draft.write(new Uint8Array(64 * KIB * KIB), 0);
    expect(await draft.changes()).toEqual({ fileSizeAfter: 64 * KIB * KIB, writes: [], cut: [] });
    await draft.write(Uint8Array.of(1), 5 * KIB + 1);
    await draft.write(new Uint8Array(512), 5 * KIB);
    await draft.write(Uint8Array.of(7), 512 * 5 + 3);
    const [write] = (await draft.changes()).writes;
    expect(write?.after[3]).toBe(7);
    expect((await draft.changes()).writes).toHaveLength(1);
  });

  it('writes zeros over what was cut and comes back, and leaves alone what is zeros', async () => {
    const base = new Uint8Array(4096 * KIB);
    base.fill(5, 1024 * KIB, 1024 * KIB + 700);
    base.fill(6, 2048 * KIB, 2048 * KIB + 512);
    const draft = await Draft.over(new MemoryStorage(base));
    await draft.truncate(1024 * KIB + 100);
    await draft.truncate(4096 * KIB);
    await draft.write(new Uint8Array(512).fill(8), 2048 * KIB);
    const { writes, cut } = await draft.changes();
    expect(cut).toEqual([]);
    expect(writes.map(({ offset, before, after }) => [offset, before.length, after[0]])).toEqual([
      [1024 * KIB + 100, 600, 0],
      [2048 * KIB, 512, 8],
    ]);
  });

  it('refuses more bytes than it holds, and tells where a read goes past its end', async () => {
    const draft = await Draft.over(new MemoryStorage(new Uint8Array(32 * KIB * KIB).fill(1)));
    await expect(draft.write(new Uint8Array(18 * KIB * KIB).fill(2), 0)).rejects.toMatchObject({
      code: 'ERR_VHD_LIMIT',
    });
    await draft.truncate(KIB);
    const reading = draft.read(new Uint8Array(100), 1000);
    await expect(reading).rejects.toMatchObject({ code: 'ERR_VHD_TRUNCATED', offset: 1000, found: '24 bytes' });
  });
});
