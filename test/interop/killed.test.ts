// A process that writes is killed, again and again: what it had flushed is there, for us and for others.
import { type ChildProcess, spawn } from 'node:child_process';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { createVhd, openVhd } from '../../src/open.ts';
import { firstDifference } from '../support/bytes.ts';
import { runPeer, stub, whyMissing } from '../support/peers.ts';
import { numberFromEnv, Random } from '../support/seed.ts';
import { useTempFolder } from '../support/temp.ts';
import { qemuSize, sevenZipSize, vhdiSize } from './readers.ts';
import { BATCH, DISK_SIZE, slotBytes, slotPosition } from './slots.ts';

const ROUNDS = 8;
const writer = fileURLToPath(new URL('./kill-writer.ts', import.meta.url));

/** Reads from a disk, whoever gives it. */
type Reader = (target: Uint8Array, position: number) => Promise<unknown>;

describe('an image whose writer is killed', () => {
  const temp = useTempFolder('killed');

  for (const peer of ['qemu-img', 'vhdiinfo', '7z'] as const) {
    const reason = whyMissing(peer);
    if (reason !== undefined) stub(`is opened by ${peer}`, reason);
  }

  test(`is one that all can open, with all that was flushed, ${ROUNDS} times`, async () => {
    const random = new Random(numberFromEnv('VHDKIT_SEED', 1));
    const image = temp.file('killed.vhd');
    const disk = await createVhd(image, { size: DISK_SIZE });
    await disk.close();
    /** The slots that are there, and those that were on their way when a writer was killed. */
    const flushed: number[] = [];
    const interrupted: number[] = [];
    for (let round = 0, next = 0; round < ROUNDS; round++) {
      const end = await writeUntilKilled(image, next, random.below(120));
      for (let slot = next; slot < end; slot++) flushed.push(slot);
      // It may have been killed between a flush and saying so.
      for (let slot = end; slot < end + 2 * BATCH; slot++) interrupted.push(slot);
      next = end + 2 * BATCH;
      await expectOpens(image);
      await expectSlots(await ourReader(image), flushed, interrupted);
      if (whyMissing('qemu-img') === undefined) {
        await expectSlots(await qemuReader(image, temp.file(`${round}.raw`)), flushed, interrupted);
      }
    }
    expect(flushed.length).toBeGreaterThan(ROUNDS * BATCH);
  });
});

/** Starts a writer at a slot and kills it some time after its first flush; returns the first slot not known flushed. */
async function writeUntilKilled(image: string, first: number, milliseconds: number): Promise<number> {
  const child = spawn(process.execPath, ['--import', 'tsx', writer, image, `${first}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 30_000,
    killSignal: 'SIGKILL',
  });
  const ended = new Promise<string>((resolve) => {
    child.once('close', (code, signal) => resolve(signal ?? `code ${code ?? '?'}`));
  });
  let end = first;
  for await (const line of createInterface({ input: child.stdout })) {
    if (end === first) void killAfter(child, milliseconds);
    end = Number(line);
  }
  expect(await ended).toBe('SIGKILL');
  return end;
}

async function killAfter(child: ChildProcess, milliseconds: number): Promise<void> {
  await delay(milliseconds);
  child.kill('SIGKILL');
}

async function expectOpens(image: string): Promise<void> {
  if (whyMissing('qemu-img') === undefined) expect(await qemuSize(image)).toBe(DISK_SIZE);
  if (whyMissing('vhdiinfo') === undefined) expect(await vhdiSize(image)).toBe(DISK_SIZE);
  if (whyMissing('7z') === undefined) expect(await sevenZipSize(image)).toBe(DISK_SIZE);
}

/** Flushed slots hold what was written, the interrupted ones that or zeros, byte by byte. */
async function expectSlots(
  { read, close }: { read: Reader; close: () => Promise<void> },
  flushed: readonly number[],
  interrupted: readonly number[],
): Promise<void> {
  for (const slot of [...flushed, ...interrupted]) {
    const wanted = slotBytes(slot);
    const found = new Uint8Array(wanted.length);
    await read(found, slotPosition(slot));
    const isExact = firstDifference(found, wanted) === -1;
    const isFine =
      isExact || (interrupted.includes(slot) && found.every((byte, at) => byte === 0 || byte === wanted[at]));
    expect([slot, isFine]).toEqual([slot, true]);
  }
  await close();
}

async function ourReader(image: string): Promise<{ read: Reader; close: () => Promise<void> }> {
  const disk = await openVhd(image);
  expect(disk.findings.filter((item) => item.rule !== 'geometry.size')).toEqual([]);
  return { read: (target, position) => disk.read(target, position), close: () => disk.close() };
}

/** What qemu makes of it: a raw file, with holes. */
async function qemuReader(image: string, raw: string): Promise<{ read: Reader; close: () => Promise<void> }> {
  await runPeer('qemu-img', ['convert', '-f', 'vpc', '-O', 'raw', image, raw]);
  const file: FileHandle = await open(raw);
  return {
    read: (target, position) => file.read(target, 0, target.length, position),
    close: async () => {
      await file.close();
      await rm(raw);
    },
  };
}
