import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { warnOfUnflushed } from '../../../src/disk/abandoned.ts';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import type { VhdWarning } from '../../../src/errors.ts';
import { createVhd } from '../../../src/open.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { useTempFolder } from '../../support/temp.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Uses a disk and drops it; nothing outside holds it when this has returned. */
async function use(
  end: 'dropped' | 'flushed' | 'closed' | 'closed meanwhile',
  warnings: VhdWarning[],
  byteLength: number,
): Promise<void> {
  const storage = new MemoryStorage(buildImage({ size: 40 * 4096, blockSize: 4096 }), { name: end });
  const disk = await openVhdStorage(storage, { writable: true, onWarning: (warning) => warnings.push(warning) });
  const write = disk.write(pattern(byteLength), 0);
  if (end === 'closed meanwhile') await Promise.all([disk.flush(), disk.close()]);
  await write;
  if (end === 'flushed') await disk.flush();
  if (end === 'closed') await disk.close();
}

describe('a disk that is garbage-collected', () => {
  it('warns if what was written to it was not flushed, and else does not', async () => {
    const warnings: VhdWarning[] = [];
    for (const byteLength of [10, 3 * 4096]) {
      await use('closed meanwhile', warnings, byteLength);
      await use('closed', warnings, byteLength);
      await use('flushed', warnings, byteLength);
      await use('dropped', warnings, byteLength);
    }
    for (let attempt = 0; attempt < 100 && warnings.length < 2; attempt++) {
      collectGarbage();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(warnings).toHaveLength(2);
    for (const warning of warnings) expect(warning).toMatchObject({ code: 'WARN_VHD_UNFLUSHED', storage: 'dropped' });
  });
});

describe('a disk that is open when the program ends', () => {
  const temp = useTempFolder('abandoned');

  it('warns, once, if what was written to it was not flushed', async () => {
    const warnings: VhdWarning[] = [];
    const onWarning = (warning: VhdWarning): void => void warnings.push(warning);
    const open = (name: string) =>
      openVhdStorage(new MemoryStorage(buildImage({ size: 40 * 4096, blockSize: 4096 }), { name }), {
        writable: true,
        onWarning,
      });
    const disks = [await open('untouched'), await open('flushed'), await open('unflushed'), await open('closed')];
    for (const disk of disks.slice(1)) await disk.write(pattern(10), 0);
    await disks[1]?.flush();
    await disks[3]?.close();
    warnOfUnflushed();
    warnOfUnflushed();
    expect(warnings).toEqual([
      {
        code: 'WARN_VHD_UNFLUSHED',
        storage: 'unflushed',
        message: expect.stringContaining('ends without closing the disk') as string,
      },
    ]);
    for (const disk of disks) await disk.close();
  });

  it('is asked for before the process exits', async () => {
    const disk = await createVhd(temp.file('disk.vhd'), { size: 2 ** 20 });
    expect(process.listeners('beforeExit')).toContain(warnOfUnflushed);
    await disk.close();
  });
});
