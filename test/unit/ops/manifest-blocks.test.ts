import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { PackedBlocks, ZeroHashes } from '../../../src/ops/manifest-blocks.ts';

const MiB = 1024 ** 2;

describe('packed blocks', () => {
  it.each([0, 1, 4, 5, 8, 9, 4095, 4096, 4097, 8193])('are %d as they were added', (length) => {
    const added = Array.from({ length }, (_, index) => ({
      start: index * 6 * MiB,
      sha256: createHash('sha256').update(String(index)).digest('hex'),
    }));
    const packed = new PackedBlocks();
    for (const block of added) packed.add(block);
    expect(packed.length).toBe(length);
    expect([...packed]).toEqual(added);
  });
});

describe('hashes of zeros', () => {
  it('are right for any length, in any order', () => {
    const hashes = new ZeroHashes();
    for (const length of [8192, 0, 1, 2 * MiB, 8191, 8193, MiB + 512, 2 * MiB, 512]) {
      expect(hashes.of(length)).toBe(createHash('sha256').update(new Uint8Array(length)).digest('hex'));
    }
  });
});
