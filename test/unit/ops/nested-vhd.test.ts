// A fixed disk whose guest keeps a VHD at its very start: with its footer damaged or displaced it is not to be taken for that one.
import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { VhdError } from '../../../src/errors.ts';
import { encodeFooter } from '../../../src/format/footer.ts';
import { newFooter } from '../../../src/format/new-footer.ts';
import { openVhd } from '../../../src/open.ts';
import { check } from '../../../src/ops/check.ts';
import { compact } from '../../../src/ops/compact.ts';
import { createImage } from '../../../src/ops/create.ts';
import { merge } from '../../../src/ops/merge.ts';
import { repair } from '../../../src/ops/repair.ts';
import { resize } from '../../../src/ops/resize.ts';
import { buildImage } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { useTempFolder } from '../../support/temp.ts';

const MiB = 1024 ** 2;
const KiB = 1024;
const DISK_BYTES = 4 * MiB;
/** Where the data of the first block begins in an image of 8 MiB. */
const DATA_OFFSET = 2560;

function inner(blockSize: number): Uint8Array {
  return buildImage({ size: 4 * blockSize, blockSize, blocks: [{ index: 3, data: 4 }] });
}

/** Where the blocks of the guest's image end. */
function usedEndOf(blockSize: number): number {
  return inner(blockSize).length - 512;
}

/** A fixed disk with other data behind the guest's image. */
function nested(blockSize: number): Buffer {
  const guest = pattern(DISK_BYTES, 9);
  guest.set(inner(blockSize));
  const identity = { uniqueId: new Uint8Array(16).fill(7), timestamp: 700_000_000 };
  return Buffer.concat([guest, encodeFooter(newFooter({ type: 'fixed', size: DISK_BYTES, ...identity }))]);
}

const outer = nested(64 * KiB);

/** The footer with other bytes at an offset. */
function damaged(offset: number, ...bytes: number[]): Buffer {
  const image = Buffer.from(outer);
  image.set(bytes, DISK_BYTES + offset);
  return image;
}

