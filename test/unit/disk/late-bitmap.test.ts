// A bitmap is read, and before it arrives its block is freed and gets another place: what it says is of the old one.
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { SECTOR_BYTES } from '../../../src/format/spec.ts';
import { ArrayStorage } from '../../support/array-storage.ts';
import { buildChain, openOver } from '../../support/build-chain.ts';
import { pattern } from '../../support/bytes.ts';

const BLOCK = 4096;

/** Bitmaps that are read while it holds them arrive when it lets them go, with what they were when they were asked for. */
class LateStorage extends ArrayStorage {
  isHolding = false;
  readonly #held: (() => void)[] = [];

  override async read(target: Uint8Array, position: number): Promise<void> {
    await super.read(target, position);
    if (this.isHolding && target.length === SECTOR_BYTES) {
      await new Promise<void>((resolve) => this.#held.push(resolve));
    }
  }

  get heldCount(): number {
    return this.#held.length;
  }

  letGo(): void {
    this.isHolding = false;
    for (const resolve of this.#held.splice(0)) resolve();
  }
}

/** A child with one sector in each of its first three blocks, over a base that has something far behind. */
function imagesOf(): ReturnType<typeof buildChain> {
  const blocks = [0, 1, 2].map((index) => ({ index, data: pattern(BLOCK, 10 + index), sectors: [0] }));
  return buildChain([
    { size: 8 * BLOCK, blockSize: BLOCK, blocks },
    { size: 8 * BLOCK, blockSize: BLOCK, blocks: [{ index: 7, data: pattern(BLOCK, 77) }] },
  ]);
}

describe('a bitmap that arrives after its block was freed', () => {
  it('is not taken for that of its new place', async () => {
    const [child, ...parents] = imagesOf();
    if (child === undefined) throw new Error('no chain');
    const storage = new LateStorage(child.image);
    const disk = await openOver(storage, parents, { writable: true });
    await disk.read(new Uint8Array(BLOCK), 0);
    storage.isHolding = true;
    // The bitmap of the block behind comes along with this one, outside of what is locked.
    const reading = disk.read(new Uint8Array(BLOCK), BLOCK);
    await setTimeout(5);
    expect(storage.heldCount).toBeGreaterThan(1);
    await disk.discard(2 * BLOCK, BLOCK);
    await disk.write(pattern(BLOCK - SECTOR_BYTES, 99), 2 * BLOCK + SECTOR_BYTES);
    await disk.flush();
    storage.letGo();
    await reading;
    const expected = new Uint8Array(BLOCK);
    expected.set(pattern(BLOCK - SECTOR_BYTES, 99), SECTOR_BYTES);
    expect(await disk.readBytes(2 * BLOCK, BLOCK)).toEqual(expected);
    await disk.write(pattern(SECTOR_BYTES, 5), 2 * BLOCK + SECTOR_BYTES);
    expected.set(pattern(SECTOR_BYTES, 5), SECTOR_BYTES);
    await disk.close();
    const again = await openOver(new ArrayStorage(storage.bytes), parents, {});
    expect(await again.readBytes(2 * BLOCK, BLOCK)).toEqual(expected);
    await again.close();
  });
});
