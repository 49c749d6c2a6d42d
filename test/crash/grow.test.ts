import { describe, expect, it } from 'vitest';
import { growImage, planGrowth, restoreFixedEnd } from '../../src/disk/grow-image.ts';
import { openVhdStorage } from '../../src/disk/open-storage.ts';
import { examine, type SoundExamination } from '../../src/disk/recognise.ts';
import { ArrayStorage } from '../support/array-storage.ts';
import { buildImage, contentOf, type ImageShape } from '../support/build-image.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { CrashStorage, LOSSES } from '../support/crash-storage.ts';
import { checkParameters, mix, Random } from '../support/seed.ts';
import { endsInFooter, structuralFault } from './structure.ts';
import { SUBJECTS, type Subject } from './subjects.ts';

const KiB = 1024;
const { numRuns: PICKS, seed: SEED = 1 } = checkParameters(3);

/** Images whose growth has a way of its own. */
const SHAPES: Record<string, ImageShape & { blockSize: number }> = {
  'a last block with old bytes behind the disk': {
    size: 40 * 4 * KiB - 1024,
    blockSize: 4 * KiB,
    blocks: [{ index: 39 }, { index: 2 }],
  },
  'a last block that is cut short': {
    size: 40 * 4 * KiB - 1024,
    blockSize: 4 * KiB,
    blocks: [{ index: 2 }, { index: 39, storedBytes: 3 * KiB }],
  },
  'a table with more entries than the size needs': {
    size: 40 * 4 * KiB,
    blockSize: 4 * KiB,
    maxTableEntries: 1024,
    tablePadding: 0,
    blocks: [{ index: 2 }],
  },
  'room behind the table': { size: 40 * 4 * KiB, blockSize: 4 * KiB, blocksFrom: 8 * KiB, blocks: [{ index: 2 }] },
  'no footer at the end': { size: 40 * 4 * KiB, blockSize: 4 * KiB, endFooter: 'none', blocks: [{ index: 2 }] },
  'a footer of 511 bytes': { size: 40 * 4 * KiB, blockSize: 4 * KiB, isLegacyEnd: true, blocks: [{ index: 2 }] },
};

const OWN = Object.entries(SHAPES).map(
  ([name, shape]): Subject => ({
    parents: [],
    name,
    image: buildImage(shape),
    content: contentOf(shape),
    blockSize: shape.blockSize,
    bitmap: 'strict',
    discard: 'ignored',
    weight: 1,
  }),
);

const LONG: Subject = (() => {
  const fixed = SUBJECTS.find(({ name }) => name === 'a fixed image');
  if (fixed === undefined) throw new Error('there is a fixed image');
  const { image, content } = fixed;
  const footer = image.subarray(content.length);
  return {
    ...fixed,
    name: 'a fixed image with old bytes behind its disk',
    image: Buffer.concat([content, pattern(3000 - (3000 % 512), 9), footer]),
  };
})();

const subjects = [...SUBJECTS, ...OWN, LONG].filter(
  ({ image, parents }) => parents.length === 0 && image.length < 512 * KiB,
);

async function grow(storage: CrashStorage | ArrayStorage, size: number, fileSizeBefore?: number): Promise<void> {
  const image = await examine(storage);
  expect(image.refusal).toBeUndefined();
  if (image.virtualSize === size) return;
  await growImage(storage, await planGrowth(storage, image as SoundExamination, { size, fileSizeBefore }));
}

async function expectContent(bytes: Uint8Array, subject: Subject, sizes: readonly number[]): Promise<void> {
  expect(structuralFault(bytes)).toBeUndefined();
  const disk = await openVhdStorage(new ArrayStorage(bytes), { bitmap: subject.bitmap });
  expect(disk.findings.filter((item) => item.severity === 'error')).toEqual([]);
  expect(sizes).toContain(disk.size);
  const found = await disk.readBytes(0, disk.size);
  expect(firstDifference(found.subarray(0, subject.content.length), subject.content)).toBe(-1);
  const added = found.subarray(subject.content.length);
  expect(firstDifference(added, new Uint8Array(added.length))).toBe(-1);
}

describe('an image that becomes larger', () => {
  for (const subject of subjects) {
    const oldSize = subject.content.length;
    const sizes = [oldSize + 512, oldSize + Math.min(300 * subject.blockSize, 1024 * KiB) - 512];

    it.each(sizes)(`${subject.name}: to %i bytes, it has the bytes it had, and zeros`, async (size) => {
      const storage = new ArrayStorage(Uint8Array.from(subject.image));
      await grow(storage, size);
      await expectContent(storage.bytes, subject, [size]);
      expect(endsInFooter(storage.bytes)).toBe(true);
      const disk = await openVhdStorage(storage, { writable: true, bitmap: subject.bitmap });
      expect(disk.footer).toMatchObject({ originalSize: size, currentSize: size });
      await disk.write(pattern(700, 3), size - 700);
      await disk.close();
      const again = await openVhdStorage(new ArrayStorage(storage.bytes), { bitmap: subject.bitmap });
      expect(await again.readBytes(size - 700, 700)).toEqual(pattern(700, 3));
      expect(again.findings.filter((item) => item.severity !== 'note' && item.rule !== 'fixed.long')).toEqual([]);
    });

    it(`${subject.name}: whenever it crashes, it opens with the right bytes, and ends the same when done again`, async () => {
      const storage = new CrashStorage(subject.image);
      const crashed = new Map<string, { bytes: Uint8Array; isKilled: boolean }>();
      let moment = 0;
      storage.onMoment = () => {
        moment++;
        for (let pick = 0; pick < PICKS; pick++) {
          const random = new Random(mix(mix(SEED, moment), pick));
          const loss = pick === 0 ? 'killed' : random.pick(LOSSES);
          const file = storage.crash(loss, random);
          const key = `${file.key} ${pick === 0}`;
          if (!crashed.has(key)) crashed.set(key, { bytes: file.toBytes(), isKilled: pick === 0 });
        }
      };
      const size = sizes[1] ?? 0;
      await grow(storage, size);
      expect(crashed.size).toBeGreaterThan(3);
      for (const { bytes, isKilled } of crashed.values()) await expectRecovery(bytes, subject, { size, isKilled });
    });
  }
});

async function expectRecovery(
  bytes: Uint8Array,
  subject: Subject,
  { size, isKilled }: { size: number; isKilled: boolean },
): Promise<void> {
  const fileSizeBefore = subject.image.length;
  const storage = new ArrayStorage(Uint8Array.from(bytes));
  const restored =
    (await examine(storage)).type === undefined && (await restoreFixedEnd(storage, fileSizeBefore, () => true));
  // Only a loss of power takes the footer that a fixed image got when it became longer.
  if (restored) expect(isKilled).toBe(false);
  await expectContent(storage.bytes, subject, [subject.content.length, size]);
  await grow(storage, size, fileSizeBefore);
  await expectContent(storage.bytes, subject, [size]);
  expect(endsInFooter(storage.bytes)).toBe(true);
}
