// A GPT made by sgdisk, moved by us for another size, judged by sgdisk and sfdisk.
import { copyFile, type FileHandle, open, readFile, truncate } from 'node:fs/promises';
import { beforeAll, expect, it } from 'vitest';
import type { Patch } from '../../src/disk/overlay.ts';
import { type GptMoveOptions, planGptMove } from '../../src/inspect/gpt-move.ts';
import { describeWithPeers, runPeer } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('gpt-move');
const MIB = 1024 ** 2;
let count = 0;

/** A sparse file. */
async function sparse(name: string, size: number): Promise<string> {
  const path = folder.file(name);
  const file = await open(path, 'w');
  await file.truncate(size);
  await file.close();
  return path;
}

/** A disk with a table by sfdisk. */
async function diskWith(size: number, script: string): Promise<string> {
  const path = await sparse(`disk-${count++}.raw`, size);
  await runPeer('sfdisk', ['--quiet', '--no-tell-kernel', path], { input: `label: gpt\n${script}` });
  return path;
}

/** A disk of 8 MiB with a table by sgdisk, which takes its time for each. */
async function copyOf(name: keyof typeof BY_SGDISK): Promise<string> {
  const path = folder.file(`disk-${count++}.raw`);
  await copyFile(folder.file(name), path);
  return path;
}

/** Reads a file as the front of a pipe is read: not a byte behind the first MiB. */
function frontOf(file: FileHandle): (target: Uint8Array, position: number) => Promise<void> {
  return async (target, position) => {
    if (position + target.length > MIB) throw new Error(`a read reaches ${position + target.length}`);
    await file.read(target, 0, target.length, position);
  };
}

/** Plans a move, performs it, and tells what was written. */
async function move(path: string, newSize: number, options?: GptMoveOptions): Promise<readonly Patch[] | undefined> {
  const file = await open(path, 'r+');
  try {
    const { size } = await file.stat();
    const anywhere = async (target: Uint8Array, position: number): Promise<void> => {
      await file.read(target, 0, target.length, position);
    };
    const read = options?.checkBackup === true ? anywhere : frontOf(file);
    const patches = await planGptMove(read, size, newSize, options);
    await file.truncate(newSize);
    for (const { position, bytes } of patches ?? []) await file.write(bytes, 0, bytes.length, position);
    return patches;
  } finally {
    await file.close();
  }
}

