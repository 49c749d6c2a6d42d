// What we write is readable everywhere, in full: size and bytes of our images as other programs see them.
import { open } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { createVhd, openVhd } from '../../src/open.ts';
import { testWithPeers } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';
import { Contents } from './contents.ts';
import { expectDiskHolds } from './ours.ts';
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

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

interface Shape {
  readonly title: string;
  readonly size: number;
  readonly type: 'fixed' | 'dynamic';
  readonly blockSize: number;
}

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

/** Above this, a mounted image is read only where there is something, and around it: libvhdi reads 0.2 GiB/s. */
const MOUNT_WHOLE_LIMIT = GIB;
/**
 * Above this, 7-Zip extracts partitions: it begins in the middle of nothing else, and takes 1 s for each GiB. With
 * `VHDKIT_RUNS` it extracts 5 GiB too.
 */
const EXTRACT_WHOLE_LIMIT = GIB;
const IS_LONG = process.env['VHDKIT_RUNS'] !== undefined;

function shapesOf([name, size]: readonly [string, number]): Shape[] {
  const shapes: Shape[] = [
    { title: `a fixed disk of ${name}`, size, type: 'fixed', blockSize: 2 * MIB },
    { title: `a dynamic disk of ${name}`, size, type: 'dynamic', blockSize: 2 * MIB },
  ];
  if (size === 10 * MIB || size === 127 * MIB) {
    const title = `a dynamic disk of ${name} with blocks of 512 KiB`;
    shapes.push({ title, size, type: 'dynamic', blockSize: 512 * KIB });
  }
  return shapes;
}

const temp = useTempFolder('ours');
let largestFile = 0;

/** The longest file that the file system takes; some stop at 16 GiB or less. */
beforeAll(async () => {
  const file = await open(temp.file('probe'), 'wx');
  try {
    for (const [, size] of SIZES) {
      await file.truncate(size + 512);
      largestFile = size + 512;
    }
  } catch {
    // The last one that it took counts.
  } finally {
    await file.close();
  }
});

for (const [index, shape] of SIZES.flatMap(shapesOf).entries()) {
  const { size, type, blockSize, title } = shape;
  describe(title, () => {
    const partitioned = size > EXTRACT_WHOLE_LIMIT ? Contents.withPartitions(size, blockSize) : undefined;
    const contents = partitioned?.contents ?? Contents.forBlocks(size, blockSize);
    const image = (): string => temp.file(`${index}.vhd`);
    const raw = (): string => temp.file(`${index}.raw`);

    beforeAll(async () => {
      if (largestFile < size + 512) throw new Error(`the file system takes no file of ${size + 512} bytes`);
      const disk = await createVhd(image(), { size, type, ...(type === 'dynamic' ? { blockSize } : {}) });
      await contents.writeTo(disk);
      await disk.close();
      await contents.writeRaw(raw());
    });

    test('has what was written when we open it again', async () => {
      const disk = await openVhd(image());
      await expectDiskHolds(disk, contents);
      await disk.close();
    });

    testWithPeers(['qemu-img'], 'has its size and all its bytes in qemu', async () => {
      expect(await qemuSize(image())).toBe(size);
      await expectQemuSame(image(), raw());
    });

    testWithPeers(['vhdiinfo'], 'has its size in libvhdi', async () => {
      expect(await vhdiSize(image())).toBe(size);
    });

    const howMuch = size > MOUNT_WHOLE_LIMIT ? 'its bytes, where it has any,' : 'all its bytes';
    testWithPeers(['vhdimount'], `has ${howMuch} mounted by libvhdi`, async () => {
      await withVhdiMount(image(), temp.file(`${index}.mount`), async (path) => {
        await expectFileHolds(path, contents, size > MOUNT_WHOLE_LIMIT ? contents.ranges() : undefined);
      });
    });

    testWithPeers(['7z'], 'has its size in 7-Zip', async () => {
      expect(await sevenZipSize(image())).toBe(size);
    });

    if (partitioned !== undefined) {
      testWithPeers(['7z'], 'has the bytes of its partitions, which hold all there is, in 7-Zip', async () => {
        await expectSevenZipPartitions(image(), partitioned);
      });
    }

    if (partitioned === undefined || (IS_LONG && type === 'dynamic' && size === 5 * GIB)) {
      testWithPeers(['7z'], 'has all its bytes in 7-Zip', async () => {
        await expectSevenZipHolds(image(), contents);
      });
    }
  });
}
