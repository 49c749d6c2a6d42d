// Verbs that write a new image: what changes in the old one meanwhile must not end up in it in part.
import { readdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { openVhd } from '../../../src/open.ts';
import { compact } from '../../../src/ops/compact.ts';
import { convert } from '../../../src/ops/convert.ts';
import { createImage } from '../../../src/ops/create.ts';
import { repair } from '../../../src/ops/repair.ts';
import { resize } from '../../../src/ops/resize.ts';
import { pattern } from '../../support/bytes.ts';
import { useTempFolder } from '../../support/temp.ts';

const MiB = 1024 ** 2;
type Shape = 'fixed' | 'dynamic' | 'differencing';
interface Options {
  readonly output: string;
  readonly lock: false;
}
const VERBS: Record<string, (path: string, options: Options) => Promise<unknown>> = {
  compact: (path, options) => compact(path, options),
  repair: (path, options) => repair(path, options),
  resize: (path, options) => resize(path, { ...options, size: 48 * MiB }),
  convert: (path, { output, lock }) => convert(path, output, { to: 'dynamic', lock }),
};

describe('a new image made of one that another program writes to', () => {
  const temp = useTempFolder('output-watched');

  async function imageOf(type: Shape): Promise<string> {
    const [path, parent] = [temp.file(`${type}.vhd`), temp.file('parent.vhd')];
    if (type === 'differencing') {
      await createImage(parent, { type: 'dynamic', size: 32 * MiB, force: true });
      await createImage(path, { parent, force: true });
    } else await createImage(path, { type, size: 32 * MiB, force: true });
    await using disk = await openVhd(path, { writable: true });
    for (let start = 0; start < disk.size; start += 2 * MiB) await disk.write(pattern(2 * MiB, 1 + start / MiB), start);
    return path;
  }

  /** Makes the new image, and writes into a file as soon as there is something of it. */
  async function expectRefused(verb: string, path: string, changed: string): Promise<void> {
    const before = readdirSync(temp.path);
    const done = { is: false };
    const made = VERBS[verb]?.(path, { output: temp.file(`new-${verb}.vhd`), lock: false });
    const refused = expect(made?.finally(() => (done.is = true))).rejects.toMatchObject({
      code: 'ERR_VHD_SOURCE_CHANGED',
    });
    while (!done.is && readdirSync(temp.path).length === before.length) await nextTurn();
    await writeInto(changed);
    await refused;
    expect(readdirSync(temp.path)).toEqual(before);
  }

  for (const type of ['fixed', 'dynamic', 'differencing'] as const) {
    it.each(Object.keys(VERBS))(`is not there: ${type}, by %s`, async (verb) => {
      const path = await imageOf(type);
      await expectRefused(verb, path, path);
    });
  }

  it('is not there where it is a parent that was written to', async () => {
    await expectRefused('resize', await imageOf('differencing'), temp.file('parent.vhd'));
  });
});

/** Writes into the middle of the file, where there is data. */
async function writeInto(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.write(pattern(4096, 99), 0, 4096, 16 * MiB);
    await file.sync();
  } finally {
    await file.close();
  }
}
