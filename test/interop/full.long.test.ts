// A file system that is full: a clear error, and what was flushed is there.
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { VhdError } from '../../src/errors.ts';
import { createVhd, openVhd } from '../../src/open.ts';
import { bytesOf } from '../crash/program.ts';
import { vhd } from '../support/cli.ts';
import { contradiction, History } from '../support/history.ts';
import { mountNew } from '../support/loop.ts';
import { runPeer, whyMissing } from '../support/peers.ts';
import { writeSparse } from '../support/sparse-files.ts';
import { useTempFolder } from '../support/temp.ts';

const MiB = 1024 * 1024;
const DISK_SIZE = 48 * MiB;

const { path: folder = '', reason } = mountNew('mkfs.ext4', 24 * MiB);

describe.skipIf(reason !== undefined)(
  `on a full file system${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  () => {
    const temp = useTempFolder('full');
    const at = (name: string): string => join(folder, name);
    const names = (): string[] => readdirSync(folder).filter((name) => name !== 'lost+found');

    afterEach(() => {
      for (const name of names()) rmSync(at(name));
    });

    it.each([
      { what: 'large writes', length: 300_000, durability: 'flush' },
      { what: 'small writes, which are gathered', length: 40_000, durability: 'flush' },
      { what: 'durability always', length: 200_000, durability: 'always' },
    ] as const)('a disk says so and keeps what was flushed: $what', async ({ length, durability }) => {
      const image = at('disk.vhd');
      const disk = await createVhd(image, { size: DISK_SIZE, blockSize: 512 * 1024, durability });
      const history = new History(new Uint8Array(DISK_SIZE), durability);
      let flushes = 0;
      const write = async (index: number): Promise<void> => {
        const position = (index * 523_000) % (DISK_SIZE - length);
        const bytes = bytesOf({ length, fill: index + 1 });
        const outcome = history.begin(position, bytes);
        await disk.write(bytes, position).catch((error: unknown) => {
          outcome.failed();
          throw error;
        });
        outcome.resolved();
        if (index % 7 !== 6) return;
        const done = history.beginFlush();
        await disk.flush();
        done();
        flushes++;
      };
      const fill = async (): Promise<void> => {
        for (let index = 0; index < 10_000; index++) await write(index);
      };
      const error = await fill().catch((caught: unknown) => caught);
      expect(systemCodes(error)).toContain('ENOSPC');
      expect(flushes).toBeGreaterThan(2);
      await expectAllOrNothing(disk);
      await disk.close().catch(() => undefined);
      await expectLeft(image, history);
      if (whyMissing('qemu-img') === undefined) await runPeer('qemu-img', ['info', '-f', 'vpc', image]);
    });

    it('vhd write fails with exit code 4, and what was on the disk before is there', async () => {
      const [image, source] = [at('disk.vhd'), temp.file('source.raw')];
      writeSparse(source, 30 * MiB, [[0, bytesOf({ length: 30 * MiB, fill: 5 })]]);
      const disk = await createVhd(image, { size: DISK_SIZE });
      const history = new History(new Uint8Array(DISK_SIZE));
      const before = bytesOf({ length: 100_000, fill: 9 });
      history.begin(40 * MiB, before).resolved();
      await disk.write(before, 40 * MiB);
      await disk.close();
      history.beginFlush()();
      history.begin(0, bytesOf({ length: 30 * MiB, fill: 5 }));
      const { code, stderr } = await vhd(['write', image, source, '--start', '0']);
      expect({ code, stderr }).toMatchObject({ code: 4, stderr: expect.stringMatching(/ENOSPC|no space/i) as string });
      await expectLeft(image, history);
    });

    it.each(['dynamic', 'fixed', 'raw'])(
      'vhd convert to %s fails with exit code 4 and leaves nothing',
      async (type) => {
        const source = temp.file('large.raw');
        writeSparse(source, 40 * MiB, [[0, bytesOf({ length: 40 * MiB, fill: 6 })]]);
        const { code, stderr } = await vhd(['convert', source, at('target.img'), '--to', type]);
        expect({ code, stderr }).toMatchObject({
          code: 4,
          stderr: expect.stringMatching(/ENOSPC|no space/i) as string,
        });
        expect(names()).toEqual([]);
      },
    );

    /** After the failure every call is refused, or all of them work. */
    async function expectAllOrNothing(disk: Awaited<ReturnType<typeof createVhd>>): Promise<void> {
      const codes: string[] = [];
      for (const call of [() => disk.readBytes(0, 10), () => disk.flush(), () => disk.readBytes(5, 10)]) {
        codes.push(await call().then(() => 'fine', codeOf));
      }
      expect([['fine', 'fine', 'fine'], Array(3).fill('ERR_VHD_POISONED')]).toContainEqual(codes);
    }

    async function expectLeft(image: string, history: History): Promise<void> {
      // So that what is read comes from the medium.
      execFileSync('sync', ['-f', folder]);
      await using disk = await openVhd(image);
      expect(disk.findings.filter((item) => item.severity === 'error')).toEqual([]);
      expect(contradiction(history.expectation(), await disk.readBytes(0, DISK_SIZE))).toBeUndefined();
    }
  },
);

function codeOf(error: unknown): string {
  return error instanceof VhdError ? error.code : String(error);
}

/** The codes of an error and of what caused it. */
function systemCodes(error: unknown): unknown[] {
  const codes: unknown[] = [];
  for (let each = error; each instanceof Error; each = each.cause) codes.push((each as NodeJS.ErrnoException).code);
  return codes;
}
