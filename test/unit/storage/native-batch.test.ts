import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { describe, expect, it, vi } from 'vitest';
import { FileStorage } from '../../../src/storage/file.ts';
import { loadNative } from '../../../src/storage/native.ts';
import { type BatchCalls, BatchWriter } from '../../../src/storage/native-batch.ts';
import type { PlacedBytes } from '../../../src/storage/storage.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { gate } from '../../support/probe-storage.ts';
import { useTempFolder } from '../../support/temp.ts';

const helper = await loadNative();
const isBound = helper.files?.batches !== undefined;

/** Pieces of many lengths that lie apart, in no order, in more than one array. */
function scattered(count: number): PlacedBytes[] {
  const arena = pattern(count * 100, 5);
  return Array.from({ length: count }, (_, index) => {
    const length = 1 + ((index * 37) % 97);
    const bytes = index % 3 === 0 ? pattern(length, index) : arena.subarray(index * 100, index * 100 + length);
    return { position: ((index * 7) % count) * 1000, bytes };
  });
}

const why = isBound ? '' : ' (skipped: no batches without the native helper on Linux x64)';

describe.skipIf(!isBound)(`a batch of writes to a real file${why}`, () => {
  const temp = useTempFolder('batch');

  it.each([16, 1000, 3001])('puts %i pieces where they belong, and nothing else', async (count) => {
    const storage = await FileStorage.open(temp.file(`${count}`), { writable: true, create: 'new' });
    const writes = scattered(count);
    const expected = new Uint8Array(count * 1000);
    for (const { position, bytes } of writes) expected.set(bytes, position);
    await storage.truncate(expected.length);
    await storage.writeEach(writes);
    const found = new Uint8Array(expected.length);
    await storage.read(found, 0);
    expect(firstDifference(found, expected)).toBe(-1);
    expect(await storage.size()).toBe(expected.length);
    const reads = writes.map(({ position, bytes }) => ({ position, bytes: new Uint8Array(bytes.length) }));
    await storage.readEach(reads);
    for (const { position, bytes } of reads) {
      expect(firstDifference(bytes, expected.subarray(position, position + bytes.length))).toBe(-1);
    }
    reads[3] = { position: expected.length - 2, bytes: new Uint8Array(5) };
    await expect(storage.readEach(reads)).rejects.toMatchObject({ code: 'ERR_VHD_TRUNCATED' });
    await storage.close();
  });

  it('leaves nothing to be written one by one', async () => {
    const file = await open(temp.file('left'), 'w');
    expect(await helper.files?.batches?.write(file.fd, scattered(2000))).toEqual([]);
    await file.close();
  });

  it('runs beside others', async () => {
    const storage = await FileStorage.open(temp.file('beside'), { writable: true, create: 'new' });
    const groups = [0, 1, 2, 3, 4].map((group) =>
      scattered(500).map(({ position, bytes }) => ({ position: position + group * 500_000, bytes })),
    );
    await Promise.all(groups.map((writes) => storage.writeEach(writes)));
    for (const { position, bytes } of groups.flat()) {
      const found = new Uint8Array(bytes.length);
      await storage.read(found, position);
      expect(firstDifference(found, bytes)).toBe(-1);
    }
    await storage.close();
  });

  it('leaves nothing behind in the system when a thread of the process ends', async () => {
    // The system lists the memory that it shares for each.
    const contexts = (): number => (readFileSync('/proc/self/maps', 'latin1').match(/\[aio\]/g) ?? []).length;
    const before = contexts();
    const script = `import('tsx/esm/api').then((it) => it.tsImport('../../support/batch-thread.ts', '${import.meta.url}'))`;
    const worker = new Worker(script, { eval: true, workerData: temp.file('thread') });
    const [used] = (await once(worker, 'message')) as [boolean];
    await once(worker, 'exit');
    expect(used).toBe(true);
    expect(contexts()).toBe(before);
  });

  it('fails with the error of the system where it cannot be', async () => {
    await writeFile(temp.file('read-only'), 'x');
    const handle = await open(temp.file('read-only'), 'r');
    const storage = FileStorage.fromHandle(handle, { writable: true });
    await expect(storage.writeEach(scattered(20))).rejects.toMatchObject({ code: 'EBADF' });
    await storage.close();
    await handle.close();
  });
});

