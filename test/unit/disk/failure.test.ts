import { describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { NO_OFFSET } from '../../../src/format/bytes.ts';
import { encodeFooter } from '../../../src/format/footer.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage, footerOf } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { collect } from '../../support/collect.ts';
import { type Call, gate, ProbeStorage, turns } from '../../support/probe-storage.ts';

const SHAPE = { size: 40 * 4096, blockSize: 4096 };
const TABLE_AT = 1536;

async function open(image = buildImage(SHAPE), durability: 'flush' | 'always' = 'flush') {
  const memory = new MemoryStorage(image);
  const probe = new ProbeStorage(memory);
  return { memory, probe, disk: await openVhdStorage(probe, { writable: true, durability }) };
}

/** Makes the first call that fits fail as a full or broken disk would. */
function failOnce(probe: ProbeStorage, fits: (call: Call) => boolean, code = 'EIO'): Error {
  const error = Object.assign(new Error(`${code}: injected`), { code });
  let isDone = false;
  probe.before = (call) => {
    if (isDone || !fits(call)) return;
    isDone = true;
    throw error;
  };
  return error;
}

async function expectPoisoned({ probe, disk }: Awaited<ReturnType<typeof open>>, cause: Error): Promise<void> {
  const changes = probe.changes().length;
  const calls = [
    () => disk.read(new Uint8Array(1), 0),
    () => disk.write(Uint8Array.of(1), 0),
    () => disk.discard(0, 4096),
    () => disk.flush(),
    () => collect(disk.extents()),
    () => disk.close(),
    () => disk.close(),
  ];
  for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'ERR_VHD_POISONED', cause });
  expect(probe.changes()).toHaveLength(changes);
  expect(probe.count('close')).toBe(1);
}

describe('a dynamic disk after a failed flush', () => {
  it('rejects everything with one code, retries nothing, and closes its storage', async () => {
    const image = await open();
    await image.disk.write(pattern(4096), 0);
    const cause = failOnce(image.probe, (call) => call.kind === 'flush');
    await expect(image.disk.flush()).rejects.toBe(cause);
    await expectPoisoned(image, cause);
  });

  it('does so after the second barrier failed', async () => {
    const image = await open();
    await image.disk.write(pattern(4096), 0);
    let flushes = 0;
    const cause = failOnce(image.probe, (call) => call.kind === 'flush' && ++flushes === 2);
    await expect(image.disk.flush()).rejects.toBe(cause);
    await expectPoisoned(image, cause);
  });

  it('does so after a failed write of its table', async () => {
    const image = await open();
    await image.disk.write(pattern(4096), 0);
    const cause = failOnce(image.probe, (call) => call.kind === 'write' && call.position === TABLE_AT);
    await expect(image.disk.flush()).rejects.toBe(cause);
    await expectPoisoned(image, cause);
  });

  it('rejects a write that was under way, and a flush that waited', async () => {
    const { probe, disk } = await open();
    await disk.write(pattern(4096), 0);
    const cause = failOnce(probe, (call) => call.kind === 'flush');
    const first = disk.flush();
    const second = first.catch(() => undefined).then(() => disk.flush());
    await expect(first).rejects.toBe(cause);
    await expect(second).rejects.toMatchObject({ code: 'ERR_VHD_POISONED' });
  });

  it('rejects its close when that is what flushed', async () => {
    const { probe, disk } = await open();
    await disk.write(pattern(4096), 0);
    const cause = failOnce(probe, (call) => call.kind === 'flush');
    await expect(disk.close()).rejects.toBe(cause);
    expect(probe.count('close')).toBe(1);
  });
});

describe('barriers at the same time', () => {
  // The system tells a failure to one of them, and takes what it dropped for written.
  it('fail together: a flush does not resolve while the barrier of a bitmap fails', async () => {
    const blocks = [{ index: 1, data: new Uint8Array(4096), sectors: [] }];
    const { probe, disk } = await open(buildImage({ ...SHAPE, blocks }));
    await disk.write(pattern(70_000), 8192);
    const [both, ended] = [gate(), gate()];
    let flushes = 0;
    let cause: Error | undefined;
    probe.before = async (call) => {
      if (call.kind !== 'flush') return;
      const isFirst = ++flushes === 1;
      if (!isFirst) both.open();
      await (isFirst ? both : ended).opened;
      if (!isFirst) return;
      cause = new Error('EIO: injected');
      void turns().then(ended.open);
      throw cause;
    };
    const filling = disk.write(pattern(70_000), 4096);
    await turns();
    const flush = disk.flush();
    const [first, second] = await Promise.allSettled([filling, flush]);
    expect(first).toMatchObject({ status: 'rejected' });
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'ERR_VHD_POISONED', cause } });
    await disk.close().catch(() => undefined);
  });
});

describe('a fixed disk after a failed flush', () => {
  it('rejects everything with the same code: what was written may be lost, a retry would hide it', async () => {
    const footer = encodeFooter({ ...footerOf(SHAPE), dataOffset: NO_OFFSET, diskType: 2 });
    const image = await open(Buffer.concat([new Uint8Array(SHAPE.size), footer]));
    await image.disk.write(pattern(4096), 0);
    const cause = failOnce(image.probe, (call) => call.kind === 'flush');
    await expect(image.disk.flush()).rejects.toBe(cause);
    await expectPoisoned(image, cause);
  });
});

