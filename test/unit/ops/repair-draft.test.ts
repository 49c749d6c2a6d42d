import { describe, expect, it } from 'vitest';
import { isZeroBetween } from '../../../src/ops/repair-context.ts';
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
});
