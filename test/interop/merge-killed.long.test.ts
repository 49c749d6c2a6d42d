import { type ChildProcess, spawn } from 'node:child_process';
import { readFile, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { build } from 'esbuild';
import { beforeAll, describe, expect, test } from 'vitest';
import { openVhd } from '../../src/open.ts';
import { readJournal } from '../../src/open-journal.ts';
import { createImage } from '../../src/ops/create.ts';
import { structuralFault } from '../crash/structure.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { runPeer, stub, whyMissing } from '../support/peers.ts';
import { numberFromEnv, Random } from '../support/seed.ts';
import { type TempFolder, useTempFolder } from '../support/temp.ts';
import { qemuSize, sevenZipSize } from './readers.ts';

/** `VHDKIT_KILLS` makes it longer: so many merges are killed, each several times. */
const ROUNDS = numberFromEnv('VHDKIT_KILLS', 2);
const SEED = numberFromEnv('VHDKIT_SEED', 1);
const BLOCK_SIZE = 512 * 1024;
const SMALL = 12 * BLOCK_SIZE - 1024;
const LARGE = 140 * BLOCK_SIZE - 512;

interface Kind {
  readonly name: string;
  readonly base: 'fixed' | 'dynamic';
  readonly baseSize: number;
  readonly linkSize: number;
  readonly childSize: number;
  /** How many links up the child the target is: 2 for the base. */
  readonly levels: 1 | 2;
}

const KINDS: readonly Kind[] = [
  { name: 'a dynamic base', base: 'dynamic', baseSize: SMALL, linkSize: SMALL, childSize: SMALL, levels: 2 },
  { name: 'a dynamic base that grows', base: 'dynamic', baseSize: SMALL, linkSize: SMALL, childSize: LARGE, levels: 2 },
  { name: 'a fixed base that grows', base: 'fixed', baseSize: SMALL, linkSize: LARGE, childSize: LARGE, levels: 2 },
  { name: 'a link that grows', base: 'dynamic', baseSize: SMALL, linkSize: SMALL, childSize: LARGE, levels: 1 },
];

describe('a merge that is killed', () => {
  const temp = useTempFolder('merge-killed');
  beforeAll(() => bundleMerger(temp));

  for (const peer of ['qemu-img', '7z'] as const) {
    const reason = whyMissing(peer);
    if (reason !== undefined) stub(`is read by ${peer}`, reason);
  }

  test.each(KINDS)(
    `into $name: the child reads the same whenever it is, and the same call finishes it`,
    async (kind) => {
      const random = new Random(SEED);
      let kills = 0;
      // A merge may be done before it is killed, or not have begun: then there is another.
      for (let round = 0; round < Math.ceil(ROUNDS / 2) || (kills === 0 && round < 10); round++) {
        kills += await killAndFinish(temp, kind, random);
      }
      expect(kills).toBeGreaterThan(0);
    },
    60_000 + ROUNDS * 20_000,
  );
});

async function killAndFinish(temp: TempFolder, kind: Kind, random: Random): Promise<number> {
  const [base, link, child] = ['base.vhd', 'link.vhd', 'child.vhd'].map((name) => temp.file(name)) as [
    string,
    string,
    string,
  ];
  const { baseSize, linkSize, childSize, levels } = kind;
  const shape = kind.base === 'dynamic' ? { blockSize: BLOCK_SIZE } : {};
  await createImage(base, { type: kind.base, size: baseSize, force: true, ...shape });
  await scribble(base, random);
  await createImage(link, { parent: base, size: linkSize, blockSize: BLOCK_SIZE, force: true });
  await scribble(link, random);
  await createImage(child, { parent: link, size: childSize, blockSize: BLOCK_SIZE, force: true });
  await scribble(child, random);
  const content = await contentOf(child);
  const upper = await Promise.all([child, ...(levels === 2 ? [link] : [])].map((path) => readFile(path)));
  const target = levels === 2 ? base : link;
  let kills = 0;
  for (let attempt = 0; attempt < 4; attempt++) {
    if (!(await mergeUntilKilled(temp, child, target, random.below(60)))) break;
    // Before there is a journal nothing was begun, and the kill proves little.
    if ((await readJournal(target)) !== undefined) kills++;
    expect(firstDifference(await contentOf(child), content)).toBe(-1);
    if (levels === 2) expect(structuralFault(await readFile(base))).toBeUndefined();
  }
  expect(await mergeUntilKilled(temp, child, target, 60_000)).toBe(false);
  expect(await readJournal(target)).toBeUndefined();
  expect(firstDifference(await contentOf(target), content)).toBe(-1);
  expect(firstDifference(await contentOf(child), content)).toBe(-1);
  for (const [index, path] of [child, link].entries()) {
    const before = upper[index];
    if (before !== undefined) expect(firstDifference(await readFile(path), before)).toBe(-1);
  }
  if (levels === 2) await expectPeers(target, temp, content);
  return kills;
}

/** Writes data, and zeros over what is there. */
async function scribble(path: string, random: Random): Promise<void> {
  await using disk = await openVhd(path, { writable: true });
  for (let count = 0; count < 14; count++) {
    const length = random.pick([512, 4096, 70_000, BLOCK_SIZE, 3 * BLOCK_SIZE]);
    // Most of it where the smallest of them has something too.
    const room = Math.min(disk.size, random.oneIn(3) ? disk.size : SMALL) - length;
    const position = random.below(room);
    await disk.write(random.oneIn(4) ? new Uint8Array(length) : pattern(length, random.below(1000)), position);
  }
}

async function contentOf(path: string): Promise<Uint8Array> {
  await using disk = await openVhd(path);
  return await disk.readBytes(0, disk.size);
}

/** The merger in one file of plain JavaScript: starting a process is most of a round. */
async function bundleMerger(temp: TempFolder): Promise<void> {
  // Where the bundle would find native helpers.
  await symlink(join(import.meta.dirname, '../../node_modules'), temp.file('node_modules'));
  await build({
    entryPoints: [join(import.meta.dirname, 'kill-merger.ts')],
    outfile: temp.file('merger.mjs'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'warning',
  });
}

/** Lets a process merge and kills it some time after it has begun; false if it was done before. */
async function mergeUntilKilled(temp: TempFolder, child: string, into: string, milliseconds: number): Promise<boolean> {
  const process_ = spawn(process.execPath, [temp.file('merger.mjs'), child, into], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  const ended = new Promise<string>((resolve) => {
    process_.once('close', (code, signal) => resolve(signal ?? `code ${code ?? '?'}`));
  });
  const stop = new AbortController();
  for await (const line of createInterface({ input: process_.stdout })) {
    if (line === 'begins') void killAfter(process_, milliseconds, stop.signal);
  }
  const how = await ended;
  stop.abort();
  expect(['SIGKILL', 'code 0']).toContain(how);
  return how === 'SIGKILL';
}

async function killAfter(child: ChildProcess, milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal }).catch(() => undefined);
  if (!signal.aborted) child.kill('SIGKILL');
}

async function expectPeers(image: string, temp: TempFolder, content: Uint8Array): Promise<void> {
  if (whyMissing('7z') === undefined) expect(await sevenZipSize(image)).toBe(content.length);
  if (whyMissing('qemu-img') !== undefined) return;
  expect(await qemuSize(image)).toBe(content.length);
  const raw = temp.file('by-qemu.raw');
  await runPeer('qemu-img', ['convert', '-f', 'vpc', '-O', 'raw', image, raw]);
  expect(firstDifference(await readFile(raw), content)).toBe(-1);
  await rm(raw);
}
