import { describe, expect, it } from 'vitest';
import { compactBlocks } from '../../../src/disk/compact-blocks.ts';
import { planCompaction } from '../../../src/disk/compact-image.ts';
import { blocksInFileOrder, partByFlag } from '../../../src/disk/compact-order.ts';
import { findBlocks } from '../../../src/disk/open-blocks.ts';
import { openFound, openVhdStorage } from '../../../src/disk/open-storage.ts';
import { examine, type SoundExamination } from '../../../src/disk/recognise.ts';
import { unusedBlocks } from '../../../src/disk/unused-blocks.ts';
import { encodeDynamicHeader, plainDynamicHeader } from '../../../src/format/dynamic-header.ts';
import { encodeFooter } from '../../../src/format/footer.ts';
import { newFooter } from '../../../src/format/new-footer.ts';
import { borrowed } from '../../../src/storage/borrowed.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { buildImage } from '../../support/build-image.ts';
import { ProbeStorage } from '../../support/probe-storage.ts';

const MIB = 1024 * 1024;
const BLOCK = 2 * MIB;
const STRIDE = BLOCK + 512;

/** A packed image of 100 GiB in which every block has a place, in order; the first of them hold zeros, the others bytes. */
class FullImage {
  readonly storage: Storage;
  readonly #front: MemoryStorage;
  #byteLength: number;
  readonly first: number;
  readonly #zeroCount: number;

