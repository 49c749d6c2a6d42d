// Broken and odd images that are to get another size: refused, or they hold what they held.
import { describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { VhdError } from '../../../src/errors.ts';
import { encodeFooter } from '../../../src/format/footer.ts';
import { borrowed } from '../../../src/storage/borrowed.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage, footerOf } from '../../support/build-image.ts';
import { firstDifference } from '../../support/bytes.ts';
import { CHILD_LAYOUTS, childImage, parentImage } from '../../support/child-images.ts';
import { defects } from '../../support/defects.ts';
import { resizeStorage } from '../../support/resizing.ts';

interface Subject {
  readonly name: string;
  readonly image: () => Uint8Array;
  readonly parent?: (() => Uint8Array) | undefined;
}

const subjects: readonly Subject[] = [
  ...defects.map(({ name, image }) => ({ name, image })),
  ...Object.entries(CHILD_LAYOUTS).map(([name, shape]) => {
    return { name: `a child ${name}`, image: () => childImage(shape), parent: () => parentImage() };
  }),
];

type Found = { readonly bytes: Uint8Array; readonly failure?: undefined } | { readonly failure: VhdError };

async function contentOf(storage: MemoryStorage, subject: Subject): Promise<Found> {
  try {
    const parent = subject.parent && (await openVhdStorage(new MemoryStorage(subject.parent())));
    const disk = await openVhdStorage(borrowed(storage), { parent });
    return { bytes: await disk.readBytes(0, disk.size) };
  } catch (error) {
    if (error instanceof VhdError) return { failure: error };
    throw error;
  }
}

async function resized(storage: MemoryStorage, subject: Subject, size: number): Promise<VhdError | undefined> {
  const { parent } = subject;
  const openParent = async (): ReturnType<typeof openVhdStorage> => openVhdStorage(new MemoryStorage(parent?.()));
  try {
    await resizeStorage(storage, parent === undefined ? { size } : { size, openParent });
    return undefined;
  } catch (error) {
    if (error instanceof VhdError) return error;
    throw error;
  }
}

describe('a broken or odd image', () => {
  let resizedCount = 0;

  it.each(subjects)('$name: is refused, or holds what it held', async (subject) => {
    const before = await contentOf(new MemoryStorage(subject.image()), subject);
    const oldSize = before.failure === undefined ? before.bytes.length : 64 * 1024;
    for (const size of [Math.ceil(oldSize / 512) * 512 + 700 * 1024, Math.ceil(oldSize / 1536) * 512]) {
      if (size >= oldSize && size - oldSize < 1024) continue;
      const image = subject.image();
      const storage = new MemoryStorage(image.slice());
      const failure = await resized(storage, subject, size);
      if (failure !== undefined) {
        expect(firstDifference(storage.toBytes(), image)).toBe(-1);
        continue;
      }
      const after = await contentOf(storage, subject);
      // What could not be read in whole before may be readable in part only afterwards.
      if (before.failure !== undefined) continue;
      if (after.failure !== undefined) throw after.failure;
      const expected = new Uint8Array(size);
      expected.set(before.bytes.subarray(0, size));
      expect([after.bytes.length, firstDifference(after.bytes, expected)]).toEqual([size, -1]);
      resizedCount++;
    }
  });

  it('was one that could be resized, often enough', () => {
    expect(resizedCount).toBeGreaterThan(60);
  });
});

it.each([700, 32])(
  'blocks that the table has behind the end of the disk are not written over by %d KiB',
  async (kibibytes) => {
    const blockSize = 64 * 1024;
    const shape = {
      size: 4 * blockSize,
      blockSize,
      blocks: [
        { index: 0, data: 1 },
        { index: 3, data: 2 },
      ],
    };
    const image = buildImage(shape);
    const footer = encodeFooter(footerOf({ ...shape, size: 2 * blockSize }));
    image.set(footer, 0);
    image.set(footer, image.length - footer.length);
    const storage = new MemoryStorage(image.slice());
    const failure = await resized(storage, { name: '', image: () => image }, kibibytes * 1024);
    expect(failure).toMatchObject({ code: 'ERR_VHD_UNSUPPORTED', rule: 'bat.long' });
    expect(firstDifference(storage.toBytes(), image)).toBe(-1);
  },
);

it.each([700, 200, 128])(
  'bytes of a block that its table is said to reach are no entries: %d KiB',
  async (kibibytes) => {
    const blockSize = 64 * 1024;
    const size = kibibytes * 1024;
    // As entries the bytes of a block name sector 7.
    const data = Buffer.alloc(blockSize, Uint8Array.of(0, 0, 0, 7));
    const blocks = [
      { index: 0, data },
      { index: 3, data: 2 },
    ];
    const image = buildImage({ size: 4 * blockSize, blockSize, blocks, header: { maxTableEntries: 4096 } });
    const subject = { name: '', image: () => image };
    const storage = new MemoryStorage(image.slice());
    expect(await resized(storage, subject, size)).toBe(undefined);
    const expected = new Uint8Array(Math.max(size, 4 * blockSize));
    expected.set(data);
    expected.fill(2, 3 * blockSize, 4 * blockSize);
    const { bytes = new Uint8Array(0) } = { bytes: undefined, ...(await contentOf(storage, subject)) };
    expect([bytes.length, firstDifference(bytes, expected.subarray(0, size))]).toEqual([size, -1]);
  },
);
