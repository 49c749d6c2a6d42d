// The whole life of an image, from an empty disk to the copy that is handed on. After every step our check finds nothing, it
// holds what it should, and a program by others says the same.
import { copyFile, open, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { check } from '../../src/ops/check.ts';
import { compare } from '../../src/ops/compare.ts';
import { pattern } from '../support/bytes.ts';
import { vhd } from '../support/cli.ts';
import { describeWithPeers, runPeer } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';
import { expectQemuSame, vhdiSize } from './readers.ts';

const MiB = 1024 * 1024;
const SIZE = 48 * MiB;
const GROWN = 64 * MiB;
const FIRST = { start: MiB, length: 8 * MiB };
const SECOND = { start: 9 * MiB, length: 38 * MiB };

describeWithPeers(
  ['qemu-img', '7z', 'vhdiinfo', 'sgdisk', 'mkfs.fat', 'mkfs.ext4'],
  'the whole life of an image',
  () => {
    const folder = useTempFolder('whole-life');
    const image = (): string => folder.file('disk.vhd');
    const child = (): string => folder.file('child.vhd');
    /** What the disk is to hold, kept along by plain writes. */
    const truth = (): string => folder.file('truth.raw');

    async function run(...argv: string[]): Promise<string> {
      const { code, stdout, stderr } = await vhd(argv);
      expect([argv, code, stderr.replace(/^vhd: merging .*\n/, '')]).toEqual([argv, 0, '']);
      return stdout;
    }

    async function emptyFile(name: string, size: number): Promise<string> {
      const file = await open(folder.file(name), 'w');
      await file.truncate(size);
      await file.close();
      return folder.file(name);
    }

    /** Puts a stretch of a file into an image by `vhd write`, and the same into the truth. */
    async function put(
      target: string,
      source: string,
      place: { from: number; length: number; start: number },
    ): Promise<void> {
      const bytes = (await readFile(source)).subarray(place.from, place.from + place.length);
      const { code } = await vhd(['write', target, '-', '--start', `${place.start}`, '-q'], { stdin: bytes });
      expect(code).toBe(0);
      const file = await open(truth(), 'r+');
      await file.write(bytes, 0, bytes.length, place.start);
      await file.close();
    }

    /** Nothing to complain of, and the bytes that it should have. */
    async function expectSound(path: string): Promise<void> {
      const { ok, findings } = await check(path, { deep: true, chain: true });
      expect([path, ok, findings]).toEqual([path, true, []]);
      expect(await compare(path, truth())).toMatchObject({ equal: true });
    }

    async function expectFileSystem(source: string): Promise<void> {
      const part = folder.file('part.raw');
      await run(
        'read',
        source,
        '--start',
        `${SECOND.start}`,
        '--length',
        `${SECOND.length}`,
        '-o',
        part,
        '--force',
        '-q',
      );
      await runPeer('e2fsck', ['-fn', part]);
    }

    it('is made, partitioned and filled', async () => {
      await run('create', image(), `${SIZE}`, '-q');
      await emptyFile('truth.raw', SIZE);
      await expectSound(image());
      const table = await emptyFile('table.raw', SIZE);
      const layout = ['-n', '1:2048:18431', '-t', '1:ef00', '-n', '2:18432:96255', '-c', '2:root'];
      await runPeer('sgdisk', [...layout, table]);
      await put(image(), table, { from: 0, length: 34 * 512, start: 0 });
      await put(image(), table, { from: SIZE - 33 * 512, length: 33 * 512, start: SIZE - 33 * 512 });
      const efi = await emptyFile('efi.raw', FIRST.length);
      await runPeer('mkfs.fat', ['-n', 'EFI', efi]);
      await put(image(), efi, { from: 0, ...FIRST });
      const root = await emptyFile('root.raw', SECOND.length);
      await runPeer('mkfs.ext4', ['-q', '-L', 'root', root]);
      await put(image(), root, { from: 0, ...SECOND });
      await expectSound(image());
      await expectQemuSame(image(), truth());
      expect((await runPeer('sgdisk', ['-v', truth()])).stdout).toContain('No problems found');
      const info = JSON.parse(await run('info', image(), '--json')) as Record<string, unknown>;
      expect(info).toMatchObject({
        minimumSize: SECOND.start + SECOND.length + 33 * 512,
        partitions: [{ fileSystem: { label: 'EFI' } }, { fileSystem: { label: 'root' } }],
      });
    });

    it('gets a child, which is written to and differs from it in one partition', async () => {
      await run('hash', image(), '-o', folder.file('before.json'), '-q');
      await copyFile(truth(), folder.file('before.raw'));
      await run('snapshot', image(), child(), '-q');
      const efi = await emptyFile('efi2.raw', FIRST.length);
      await runPeer('mkfs.fat', ['-n', 'SECOND', '-i', '12345678', efi]);
      await put(child(), efi, { from: 0, ...FIRST });
      await expectSound(child());
      await expectQemuSame(image(), folder.file('before.raw'));
      await run('verify', image(), folder.file('before.json'));
      expect(await compare(image(), child())).toMatchObject({ equal: false, partitions: [{ number: 1 }] });
      const flat = folder.file('flat.vhd');
      await run('convert', child(), flat, '-q');
      await expectQemuSame(flat, truth());
    });

    it('takes the child in', async () => {
      await run('merge', child(), '--delete-merged', '-q');
      await expectSound(image());
      await expectQemuSame(image(), truth());
      await expectFileSystem(image());
      expect((await vhd(['verify', image(), folder.file('before.json')])).code).toBe(1);
    });

    it('grows, and its partition table with it', async () => {
      await run('resize', image(), `${GROWN}`, '-q');
      const grown = folder.file('grown.raw');
      await run('convert', image(), grown, '-q');
      const [before, after] = [await readFile(truth()), await readFile(grown)];
      const end = SECOND.start + SECOND.length;
      expect(after.subarray(FIRST.start, end).equals(before.subarray(FIRST.start, end))).toBe(true);
      expect(after.length).toBe(GROWN);
      await rename(grown, truth());
      expect((await runPeer('sgdisk', ['-v', truth()])).stdout).toContain('No problems found');
      await expectSound(image());
      await expectQemuSame(image(), truth());
      expect(await vhdiSize(image())).toBe(GROWN);
    });

    it('gives room back', async () => {
      const room = { from: 0, length: 8 * MiB, start: SIZE + MiB };
      const [noise, zeros] = [folder.file('noise.raw'), await emptyFile('zeros.raw', room.length)];
      const { size: sizeBefore } = await stat(image());
      await writeFile(noise, pattern(room.length, 5));
      await put(image(), noise, room);
      await put(image(), zeros, room);
      expect((await stat(image())).size).toBeGreaterThan(sizeBefore + 6 * MiB);
      await run('compact', image(), '-q');
      expect((await stat(image())).size).toBeLessThanOrEqual(sizeBefore);
      await expectSound(image());
      await expectQemuSame(image(), truth());
      await expectFileSystem(image());
    });

    it('is handed on as other images with the same bytes', async () => {
      const [fixed, raw] = [folder.file('fixed.vhd'), folder.file('copy.raw')];
      await run('convert', image(), fixed, '--to', 'fixed', '-q');
      await run('convert', fixed, raw, '-q');
      await run('hash', image(), '-o', folder.file('after.json'), '-q');
      for (const path of [fixed, raw]) {
        await run('verify', path, folder.file('after.json'));
        expect(await run('compare', image(), path)).toContain(': equal\n');
      }
      await expectSound(fixed);
      await expectQemuSame(fixed, truth());
      for (const path of [image(), fixed]) {
        await runPeer('7z', ['t', '-tvhd', path]);
        expect(await vhdiSize(path)).toBe(GROWN);
      }
      expect((await runPeer('sgdisk', ['-v', raw])).stdout).toContain('No problems found');
      await expectFileSystem(fixed);
    });
  },
);
