import { describe, expect, it } from 'vitest';
import { encodeFooter, type Footer } from '../../../src/format/footer.ts';
import { newFooter } from '../../../src/format/new-footer.ts';
import {
  DEFAULT_SEARCH_BYTES,
  findDisplacedFooter,
  readDisplacedFooter,
} from '../../../src/inspect/displaced-footer.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { pattern } from '../../support/bytes.ts';
import { ProbeStorage } from '../../support/probe-storage.ts';

const KIB = 1024;
const fixedFooter = (size: number): Footer =>
  newFooter({ type: 'fixed', size, uniqueId: new Uint8Array(16).fill(7), timestamp: 700_000_000 });

/** A fixed image with something behind it. */
function imageWith(size: number, appended: Uint8Array): Uint8Array {
  return Buffer.concat([pattern(size), encodeFooter(fixedFooter(size)), appended]);
}

async function find(bytes: Uint8Array, searchBytes = DEFAULT_SEARCH_BYTES): ReturnType<typeof findDisplacedFooter> {
  const storage = new MemoryStorage(bytes);
  const file = { size: bytes.length, read: storage.read.bind(storage) };
  return findDisplacedFooter(file, searchBytes, () => true);
}

describe('findDisplacedFooter', () => {
  it.each([1, 7, 511, 512, 513, 4096, 262_143, 262_144, 262_145, 600_000])(
    'finds it behind %i bytes',
    async (count) => {
      for (const fill of [0, 0x63]) {
        const found = await find(imageWith(8 * KIB, new Uint8Array(count).fill(fill)));
        expect(found).toMatchObject({ offset: 8 * KIB, excessBytes: count, footer: { currentSize: 8 * KIB } });
      }
    },
  );

  it.each([1, 2, 100, 427])('finds it where the last %i bytes are cut', async (count) => {
    const bytes = imageWith(8 * KIB, new Uint8Array(0)).subarray(0, -count);
    expect(await find(bytes)).toMatchObject({ offset: 8 * KIB, excessBytes: -count });
  });

  it('cannot tell a footer that is cut into what it says', async () => {
    expect(await find(imageWith(8 * KIB, new Uint8Array(0)).subarray(0, -428))).toBeUndefined();
  });

  it('looks back as far as it is told', async () => {
    const bytes = imageWith(8 * KIB, new Uint8Array(2 * DEFAULT_SEARCH_BYTES));
    expect(await find(bytes)).toBeUndefined();
    expect(await find(bytes, 2 * DEFAULT_SEARCH_BYTES)).toBeUndefined();
    expect(await find(bytes, 2 * DEFAULT_SEARCH_BYTES + 512)).toMatchObject({ offset: 8 * KIB });
    expect(await find(bytes, 0)).toBeUndefined();
  });

  it('believes none that is not right in itself and in its place', async () => {
    const good = imageWith(8 * KIB, new Uint8Array(KIB));
    const broken = Uint8Array.from(good);
    broken[8 * KIB + 20] = 1;
    expect(await find(broken)).toBeUndefined();
    const elsewhere = Buffer.concat([new Uint8Array(512), good]);
    expect(await find(elsewhere)).toBeUndefined();
    const odd = Buffer.concat([
      new Uint8Array(8 * KIB),
      encodeFooter({ ...fixedFooter(8 * KIB), diskType: 9 }),
      new Uint8Array(KIB),
    ]);
    expect(await find(odd)).toBeUndefined();
    expect(await find(imageWith(0, new Uint8Array(KIB)))).toBeUndefined();
  });

  it('takes the last of several', async () => {
    const inner = imageWith(8 * KIB, new Uint8Array(0));
    const size = 32 * KIB;
    const outer = Buffer.concat([inner, new Uint8Array(size - inner.length), encodeFooter(fixedFooter(size)), inner]);
    expect(await find(outer)).toMatchObject({ offset: size });
  });

  it('asks who it may be, and reads each byte but once and a little', async () => {
    const storage = new ProbeStorage(new MemoryStorage(imageWith(8 * KIB, new Uint8Array(3 * DEFAULT_SEARCH_BYTES))));
    const file = { size: await storage.size(), read: storage.read.bind(storage) };
    await findDisplacedFooter(file, DEFAULT_SEARCH_BYTES, () => true);
    const read = storage.calls.reduce((sum, call) => sum + call.length, 0);
    expect(read).toBeLessThanOrEqual(DEFAULT_SEARCH_BYTES + 4 * 512);
    const refused = new MemoryStorage(imageWith(8 * KIB, new Uint8Array(9)));
    const small = { size: await refused.size(), read: refused.read.bind(refused) };
    expect(await findDisplacedFooter(small, DEFAULT_SEARCH_BYTES, () => false)).toBeUndefined();
  });

  it('is not kept busy by a file of cookies', async () => {
    const bytes = Buffer.alloc(DEFAULT_SEARCH_BYTES, 'conectix');
    const startedAt = performance.now();
    expect(await find(bytes)).toBeUndefined();
    expect(performance.now() - startedAt).toBeLessThan(2000);
  });
});

describe('readDisplacedFooter', () => {
  it('checks one place', async () => {
    const bytes = imageWith(8 * KIB, new Uint8Array(KIB));
    const storage = new MemoryStorage(bytes);
    const file = { size: bytes.length, read: storage.read.bind(storage) };
    expect(await readDisplacedFooter(file, 8 * KIB)).toMatchObject({ excessBytes: KIB });
    for (const offset of [-1, 0, 8 * KIB - 1, bytes.length - 10, bytes.length, 2 ** 53 - 1]) {
      expect(await readDisplacedFooter(file, offset)).toBeUndefined();
    }
  });
});
