import { describe, expect, it, vi } from 'vitest';
import { FlatDisk } from '../../../src/disk/flat.ts';
import { GatheredWrites } from '../../../src/disk/gathered-writes.ts';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { type GatherLimits, WriteBackDisk, type WriteOptions } from '../../../src/disk/write-back.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { collect } from '../../support/collect.ts';
import { gate, ProbeStorage, turns } from '../../support/probe-storage.ts';

const SIZE = 64 * 1024;
const LIMITS: GatherLimits = { gatherBelow: 1024, arenaBytes: 4096 };

function open(options: WriteOptions = {}) {
  const memory = new MemoryStorage(pattern(SIZE, 7));
  const probe = new ProbeStorage(memory);
  return { memory, probe, disk: new WriteBackDisk(new FlatDisk(probe, SIZE, false), options, LIMITS) };
}

describe('a small write', () => {
  it('resolves without a call on the file, is read back, and is in the file after a flush', async () => {
    const { memory, probe, disk } = open();
    const source = pattern(100, 1);
    await disk.write(source, 500);
    source.fill(0);
    expect(probe.changes()).toEqual([]);
    const target = new Uint8Array(300);
    await disk.read(target, 400);
    const expected = pattern(SIZE, 7);
    expected.set(pattern(100, 1), 500);
    expect(target).toEqual(expected.subarray(400, 700));
    await disk.flush();
    expect(probe.changes()).toEqual(['write 500+100', 'flush']);
    expect(memory.toBytes()).toEqual(expected);
    await disk.close();
  });

  it('leaves as one with those it touches, in whatever order they came', async () => {
    const { probe, disk } = open();
    for (const position of [2000, 1000, 1500, 9000, 500]) await disk.write(pattern(500, position), position);
    await disk.flush();
    expect(probe.changes()).toEqual(['write 500+2000', 'write 9000+500', 'flush']);
    await disk.close();
  });

  it('is written once however often it is repeated', async () => {
    const { probe, disk } = open();
    for (let count = 0; count < 100; count++) await disk.write(pattern(512, count), 512);
    await disk.close();
    expect(probe.changes()).toEqual(['write 512+512', 'flush']);
  });

  it('is made durable by close', async () => {
    const { memory, probe, disk } = open();
    await disk.write(Uint8Array.of(1, 2, 3), 7);
    await disk.close();
    expect(memory.toBytes().subarray(7, 10)).toEqual(Uint8Array.of(1, 2, 3));
    expect(probe.changes()).toEqual(['write 7+3', 'flush']);
    await expect(disk.write(Uint8Array.of(1), 0)).rejects.toMatchObject({ code: 'ERR_VHD_CLOSED' });
    await expect(disk.flush()).rejects.toMatchObject({ code: 'ERR_VHD_CLOSED' });
  });

  it('is checked like a longer one', async () => {
    const { disk } = open();
    await expect(disk.write(Uint8Array.of(1), SIZE)).rejects.toThrow(RangeError);
    await expect(disk.write(new Uint16Array(2) as unknown as Uint8Array, 0)).rejects.toThrow(TypeError);
    await disk.write(new Uint8Array(0), SIZE);
    await disk.close();
  });

  it('is seen by the extents of its range', async () => {
    const storage = new MemoryStorage(buildImage({ size: SIZE, blockSize: 4096 }));
    const disk = await openVhdStorage(storage, { writable: true });
    await disk.write(Uint8Array.of(1), 5000);
    const extents = await collect(disk.extents());
    expect(extents.map(({ start, kind }) => [start, kind])).toEqual([
      [0, 'zero'],
      [4096, 'data'],
      [8192, 'zero'],
    ]);
    await disk.close();
  });
});

describe('the order of calls', () => {
  it('holds where a longer write, or a discard, overlaps what is held', async () => {
    const { memory, disk } = open();
    await disk.write(pattern(600, 1), 100);
    await disk.write(pattern(2000, 2), 300);
    await disk.write(pattern(10, 3), 310);
    await disk.discard(305, 10);
    await disk.write(pattern(2, 4), 306);
    await disk.close();
    const expected = pattern(SIZE, 7);
    expected.set(pattern(600, 1), 100);
    expected.set(pattern(2000, 2), 300);
    expected.set(pattern(10, 3), 310);
    expected.fill(0, 305, 315);
    expected.set(pattern(2, 4), 306);
    expect(memory.toBytes()).toEqual(expected);
  });

  it('holds for a read: it sees what was called before it, on its way or held, and nothing that was called after', async () => {
    const { probe, disk } = open();
    const held = gate();
    probe.before = (call) => (call.kind === 'write' ? held.opened : undefined);
    const long = disk.write(pattern(2000, 1), 0);
    await disk.write(pattern(100, 2), 50);
    const target = new Uint8Array(200);
    const read = disk.read(target, 0);
    await disk.write(pattern(100, 3), 20);
    held.open();
    await Promise.all([long, read]);
    const expected = pattern(2000, 1);
    expected.set(pattern(100, 2), 50);
    expect(target).toEqual(expected.subarray(0, 200));
    await disk.close();
  });
});