describe('pieces of a real file without the native helper', () => {
  const temp = useTempFolder('no-batch');

  it('are written and read by a call each', async () => {
    vi.stubEnv('VHDKIT_NATIVE', '0');
    const storage = await FileStorage.open(temp.file('one-by-one'), { writable: true, create: 'new' });
    const writes = scattered(300);
    await storage.writeEach(writes);
    const reads = writes.map(({ position, bytes }) => ({ position, bytes: new Uint8Array(bytes.length) }));
    await storage.readEach(reads);
    for (const [index, { bytes }] of reads.entries()) {
      expect(firstDifference(bytes, writes[index]?.bytes ?? new Uint8Array(0))).toBe(-1);
    }
    await storage.close();
    vi.unstubAllEnvs();
  });
});

/** A system that does as told, without any memory shared with it. */
class FakeSystem implements BatchCalls {
  contexts = 0;
  submitted = 0;
  submits = (count: number): number => count;
  results = (_request: number, length: number): number => length;
  /** What `ended` and then `waitEnded` give, before they tell the truth. */
  failures: number[] = [];
  #lengths: number[] = [];
  #told = 0;

  setUp(): bigint | undefined {
    return BigInt(++this.contexts);
  }

  plan(writes: readonly PlacedBytes[]): void {
    this.#lengths = writes.map(({ bytes }) => bytes.length);
    this.#told = 0;
  }

  async submit(_context: bigint, count: number): Promise<number> {
    this.submitted = this.submits(count);
    return this.submitted;
  }

  ended(_context: bigint, limit: number, events: Uint8Array): number {
    const failure = this.failures.shift();
    if (failure !== undefined) return failure;
    const view = new DataView(events.buffer);
    const count = Math.min(limit, 3);
    for (let index = 0; index < count; index++, this.#told++) {
      view.setBigUint64(index * 32, BigInt(this.#told), true);
      view.setBigInt64(index * 32 + 16, BigInt(this.results(this.#told, this.#lengths[this.#told] ?? 0)), true);
    }
    return count;
  }

  async waitEnded(context: bigint, limit: number, events: Uint8Array): Promise<number> {
    return this.ended(context, limit, events);
  }

  addressOf(): bigint {
    return 0n;
  }
}

describe('a batch of writes', () => {
  const writes = scattered(20);
  const ofFile = (pieces: readonly PlacedBytes[]): unknown[] => pieces.map((piece) => ({ fd: 3, ...piece }));

  async function left(prepare: (system: FakeSystem) => void): Promise<readonly PlacedBytes[]> {
    const system = new FakeSystem();
    system.plan(writes);
    prepare(system);
    return new BatchWriter(system).write(3, writes);
  }

  it('leaves nothing if all went through', async () => {
    expect(await left(() => undefined)).toEqual([]);
  });

  it('leaves all of it where there is no context, or nothing is taken', async () => {
    expect(await left((system) => (system.setUp = () => undefined))).toEqual(ofFile(writes));
    expect(await left((system) => (system.submits = () => -1))).toEqual(ofFile(writes));
  });

  it('leaves what was not taken', async () => {
    expect(await left((system) => (system.submits = () => 7))).toEqual(ofFile(writes.slice(7)));
  });

  it('leaves what failed, and the rest of what was cut short', async () => {
    const found = await left((system) => {
      system.results = (request, length) => (request === 4 ? -28 : request === 5 ? length - 1 : length);
    });
    const [failed, short] = [writes[4]!, writes[5]!];
    const rest = short.bytes.length - 1;
    expect(found).toEqual(ofFile([failed, { position: short.position + rest, bytes: short.bytes.subarray(rest) }]));
  });

  it('asks again until the system tells, and gives up in the end', async () => {
    expect(await left((system) => (system.failures = [0, -1, 0, -1]))).toEqual([]);
    const never = Array.from({ length: 1000 }, () => -1);
    await expect(left((system) => (system.failures = never))).rejects.toThrow('does not tell');
  });

  it('leaves all of it where four others are under way, so that there are never more contexts', async () => {
    const system = new FakeSystem();
    system.plan(writes);
    const held = gate();
    vi.spyOn(system, 'submit').mockImplementation(async () => {
      await held.opened;
      return -1;
    });
    const writer = new BatchWriter(system);
    const calls = [1, 2, 3, 4].map(() => writer.write(3, writes));
    expect(await writer.write(3, writes)).toEqual(ofFile(writes));
    held.open();
    await Promise.all(calls);
    expect(system.contexts).toBe(4);
  });

  it('uses a context again', async () => {
    const system = new FakeSystem();
    const writer = new BatchWriter(system);
    for (let round = 0; round < 3; round++) {
      system.plan(writes);
      await writer.write(3, writes);
    }
    expect(system.contexts).toBe(1);
  });
});
