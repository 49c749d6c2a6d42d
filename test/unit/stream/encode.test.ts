import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createVhdStorage } from '../../../src/disk/create-storage.ts';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { encodeVhd } from '../../../src/stream/encode.ts';
import { type BlockShape, buildImage, contentOf } from '../../support/build-image.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { checkParameters } from '../../support/seed.ts';
import {
  contentOfImage,
  IDENTITY,
  imageWith,
  type Patch,
  ProbeDisk,
  rawDisk,
  vastDisk,
} from '../../support/streams-disks.ts';
import { bytesOf, failureOf, sleep } from '../../support/streams-sources.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

const shapes = fc
  .record({
    sectors: fc.oneof(fc.integer({ min: 1, max: 3100 }), fc.constantFrom(1, 1024, 1025, 2048, 4095, 4096, 4097, 8192)),
    blockSize: fc.constantFrom(512 * KiB, 2 * MiB),
    places: fc.array(fc.tuple(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.integer({ min: 1, max: 70_000 })), {
      maxLength: 4,
    }),
  })
  .map(({ sectors, blockSize, places }) => {
    const size = sectors * 512;
    const patches = places.map(([where, length], index): Patch => {
      const position = Math.floor(where * size);
      return { position, bytes: pattern(Math.min(length, size - position), index + 1) };
    });
    return { size, blockSize, patches };
  });

function contentWith(size: number, patches: readonly Patch[]): Uint8Array {
  const content = new Uint8Array(size);
  for (const { bytes, position } of patches) content.set(bytes, position);
  return content;
}

describe('encodeVhd', () => {
  it('of a raw disk gives as many bytes as it says, and a VHD of the same content', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async ({ size, blockSize, patches }) => {
        const content = contentWith(size, patches);
        for (const type of ['dynamic', 'fixed'] as const) {
          const { byteLength, stream } = await encodeVhd(rawDisk(content), { type, blockSize });
          const image = await bytesOf(stream);
          expect(image.length).toBe(byteLength);
          expect(firstDifference(await contentOfImage(image), content)).toBe(-1);
        }
      }),
      checkParameters(25),
    );
  });

  it('gives the very file that creating and writing the image gives', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async ({ size, blockSize, patches }) => {
        const ordered = [...patches].sort((first, second) => first.position - second.position);
        const written = await imageWith('dynamic', size, ordered, blockSize);
        const disk = await openVhdStorage(new MemoryStorage(written));
        const { stream } = await encodeVhd(disk, { blockSize, ...IDENTITY });
        expect(firstDifference(await bytesOf(stream), written)).toBe(-1);
      }),
      checkParameters(20),
    );
  });

  it.each([512 * KiB, 2 * MiB])('has the layout of Windows 8 with blocks of %i bytes', async (blockSize) => {
    const size = 3 * blockSize + 1536;
    const patches = [0, blockSize, 3 * blockSize + 512].map((position) => ({ position, bytes: pattern(512) }));
    const { byteLength, stream } = await encodeVhd(rawDisk(contentWith(size, patches)), { blockSize });
    expect(byteLength % 4096).toBe(0);
    const disk = await openVhdStorage(new MemoryStorage(await bytesOf(stream)));
    expect(disk.findings.filter((item) => item.severity !== 'note')).toEqual([]);
    expect(disk.dataAlignment).toBeGreaterThanOrEqual(4096);
    expect(disk.allocatedBlockCount).toBe(3);
    expect(byteLength).toBeGreaterThan(3 * blockSize);
    expect(byteLength).toBeLessThan(3 * blockSize + 64 * KiB);
    expect(disk.footer).toMatchObject({ creatorApplication: 'win ', creatorHostOs: 'Wi2k', diskType: 3 });
  });

  it('of an empty disk is what creating one is', async () => {
    for (const [type, size] of [
      ['dynamic', 130 * 1024 * MiB],
      ['dynamic', 512],
      ['fixed', 512],
    ] as const) {
      const storage = new MemoryStorage();
      await (await createVhdStorage(storage, { size, type, ...IDENTITY })).close();
      const disk = await openVhdStorage(new MemoryStorage(storage.toBytes()));
      const { stream } = await encodeVhd(disk, { type, ...IDENTITY });
      expect(firstDifference(await bytesOf(stream), storage.toBytes())).toBe(-1);
    }
  });

  it('keeps what a source with partial bitmaps holds, and no more', async () => {
    const blocks: BlockShape[] = [
      { index: 3, sectors: [0, 7], data: contentWith(4096, [{ position: 0, bytes: pattern(512) }]) },
      { index: 0, data: 0 },
      { index: 1, sectors: [], data: 0 },
      { index: 2 },
    ];
    const shape = { size: 4 * 4096 + 512, blockSize: 4096, blocks };
    const disk = await openVhdStorage(new MemoryStorage(buildImage(shape)));
    const { byteLength, stream } = await encodeVhd(disk);
    const image = await bytesOf(stream);
    expect(image.length).toBe(byteLength);
    expect(await contentOfImage(image)).toEqual(contentOf(shape));
  });

  it('gives the same bytes twice for the same identity, and another identifier by default', async () => {
    const content = contentWith(3 * MiB, [{ position: MiB, bytes: pattern(MiB) }]);
    const encode = async (options: object) => bytesOf((await encodeVhd(rawDisk(content), options)).stream);
    expect(firstDifference(await encode(IDENTITY), await encode(IDENTITY))).toBe(-1);
    expect(firstDifference(await encode({}), await encode({}))).not.toBe(-1);
  });
});