describe('close', () => {
  it.each(['flush', 'always'] as const)('waits for calls that go on after a wait (%s)', async (durability) => {
    const { memory, probe, disk } = open({ durability });
    const gathered = disk.write(pattern(100, 1), 0);
    const long = disk.write(pattern(5000, 2), 5000);
    const calls = [gathered, long, disk.discard(0, 50), disk.flush(), disk.cloneTo(new MemoryStorage()), disk.close()];
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.map(({ status }) => status)).toEqual(calls.map(() => 'fulfilled'));
    expect(memory.toBytes().subarray(5000, 10_000)).toEqual(pattern(5000, 2));
    expect(probe.calls.at(-1)?.kind).toBe('close');
  });
});

describe('when an arena is full', () => {
  it('it leaves while the next fills, and who is faster than the file waits', async () => {
    const { memory, probe, disk } = open();
    const held = gate();
    probe.before = (call) => (call.kind === 'write' ? held.opened : undefined);
    let done = 0;
    const all = (async () => {
      for (; done < 60; done++) await disk.write(pattern(1000, done), done * 1000);
    })();
    await turns();
    // Four fit an arena; one leaves, one fills, and the one that would send off a third waits.
    expect(done).toBeGreaterThanOrEqual(8);
    expect(done).toBeLessThan(13);
    held.open();
    await all;
    await disk.close();
    expect(probe.count('write')).toBe(15);
    for (let index = 0; index < 60; index++) {
      expect(memory.toBytes().subarray(index * 1000, (index + 1) * 1000)).toEqual(pattern(1000, index));
    }
  });

  it('calls that nobody waits for keep their order and their bytes', async () => {
    const { memory, disk } = open();
    const calls: Promise<void>[] = [];
    const expected = pattern(SIZE, 7);
    for (let index = 0; index < 300; index++) {
      const position = (index * 7919) % (SIZE - 1000);
      calls.push(disk.write(pattern(900, index), position));
      expected.set(pattern(900, index), position);
    }
    await Promise.all(calls);
    await disk.close();
    expect(Buffer.compare(memory.toBytes(), expected)).toBe(0);
  });
});

describe('awaited writes over the same bytes', () => {
  it('let others have their turn', async () => {
    const { probe, disk } = open();
    probe.before = (call) => (call.kind === 'write' ? new Promise((resolve) => setImmediate(resolve)) : undefined);
    const reached: number[] = [];
    setImmediate(() => reached.push(1));
    for (let count = 0; count < 20_000 && reached.length === 0; count++) await disk.write(pattern(100, count), 512);
    expect(reached).toEqual([1]);
    await disk.close();
  });
});

describe('very many small writes that nobody waits for one by one', () => {
  const COUNT = 5000;
  const at = (index: number): number => (index * 7919 * 16) % (SIZE - 100);

  it('are gathered all the same, in the order of the calls, whatever is called between them', async () => {
    const { memory, disk } = open();
    const expected = pattern(SIZE, 7);
    const calls: Promise<unknown>[] = [];
    for (let index = 0; index < COUNT; index++) {
      calls.push(disk.write(pattern(50, index), at(index)));
      expected.set(pattern(50, index), at(index));
      if (index % 500 === 0) {
        const seen = expected.slice(at(index), at(index) + 60);
        const target = new Uint8Array(60);
        calls.push(disk.read(target, at(index)).then(() => expect(target).toEqual(seen)));
      }
      if (index % 700 === 0) {
        calls.push(disk.write(pattern(2000, index), 1000), disk.discard(30_000, 10));
        expected.set(pattern(2000, index), 1000);
        expected.fill(0, 30_000, 30_010);
      }
      if (index % 900 === 0) calls.push(disk.flush());
    }
    await Promise.all(calls);
    await disk.close();
    expect(Buffer.compare(memory.toBytes(), expected)).toBe(0);
  });

  it('leave as one where they touch', async () => {
    const { probe, disk } = open();
    const calls = Array.from({ length: 4000 }, (_, index) => disk.write(pattern(16, index), index * 16));
    await Promise.all(calls);
    await disk.close();
    expect(probe.count('write')).toBe(Math.ceil((4000 * 16) / LIMITS.arenaBytes));
  });

  it('are all written when the disk is closed while they wait', async () => {
    const { memory, disk } = open();
    const expected = pattern(SIZE, 7);
    const calls: Promise<void>[] = [];
    for (let index = 0; index < 1000; index++) {
      calls.push(disk.write(pattern(50, index), at(index)));
      expected.set(pattern(50, index), at(index));
    }
    await disk.close();
    await Promise.all(calls);
    expect(Buffer.compare(memory.toBytes(), expected)).toBe(0);
  });

  it('are all told when they cannot be written', async () => {
    const { probe, disk } = open();
    probe.before = (call) => {
      if (call.kind === 'write') throw new Error('injected');
    };
    const calls = Array.from({ length: 1000 }, (_, index) => disk.write(pattern(50, index), at(index)));
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.filter((outcome) => outcome.status === 'rejected').length).toBeGreaterThan(500);
    await expect(disk.close()).rejects.toMatchObject({ code: 'ERR_VHD_POISONED' });
  });
});

