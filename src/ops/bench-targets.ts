import { open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createVhdStorage } from '../disk/create-storage.ts';
import { FileStorage } from '../storage/file.ts';
import { createQemuImage, isQemuTarget, timeQemu } from './bench-qemu.ts';
import type { BenchTarget, Sample } from './bench-report.ts';
import type { Pass } from './bench-workloads.ts';

/** One target in one round. */
export interface Turn {
  readonly target: BenchTarget;
  /** Its file, which is made and removed. */
  readonly path: string;
  readonly diskBytes: number;
  readonly passes: readonly Pass[];
  /** What is written, at least as long as the longest write. */
  readonly data: Uint8Array;
  readonly signal: AbortSignal | undefined;
}

interface Opened {
  read(target: Uint8Array, position: number): Promise<void>;
  write(source: Uint8Array, position: number): Promise<void>;
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** Makes the file of a target, times the passes over it, and removes it. */
export async function measureTurn(turn: Turn): Promise<Sample[]> {
  try {
    return await (isQemuTarget(turn.target) ? measureQemu(turn) : measureOurs(turn));
  } finally {
    await rm(turn.path, { force: true });
    await settle(dirname(turn.path));
  }
}

async function measureOurs({ target, path, diskBytes, passes, data, signal }: Turn): Promise<Sample[]> {
  const opened = await openTarget(target, path, diskBytes);
  const samples: Sample[] = [];
  try {
    for (const pass of passes) {
      signal?.throwIfAborted();
      const cpuBefore = process.cpuUsage();
      const startedAt = performance.now();
      await (pass.isRead ? readAll(opened, pass) : writeAll(opened, pass, data));
      const seconds = (performance.now() - startedAt) / 1000;
      const { user, system } = process.cpuUsage(cpuBefore);
      samples.push(sampleOf(target, pass, seconds, (user + system) / 1e6));
    }
  } finally {
    await opened.close();
  }
  return samples;
}

async function measureQemu({ target, path, diskBytes, passes, signal }: Turn): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (const pass of passes) {
    if (pass.workload !== 'seq-1m' && pass.workload !== 'seq-4k' && pass.workload !== 'read-seq') continue;
    if (samples.length === 0) await createQemuImage(path, target === 'qemuFixed', diskBytes, signal);
    signal?.throwIfAborted();
    samples.push(sampleOf(target, pass, await timeQemu(path, pass, signal), undefined));
  }
  return samples;
}

function sampleOf(target: BenchTarget, pass: Pass, seconds: number, cpuSeconds: number | undefined): Sample {
  const { workload, fresh, accesses } = pass;
  const byteLength = accesses.reduce((sum, { length }) => sum + length, 0);
  return { workload, fresh, target, byteLength, seconds, cpuSeconds };
}

async function openTarget(target: BenchTarget, path: string, diskBytes: number): Promise<Opened> {
  const storage = await FileStorage.open(path, { writable: true, create: 'new' });
  if (target === 'plain') return storage;
  const type = target === 'dynamic' ? 'dynamic' : 'fixed';
  return createVhdStorage(storage, { size: diskBytes, type, preallocate: target === 'fixedPreallocated' });
}

async function writeAll(opened: Opened, { accesses, flushEvery }: Pass, data: Uint8Array): Promise<void> {
  let count = 0;
  for (const { position, length } of accesses) {
    const from = (count * length) % (data.length - length + 1);
    await opened.write(data.subarray(from, from + length), position);
    count++;
    if (flushEvery !== undefined && count % flushEvery === 0) await opened.flush();
  }
  await opened.flush();
}

async function readAll(opened: Opened, { accesses }: Pass): Promise<void> {
  const buffer = new Uint8Array(Math.max(...accesses.map(({ length }) => length)));
  for (const { position, length } of accesses) await opened.read(buffer.subarray(0, length), position);
}

/** Has the removal of a file written out, so that it slows nobody down later; where directories cannot be synced, not. */
async function settle(directory: string): Promise<void> {
  const handle = await open(directory).catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}
