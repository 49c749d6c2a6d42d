// A process that writes is killed, again and again: what it had flushed is there, for us and for others.
// VHDKIT_KILL_ROUNDS says how often (default 10), VHDKIT_SEED what is written and when it is killed.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { build } from 'esbuild';
import { beforeAll, describe, expect, test } from 'vitest';
import { createVhd, openVhd } from '../../src/open.ts';
import { structuralFault } from '../crash/structure.ts';
import { contradiction, type Expectation, History } from '../support/history.ts';
import { runPeer, stub, whyMissing } from '../support/peers.ts';
import { numberFromEnv, Random } from '../support/seed.ts';
import { type TempFolder, useTempFolder } from '../support/temp.ts';
import { BLOCK_SIZE, callsOfBatch, DISK_SIZE } from './kill-batches.ts';
import { qemuSize, sevenZipSize, vhdiSize, withVhdiMount } from './readers.ts';

const ROUNDS = numberFromEnv('VHDKIT_KILL_ROUNDS', 10);
const SEED = numberFromEnv('VHDKIT_SEED', 1);

/** The images, each killed in its share of the rounds. */
const KINDS = [
  { name: 'a dynamic disk', type: 'dynamic', durability: 'flush', rounds: Math.ceil(ROUNDS * 0.6) },
  { name: 'one with durability always', type: 'dynamic', durability: 'always', rounds: Math.ceil(ROUNDS * 0.2) },
  { name: 'a fixed disk', type: 'fixed', durability: 'flush', rounds: Math.ceil(ROUNDS * 0.2) },
] as const;

type Kind = (typeof KINDS)[number];

describe('an image whose writer is killed', () => {
  const temp = useTempFolder('killed');
  beforeAll(() => bundleWriter(temp));

  for (const peer of ['qemu-img', 'vhdiinfo', 'vhdimount', '7z'] as const) {
    const reason = whyMissing(peer);
    if (reason !== undefined) stub(`is opened by ${peer}`, reason);
  }

  test.each(KINDS)(
    '$name: opens everywhere with all that was flushed, $rounds times',
    async (kind) => {
      const random = new Random(SEED);
      const image = temp.file(`${kind.durability}-${kind.type}.vhd`);
      const shape = kind.type === 'dynamic' ? { blockSize: BLOCK_SIZE } : {};
      const disk = await createVhd(image, { size: DISK_SIZE, type: kind.type, ...shape });
      await disk.close();
      let content: Uint8Array = new Uint8Array(DISK_SIZE);
      let next = 0;
      for (let round = 0; round < kind.rounds; round++) {
        const end = await writeUntilKilled(temp, image, { kind, next, milliseconds: random.below(100) });
        const expectation = expectationAfter(content, next, end);
        content = await expectOurs(image, expectation);
        await expectPeers(image, temp, content);
        next = end + 1;
      }
      expect(next).toBeGreaterThan(0);
    },
    ROUNDS * 10_000,
  );
});

/** The writer in one file of plain JavaScript: starting a process is most of a round. */
async function bundleWriter(temp: TempFolder): Promise<void> {
  // Where the bundle would find native helpers.
  await symlink(join(import.meta.dirname, '../../node_modules'), temp.file('node_modules'));
  await build({
    entryPoints: [join(import.meta.dirname, 'kill-writer.ts')],
    outfile: temp.file('writer.mjs'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'warning',
  });
}

/** Lets a writer begin with the batch `next` and kills it some time after its first one; returns the first not durable. */
async function writeUntilKilled(
  temp: TempFolder,
  image: string,
  { kind, next, milliseconds }: { kind: Kind; next: number; milliseconds: number },
): Promise<number> {
  const child = spawn(process.execPath, [temp.file('writer.mjs'), image, `${SEED}`, `${next}`, kind.durability], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 30_000,
    killSignal: 'SIGKILL',
  });
  const ended = new Promise<string>((resolve) => {
    child.once('close', (code, signal) => resolve(signal ?? `code ${code ?? '?'}`));
  });
  let end = next;
  for await (const line of createInterface({ input: child.stdout })) {
    if (end === next) void killAfter(child, milliseconds);
    end = Number(line) + 1;
  }
  expect(await ended).toBe('SIGKILL');
  return end;
}

async function killAfter(child: ChildProcess, milliseconds: number): Promise<void> {
  await delay(milliseconds);
  child.kill('SIGKILL');
}

/** The batches up to `end` are durable; that one may have been under way, or done and not yet told. */
function expectationAfter(content: Uint8Array, first: number, end: number): Expectation {
  const history = new History(content);
  for (let batch = first; batch <= end; batch++) {
    const outcomes = callsOfBatch(SEED, batch).map(({ position, bytes }) => history.begin(position, bytes));
    if (batch < end) for (const outcome of outcomes) outcome.resolved();
  }
  history.beginFlush()();
  return history.expectation();
}

/** We open it, without anything to say about it, and find what is expected; returns all of the disk. */
async function expectOurs(image: string, expectation: Expectation): Promise<Uint8Array> {
  expect(structuralFault(await readFile(image))).toBeUndefined();
  await using disk = await openVhd(image);
  expect(disk.findings.filter((item) => item.rule !== 'geometry.size')).toEqual([]);
  const content = await disk.readBytes(0, disk.size);
  expect(contradiction(expectation, content)).toBeUndefined();
  return content;
}

/** The peers open it too, and those that read it find what we do. */
async function expectPeers(image: string, temp: TempFolder, content: Uint8Array): Promise<void> {
  if (whyMissing('7z') === undefined) expect(await sevenZipSize(image)).toBe(DISK_SIZE);
  if (whyMissing('vhdiinfo') === undefined) expect(await vhdiSize(image)).toBe(DISK_SIZE);
  if (whyMissing('qemu-img') === undefined) {
    expect(await qemuSize(image)).toBe(DISK_SIZE);
    const raw = temp.file('by-qemu.raw');
    await runPeer('qemu-img', ['convert', '-f', 'vpc', '-O', 'raw', image, raw]);
    expect(Buffer.compare(await readFile(raw), content)).toBe(0);
    await rm(raw);
  }
  if (whyMissing('vhdimount') === undefined) {
    await withVhdiMount(image, temp.file('mounted'), async (path) => {
      expect(Buffer.compare(await readFile(path), content)).toBe(0);
    });
  }
}
