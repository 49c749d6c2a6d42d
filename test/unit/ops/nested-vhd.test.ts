// A fixed disk whose guest keeps a VHD at its very start: with its footer damaged or displaced it is not to be taken for that one.
import { readFile, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { VhdError } from '../../../src/errors.ts';
import { encodeFooter } from '../../../src/format/footer.ts';
import { newFooter } from '../../../src/format/new-footer.ts';
import { openVhd } from '../../../src/open.ts';
import { check } from '../../../src/ops/check.ts';
import { compact } from '../../../src/ops/compact.ts';
import { repair } from '../../../src/ops/repair.ts';
import { buildImage } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { useTempFolder } from '../../support/temp.ts';

const MiB = 1024 ** 2;
const inner = buildImage({ size: MiB, blockSize: 64 * 1024, blocks: [{ index: 3, data: 4 }] });
const guest = pattern(3 * MiB, 9);
guest.set(inner);
const footer = encodeFooter(
  newFooter({ type: 'fixed', size: guest.length, uniqueId: new Uint8Array(16).fill(7), timestamp: 700_000_000 }),
);
const outer = Buffer.concat([guest, footer]);

/** The footer with other bytes at an offset. */
function damaged(offset: number, ...bytes: number[]): Buffer {
  const image = Buffer.from(outer);
  image.set(bytes, guest.length + offset);
  return image;
}

const DAMAGED: Record<string, Buffer> = {
  'a byte appended': Buffer.concat([outer, Buffer.of(1)]),
  'zeros appended': Buffer.concat([outer, Buffer.alloc(4096)]),
  'other bytes appended': Buffer.concat([outer, pattern(70_000, 3)]),
  'its cookie gone': damaged(0, 0, 0, 0, 0, 0, 0, 0, 0),
  'its checksum gone': damaged(64, 0, 0, 0, 0),
};

describe('a fixed disk that begins with a VHD', () => {
  const temp = useTempFolder('nested-vhd');
  const path = (): string => temp.file('disk.vhd');

  it.each(Object.keys(DAMAGED))('is not opened as that with %s, nor made that by a repair', async (name) => {
    const image = DAMAGED[name] ?? outer;
    await writeFile(path(), image);
    await expect(openVhd(path())).rejects.toMatchObject({
      code: 'ERR_VHD_FOOTERS_DISAGREE',
      remedy: expect.stringContaining(`head -c ${guest.length} `) as string,
    });
    expect((await check(path())).findings[0]).toMatchObject({ rule: 'footer.copy-contradicts', severity: 'error' });
    expect(await repair(path())).toMatchObject({ changed: false, ok: false });
    await expect(compact(path())).rejects.toThrow(VhdError);
    expect(Buffer.compare(await readFile(path()), image)).toBe(0);
    // Who knows better may say so.
    await using disk = await openVhd(path(), { footer: 'start' });
    expect(disk.size).toBe(MiB);
  });

  it.each([512, 4096, 100_000])('is neither cut nor given a footer without its last %d bytes', async (byteLength) => {
    const image = outer.subarray(0, -byteLength);
    await writeFile(path(), image);
    const { findings } = await check(path());
    expect(findings.map(({ rule }) => rule)).toContain('footer.end-missing');
    expect(findings.filter(({ remedy }) => /^vhd (?:compact|repair(?!.*--footer start))/.test(remedy))).toEqual([]);
    expect(await repair(path())).toMatchObject({ changed: false, ok: false });
    await expect(compact(path())).rejects.toThrow(VhdError);
    expect(Buffer.compare(await readFile(path()), image)).toBe(0);
  });

  describe('whose own footer is damaged, with the checksum right', () => {
    let image: Buffer;
    beforeAll(() => {
      image = Buffer.concat([guest.subarray(0, MiB), guest.subarray(2 * MiB), footer]);
    });

    it('is not made that by a repair where a part of it is missing', async () => {
      await writeFile(path(), image);
      expect(await repair(path())).toMatchObject({ changed: false, ok: false });
      expect(Buffer.compare(await readFile(path()), image)).toBe(0);
    });
  });
});
