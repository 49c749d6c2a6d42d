/**
 * `npx tsx test/bench/compares.ts [DIR] [ROUNDS] [MEBIBYTES]`: how fast whole commands compare two images of the same random
 * bytes, held against `cmp` of the raw bytes and against `qemu-img compare`, in turn; then disks that are nearly empty. DIR
 * decides the file system (default: /dev/shm where there is one).
 */
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { findProgram } from '../support/peers.ts';
import { interleave, type Timed } from './interleave.ts';
import { Programs, run, writeRandom } from './programs.ts';

const MIB = 1024 * 1024;

const [base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), rounds = '7', mebibytes = '1024'] = process.argv.slice(2);
const directory = mkdtempSync(join(resolve(base), 'vhdkit-bench-'));
try {
  const programs = await Programs.build(directory);
  compareFull(programs, Number(mebibytes));
  compareSparse(programs);
} finally {
  rmSync(directory, { recursive: true, force: true });
}

/** All of the bytes are data, and all are the same: none of the commands can stop early. */
function compareFull(programs: Programs, count: number): void {
  const [raw, other] = [programs.at('a.raw'), programs.at('b.raw')];
  const [dynamic, copy, fixed] = [programs.at('a.vhd'), programs.at('b.vhd'), programs.at('fixed.vhd')];
  writeRandom(raw, count * MIB);
  copyFileSync(raw, other);
  run(programs.vhd('convert', raw, dynamic));
  copyFileSync(dynamic, copy);
  run(programs.vhd('convert', raw, fixed, '--to', 'fixed'));
  const commands: Timed[] = [
    timed('cmp, raw and raw', ['cmp', raw, other]),
    timed('vhd compare, raw and raw', programs.vhd('compare', raw, other)),
    timed('vhd compare, dynamic and dynamic', programs.vhd('compare', dynamic, copy)),
    timed('vhd compare, fixed and dynamic', programs.vhd('compare', fixed, dynamic)),
    ...qemu('raw and raw', raw, other),
    ...qemu('dynamic and dynamic', dynamic, copy),
  ];
  const timings = interleave(commands, Number(rounds), directory);
  const [cmp] = timings;
  for (const { name, median, seconds, cpuSeconds = 0, peakMemory = 0 } of timings) {
    const ratio = ((cmp?.median ?? 0) / median).toFixed(2);
    const fastest = (Math.min(...(cmp?.seconds ?? [0])) / Math.min(...seconds)).toFixed(2);
    const facts = [
      `${median.toFixed(2)} s, ${Math.round(count / median)} MiB/s, ${ratio} times cmp (fastest runs ${fastest})`,
      `${cpuSeconds.toFixed(2)} s of the processors, peak ${Math.round(peakMemory / MIB)} MiB`,
    ];
    process.stdout.write(`${count} MiB, ${name}: ${facts.join(', ')}\n`);
  }
  for (const path of [raw, other, dynamic, copy, fixed]) rmSync(path);
}

function qemu(what: string, a: string, b: string): Timed[] {
  if (findProgram('qemu-img') === undefined) return [];
  const formats = [a, b].map((path) => (path.endsWith('.vhd') ? 'vpc' : 'raw'));
  const words = ['compare', '-f', formats[0] ?? '', '-F', formats[1] ?? '', a, b];
  return [timed(`qemu-img compare, ${what}`, ['qemu-img', ...words])];
}

/** The time has to follow the data, not the size. */
function compareSparse(programs: Programs): void {
  const [data, large, copy] = [programs.at('data.raw'), programs.at('large.vhd'), programs.at('copy.vhd')];
  writeRandom(data, 64 * MIB);
  run(programs.vhd('create', large, '2040G'));
  run(programs.vhd('write', large, data, '--start', '1000G'));
  copyFileSync(large, copy);
  const [sparse, dynamic] = [programs.at('sparse.raw'), programs.at('sparse.vhd')];
  writeRandom(sparse, 64 * MIB, 100 * 1024 * MIB, 50 * 1024 * MIB);
  run(programs.vhd('convert', sparse, dynamic));
  const [left, right] = [programs.at('left.vhd'), programs.at('right.vhd')];
  for (const child of [left, right]) run(programs.vhd('snapshot', large, child));
  const commands: Timed[] = [
    timed('node -e 0', [process.execPath, '-e', '0']),
    timed('vhd compare, 64 MiB in two dynamic disks of 2040 GiB', programs.vhd('compare', large, copy)),
    timed('vhd compare, two children of one of them', programs.vhd('compare', left, right)),
    timed(
      'vhd compare, 64 MiB in a sparse raw and a dynamic disk of 100 GiB',
      programs.vhd('compare', sparse, dynamic),
    ),
    ...qemu('the same', sparse, dynamic),
  ];
  for (const { name, median, peakMemory = 0 } of interleave(commands, Number(rounds), directory)) {
    process.stdout.write(`${name}: ${median.toFixed(2)} s, peak ${Math.round(peakMemory / MIB)} MiB\n`);
  }
}

function timed(name: string, words: readonly string[]): Timed {
  return { name, words, outputs: [] };
}