describe('a failed data write into a new block', () => {
  const isBlock = (call: Call): boolean => call.kind === 'write' && call.length === 4608;

  it('leaves the block unallocated and gives its place to the next', async () => {
    const { probe, disk } = await open(buildImage(SHAPE), 'always');
    const cause = failOnce(probe, isBlock);
    await expect(disk.write(pattern(4096, 1), 0)).rejects.toBe(cause);
    expect(await disk.readBytes(0, 4096)).toEqual(new Uint8Array(4096));
    expect(disk.allocatedBytes).toBe(0);
    await disk.write(Uint8Array.of(5), 8192 + 100);
    const expected = new Uint8Array(4096);
    expected[100] = 5;
    expect(await disk.readBytes(8192, 4096)).toEqual(expected);
    const places = probe.calls.filter(isBlock).map((call) => call.position);
    expect(places).toEqual([2048, 2048]);
    await disk.close();
  });

  it('is told to its own caller only; a write that waited for it tries for itself', async () => {
    const { probe, disk } = await open(buildImage(SHAPE), 'always');
    const cause = failOnce(probe, isBlock);
    const [first, second] = await Promise.allSettled([disk.write(pattern(10, 1), 0), disk.write(pattern(10, 2), 100)]);
    expect(first).toEqual({ status: 'rejected', reason: cause });
    expect(second.status).toBe('fulfilled');
    const expected = new Uint8Array(4096);
    expected.set(pattern(10, 2), 100);
    expect(await disk.readBytes(0, 4096)).toEqual(expected);
    await disk.close();
  });

  it('leaves other blocks of the same call written, and none under way', async () => {
    const { probe, disk } = await open();
    failOnce(probe, (call) => isBlock(call) && call.position === 2048 + 4608);
    await expect(disk.write(pattern(3 * 4096, 1), 0)).rejects.toThrow('injected');
    const bytes = await disk.readBytes(0, 3 * 4096);
    expect(bytes.subarray(4096, 8192)).toEqual(new Uint8Array(4096));
    expect(bytes.subarray(8192)).toEqual(pattern(3 * 4096, 1).subarray(8192));
    await disk.close();
  });
});

describe('gathered writes that cannot be written out', () => {
  it.each(['a block', 'the disk'])(
    'fail a read of %s that waits for them: it would give the bytes before them',
    async (what) => {
      const { probe, disk } = await open(buildImage({ ...SHAPE, blocks: [{ index: 0, data: 1 }] }));
      await disk.write(pattern(100, 1), 0);
      const held = gate();
      const cause = new Error('EIO: injected');
      probe.before = async (call) => {
        if (call.kind !== 'write') return;
        probe.before = () => undefined;
        await held.opened;
        throw cause;
      };
      const flush = disk.flush();
      await turns();
      const read = disk.readBytes(0, what === 'a block' ? 4096 : disk.size);
      await turns();
      held.open();
      await Promise.allSettled([flush, read]);
      await expect(flush).rejects.toMatchObject({ code: 'ERR_VHD_POISONED', cause });
      await expect(read).rejects.toMatchObject({ code: 'ERR_VHD_POISONED', cause });
    },
  );
});

describe('a disk that is full', () => {
  it('keeps a valid image when the file cannot grow, and goes on when it can again', async () => {
    const { memory, probe, disk } = await open();
    const before = memory.toBytes();
    const cause = failOnce(probe, (call) => call.kind === 'write' && call.position >= before.length, 'ENOSPC');
    await expect(disk.write(pattern(4096, 1), 0)).rejects.toBe(cause);
    expect(Buffer.compare(memory.toBytes(), before)).toBe(0);
    await disk.write(pattern(4096, 2), 4096);
    await disk.close();
    const again = await openVhdStorage(new MemoryStorage(memory.toBytes()));
    expect(again.findings).toEqual([]);
    expect(await again.readBytes(4096, 4096)).toEqual(pattern(4096, 2));
    expect(await again.readBytes(0, 4096)).toEqual(new Uint8Array(4096));
  });

  it('cuts off what part of the new end arrived', async () => {
    const { memory, probe, disk } = await open();
    const before = memory.toBytes();
    probe.before = async (call) => {
      if (call.kind !== 'write' || call.position < before.length) return;
      await memory.write(new Uint8Array(100).fill(1), call.position);
      throw new Error('only 100 bytes');
    };
    await expect(disk.write(pattern(4096, 1), 0)).rejects.toThrow('only 100 bytes');
    expect(Buffer.compare(memory.toBytes(), before)).toBe(0);
  });
});

describe('a failed read', () => {
  it('poisons nothing', async () => {
    const { probe, disk } = await open();
    await disk.write(pattern(4096, 1), 0);
    const cause = failOnce(probe, (call) => call.kind === 'read');
    await expect(disk.readBytes(0, 10)).rejects.toBe(cause);
    expect(await disk.readBytes(0, 10)).toEqual(pattern(4096, 1).subarray(0, 10));
    await disk.close();
  });
});
