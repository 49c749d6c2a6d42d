import { mkdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { runBench } from '../../../src/ops/bench.ts';
import type { Spread } from '../../../src/ops/bench-report.ts';
import type { Progress } from '../../../src/ops/progress.ts';
import { WorkFolder } from '../../support/streams-files.ts';
import { failureOf, outcomeOf } from '../../support/streams-sources.ts';

const MiB = 1024 * 1024;
const folder = new WorkFolder();

describe('runBench', () => {
  it('measures every workload, fresh and again, and leaves nothing behind', async () => {
    const directory = folder.fresh('bench');
    mkdirSync(directory);
    const told: Progress[] = [];
    const report = await runBench({
      ...{ directory, sizeBytes: 16 * MiB, rounds: 2 },
      onProgress: (progress) => void told.push(progress),
    });
    expect(report).toMatchObject({ rounds: 2, diskBytes: 16 * MiB });
    const rows = report.results.map(({ fresh, workload }) => `${workload} ${String(fresh)}`);
    const written = ['seq-1m', 'seq-4k', 'rand-4k'].flatMap((workload) => [`${workload} true`, `${workload} false`]);
    expect(rows).toEqual([...written, 'read-seq false', 'read-rand-4k false']);
    for (const { dynamic, dynamicToFixed, dynamicToPlain, fixed, fixedPreallocated, plain } of report.results) {
      for (const { max, median, min } of [plain, fixed, fixedPreallocated, dynamic] as Spread[]) {
        expect(min).toBeGreaterThan(0);
        expect(median).toBeCloseTo((min + max) / 2, 6);
      }
      expect(dynamicToFixed).toBeCloseTo(dynamic.median / fixed.median, 9);
      expect(dynamicToPlain).toBeCloseTo(dynamic.median / plain.median, 9);
    }
    expect(told.map((progress) => progress.doneBytes)).toEqual([16 * MiB, 32 * MiB]);
    expect(told.at(-1)?.totalBytes).toBe(32 * MiB);
    expect(await readdir(directory)).toEqual([]);
    expect(folder.openPaths()).toEqual([]);
  });

  it('stopped by a signal leaves nothing behind', async () => {
    const directory = folder.fresh('stopped');
    mkdirSync(directory);
    const reason = new Error('enough');
    const controller = new AbortController();
    const options = { directory, sizeBytes: 16 * MiB, rounds: 50, signal: controller.signal };
    const running = failureOf(runBench({ ...options, onProgress: () => controller.abort(reason) }));
    expect(await running).toBe(reason);
    expect(await readdir(directory)).toEqual([]);
  });

  it.each<[string, object, string]>([
    ['disks below 16 MiB', { sizeBytes: MiB }, 'RangeError'],
    ['no round', { rounds: 0 }, 'RangeError'],
    ['half a round', { rounds: 1.5 }, 'RangeError'],
    ['unknown options', { size: MiB }, 'TypeError'],
  ])('refuses %s', async (_what, options, name) => {
    expect(await outcomeOf(runBench({ directory: folder.path, ...options }))).toBe(name);
  });

  it('says of a missing directory what the system says', async () => {
    expect(await outcomeOf(runBench({ directory: folder.fresh('missing') }))).toBe('ENOENT');
  });
});
