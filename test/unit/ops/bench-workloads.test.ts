import { describe, expect, it } from 'vitest';
import { qemuBenchWords } from '../../../src/ops/bench-qemu.ts';
import { planGroups, sequentialBytesOf, targetsOf } from '../../../src/ops/bench-workloads.ts';

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

describe('what is measured', () => {
  it('begins each group with a new disk, and writes all of it in megabytes', () => {
    const groups = planGroups(64 * MiB, 0);
    const names = groups.map((passes) => passes.map(({ workload, fresh }) => `${workload}${fresh ? ' fresh' : ''}`));
    expect(names).toEqual([
      ['seq-1m fresh', 'seq-1m', 'read-seq', 'read-rand-4k'],
      ['seq-4k fresh', 'seq-4k'],
      ['rand-4k fresh', 'rand-4k'],
    ]);
    for (const { accesses, isRead } of groups[0]!.filter(({ workload }) => workload !== 'read-rand-4k')) {
      expect(accesses).toHaveLength(64);
      expect(accesses.at(-1)).toEqual({ position: 63 * MiB, length: MiB });
      expect(typeof isRead).toBe('boolean');
    }
  });

  it('is the same for every target of a round, and another one in the next', () => {
    expect(planGroups(64 * MiB, 3)).toEqual(planGroups(64 * MiB, 3));
    expect(planGroups(64 * MiB, 3)[2]).not.toEqual(planGroups(64 * MiB, 4)[2]);
  });

  it('is bounded on large disks: in a row to the first GiB, anywhere to 10,000 writes with a flush each 1000', () => {
    const [megabytes, , random] = planGroups(20 * GiB, 0);
    expect(sequentialBytesOf(20 * GiB)).toBe(GiB);
    expect(sequentialBytesOf(16 * MiB)).toBe(16 * MiB);
    expect(megabytes![0]!.accesses).toHaveLength(1024);
    const { accesses, flushEvery } = random![0]!;
    expect([accesses.length, flushEvery]).toEqual([10_000, 1000]);
    expect(Math.max(...accesses.map(({ position }) => position))).toBeGreaterThan(19 * GiB);
    expect(accesses.every(({ position }) => position % 4096 === 0 && position < 20 * GiB)).toBe(true);
    // Reads stay where something was written.
    expect(Math.max(...megabytes![3]!.accesses.map(({ position }) => position))).toBeLessThan(GiB);
  });

  it('leaves out preallocated disks that are large, and qemu-img where it is not wanted', () => {
    expect(targetsOf(GiB, false)).toEqual(['plain', 'fixed', 'fixedPreallocated', 'dynamic']);
    expect(targetsOf(2 * GiB, true)).toEqual(['plain', 'fixed', 'dynamic', 'qemuFixed', 'qemuDynamic']);
  });

  it('asks qemu-img for the same pattern, with a flush at its end', () => {
    const words = qemuBenchWords({ path: 'a.vhd', isRead: false, length: 4096, count: 20_000, stride: MiB + 4096 });
    expect(words.join(' ')).toBe(
      'bench -w --flush-interval=20000 --pattern=165 -t writeback -f vpc -s 4096 -S 1052672 -c 20000 a.vhd',
    );
    expect(qemuBenchWords({ path: 'a.vhd', isRead: true, length: MiB, count: 16 }).join(' ')).toBe(
      'bench -t writeback -f vpc -s 1048576 -S 1048576 -c 16 a.vhd',
    );
  });
});