/** What sgdisk and sfdisk have to say against a disk. */
async function complaints(path: string): Promise<string[]> {
  const said = await Promise.all([
    runPeer('sgdisk', ['-v', path], { anyCode: true }),
    runPeer('sfdisk', ['--verify', path], { anyCode: true }),
    runPeer('sfdisk', ['-l', path], { anyCode: true }),
  ]);
  const lines = said.flatMap(({ stdout, stderr }) => `${stdout}\n${stderr}`.split('\n'));
  // That a partition ends where it ends is the choice of who made it.
  return lines
    .filter((line) => /warning|caution|problem|corrupt|error|mismatch|not the size|PMBR/i.test(line))
    .filter((line) => !/^No (problems found|errors detected)|^Caution: Partition \d+ doesn't end on/.test(line))
    .filter((line) => !line.startsWith('result in problems with some disk encryption'));
}

async function expectSound(path: string): Promise<void> {
  expect(await complaints(path)).toEqual([]);
  expect((await runPeer('sgdisk', ['-v', path])).stdout).toContain('No problems found');
}

function expectInOrder(patches: readonly Patch[]): void {
  let end = 0;
  for (const { position, bytes } of patches) {
    expect(position).toBeGreaterThanOrEqual(end);
    end = position + bytes.length;
  }
}

const BY_SGDISK = {
  two: ['-n', '1:2048:+1M', '-n', '3:0:+2M', '-t', '1:ef00', '-t', '3:8300'],
  // To the last sector that a partition may take.
  full: ['-n', '1:0:0', '-t', '1:0700', '-c', '1:all of it'],
  long: ['-S', '256', '-n', '200:0:+1M'],
  longFull: ['-S', '256', '-n', '200:0:0'],
  empty: ['-o'],
} as const;

/** What sgdisk tells of disk and partitions. */
async function listed(path: string): Promise<string[]> {
  const { stdout } = await runPeer('sgdisk', ['-p', '-i', '1', path]);
  return stdout.split('\n').filter((line) => /GUID|^ +\d|^Partition name/.test(line));
}

describeWithPeers(['sgdisk', 'sfdisk'], 'a GPT by sgdisk or sfdisk on a disk of another size', () => {
  beforeAll(async () => {
    await Promise.all(
      Object.entries(BY_SGDISK).map(async ([name, args]) => {
        await runPeer('sgdisk', [...args, await sparse(name, 8 * MIB)]);
      }),
    );
  });

  it.each<[string, keyof typeof BY_SGDISK, number]>([
    ['one sector more', 'two', 8 * MIB + 512],
    ['one sector more, full', 'full', 8 * MIB + 512],
    ['33 sectors more: the old header where the new entries begin', 'full', 8 * MIB + 33 * 512],
    ['17 sectors more: old and new backup overlap', 'full', 8 * MIB + 17 * 512],
    ['34 sectors more: they touch', 'two', 8 * MIB + 34 * 512],
    ['much more', 'full', 3 * 1024 * MIB],
    ['above 2 TiB', 'two', 2100 * 1024 * MIB],
    ['256 entries', 'long', 16 * MIB],
    ['256 entries, 40 sectors more', 'longFull', 8 * MIB + 40 * 512],
    ['no partitions', 'empty', 9 * MIB],
  ])('is right: %s', async (_what, name, newSize) => {
    const path = await copyOf(name);
    const before = await listed(path);
    expectInOrder((await move(path, newSize)) ?? []);
    await expectSound(path);
    expect(await listed(path)).toEqual(before);
    const { stdout } = await runPeer('sgdisk', ['-p', path]);
    expect(stdout).toContain(`last usable sector is ${newSize / 512 - (name.startsWith('long') ? 66 : 34)}`);
    expect(await move(path, newSize)).toEqual([]);
    expect(await move(path, newSize, { checkBackup: true })).toEqual([]);
  });

  it.each<[string, number, number, string]>([
    ['odd sizes', 8 * MIB + 7 * 512, 9 * MIB + 13 * 512, 'start=2048'],
    ['four entries, full, one sector more', 4 * MIB, 4 * MIB + 512, 'table-length: 4\n\nstart=2048'],
    ['a disk of 100 sectors', 51_200, 51_712, 'first-lba: 34\n\nstart=34, size=4'],
  ])('is right where sfdisk made it: %s', async (_what, oldSize, newSize, script) => {
    const path = await diskWith(oldSize, script);
    const before = await listed(path);
    const complaintsBefore = await complaints(path);
    await move(path, newSize);
    // sgdisk does not like everything that sfdisk does.
    expect(await complaints(path)).toEqual(complaintsBefore);
    expect(await listed(path)).toEqual(before);
  });

  it('leaves nothing of the old backup', async () => {
    const path = await copyOf('two');
    await move(path, 12 * MIB);
    const bytes = await readFile(path);
    expect(bytes.subarray(7.5 * MIB, 8.5 * MIB).equals(Buffer.alloc(MIB))).toBe(true);
  });

  it('is right on a smaller disk that still holds all partitions', async () => {
    const path = await copyOf('two');
    await move(path, 5 * MIB);
    await expectSound(path);
  });

  it('takes a disk that has grown already', async () => {
    const path = await copyOf('full');
    await truncate(path, 20 * MIB);
    expect(await move(path, 20 * MIB)).not.toEqual([]);
    await expectSound(path);
  });

  it.each<[string, number, number]>([
    ['its header', 8 * MIB - 512, 512],
    ['its entries', 8 * MIB - 33 * 512, 512],
    ['all of it', 8 * MIB - 33 * 512, 33 * 512],
  ])('writes a broken backup anew: %s', async (_what, position, length) => {
    const path = await copyOf('two');
    const file = await open(path, 'r+');
    await file.write(Buffer.alloc(length, 7), 0, length, position);
    await file.close();
    expect(await complaints(path)).not.toEqual([]);
    expect(await move(path, 8 * MIB)).toEqual([]);
    expect(await move(path, 8 * MIB, { checkBackup: true })).toHaveLength(1);
    await expectSound(path);
  });
});