  constructor(blockCount: number, zeroCount: number) {
    this.#zeroCount = zeroCount;
    const table = Buffer.alloc(blockCount * 4);
    this.first = 1536 + Math.ceil(table.length / 512) * 512;
    for (let block = 0; block < blockCount; block++) {
      table.writeUInt32BE((this.first + block * STRIDE) / 512, block * 4);
    }
    const footer = encodeFooter(
      newFooter({ type: 'dynamic', size: blockCount * BLOCK, uniqueId: new Uint8Array(16), timestamp: 1 }),
    );
    const header = encodeDynamicHeader(plainDynamicHeader(1536, blockCount, BLOCK));
    this.#front = new MemoryStorage(Buffer.concat([footer, header, table]));
    const end = this.first + blockCount * STRIDE;
    this.#byteLength = end + 512;
    this.storage = {
      name: 'full',
      capabilities: { writable: true, discard: 'ignored', durableFlush: true, preferredIoSize: MIB },
      size: () => Promise.resolve(this.#byteLength),
      read: (target, position) => this.#read(target, position, { footer, end }),
      // Blocks go nowhere: only how much is written counts.
      write: (source, position) => (position < this.first ? this.#front.write(source, position) : Promise.resolve()),
      truncate: (byteLength) => Promise.resolve(void (this.#byteLength = byteLength)),
      flush: () => Promise.resolve(),
      discard: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
  }

  get byteLength(): number {
    return this.#byteLength;
  }

  async #read(
    target: Uint8Array,
    position: number,
    { footer, end }: { footer: Uint8Array; end: number },
  ): Promise<void> {
    if (position >= end) target.set(footer.subarray(position - end, position - end + target.length));
    else if (position >= this.first) {
      const block = Math.floor((position - this.first) / STRIDE);
      const inBlock = (position - this.first) % STRIDE;
      target.fill(block < this.#zeroCount ? 0 : 1);
      // The bitmap in front of the data.
      if (inBlock < 512) target.fill(0xff, 0, Math.min(target.length, 512 - inBlock));
    } else await this.#front.read(target, position);
  }
}

describe('what compacting reads and writes', () => {
  it('is in proportion to what moves: of 100 GiB with 1 GiB of zeros, 1 GiB', async () => {
    const zeroCount = 512;
    const full = new FullImage(51_200, zeroCount);
    const probe = new ProbeStorage(full.storage);
    const image = (await examine(probe)) as SoundExamination;
    expect(image.refusal).toBeUndefined();
    const found = await findBlocks(probe, image);
    const disk = await openFound(borrowed(probe), image, found, {});
    const work = await planCompaction(probe, image, found, { disk });
    // Of 2040 GiB each list of the blocks is 4 MiB and more: there is one, parted, and one of what moves; the table is read once.
    const { kept, dropped, places } = work.plan;
    expect(kept.buffer).toBe(dropped.buffer);
    expect([kept.buffer.byteLength, places.buffer.byteLength]).toEqual([51_200 * 4, zeroCount * 4]);
    const inFront = probe.calls.filter(({ kind, position }) => kind === 'read' && position < full.first);
    expect(inFront.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(51_200 * 4 * 1.1);
    const read = probe.calls.reduce((sum, { kind, length }) => sum + (kind === 'read' ? length : 0), 0);
    // Of a block that holds something the first bytes and its bitmap; what is zero has to be read to its end.
    expect(read).toBeLessThan(51_200 * (4096 + 512) + zeroCount * STRIDE + 2 * MIB);
    expect(probe.changes()).toEqual([]);

    probe.calls.length = 0;
    await compactBlocks(probe, image, work, {});
    expect(work.plan.dropped).toHaveLength(zeroCount);
    expect(work.plan.movedCount).toBe(zeroCount);
    const writes = probe.calls.filter(({ kind }) => kind === 'write');
    const blockWrites = writes.filter(({ length }) => length === STRIDE);
    expect(blockWrites).toHaveLength(zeroCount);
    const others = writes.filter(({ length }) => length !== STRIDE);
    expect(others.length).toBeLessThan(20);
    expect(others.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(64 * 1024);
    expect(probe.count('read')).toBe(zeroCount);
    // For each 256 MiB that are copied two barriers; one for what was dropped, two at the end.
    expect(probe.count('flush')).toBe(2 * 4 + 1 + 2);
    expect(full.byteLength).toBe(full.first + (51_200 - zeroCount) * STRIDE + 512);
  });

  it('is nothing of a hole', async () => {
    const bytes = buildImage({
      size: 8 * 4096,
      blockSize: 4096,
      blocks: [
        { index: 1, data: 0 },
        { index: 3, data: 0 },
      ],
    });
    const memory = new MemoryStorage(bytes);
    const probe = new ProbeStorage({
      ...borrowed(memory),
      findData: (position, length) => {
        return Promise.resolve(length <= 4096 ? undefined : { start: position, length });
      },
    });
    const image = (await examine(probe)) as SoundExamination;
    const disk = await openVhdStorage(borrowed(memory));
    probe.calls.length = 0;
    const { plan } = await planCompaction(probe, image, await findBlocks(probe, image), { disk });
    expect([...plan.dropped]).toEqual([1, 3]);
    expect(probe.calls.filter(({ kind, position }) => kind === 'read' && position > 2048)).toEqual([]);
  });
});

describe('blocks in file order', () => {
  it('are sorted by where they lie', async () => {
    const blocks = [5, 2, 7, 0].map((index) => ({ index, data: index + 1 }));
    const storage = new MemoryStorage(buildImage({ size: 8 * 4096, blockSize: 4096, blocks }));
    const { table } = await findBlocks(storage, (await examine(storage)) as SoundExamination);
    const order = blocksInFileOrder(table);
    expect([...order]).toEqual([5, 2, 7, 0]);
    const { kept, dropped } = partByFlag(order, Uint8Array.of(0, 1, 0, 1));
    expect([...kept, ...dropped]).toEqual([2, 0, 5, 7]);
  });
});

describe('ranges that hold nothing of use', () => {
  const ranges = (...pairs: readonly (readonly [number, number])[]) =>
    pairs.map(([start, length]) => ({ start, length }));
  const disk = { size: 4096 * 3 + 512 } as never;

  it.each([
    ['whole blocks', ranges([0, 8192]), [1, 1, 0, 0]],
    ['parts of blocks', ranges([1, 4096], [8192, 4095]), [0, 0, 0, 0]],
    ['parts that touch', ranges([0, 100], [100, 3996], [4096, 1]), [1, 0, 0, 0]],
    ['ranges that overlap', ranges([0, 3000], [2000, 7000]), [1, 1, 0, 0]],
    ['the end of the disk', ranges([4096 * 3, 512]), [0, 0, 0, 1]],
    ['ranges out of order, each by itself', ranges([4096, 4096], [0, 4096]), [1, 1, 0, 0]],
    ['nothing', ranges([0, 0], [4096, 0]), [0, 0, 0, 0]],
  ])('%s', async (_name, told, expected) => {
    expect([...(await unusedBlocks(disk, 4096, () => told))]).toEqual(expected);
  });

  it.each([[[-1, 2]], [[0, 20_000]], [[0.5, 1]], [[0, Number.NaN]]] as const)('%j is none', async ([start, length]) => {
    await expect(unusedBlocks(disk, 4096, () => ranges([start, length]))).rejects.toThrow(RangeError);
  });
});
