// A disk that is written to and gets other sizes is an array of bytes: what it gains is zeros, also what it had once.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../src/disk/open-storage.ts';
import { examine, type SoundExamination } from '../../src/disk/recognise.ts';
import { NO_OFFSET } from '../../src/format/bytes.ts';
import { encodeFooter } from '../../src/format/footer.ts';
import { checkBatmap } from '../../src/ops/check-batmap.ts';
import { borrowed } from '../../src/storage/borrowed.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { buildImage, contentOf, footerOf, type ImageShape } from '../support/build-image.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { childImage, parentImage } from '../support/child-images.ts';
import { baseOf } from '../support/defects-bases.ts';
import { resizeStorage } from '../support/resizing.ts';
import { checkParameters } from '../support/seed.ts';

const BLOCK = 4096;
const MAX_SECTORS = 8 * 700;

type Step =
  | { readonly kind: 'write'; readonly at: number; readonly length: number; readonly seed: number }
  | { readonly kind: 'discard'; readonly at: number; readonly length: number }
  | { readonly kind: 'resize'; readonly sectors: number };

const share = fc.double({ min: 0, max: 1, noNaN: true });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('write' as const),
    at: share,
    length: fc.integer({ min: 1, max: 3 * BLOCK }),
    seed: fc.nat({ max: 250 }),
  }),
  fc.record({ kind: fc.constant('discard' as const), at: share, length: fc.integer({ min: 1, max: 3 * BLOCK }) }),
  fc.record({
    kind: fc.constant('resize' as const),
    // Small steps, so that a disk often ends inside a block, and jumps over many.
    sectors: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: MAX_SECTORS })),
  }),
);

const SHAPE: ImageShape = {
  size: 20 * BLOCK - 1536,
  blockSize: BLOCK,
  blocks: [
    { index: 19, data: pattern(BLOCK, 1) },
    { index: 3, data: pattern(BLOCK, 2) },
  ],
};

interface Subject {
  readonly image: Uint8Array;
  readonly parent?: Uint8Array;
}

function fixed(size: number): Uint8Array {
  const footer = { ...footerOf({ size }), dataOffset: NO_OFFSET, diskType: 2 };
  return Buffer.concat([pattern(size, 5), encodeFooter(footer)]);
}

const SUBJECTS: Readonly<Record<string, Subject>> = {
  'a fixed disk': { image: fixed(20 * BLOCK) },
  'a packed dynamic disk': { image: buildImage(SHAPE) },
  'an aligned dynamic disk': { image: buildImage({ ...SHAPE, alignment: 'aligned' }) },
  'a dynamic disk of blktap': { image: baseOf('batmap').image },
  'a child': { image: childImage(), parent: parentImage() },
};

async function runSteps(subject: Subject, steps: readonly Step[]): Promise<void> {
  const { image, parent } = subject;
  const storage = new MemoryStorage(Uint8Array.from(image));
  const openParent = async (): ReturnType<typeof openVhdStorage> => openVhdStorage(new MemoryStorage(parent));
  const options = parent === undefined ? {} : { openParent };
  const open = async (writable: boolean): ReturnType<typeof openVhdStorage> =>
    openVhdStorage(borrowed(storage), { writable, parent: parent === undefined ? undefined : await openParent() });
  const first = await open(false);
  let model = await first.readBytes(0, first.size);
  for (const each of steps) {
    if (each.kind === 'resize') {
      const size = each.sectors * 512;
      if (size === model.length) continue;
      await resizeStorage(storage, { size, ...options });
      const next = new Uint8Array(size);
      next.set(model.subarray(0, size));
      model = next;
    } else {
      const position = Math.floor(each.at * (model.length - 1));
      const bytes = new Uint8Array(Math.min(each.length, model.length - position));
      const disk = await open(true);
      if (each.kind === 'write') {
        bytes.set(pattern(bytes.length, each.seed));
        await disk.write(bytes, position);
      } else await disk.discard(position, bytes.length);
      await disk.close();
      model.set(bytes, position);
    }
    await expectModel(storage, await open(false), model);
  }
}

async function expectModel(
  storage: MemoryStorage,
  disk: Awaited<ReturnType<typeof openVhdStorage>>,
  model: Uint8Array,
): Promise<void> {
  expect(disk.size).toBe(model.length);
  expect(disk.findings.filter(({ severity }) => severity !== 'note')).toEqual([]);
  expect(firstDifference(await disk.readBytes(0, disk.size), model)).toBe(-1);
  expect(disk.footer).toMatchObject({ originalSize: model.length, currentSize: model.length });
  const image = (await examine(storage)) as SoundExamination;
  if (image.header === undefined) return;
  expect(image.header.maxTableEntries).toBeGreaterThanOrEqual(Math.ceil(model.length / image.header.blockSize));
  expect(await checkBatmap(storage, image, image.header)).toEqual([]);
}

describe('written to, resized, written to again', () => {
  it.each(Object.entries(SUBJECTS))('%s keeps what it has and gains zeros', async (_name, subject) => {
    expect(subject.image.length).toBeLessThan(1024 * 1024);
    const property = fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) =>
      runSteps(subject, steps),
    );
    await fc.assert(property, checkParameters(10));
  });

  it('has contents to lose', () => {
    expect(contentOf(SHAPE).some((byte) => byte !== 0)).toBe(true);
  });
});