describe('what was held and cannot be written', () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });

  it('poisons the disk: flush, close and every other call tell the range and the cause', async () => {
    const { probe, disk } = open();
    await disk.write(pattern(100, 1), 5000);
    probe.before = (call) => {
      if (call.kind === 'write') throw full;
    };
    const told = { code: 'ERR_VHD_POISONED', cause: full, offset: 5000 };
    await expect(disk.flush()).rejects.toMatchObject(told);
    await expect(disk.flush()).rejects.toThrow('bytes 5000 to 5100 of the disk');
    for (const call of [
      () => disk.write(Uint8Array.of(1), 0),
      () => disk.write(pattern(5000), 0),
      () => disk.read(new Uint8Array(1), 0),
      () => disk.discard(0, 1),
      () => collect(disk.extents()),
      () => disk.cloneTo(new MemoryStorage()),
      () => disk.close(),
      () => disk.close(),
    ]) {
      await expect(call()).rejects.toMatchObject(told);
    }
    expect(probe.count('close')).toBe(1);
  });

  it('is told to the write that waits for it', async () => {
    const { probe, disk } = open();
    probe.before = (call) => {
      if (call.kind === 'write') throw full;
    };
    const writes = (async () => {
      for (let index = 0; index < 60; index++) await disk.write(pattern(1000, index), index * 1000);
    })();
    await expect(writes).rejects.toMatchObject({ code: 'ERR_VHD_POISONED', cause: full });
    await expect(disk.close()).rejects.toMatchObject({ code: 'ERR_VHD_POISONED' });
  });

  it('is told where memory runs out on its way', async () => {
    const { probe, disk } = open();
    await disk.write(pattern(100, 1), 5000);
    const cause = new RangeError('Array buffer allocation failed');
    vi.spyOn(GatheredWrites.prototype, 'take').mockImplementationOnce(() => {
      throw cause;
    });
    await expect(disk.flush()).rejects.toMatchObject({ code: 'ERR_VHD_POISONED', cause });
    await expect(disk.close()).rejects.toMatchObject({ code: 'ERR_VHD_POISONED', cause });
    expect(probe.count('close')).toBe(1);
  });

  it('is told by close when that is what writes it out, and the file is closed', async () => {
    const { probe, disk } = open();
    await disk.write(pattern(100, 1), 5000);
    probe.before = (call) => {
      if (call.kind === 'write') throw full;
    };
    await expect(disk.close()).rejects.toMatchObject({ code: 'ERR_VHD_POISONED', cause: full });
    expect(probe.count('close')).toBe(1);
  });
});

describe("durability: 'always'", () => {
  it('makes every write and discard durable before it resolves, and gathers nothing', async () => {
    const { probe, disk } = open({ durability: 'always' });
    await disk.write(pattern(100, 1), 5000);
    expect(probe.changes()).toEqual(['write 5000+100', 'flush']);
    await disk.discard(0, 512);
    expect(probe.changes().slice(2)).toEqual(['discard 0+512', 'flush']);
    await disk.close();
    expect(probe.count('flush')).toBe(2);
  });

  it('has a new block in the table', async () => {
    const memory = new MemoryStorage(buildImage({ size: SIZE, blockSize: 4096 }));
    const disk = await openVhdStorage(memory, { writable: true, durability: 'always' });
    await disk.write(pattern(100, 1), 5000);
    const other = await openVhdStorage(new MemoryStorage(memory.toBytes()));
    expect(await other.readBytes(5000, 100)).toEqual(pattern(100, 1));
    await disk.close();
  });

  it('is one of two words', async () => {
    const storage = new MemoryStorage(buildImage({ size: SIZE, blockSize: 4096 }));
    await expect(openVhdStorage(storage, { durability: 'never' as 'always' })).rejects.toThrow(TypeError);
    await expect(openVhdStorage(storage, { onWarning: 'loud' as never })).rejects.toThrow(TypeError);
  });
});
