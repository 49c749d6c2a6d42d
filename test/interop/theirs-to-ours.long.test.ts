// What qemu writes we read, and what we write into it the others still read.
import { copyFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import type { VhdDisk } from '../../src/disk/vhd-disk.ts';
import { openVhd } from '../../src/open.ts';
import { pattern } from '../support/bytes.ts';
import { describeWithPeers, runPeer, testWithPeers } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';
import { Contents, type Range } from './contents.ts';
import { expectDiskHolds, readLayout } from './ours.ts';
import {
  expectFileHolds,
  expectQemuSame,
  expectSevenZipHolds,
  expectSevenZipPartitions,
  qemuSize,
  sevenZipSize,
  vhdiSize,
  withVhdiMount,
} from './readers.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const BLOCK = 2 * MIB;

const SIZES: readonly (readonly [string, number])[] = [
  ['1 sector', 512],
  ['3 MiB', 3 * MIB],
  ['10 MiB', 10 * MIB],
  ['40 MiB and a sector', 40 * MIB + 512],
  ['127 MiB', 127 * MIB],
  ['5 GiB', 5 * GIB],
  ['130 GiB', 130 * GIB],
  ['2040 GiB', 2040 * GIB],
];

const temp = useTempFolder('theirs');

describeWithPeers(['qemu-img'], 'what qemu writes', () => {
  let count = 0;
  for (const [name, size] of SIZES) {
    for (const type of ['fixed', 'dynamic'] as const) {
      for (const isForced of [true, false]) {
        const title = `a ${type} disk of ${name}${isForced ? ', of that size by force' : ''}`;
        describe(title, () => testImage(`${count++}`, size, type, isForced));
      }
    }
  }
});

function testImage(id: string, size: number, type: 'fixed' | 'dynamic', isForced: boolean): void {
  const partitioned = size > GIB ? Contents.withPartitions(size, BLOCK) : undefined;
  const requested = partitioned?.contents ?? Contents.forBlocks(size, BLOCK);
  const image = (): string => temp.file(`${id}.vhd`);
  const changed = (): string => temp.file(`${id}-changed.vhd`);
  /** What it holds; qemu rounds sizes up to whole cylinders where nobody forces it not to. */
  let contents = requested;

  beforeAll(async () => {
    const raw = temp.file(`${id}.raw`);
    await requested.writeRaw(raw);
    const options = `subformat=${type},force_size=${isForced ? 'on' : 'off'}`;
    await runPeer('qemu-img', ['convert', '-f', 'raw', '-O', 'vpc', '-o', options, raw, image()]);
    contents = requested.grown(await qemuSize(image()));
  });

  test('has for us the size that qemu and its footer say', async () => {
    const disk = await openVhd(image());
    expect(disk.type).toBe(type);
    expect([disk.size, disk.footer.currentSize]).toEqual([contents.size, contents.size]);
    if (isForced) expect(disk.size).toBe(size);
    else expect(disk.size).toBeGreaterThanOrEqual(size);
    await disk.close();
  });

  test('has for us all its bytes, and nothing wrong about it', async () => {
    const disk = await openVhd(image());
    await expectDiskHolds(disk, contents);
    expectNothingWrong(disk);
    await disk.close();
  });

  if (type === 'fixed') return;

  describe('when we have written into it', () => {
    let expected = contents;

    beforeAll(async () => {
      await copyFile(image(), changed());
      expected = contents;
      const disk = await openVhd(changed(), { writable: true });
      for (const [index, { position, length }] of changesFor(disk.size).entries()) {
        const bytes = pattern(length, 100 + index);
        await disk.write(bytes, position);
        expected = expected.with(position, bytes);
      }
      await disk.close();
      await expected.writeRaw(temp.file(`${id}-changed.raw`));
    });

    test('has for us the old bytes and the new ones', async () => {
      const disk = await openVhd(changed());
      await expectDiskHolds(disk, expected);
      expectNothingWrong(disk);
      await disk.close();
    });

    test('is packed as it was: no gap between blocks, none before the footer', async () => {
      const { blocks, strides, tableEnd, footer, hasBothFooters } = await readLayout(changed());
      expect(strides).toEqual(blocks.length > 1 ? [4097] : []);
      expect([blocks[0], footer]).toEqual([tableEnd, tableEnd + blocks.length * 4097]);
      expect(hasBothFooters).toBe(true);
    });

    test('has its size and all its bytes in qemu', async () => {
      expect(await qemuSize(changed())).toBe(expected.size);
      await expectQemuSame(changed(), temp.file(`${id}-changed.raw`));
    });

    testWithPeers(['vhdiinfo', 'vhdimount'], 'has its size and its bytes in libvhdi', async () => {
      expect(await vhdiSize(changed())).toBe(expected.size);
      const ranges = size > GIB ? expected.ranges() : undefined;
      await withVhdiMount(changed(), temp.file(`${id}.mount`), (path) => expectFileHolds(path, expected, ranges));
    });

    testWithPeers(['7z'], 'has its size and its bytes in 7-Zip', async () => {
      expect(await sevenZipSize(changed())).toBe(expected.size);
      if (partitioned === undefined) await expectSevenZipHolds(changed(), expected);
      else await expectSevenZipPartitions(changed(), { contents: expected, partitions: partitioned.partitions });
    });
  });
}

/** A CHS geometry that is not the size's own is worth a note (what `force_size` writes), and nothing else is odd. */
function expectNothingWrong(disk: VhdDisk): void {
  expect(disk.findings.filter((item) => item.rule !== 'geometry.size')).toEqual([]);
}

/** Parts of old blocks and of new ones, the last byte among them; nothing in whole sectors. */
function changesFor(size: number): Range[] {
  const blockCount = Math.ceil(size / BLOCK);
  if (blockCount === 1) return [{ position: 100, length: 300 }];
  const end = { position: size - 1300, length: 1300 };
  if (blockCount <= 4) return [{ position: 100, length: 300 }, end];
  const middle = Math.floor(blockCount / 2) * BLOCK;
  return [{ position: BLOCK + 700, length: 5000 }, { position: middle + BLOCK + 300_001, length: 400_000 }, end];
}
