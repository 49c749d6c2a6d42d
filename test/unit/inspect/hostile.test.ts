// Content must never make it throw, read without bounds or take long: the seed of a failing run is in its message.
import { describe, expect, it } from 'vitest';
import { VhdError } from '../../../src/errors.ts';
import { identifyFileSystem } from '../../../src/inspect/file-systems.ts';
import { planGptMove } from '../../../src/inspect/gpt-move.ts';
import { listPartitions } from '../../../src/inspect/partitions.ts';
import { pattern } from '../../support/bytes.ts';
import { numberFromEnv, Random } from '../../support/seed.ts';
import { superblockImages } from '../../support/superblocks.ts';
import { bootRecord, CountingDisk, gptDisk, LINUX, resealHeader } from '../../support/tables.ts';

const SECTORS = 600;
const SIZE = SECTORS * 512;
/** `VHDKIT_RUNS` makes it longer. */
const RUNS = numberFromEnv('VHDKIT_RUNS', 100);
/** Reads of a disk with two partitions: far fewer in practice. */
const MAX_READS = 1200;

/** A boot record and a chain of logical partitions. */
function mbrDisk(): Uint8Array {
  const disk = new Uint8Array(SIZE);
  const chained = [
    { type: 0x83, start: 2, count: 10 },
    { type: 0x05, start: 50, count: 50 },
  ];
  disk.set(
    bootRecord([
      { type: 0x83, start: 1, count: 99 },
      { type: 0x05, start: 100, count: 400 },
    ]),
  );
  disk.set(bootRecord(chained), 100 * 512);
  disk.set(bootRecord(chained.slice(0, 1)), 150 * 512);
  return disk;
}

function gpt(): Uint8Array {
  const entries = [
    { type: LINUX, first: 40, last: 99, name: 'one' },
    { type: LINUX, first: 100, last: 199, name: 'two' },
  ];
  return gptDisk({ sectorCount: SECTORS, entries });
}

/** Changes a few bytes, mostly where the structures are, to values that have hurt before. */
function mutate(bytes: Uint8Array, random: Random, hotSpots: readonly [number, ...number[]]): void {
  const count = 1 + random.below(6);
  for (let change = 0; change < count; change++) {
    const at = (random.pick(hotSpots) + random.below(512)) % bytes.length;
    const value = random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)]);
    bytes.fill(value, at, at + random.pick([1, 1, 2, 4, 8]));
  }
}

async function expectHarmless(bytes: Uint8Array, what: string): Promise<void> {
  const disk = new CountingDisk(bytes);
  try {
    const contents = await listPartitions(disk);
    for (const part of contents.partitions) expect(Number.isSafeInteger(part.start + part.length)).toBe(true);
    expect(contents.findings.length).toBeLessThanOrEqual(120);
    expect(disk.readCount).toBeLessThan(MAX_READS);
  } catch (error) {
    throw new Error(`${what}: ${String(error)}`, { cause: error });
  }
}

describe('listPartitions', () => {
  it.each([0, 1, 100, 511, 512, 513, 1023, 1024, 4096, 5000, 69_000])('takes a disk of %i bytes', async (size) => {
    for (const bytes of [
      new Uint8Array(size),
      new Uint8Array(size).fill(0xff),
      pattern(size),
      gpt().subarray(0, size),
    ]) {
      await expectHarmless(bytes, `${size} bytes`);
    }
  });

  it('takes a disk full of ones, or of anything, with a signature', async () => {
    for (const seed of [1, 2, 3, 4]) {
      const bytes = pattern(SIZE, seed);
      bytes.set([0x55, 0xaa], 510);
      bytes.fill(seed % 2 === 0 ? 0x80 : 0, 446, 447);
      for (const slot of [1, 2, 3]) bytes.fill(0, 446 + slot * 16, 447 + slot * 16);
      await expectHarmless(bytes, `seed ${seed}`);
    }
    const ones = new Uint8Array(SIZE).fill(0xff);
    ones.set([0x55, 0xaa], 510);
    await expectHarmless(ones, 'ones');
  });

  it.each<[string, () => Uint8Array, readonly [number, ...number[]]]>([
    ['an MBR', mbrDisk, [0, 400, 100 * 512 + 400, 150 * 512 + 400]],
    ['a GPT', gpt, [0, 400, 512, 1024, SIZE - 512, SIZE - 33 * 512]],
  ])('takes %s with changed bytes', async (_what, make, hotSpots) => {
    for (let seed = 0; seed < RUNS; seed++) {
      const bytes = make();
      mutate(bytes, new Random(seed), hotSpots);
      await expectHarmless(bytes, `seed ${seed}`);
    }
  });

  it('takes a GPT with changed fields and right checksums', async () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const bytes = gpt();
      for (const header of [512, SIZE - 512]) {
        // Behind the checksum: places, counts, sizes, identifiers.
        const random = new Random(seed);
        const at = header + 24 + random.below(64);
        bytes.fill(random.pick([0, 1, 0x7f, 0xff]), at, at + random.pick([1, 2, 4, 8]));
        resealHeader(bytes, header);
      }
      await expectHarmless(bytes, `seed ${seed}`);
    }
  });
});

describe('identifyFileSystem', () => {
  it('takes superblocks with changed bytes, in few reads', async () => {
    for (const { name, bytes, offset } of superblockImages()) {
      for (let seed = 0; seed < RUNS / 5; seed++) {
        const changed = Uint8Array.from(bytes);
        mutate(changed, new Random(seed), [offset, offset + 16]);
        const disk = new CountingDisk(changed);
        await identifyFileSystem(disk, 0, disk.size).catch((error: unknown) => {
          throw new Error(`${name}, seed ${seed}: ${String(error)}`);
        });
        expect(disk.readCount).toBeLessThan(80);
      }
    }
  });

  it.each(superblockImages())(
    'tells what it can of one that is cut short anywhere: $name',
    async ({ name, bytes, offset }) => {
      const lengths = Array.from({ length: 1024 }, (_, index) => offset + index).filter(
        (length) => length < bytes.length,
      );
      for (const length of [...lengths, 0, 1, 63, 511, 513]) {
        const disk = new CountingDisk(bytes.subarray(0, length));
        const found = await identifyFileSystem(disk, 0, length).catch((error: unknown) => error);
        expect([name, length, found]).not.toEqual([name, length, expect.any(Error)]);
      }
    },
  );

  it('finds nothing in noise', async () => {
    for (let seed = 1; seed < 20; seed++) {
      const disk = new CountingDisk(pattern(150_000, seed));
      expect(await identifyFileSystem(disk, 0, disk.size)).toBeNull();
    }
  });
});

describe('planGptMove', () => {
  it('plans or refuses, whatever the table says', async () => {
    let planned = 0;
    for (let seed = 0; seed < RUNS; seed++) {
      const bytes = gpt();
      const random = new Random(seed);
      mutate(bytes, random, [0, 400, 512]);
      if (random.oneIn(2)) resealHeader(bytes, 512);
      const disk = new CountingDisk(bytes);
      const newSize = SIZE + random.below(100) * 512;
      try {
        const patches = await planGptMove((target, position) => disk.read(target, position), SIZE, newSize);
        let end = 0;
        for (const patch of patches ?? []) {
          expect(patch.position).toBeGreaterThanOrEqual(end);
          end = patch.position + patch.bytes.length;
          expect(end).toBeLessThanOrEqual(newSize);
        }
        planned++;
      } catch (error) {
        expect(error, `seed ${seed}`).toBeInstanceOf(VhdError);
      }
    }
    expect(planned).toBeGreaterThan(RUNS / 10);
  });
});
