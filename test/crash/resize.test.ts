// A resize and its undoing that stop at any moment: the journal finishes either, and the same resize then finds it done.
import { describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../src/disk/open-storage.ts';
import { NO_OFFSET } from '../../src/format/bytes.ts';
import { encodeFooter } from '../../src/format/footer.ts';
import { carryOut, isDone, isUndoable, rollBack } from '../../src/ops/journal.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { buildImage, contentOf, footerOf, type ImageShape } from '../support/build-image.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { CHAIN_SIZE, childImage, parentImage } from '../support/child-images.ts';
import { type CrashedFile, CrashStorage, LOSSES } from '../support/crash-storage.ts';
import { type Resizing, resizeJournal } from '../support/resizing.ts';
import { mix, numberFromEnv, Random } from '../support/seed.ts';

const CRASHES_AT_A_MOMENT = numberFromEnv('VHDKIT_CRASHES', 3);
const SEED = numberFromEnv('VHDKIT_SEED', 7);
const KiB = 1024;
const BLOCK = 4 * KiB;

const DYNAMIC: ImageShape = {
  size: 40 * BLOCK - 1024,
  blockSize: BLOCK,
  blocks: [
    { index: 39, data: pattern(BLOCK, 1) },
    { index: 2, data: pattern(BLOCK, 2) },
    { index: 20, data: pattern(BLOCK, 3) },
  ],
};

function fixedImage(size: number): Uint8Array {
  const footer = { ...footerOf({ size }), dataOffset: NO_OFFSET, diskType: 2 };
  return Buffer.concat([pattern(size, 5), encodeFooter(footer)]);
}

const openParent = async (): ReturnType<typeof openVhdStorage> => openVhdStorage(new MemoryStorage(parentImage()));

interface Subject {
  readonly image: Uint8Array;
  readonly openParent?: typeof openParent;
  readonly sizes: readonly number[];
}

const SUBJECTS: Readonly<Record<string, Subject>> = {
  'a fixed image': { image: fixedImage(20 * KiB), sizes: [20 * KiB + 512, 64 * KiB, 12 * KiB] },
  'a dynamic image': { image: buildImage(DYNAMIC), sizes: [40 * BLOCK, 900 * BLOCK, 21 * BLOCK - 512, BLOCK] },
  'an aligned dynamic image with its table behind the blocks': {
    image: buildImage({ ...DYNAMIC, alignment: 'aligned', tableOffset: 'behind-blocks', blocksFrom: 2560 }),
    sizes: [300 * BLOCK, 20 * BLOCK],
  },
  'a child': { image: childImage(), openParent, sizes: [CHAIN_SIZE + 512, 300 * BLOCK, 31 * BLOCK - 512, 3 * BLOCK] },
};

async function bytesOf(storage: MemoryStorage): Promise<Uint8Array> {
  const bytes = new Uint8Array(await storage.size());
  await storage.read(bytes, 0);
  return bytes;
}

async function contentIn(image: Uint8Array, subject: Subject): Promise<Uint8Array> {
  const disk = await openVhdStorage(new MemoryStorage(image), { parent: await subject.openParent?.() });
  expect(disk.findings.filter(({ severity }) => severity === 'error')).toEqual([]);
  return disk.readBytes(0, disk.size);
}

async function crashing(bytes: Uint8Array, work: (storage: CrashStorage) => Promise<void>): Promise<CrashedFile[]> {
  const storage = new CrashStorage(bytes);
  const left = new Map<string, CrashedFile>();
  let moment = 0;
  storage.onMoment = () => {
    moment++;
    for (let pick = 0; pick < CRASHES_AT_A_MOMENT * LOSSES.length; pick++) {
      const loss = LOSSES[pick % LOSSES.length] ?? 'killed';
      const file = storage.crash(loss, new Random(mix(mix(SEED, moment), pick)));
      left.set(file.key, file);
    }
  };
  await work(storage);
  return [...left.values()];
}

describe.each(Object.entries(SUBJECTS))('%s', (_name, subject) => {
  it.each(subject.sizes)(
    'to %i bytes: stopped at any moment it is finished or taken back, and so is its undoing',
    async (size) => {
      const before = Uint8Array.from(subject.image);
      const resizing: Resizing = { size, ...(subject.openParent && { openParent: subject.openParent }) };
      const journal = await resizeJournal(new MemoryStorage(before.slice()), resizing);
      expect(isUndoable(journal)).toBe(true);
      const whole = new MemoryStorage(before.slice());
      await carryOut(whole, journal);
      expect(await isDone(whole, journal)).toBe(true);
      const after = await bytesOf(whole);
      await expectContent(before, after, subject, size);
      const left = [
        ...(await crashing(before, (storage) => carryOut(storage, journal))),
        ...(await crashing(after, (storage) => rollBack(storage, journal))),
      ];
      expect(left.length).toBeGreaterThan(4);
      for (const file of left) {
        const [forth, back] = [new MemoryStorage(file.toBytes()), new MemoryStorage(file.toBytes())];
        await carryOut(forth, journal);
        expect(firstDifference(await bytesOf(forth), after)).toBe(-1);
        await rollBack(back, journal);
        expect(firstDifference(await bytesOf(back), before)).toBe(-1);
      }
    },
  );
});

/** What both have in common is the same, the rest zeros; and zeros again when a smaller one has grown back. */
async function expectContent(before: Uint8Array, after: Uint8Array, subject: Subject, size: number): Promise<void> {
  const old = await contentIn(before, subject);
  const expected = new Uint8Array(Math.max(size, old.length));
  expected.set(old.subarray(0, size));
  expect(firstDifference(await contentIn(after, subject), expected.subarray(0, size))).toBe(-1);
  if (size >= old.length) return;
  const again = new MemoryStorage(after.slice());
  const openBase = subject.openParent;
  await carryOut(again, await resizeJournal(again, { size: old.length, ...(openBase && { openParent: openBase }) }));
  expect(firstDifference(await contentIn(await bytesOf(again), subject), expected)).toBe(-1);
}

it('has subjects with data where it is cut', () => {
  expect(
    contentOf(DYNAMIC)
      .subarray(21 * BLOCK - 512)
      .some((byte) => byte !== 0),
  ).toBe(true);
});
