import { describe, expect, it } from 'vitest';
import { type CreateStorageOptions, checkImageSize, createVhdStorage } from '../../../src/disk/create-storage.ts';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { decodeFooter } from '../../../src/format/footer.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { ProbeStorage } from '../../support/probe-storage.ts';

const MiB = 2 ** 20;
const GiB = 2 ** 30;
const IDENTITY = {
  uuid: '00112233-4455-6677-8899-aabbccddeeff',
  timestamp: new Date(Date.UTC(2020, 0, 1)),
} as const;

async function imageOf(options: CreateStorageOptions): Promise<Uint8Array> {
  const memory = new MemoryStorage();
  const disk = await createVhdStorage(memory, { ...IDENTITY, ...options });
  await disk.close();
  return memory.toBytes();
}

describe('createVhdStorage', () => {
  it.each([
    [{ size: 40 * MiB }, 8192],
    [{ size: 127 * GiB }, 266_240],
    [{ size: MiB, type: 'fixed' as const }, MiB + 512],
    [{ size: MiB, type: 'fixed' as const, preallocate: true }, MiB + 512],
  ])('makes of %j a file of %d bytes', async (options, expected) => {
    const bytes = await imageOf(options);
    expect(bytes).toHaveLength(expected);
    const disk = await openVhdStorage(new MemoryStorage(bytes));
    expect(disk).toMatchObject({ size: options.size, type: 'type' in options ? options.type : 'dynamic' });
    expect(disk.findings.filter((item) => item.rule !== 'geometry.size')).toEqual([]);
  });

  it('makes the same bytes of the same options', async () => {
    expect(Buffer.compare(await imageOf({ size: 40 * MiB }), await imageOf({ size: 40 * MiB }))).toBe(0);
    const footer = decodeFooter((await imageOf({ size: 40 * MiB, creator: 'me' })).subarray(0, 512)).value;
    expect(footer).toMatchObject({ timestamp: 631_152_000, creatorApplication: 'me  ', creatorHostOs: 'Wi2k' });
    expect(footer.uniqueId[1]).toBe(0x11);
  });

  it('makes an identifier of its own for every image', async () => {
    const first = await createVhdStorage(new MemoryStorage(), { size: MiB });
    const second = await createVhdStorage(new MemoryStorage(), { size: MiB });
    expect(first.footer.uniqueId).not.toEqual(second.footer.uniqueId);
  });

  it('has made the image durable when it resolves', async () => {
    for (const type of ['fixed', 'dynamic'] as const) {
      const probe = new ProbeStorage(new MemoryStorage());
      await createVhdStorage(probe, { size: MiB, type });
      expect(probe.changes().at(-1)).toBe('flush');
    }
  });

  it('writes the zeros of a fixed image when it is told to', async () => {
    const probe = new ProbeStorage(new MemoryStorage());
    await createVhdStorage(probe, { size: 3 * MiB, type: 'fixed', preallocate: true });
    const written = probe.calls.filter((call) => call.kind === 'write').reduce((sum, call) => sum + call.length, 0);
    expect(written).toBe(3 * MiB + 512);
  });

  it.each<[string, object]>([
    ['no size', { size: 0 }],
    ['a negative size', { size: -512 }],
    ['half a sector', { size: 256 }],
    ['no whole number', { size: 512.5 }],
    ['more than 2^53', { size: 2 ** 54, type: 'fixed' }],
    ['blocks of 1 MiB', { size: MiB, blockSize: MiB }],
    ['a creator of five characters', { size: MiB, creator: 'abcde' }],
    ['a creator that is no ASCII', { size: MiB, creator: 'é' }],
    ['an identifier of 15 bytes', { size: MiB, uuid: new Uint8Array(15) }],
    ['an identifier that is none', { size: MiB, uuid: 'none' }],
  ])('refuses %s and writes nothing', async (_name, options) => {
    const probe = new ProbeStorage(new MemoryStorage());
    await expect(createVhdStorage(probe, { size: MiB, ...options })).rejects.toThrow(RangeError);
    expect(probe.changes()).toEqual([]);
  });

  it('refuses unknown options', async () => {
    const options = Object.assign({ size: MiB }, { blocksize: MiB });
    await expect(createVhdStorage(new MemoryStorage(), options)).rejects.toThrow(TypeError);
  });

  it('closes the storage when it fails, in whatever way', async () => {
    const broken = new ProbeStorage(new MemoryStorage());
    broken.before = (call) => {
      if (call.kind === 'write') throw new Error('no room');
    };
    await expect(createVhdStorage(broken, { size: MiB })).rejects.toThrow('no room');
    expect(broken.count('close')).toBe(1);
  });
});

describe('checkImageSize', () => {
  const limits = [
    ['dynamic', 2 * MiB, 2040 * GiB],
    ['fixed', 2 * MiB, 2 ** 53 - 512],
  ] as const;

  it.each(limits)('lets a %s disk with blocks of %d bytes have %d bytes', (type, blockSize, largest) => {
    expect(() => checkImageSize(largest, type, blockSize)).not.toThrow();
  });

  it('refuses a dynamic disk of more than 2040 GiB, naming the limit and the way out', () => {
    expect(() => checkImageSize(2040 * GiB + 512, 'dynamic', 2 * MiB)).toThrow(
      expect.objectContaining({
        code: 'ERR_VHD_LIMIT',
        expected: `at most ${2040 * GiB} bytes`,
        remedy: 'use a fixed disk',
      }),
    );
  });

  it('refuses blocks of 512 KiB where the last one would not fit 32 bits, to the block', () => {
    const refusal = (size: number): { expected?: string; code?: string } => {
      try {
        checkImageSize(size, 'dynamic', 512 * 1024);
        return {};
      } catch (error) {
        return error as { expected?: string; code?: string };
      }
    };
    const { expected = '', code } = refusal(2040 * GiB);
    expect(code).toBe('ERR_VHD_LIMIT');
    const limit = Number(/\d+/.exec(expected)?.[0]);
    expect(limit).toBeGreaterThan(2000 * GiB);
    expect(refusal(limit)).toEqual({});
    expect(refusal(limit + 512).code).toBe('ERR_VHD_LIMIT');
  });
});