describe('the chunks of encodeVhd', () => {
  const content = pattern(5 * MiB);

  it('stay as they are while the consumer keeps them', async () => {
    const { stream } = await encodeVhd(rawDisk(content), { type: 'dynamic' });
    const kept: Uint8Array[] = [];
    const copies: Uint8Array[] = [];
    for await (const chunk of stream) {
      kept.push(chunk);
      copies.push(chunk.slice());
    }
    expect(firstDifference(Buffer.concat(kept), Buffer.concat(copies))).toBe(-1);
  });

  it('do not change what follows when the consumer writes over them', async () => {
    const { stream } = await encodeVhd(rawDisk(content), { type: 'dynamic' });
    const copies: Uint8Array[] = [];
    for await (const chunk of stream) {
      copies.push(chunk.slice());
      chunk.fill(0x55);
    }
    expect(firstDifference(await contentOfImage(Buffer.concat(copies)), content)).toBe(-1);
  });

  it.each(['fixed', 'dynamic'] as const)('of a %s image are not read far ahead of the consumer', async (type) => {
    const disk = vastDisk(64 * MiB);
    const { stream } = await encodeVhd(disk, { type });
    const planned = disk.count('read');
    const iterator = stream[Symbol.asyncIterator]();
    for (let turn = 0; turn < 4; turn++) await iterator.next();
    await sleep(20);
    expect(disk.count('read') - planned).toBeLessThanOrEqual(8);
    await iterator.return?.();
    expect(disk.pending).toBe(0);
  });
});

describe('a source that changes while it is encoded', () => {
  it('is noticed where a block of zeros was planned as empty', async () => {
    const disk = rawDisk(contentWith(8 * MiB, [{ position: 0, bytes: pattern(512) }]));
    const { stream } = await encodeVhd(disk);
    await disk.write(pattern(1), 5 * MiB + 3);
    expect(await failureOf(bytesOf(stream))).toMatchObject({ code: 'ERR_VHD_SOURCE_CHANGED', offset: 4 * MiB });
  });

  it('is noticed where a block was not stored at all', async () => {
    const disk = await createVhdStorage(new MemoryStorage(), { size: 8 * MiB });
    await disk.write(pattern(512), 0);
    const { stream } = await encodeVhd(disk);
    await disk.write(pattern(1), 5 * MiB + 3);
    expect(await failureOf(bytesOf(stream))).toMatchObject({ code: 'ERR_VHD_SOURCE_CHANGED' });
  });

  it('passes its read errors unwrapped, planning and streaming', async () => {
    const failure = new Error('EIO');
    for (const failing of [1, 5]) {
      const disk = new ProbeDisk(rawDisk(pattern(6 * MiB)));
      disk.before = () => {
        if (disk.count('read') >= failing) throw failure;
      };
      expect(await failureOf(encodeVhd(disk).then(({ stream }) => bytesOf(stream)))).toBe(failure);
    }
  });
});

describe('the signal of encodeVhd', () => {
  const reason = new Error('enough');

  it.each(['fixed', 'dynamic'] as const)('aborted before stops a %s image of an empty disk', async (type) => {
    const disk = await createVhdStorage(new MemoryStorage(), { size: 8 * MiB });
    const encoding = encodeVhd(disk, { type, signal: AbortSignal.abort(reason) });
    expect(await failureOf(encoding.then(({ stream }) => bytesOf(stream)))).toBe(reason);
  });

  it('stops the planning', async () => {
    const controller = new AbortController();
    const disk = vastDisk(512 * MiB);
    disk.before = () => {
      if (disk.count('read') === 6) controller.abort(reason);
    };
    expect(await failureOf(encodeVhd(disk, { signal: controller.signal }))).toBe(reason);
    expect(disk.count('read')).toBeLessThan(20);
  });

  it.each(['fixed', 'dynamic'] as const)('stops the stream of a %s image', async (type) => {
    const controller = new AbortController();
    const disk = vastDisk(64 * MiB);
    const { stream } = await encodeVhd(disk, { type, signal: controller.signal });
    const consume = async (): Promise<void> => {
      let chunks = 0;
      for await (const _ of stream) if (++chunks === 4) controller.abort(reason);
    };
    expect(await failureOf(consume())).toBe(reason);
    expect(disk.pending).toBe(0);
  });
});

describe('misuse of encodeVhd', () => {
  const disk = rawDisk(new Uint8Array(1024));

  it('is refused by name and by range', async () => {
    await expect(encodeVhd(disk, { size: 1024 } as never)).rejects.toThrow(TypeError);
    await expect(encodeVhd(disk, { blockSize: MiB })).rejects.toThrow(RangeError);
    await expect(encodeVhd(disk, { uuid: 'nonsense' })).rejects.toThrow(RangeError);
    await expect(encodeVhd(rawDisk(new Uint8Array(513)))).rejects.toThrow(RangeError);
  });

  it.each(['differencing', 'raw', 'Dynamic', null])('is a type of %s', async (type) => {
    const error = await failureOf(encodeVhd(disk, { type: type as never }));
    expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
  });

  it('refuses a dynamic image that is too large before it reads', async () => {
    const vast = vastDisk(2041 * 1024 * MiB);
    await expect(encodeVhd(vast)).rejects.toMatchObject({ code: 'ERR_VHD_LIMIT' });
    expect(vast.begun).toEqual([]);
  });
});
