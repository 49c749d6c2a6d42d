// compare as it is called: its options, how it is stopped, and what is not read.
import { copyFile, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { openVhd } from '../../../src/open.ts';
import { type CompareOptions, compare } from '../../../src/ops/compare.ts';
import { convert } from '../../../src/ops/convert.ts';
import { pattern } from '../../support/bytes.ts';
import { useTempFolder } from '../../support/temp.ts';

const folder = useTempFolder('compare-calls');
const MiB = 1024 ** 2;

beforeAll(async () => {
  await writeFile(folder.file('disk.raw'), pattern(3 * MiB));
  await convert(folder.file('disk.raw'), folder.file('disk.vhd'), { to: 'dynamic' });
  await copyFile(folder.file('disk.vhd'), folder.file('changed.vhd'));
  const disk = await openVhd(folder.file('changed.vhd'), { writable: true });
  await disk.write(new Uint8Array(512), MiB);
  await disk.close();
});

describe('compare', () => {
  it('takes every option there is', async () => {
    const heard = { ranges: 0, done: 0 };
    const options: Required<CompareOptions> = {
      ...{ ignoreTail: true, first: false, maxRanges: 5, fromA: 'raw', fromB: 'vhd', from: 'vhd', pad: true },
      ...{ footer: undefined, sizeFrom: undefined, bitmap: 'strict', lock: true, parentDirs: [folder.path] },
      ...{ followParents: true, strictParent: true, maxChainLength: 2, allowRawParent: true },
      onRange: () => {
        heard.ranges++;
      },
      onProgress: ({ doneBytes }) => {
        heard.done = doneBytes;
      },
      onWarning: () => undefined,
      signal: new AbortController().signal,
    };
    const found = await compare(folder.file('disk.raw'), folder.file('changed.vhd'), options);
    expect(found.ranges).toEqual([{ start: MiB, length: 512, partitions: [] }]);
    expect(heard).toEqual({ ranges: 1, done: 3 * MiB });
  });

  it('is stopped by its signal, before and in the middle', async () => {
    const [a, b] = [folder.file('disk.raw'), folder.file('changed.vhd')];
    await expect(compare(a, b, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
    const controller = new AbortController();
    const options = { signal: controller.signal, onRange: () => controller.abort(new Error('stopped')) };
    await expect(compare(a, b, options)).rejects.toThrow('stopped');
    await openVhd(b, { writable: true }).then((disk) => disk.close());
  });
});