const DAMAGED: Record<string, Buffer> = {
  'a byte appended': Buffer.concat([outer, Buffer.of(1)]),
  'zeros appended': Buffer.concat([outer, Buffer.alloc(4096)]),
  'other bytes appended': Buffer.concat([outer, pattern(70_000, 3)]),
  'nearly a MiB appended': Buffer.concat([outer, pattern(MiB - 512, 3)]),
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
      remedy: expect.stringContaining(`head -c ${DISK_BYTES} `) as string,
    });
    expect((await check(path())).findings[0]).toMatchObject({ rule: 'footer.copy-contradicts', severity: 'error' });
    expect(await repair(path())).toMatchObject({ changed: false, ok: false });
    await expect(compact(path())).rejects.toThrow(VhdError);
    expect(Buffer.compare(await readFile(path()), image)).toBe(0);
    // Who knows better may say so.
    await using disk = await openVhd(path(), { footer: 'start' });
    expect(disk.size).toBe(256 * KiB);
  });

  it.each([1, 20, 100, 427, 448, 450, 488])('is not opened as that without its last %d bytes', async (byteLength) => {
    await writeFile(path(), outer.subarray(0, -byteLength));
    await expect(openVhd(path())).rejects.toMatchObject({ code: 'ERR_VHD_FOOTERS_DISAGREE' });
  });

  it('is not opened as that without the cookie of its footer, and with a byte more changed', async () => {
    const image = damaged(0, 0, 0, 0, 0, 0, 0, 0, 0);
    image.set([0x5a], DISK_BYTES + 70);
    await writeFile(path(), image);
    await expect(openVhd(path())).rejects.toMatchObject({ code: 'ERR_VHD_FOOTERS_DISAGREE' });
  });

  it.each([16, 50, 60, 63, 70])('is not opened as that with byte %d of its footer changed', async (offset) => {
    await writeFile(path(), damaged(offset, 0x5a));
    await expect(openVhd(path())).rejects.toMatchObject({ code: 'ERR_VHD_FOOTERS_DISAGREE' });
  });

  describe.each([64 * KiB, 2 * MiB])('without its end, around an image of blocks of %d bytes', (blockSize) => {
    const whole = nested(blockSize);

    it.each([512, 4096, 100_000])('is neither cut nor given a footer without its last %d bytes', async (byteLength) => {
      const image = whole.subarray(0, -byteLength);
      await writeFile(path(), image);
      const { findings } = await check(path());
      expect(findings.map(({ rule }) => rule)).toContain('footer.end-missing');
      expect(findings.filter(({ remedy }) => /^vhd (?:compact|repair(?!.*--footer start))/.test(remedy))).toEqual([]);
      expect(await repair(path())).toMatchObject({ changed: false, ok: false });
      const refused = { code: 'ERR_VHD_FOOTERS_DISAGREE', remedy: expect.stringContaining('vhd repair') as string };
      await expect(compact(path())).rejects.toMatchObject(refused);
      await expect(resize(path(), { size: 16 * MiB })).rejects.toMatchObject(refused);
      expect(Buffer.compare(await readFile(path()), image)).toBe(0);
    });

    it('keeps what is behind the blocks when the guest’s image is written to, or merged into', async () => {
      const image = whole.subarray(0, -512);
      await writeFile(path(), image);
      await createImage(temp.file('child.vhd'), { parent: path(), force: true });
      await using child = await openVhd(temp.file('child.vhd'), { writable: true });
      await child.write(pattern(4096, 5), 0);
      await child.close();
      await expect(merge(temp.file('child.vhd'))).rejects.toMatchObject({ code: 'ERR_VHD_FOOTERS_DISAGREE' });
      expect(Buffer.compare(await readFile(path()), image)).toBe(0);

      await using disk = await openVhd(path(), { writable: true });
      await disk.write(pattern(4096, 5), 0);
      await disk.close();
      const [before, after] = [
        image.subarray(usedEndOf(blockSize)),
        (await readFile(path())).subarray(usedEndOf(blockSize)),
      ];
      expect(Buffer.compare(after.subarray(0, before.length), before)).toBe(0);
      expect(after.length).toBeGreaterThan(before.length);
      await using again = await openVhd(path());
      expect(await again.readBytes(0, 4096)).toEqual(pattern(4096, 5));
    });

    it('is not made the guest’s image where a part of it is missing', async () => {
      const image = Buffer.concat([whole.subarray(0, 3 * MiB), whole.subarray(3 * MiB + 700_416)]);
      await writeFile(path(), image);
      expect((await check(path())).findings[0]).toMatchObject({ rule: 'footer.copy-contradicts' });
      expect(await repair(path())).toMatchObject({ changed: false, ok: false });
      expect(Buffer.compare(await readFile(path()), image)).toBe(0);
    });
  });

  const cut = Buffer.from(inner(64 * KiB).subarray(0, -512));
  const TAILS: Record<string, Buffer> = {
    'far behind the blocks, in the last sector': Buffer.concat([cut, Buffer.alloc(MiB), pattern(512, 7)]),
    'behind zeros, less than a sector': Buffer.concat([cut, Buffer.alloc(4096), pattern(400, 7)]),
    'less than a sector': Buffer.concat([cut, pattern(100, 7)]),
    'in the place of the footer': Buffer.concat([cut, pattern(512, 7)]),
  };

  it.each(Object.keys(TAILS))('and has lost its end keeps other data %s', async (name) => {
    const image = TAILS[name] ?? cut;
    const kept = image.subarray(cut.length);
    await writeFile(path(), image);
    await expect(compact(path())).rejects.toMatchObject({ code: 'ERR_VHD_FOOTERS_DISAGREE' });
    expect(await repair(path())).toMatchObject({ changed: false, ok: false });
    await using disk = await openVhd(path(), { writable: true });
    await disk.write(pattern(4096, 5), 0);
    await disk.close();
    expect(Buffer.compare((await readFile(path())).subarray(cut.length, image.length), kept)).toBe(0);
  });

  it('within a block of a dynamic image is not taken for the disk, whose end is lost', async () => {
    // Its footer says its own size, and stands elsewhere; and it is not where the file ends.
    const data = pattern(2 * MiB, 3);
    data.set(outer.subarray(-512 - MiB), 512);
    // And one of a dynamic disk that by chance is as large as its place is far.
    const place = MiB + 8192;
    const identity = { uniqueId: new Uint8Array(16).fill(8), timestamp: 700_000_000 };
    const other = encodeFooter(newFooter({ type: 'dynamic', size: DATA_OFFSET + place, ...identity }));
    data.set(other, place);
    const image = buildImage({ size: 8 * MiB, blocks: [{ index: 1, data }], endFooter: 'none' });
    expect(Buffer.compare(image.subarray(DATA_OFFSET + place, DATA_OFFSET + place + 512), other)).toBe(0);
    await writeFile(path(), image);
    await using disk = await openVhd(path());
    expect(Buffer.compare(await disk.readBytes(2 * MiB, 2 * MiB), data)).toBe(0);
  });
});

describe('an image that is no guest’s', () => {
  const temp = useTempFolder('nested-none');
  const path = (): string => temp.file('disk.vhd');

  describe.each([8, 16, 20, 24, 32, 48, 60, 64, 80])('with %d bytes left of its footer', (byteLength) => {
    const whole = Buffer.from(inner(64 * KiB));
    it.each([0, 0xff, undefined])('is read when %s follows', async (fill) => {
      const image = Buffer.from(whole);
      const rest = fill === undefined ? pattern(512 - byteLength, 3) : Buffer.alloc(512 - byteLength, fill);
      image.set(rest, whole.length - 512 + byteLength);
      await writeFile(path(), image);
      const disk = await openVhd(path());
      expect(disk.size).toBe(256 * KiB);
      await disk.close();
      expect(await repair(path())).toMatchObject({ changed: true, ok: true });
      expect(Buffer.compare(await readFile(path()), whole)).toBe(0);
    });
  });
});
