/**
 * `npx tsx test/bench/compact.ts [DIR] [ROUNDS]`: compacting an image against `qemu-img convert`, the only way qemu has, on
 * the same bytes, as whole processes and in turn. DIR decides the file system (default: /dev/shm where there is one).
 */
import { closeSync, copyFileSync, existsSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createVhd } from '../../src/open.ts';
import { findProgram } from '../support/peers.ts';
import { interleave, type Timed } from './interleave.ts';
import { Programs } from './programs.ts';

const MIB = 1024 * 1024;
const BLOCK = 2 * MIB;
const SIZE = 100 * 1024 * MIB;
/** Blocks with something in them, and how many of these are zeros from then on. */
const STORED_BLOCKS = 1024;
const QEMU_OPTIONS = 'subformat=dynamic,force_size=on';

const [base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), rounds = '5'] = process.argv.slice(2);
const directory = mkdtempSync(join(resolve(base), 'vhdkit-bench-'));
try {
  const programs = await Programs.build(directory);
  for (const share of [16, 2]) await measure(programs, share, Number(rounds));
  await measureLargest(programs);
} finally {
  rmSync(directory, { recursive: true, force: true });
}

/** An image of 100 GiB with 2 GiB in it, of which one block out of `share` is zeros. */
async function measure(programs: Programs, share: number, count: number): Promise<void> {
  const [master, image, output] = ['master.vhd', 'disk.vhd', 'out.vhd'].map((name) => join(directory, name));
  if (master === undefined || image === undefined || output === undefined) throw new Error('there are three names');
  await makeImage(master, share);
  const prepare = (): void => copyFileSync(master, image);
  const commands: Timed[] = [
    { name: 'vhd compact', words: programs.vhd('compact', image, '-q'), outputs: [image], prepare },
    { name: 'vhd compact -o', words: programs.vhd('compact', master, '-q', '-o', output), outputs: [output] },
    { name: 'vhd compact --dry-run', words: programs.vhd('compact', master, '--dry-run'), outputs: [] },
  ];
  if (findProgram('qemu-img') !== undefined) {
    const words = ['qemu-img', 'convert', '-f', 'vpc', '-O', 'vpc', '-o', QEMU_OPTIONS, master, output];
    commands.push({ name: 'qemu-img convert', words, outputs: [output] });
  }
  process.stdout.write(`100 GiB, 2 GiB stored, ${STORED_BLOCKS / share} of ${STORED_BLOCKS} blocks zero\n`);
  for (const { name, median, cpuSeconds = 0, peakMemory = 0 } of interleave(commands, count, directory)) {
    const memory = (peakMemory / MIB).toFixed(0);
    process.stdout.write(`  ${name}: ${median.toFixed(2)} s, CPU ${cpuSeconds.toFixed(2)} s, ${memory} MiB\n`);
  }
  rmSync(master);
}

/** Blocks of zeros are among the others, and have a place: they were something before. */
async function makeImage(path: string, share: number): Promise<void> {
  await using disk = await createVhd(path, { size: SIZE, type: 'dynamic' });
  const [bytes, zeros] = [new Uint8Array(BLOCK), new Uint8Array(BLOCK)];
  for (let block = 0; block < STORED_BLOCKS; block++) {
    for (let at = 0; at < BLOCK; at += 4096) bytes.fill((block + at) % 255 || 1, at, at + 4096);
    await disk.write(bytes, block * BLOCK);
    if (block % share === 0) await disk.write(zeros, block * BLOCK);
  }
}

/** The most memory for the largest image: every block has a place, the first of them hold something. */
async function measureLargest(programs: Programs): Promise<void> {
  const image = join(directory, 'largest.vhd');
  const blockCount = 1020 * 1024;
  await (await createVhd(image, { size: blockCount * BLOCK, type: 'dynamic' })).close();
  const prepare = (): void => fillTable(image, blockCount);
  for (const words of [['--dry-run'], []]) {
    const command = { name: 'largest', words: programs.vhd('compact', image, '-q', ...words), outputs: [], prepare };
    const [timing] = interleave([command], 1, directory);
    const memory = ((timing?.peakMemory ?? 0) / MIB).toFixed(0);
    process.stdout.write(`2040 GiB, all blocks have a place, ${words.join('') || 'in place'}: ${memory} MiB\n`);
  }
}

/** Gives every block of an empty image a place, in a file of holes. */
function fillTable(path: string, blockCount: number): void {
  const file = openSync(path, 'r+');
  const footer = new Uint8Array(512);
  readSync(file, footer, 0, 512, 0);
  const table = Buffer.alloc(blockCount * 4);
  const first = Math.ceil((1536 + table.length) / 4096) * 4096 + 4096 - 512;
  const stride = BLOCK + 4096;
  for (let block = 0; block < blockCount; block++) table.writeUInt32BE((first + block * stride) / 512, block * 4);
  writeSync(file, table, 0, table.length, 1536);
  const front = new Uint8Array(1024).fill(0xff);
  for (let block = 0; block < 10_000; block++) writeSync(file, front, 0, 1024, first + block * stride);
  writeSync(file, footer, 0, 512, first + blockCount * stride);
  closeSync(file);
}
