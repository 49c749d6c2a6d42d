/**
 * `npx tsx test/bench/merge.ts [DIR] [ROUNDS]`: how long merging a GiB takes, held against converting the same chain into a
 * new image, in one process and in turn. DIR decides the file system (default: /dev/shm where there is one).
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { openVhd } from '../../src/open.ts';
import { convert } from '../../src/ops/convert.ts';
import { createImage } from '../../src/ops/create.ts';
import { median } from '../../src/ops/median.ts';
import { merge } from '../../src/ops/merge.ts';

const MIB = 1024 * 1024;
const SIZE = 1024 * MIB;

/** A base to be merged into, and how the child owns its GiB. */
interface Scenario {
  readonly name: string;
  readonly type: 'fixed' | 'dynamic';
  /** True if the base has something everywhere. */
  readonly isFull: boolean;
  /** Bytes that the child owns in a row, and as many that it does not. 0: all of them. */
  readonly grainBytes: number;
}

const SCENARIOS: readonly Scenario[] = [
  { name: 'into an empty dynamic base', type: 'dynamic', isFull: false, grainBytes: 0 },
  { name: 'into a full dynamic base', type: 'dynamic', isFull: true, grainBytes: 0 },
  { name: 'into an empty fixed base', type: 'fixed', isFull: false, grainBytes: 0 },
  { name: 'into a full fixed base', type: 'fixed', isFull: true, grainBytes: 0 },
  { name: 'of every other 64 KiB into a full dynamic base', type: 'dynamic', isFull: true, grainBytes: 64 * 1024 },
  { name: 'of every other 4 KiB into a full dynamic base', type: 'dynamic', isFull: true, grainBytes: 4096 },
];

const [base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), rounds = '5'] = process.argv.slice(2);
const directory = mkdtempSync(join(resolve(base), 'vhdkit-bench-'));
try {
  for (const scenario of SCENARIOS) process.stdout.write(await measure(scenario, Number(rounds)));
} finally {
  rmSync(directory, { recursive: true, force: true });
}

async function measure(scenario: Scenario, count: number): Promise<string> {
  const merges: number[] = [];
  const conversions: number[] = [];
  for (let round = 0; round < count; round++) {
    const { child, parent } = await makeChain(scenario);
    const output = join(directory, 'flat.vhd');
    const converting = async (): Promise<void> => {
      conversions.push(await seconds(() => convert(child, output, { to: scenario.type, blockingWrites: true })));
      rmSync(output);
    };
    // In turn, so that neither is always the one that finds everything read already. What is converted is the same before
    // and after.
    if (round % 2 === 0) await converting();
    merges.push(await seconds(() => merge(child, { blockingWrites: true })));
    if (round % 2 !== 0) await converting();
    for (const path of [child, parent]) rmSync(path);
  }
  const [merged, converted] = [median(merges), median(conversions)];
  const ratio = (merged / converted).toFixed(2);
  return `${scenario.name}: merge ${merged.toFixed(2)} s, convert ${converted.toFixed(2)} s, ratio ${ratio}\n`;
}

async function makeChain({ type, isFull, grainBytes }: Scenario): Promise<{ child: string; parent: string }> {
  const [child, parent] = [join(directory, 'child.vhd'), join(directory, 'parent.vhd')];
  await createImage(parent, { size: SIZE, type });
  if (isFull) await fill(parent, 0, 1);
  await createImage(child, { parent });
  await fill(child, grainBytes, 2);
  return { child, parent };
}

async function fill(path: string, grainBytes: number, seed: number): Promise<void> {
  await using disk = await openVhd(path, { writable: true });
  const bytes = new Uint8Array(MIB);
  for (let position = 0; position < disk.size; position += MIB) {
    for (let at = 0; at < MIB; at += 4096) bytes.fill((position + at + seed) % 255 || 1, at, at + 4096);
    const step = grainBytes === 0 ? MIB : grainBytes;
    for (let at = 0; at < MIB; at += grainBytes === 0 ? step : 2 * step) {
      await disk.write(bytes.subarray(at, at + step), position + at);
    }
  }
}

async function seconds(job: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await job();
  return (performance.now() - startedAt) / 1000;
}
