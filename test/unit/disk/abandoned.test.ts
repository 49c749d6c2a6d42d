import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import type { VhdWarning } from '../../../src/errors.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';

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
