// QEMU and we keep each other from an image: one writes, or all read.
import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { createVhd, openVhd } from '../../src/open.ts';
import { vhd } from '../support/cli.ts';
import { type Holder, holderOf, whyNoLocks } from '../support/locks.ts';
import { describeWithPeers, findProgram, runPeer, stub } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('interop-locks');
const noLocks = await whyNoLocks();
let image: string;

beforeAll(async () => {
  image = folder.file('disk.vhd');
  await (await createVhd(image, { size: 16 * 1024 ** 2 })).close();
});

/** A qemu-io that has the image open: it says so by asking what to do. */
function qemuHolds(...flags: readonly string[]): Promise<Holder> {
  const args = [...flags, '-f', 'vpc', image];
  return holderOf(spawn(findProgram('qemu-io') ?? 'qemu-io', args, { stdio: ['pipe', 'pipe', 'inherit'] }));
}

async function qemu(...[name = '', ...args]: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runPeer(name, [...args, image], { anyCode: true });
  const refusal = /Failed to get (shared )?"\w+" lock/.exec(stderr + stdout);
  return refusal === null ? `ended with ${code ?? '?'}` : 'refused';
}

const qemuReads = (): Promise<string> => qemu('qemu-img', 'info', '-f', 'vpc');
const qemuWrites = (): Promise<string> => qemu('qemu-io', '-f', 'vpc', '-c', 'write 0 512');

async function outcome(opening: Promise<{ close(): Promise<void> }>): Promise<string> {
  return opening.then(
    async (disk) => {
      await disk.close();
      return 'opened';
    },
    (error: unknown) => (error instanceof Error ? error.message : 'no error'),
  );
}

if (noLocks !== undefined) stub('QEMU and we', noLocks);
else {
  describeWithPeers(['qemu-img', 'qemu-io'], 'an image', () => {
    test('that QEMU writes to is refused, and shown with a warning', async () => {
      const holder = await qemuHolds();
      const message = 'it is in use: another program, or another opening in this one, is writing to it';
      expect(await outcome(openVhd(image))).toBe(message);
      expect(await outcome(openVhd(image, { writable: true }))).toBe(message);
      expect(await outcome(openVhd(image, { lock: false }))).toBe('opened');
      const { code, stdout } = await vhd(['info', image]);
      expect([code, stdout]).toEqual([0, expect.stringContaining('another program is writing to the file')]);
      await holder.end();
      expect(await outcome(openVhd(image, { writable: true }))).toBe('opened');
    });

    test('that QEMU writes to is not replaced', async () => {
      const holder = await qemuHolds();
      const before = statSync(image).ino;
      const { code, stderr } = await vhd(['create', image, '1M', '--force']);
      expect([code, stderr]).toEqual([3, expect.stringContaining('is writing to it')]);
      expect(statSync(image).ino).toBe(before);
      await holder.end();
      expect((await vhd(['create', image, '1M', '--force'])).code).toBe(0);
    });

    test('that QEMU reads is read, and not written to', async () => {
      const holder = await qemuHolds('-r');
      expect(await outcome(openVhd(image))).toBe('opened');
      const message = 'it is in use: another program, or another opening in this one, is reading it';
      expect(await outcome(openVhd(image, { writable: true }))).toBe(message);
      await holder.end('SIGKILL');
      expect(await outcome(openVhd(image, { writable: true }))).toBe('opened');
    });

    test('that we write to is refused by QEMU', async () => {
      const disk = await openVhd(image, { writable: true });
      expect([await qemuReads(), await qemuWrites()]).toEqual(['refused', 'refused']);
      await disk.close();
      expect([await qemuReads(), await qemuWrites()]).toEqual(['ended with 0', 'ended with 0']);
    });

    test('that we read is read by QEMU, and not written to', async () => {
      const disk = await openVhd(image);
      expect([await qemuReads(), await qemuWrites()]).toEqual(['ended with 0', 'refused']);
      await disk.close();
      expect(await qemuWrites()).toBe('ended with 0');
    });
  });
}
