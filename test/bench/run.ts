/**
 * `npm run bench -- [DIR] [ROUNDS]`: whole commands against qemu-img, on the same bytes, in turn. DIR should lie on a
 * memory file system (default: /dev/shm where there is one); on a disk our output is durable when the command ends and
 * qemu-img's is not, so compare there with `-t writeback`.
 */
import { spawnSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { closeSync, existsSync, ftruncateSync, mkdtempSync, openSync, rmSync, symlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildCommand } from '../../.config/build.ts';
import { interleave, report, type Timed } from './interleave.ts';

const MIB = 1024 * 1024;
const [base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), rounds = '7'] = process.argv.slice(2);
const directory = mkdtempSync(join(base, 'vhdkit-bench-'));
const at = (name: string): string => join(directory, name);
await buildCommand(at('bin'));
// Where an installed command would find the native helper.
symlinkSync(join(import.meta.dirname, '../../node_modules'), at('node_modules'));
const vhd = [process.execPath, at('bin/vhd.cjs')];

function run(...words: string[]): void {
  const [program = '', ...rest] = words;
  const { status, stderr } = spawnSync(program, rest);
  if (status !== 0) throw new Error(`${words.join(' ')}: ${String(stderr)}`);
}

/** A file of `diskBytes` with random bytes at `start`, and a hole for the rest. */
function writeRandom(path: string, byteLength: number, diskBytes: number = byteLength, start = 0): void {
  const file = openSync(path, 'w');
  const piece = new Uint8Array(MIB);
  for (let position = 0; position < byteLength; position += MIB) {
    writeSync(file, randomFillSync(piece), 0, MIB, start + position);
  }
  ftruncateSync(file, diskBytes);
  closeSync(file);
}

function compare(title: string, ours: readonly string[], theirs: readonly string[], output: string): void {
  const commands: Timed[] = [
    { name: 'vhd', words: [...vhd, ...ours], outputs: [output] },
    { name: 'qemu-img', words: ['qemu-img', ...theirs], outputs: [output] },
  ];
  process.stdout.write(report(title, interleave(commands, Number(rounds))));
}

try {
  writeRandom(at('r.raw'), 1024 * MIB);
  run(...vhd, 'convert', at('r.raw'), at('ours.vhd'));
  compare(
    'convert, 1 GiB of random bytes, raw to dynamic',
    ['convert', at('r.raw'), at('o.vhd')],
    ['convert', '-f', 'raw', '-O', 'vpc', '-o', 'force_size=on', at('r.raw'), at('o.vhd')],
    at('o.vhd'),
  );
  compare(
    'convert, 1 GiB of random bytes, dynamic to raw',
    ['convert', at('ours.vhd'), at('o.raw')],
    ['convert', '-f', 'vpc', '-O', 'raw', at('ours.vhd'), at('o.raw')],
    at('o.raw'),
  );
  run(...vhd, 'create', at('big.vhd'), '100G');
  run(...vhd, 'write', at('big.vhd'), at('r.raw'), '--start', '50G');
  rmSync(at('r.raw'));
  rmSync(at('ours.vhd'));
  compare(
    'convert, 100 GiB dynamic with 1 GiB of data, to sparse raw',
    ['convert', at('big.vhd'), at('o.raw')],
    ['convert', '-f', 'vpc', '-O', 'raw', at('big.vhd'), at('o.raw')],
    at('o.raw'),
  );
  writeRandom(at('sparse.raw'), 1024 * MIB, 100 * 1024 * MIB, 50 * 1024 * MIB);
  const sparseTargets = [
    ['dynamic', ['-O', 'vpc', '-o', 'force_size=on']],
    ['fixed', ['-O', 'vpc', '-o', 'subformat=fixed,force_size=on']],
    ['raw', ['-O', 'raw']],
  ] as const;
  for (const [to, options] of sparseTargets) {
    compare(
      `convert, 100 GiB sparse raw with 1 GiB of data, to ${to === 'raw' ? 'sparse raw' : to}`,
      ['convert', at('sparse.raw'), at('o.out'), '--to', to],
      ['convert', '-f', 'raw', ...options, at('sparse.raw'), at('o.out')],
      at('o.out'),
    );
  }
  rmSync(at('sparse.raw'));
  const startup: Timed[] = [
    { name: 'vhd --version', words: [...vhd, '--version'], outputs: [] },
    { name: 'vhd info', words: [...vhd, 'info', at('big.vhd')], outputs: [] },
    { name: 'node -e 0', words: [process.execPath, '-e', '0'], outputs: [] },
  ];
  process.stdout.write(report('start-up', interleave(startup, 15)));
} finally {
  rmSync(directory, { recursive: true, force: true });
}
