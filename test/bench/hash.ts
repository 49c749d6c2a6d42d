/**
 * `npx tsx test/bench/hash.ts [DIR] [ROUNDS] [MEBIBYTES]`: how fast whole commands hash random bytes, held against sha256sum
 * (and openssl, which may use what the processor has for it) on the same bytes, in turn; then disks that are nearly empty.
 * DIR decides the file system (default: /dev/shm where there is one).
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
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

function compareFull(programs: Programs, count: number): void {
  const [raw, dynamic, fixed] = [programs.at('r.raw'), programs.at('dynamic.vhd'), programs.at('fixed.vhd')];
  writeRandom(raw, count * MIB);
  run(programs.vhd('convert', raw, dynamic));
  run(programs.vhd('convert', raw, fixed, '--to', 'fixed'));
  const commands: Timed[] = [
    timed('sha256sum', ['sha256sum', raw]),
    ...(findProgram('openssl') === undefined ? [] : [timed('openssl dgst', ['openssl', 'dgst', '-sha256', raw])]),
    timed('vhd hash, raw', programs.vhd('hash', raw)),
    timed('vhd hash, fixed', programs.vhd('hash', fixed)),
    timed('vhd hash, dynamic', programs.vhd('hash', dynamic)),
    timed('vhd hash --plain, dynamic', programs.vhd('hash', '--plain', dynamic)),
  ];
  const timings = interleave(commands, Number(rounds), directory);
  const [sha256sum] = timings;
  for (const { name, median, peakMemory = 0 } of timings) {
    const ratio = ((sha256sum?.median ?? 0) / median).toFixed(2);
    const [rate, memory] = [Math.round(count / median), Math.round(peakMemory / MIB)];
    process.stdout.write(`${count} MiB, ${name}: ${rate} MiB/s, ${ratio} times sha256sum, peak ${memory} MiB\n`);
  }
  for (const path of [raw, dynamic, fixed]) rmSync(path);
}

/** The time has to follow the data, not the size. */
function compareSparse(programs: Programs): void {
  const [data, empty, large] = [programs.at('data.raw'), programs.at('empty.vhd'), programs.at('large.vhd')];
  writeRandom(data, 64 * MIB);
  run(programs.vhd('create', empty, '2040G'));
  run(programs.vhd('create', large, '2040G'));
  run(programs.vhd('write', large, data, '--start', '1000G'));
  const sparse = programs.at('sparse.raw');
  writeRandom(sparse, 64 * MIB, 100 * 1024 * MIB, 50 * 1024 * MIB);
  const commands: Timed[] = [
    timed('node -e 0', [process.execPath, '-e', '0']),
    timed('vhd hash, 64 MiB alone', programs.vhd('hash', data)),
    timed('vhd hash, 64 MiB in a dynamic disk of 2040 GiB', programs.vhd('hash', large)),
    timed('vhd hash, 64 MiB in a sparse raw disk of 100 GiB', programs.vhd('hash', sparse)),
    timed('vhd hash, an empty dynamic disk of 2040 GiB', programs.vhd('hash', empty)),
  ];
  for (const { name, median, peakMemory = 0 } of interleave(commands, Number(rounds), directory)) {
    process.stdout.write(`${name}: ${median.toFixed(2)} s, peak ${Math.round(peakMemory / MIB)} MiB\n`);
  }
}

function timed(name: string, words: readonly string[]): Timed {
  return { name, words, outputs: [] };
}
