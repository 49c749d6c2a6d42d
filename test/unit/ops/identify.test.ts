import { describe, expect, it } from 'vitest';
import { encodeFooter, type Footer } from '../../../src/format/footer.ts';
import { newFooter } from '../../../src/format/new-footer.ts';
import type { VhdType } from '../../../src/format/spec.ts';
import type { Identification } from '../../../src/ops/identification.ts';
import { type IdentifyOptions, identify } from '../../../src/ops/identify.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage, footerOf, IMAGE_UUID, type ImageShape } from '../../support/build-image.ts';
import { fromHex, pattern } from '../../support/bytes.ts';
import { ProbeStorage } from '../../support/probe-storage.ts';
import { Random } from '../../support/seed.ts';

const KIB = 1024;
const MIB = 1024 ** 2;
const SHAPE: ImageShape = { size: 6 * MIB, blockSize: 64 * KIB, blocks: [{ index: 3 }, { index: 1 }] };

async function idOf(bytes: Uint8Array, name = 'memory', options?: IdentifyOptions): Promise<Identification> {
  return identify(new MemoryStorage(bytes, { name }), options);
}

/** A fixed image, its disk filled with something. */
function fixedImage(size: number, changes: Partial<Footer> = {}, data: Uint8Array = pattern(size)): Uint8Array {
  const footer = newFooter({ type: 'fixed', size, uniqueId: IMAGE_UUID, timestamp: 724_000_000 });
  return Buffer.concat([data, encodeFooter({ ...footer, ...changes })]);
}

/** The same bytes with some of them replaced. */
function patched(bytes: Uint8Array, offset: number, patch: Uint8Array | string): Uint8Array {
  const changed = Uint8Array.from(bytes);
  changed.set(
    typeof patch === 'string' ? Buffer.from(patch, 'latin1') : patch,
    offset < 0 ? bytes.length + offset : offset,
  );
  return changed;
}

const differencing = (): Uint8Array => {
  const parentNameBytes = new Uint8Array(512);
  parentNameBytes.set(Buffer.from('C:\\base.vhd', 'utf16le').swap16());
  return buildImage({ ...SHAPE, footer: { diskType: 4 }, header: { parentUniqueId: IMAGE_UUID, parentNameBytes } });
};

describe('a sound VHD', () => {
  it('is told in one line, and in fields', async () => {
    const image = fixedImage(10 * MIB, {}, new Uint8Array(10 * MIB));
    expect(await idOf(image)).toMatchObject({
      path: 'memory',
      kind: 'vhd-fixed',
      mime: 'application/x-virtualbox-vhd',
      fileSize: image.length,
      virtualSize: 10 * MIB,
      type: 'fixed',
      creator: 'win ',
      creatorVersion: '10.0',
      created: '2022-12-10T15:06:40Z',
      footerOffset: 10 * MIB,
      excessBytes: null,
      nameMismatch: null,
      problems: [],
      remedy: null,
    });
    expect((await idOf(image)).detail).toMatch(/^fixed VHD, 10 MiB, creator 'win ' 10\.0, made 2022-12-10, /);
  });

  it('is dynamic or differencing as its footer says; what is in the latter is in its parent', async () => {
    const dynamic = buildImage(SHAPE);
    expect(await idOf(dynamic)).toMatchObject({
      kind: 'vhd-dynamic',
      footerOffset: dynamic.length - 512,
      problems: [],
    });
    expect(await idOf(differencing())).toMatchObject({
      kind: 'vhd-differencing',
      parent: 'C:\\base.vhd',
      contents: null,
      problems: [],
    });
    expect((await idOf(differencing())).detail).toContain("parent 'C:\\base.vhd'");
  });

  it('may have a footer of 511 bytes', async () => {
    expect(await idOf(buildImage({ ...SHAPE, isLegacyEnd: true }))).toMatchObject({
      kind: 'vhd-dynamic',
      problems: [expect.stringContaining('511 bytes')],
    });
  });

  it('comes before everything that its disk begins with', async () => {
    for (const magic of ['PK\x03\x04', 'vhdxfile', 'QFI\xfb\0\0\0\x03']) {
      expect(await idOf(patched(fixedImage(MIB), 0, magic))).toMatchObject({ kind: 'vhd-fixed' });
    }
  });

  it('has no creator and no date where its maker wrote zeros', async () => {
    const image = fixedImage(MIB, { creatorApplication: '\0\0\0\0', timestamp: 0 });
    expect((await idOf(image)).detail).not.toMatch(/creator|made/);
  });

  it('of no bytes has nothing on its disk', async () => {
    expect(await idOf(fixedImage(0))).toMatchObject({
      kind: 'vhd-fixed',
      virtualSize: 0,
      contents: null,
      problems: [],
    });
  });
});

describe('a footer that is displaced', () => {
  it.each([1, 511, 512, 777, 65_536, MIB - 512])('is found behind %i bytes too many', async (count) => {
    for (const image of [
      fixedImage(256 * KIB),
      buildImage(SHAPE),
      buildImage({ ...SHAPE, startFooter: new Uint8Array(512) }),
    ]) {
      const type: VhdType = image.length === 256 * KIB + 512 ? 'fixed' : 'dynamic';
      const found = await idOf(Buffer.concat([image, new Uint8Array(count).fill(1)]), 'my disk.vhd');
      // Less than a sector is no part of a disk; what is more is something.
      const remedy =
        count < 512
          ? `truncate -s ${image.length} 'my disk.vhd'`
          : `head -c ${image.length} 'my disk.vhd' > 'my disk.vhd.vhd'`;
      expect(found).toMatchObject({
        ...{ kind: 'vhd-displaced-footer', type, footerOffset: image.length - 512, excessBytes: count, remedy },
        nameMismatch: null,
      });
      const follow = count < 512 ? 'too many follow' : 'B follow|bytes follow';
      expect(found.detail).toMatch(new RegExp(`(?:${follow}) its footer \\(at offset ${image.length - 512}\\)`));
      expect(found.detail).toContain(remedy);
    }
  });

  it('is found where its last bytes are cut', async () => {
    const image = fixedImage(MIB);
    expect(await idOf(image.subarray(0, -100), 'a.vhd')).toMatchObject({
      ...{ kind: 'vhd-displaced-footer', type: 'fixed', excessBytes: -100, virtualSize: MIB },
      remedy: `truncate -s ${image.length} a.vhd`,
      problems: [expect.stringContaining('the last 100 bytes of its footer are cut off')],
    });
  });

  it('of a differencing image is named, but nobody is told to cut what could not be looked at', async () => {
    const found = await idOf(Buffer.concat([differencing(), new Uint8Array(99)]));
    expect(found).toMatchObject({ kind: 'vhd-displaced-footer', type: 'differencing', remedy: null });
  });

  it('is not an old one that blocks follow: cutting there would take them away', async () => {
    const image = buildImage({ ...SHAPE, blocks: [{ index: 1, data: 0 }, { index: 2 }], endFooter: 'none' });
    const middle = 4096;
    image.set(encodeFooter(footerOf(SHAPE)), middle);
    expect(await idOf(image)).toMatchObject({ kind: 'vhd-dynamic', footerOffset: null, remedy: null });
  });

  it('is not that of another image', async () => {
    const stray = encodeFooter({ ...footerOf(SHAPE), uniqueId: new Uint8Array(16).fill(9) });
    const image = Buffer.concat([buildImage({ ...SHAPE, endFooter: 'none' }), stray, new Uint8Array(99)]);
    expect(await idOf(image)).toMatchObject({ kind: 'vhd-dynamic', footerOffset: null });
  });

  it('is found however far back where a GPT tells the end of the disk', async () => {
    const gpt = patched(pattern(MIB), 512, 'EFI PART');
    new DataView(gpt.buffer).setBigUint64(512 + 32, BigInt(MIB / 512 - 1), true);
    const image = Buffer.concat([fixedImage(MIB, {}, gpt), new Uint8Array(5 * MIB)]);
    expect(await idOf(image)).toMatchObject({ kind: 'vhd-displaced-footer', footerOffset: MIB, excessBytes: 5 * MIB });
    new DataView(gpt.buffer).setBigUint64(512 + 32, 2n ** 63n, true);
    const lying = Buffer.concat([fixedImage(MIB, {}, gpt), new Uint8Array(5 * MIB)]);
    expect((await idOf(lying)).kind).not.toMatch(/^vhd/);
  });

  it('is looked for as far back as asked', async () => {
    const image = Buffer.concat([fixedImage(MIB), new Uint8Array(3 * MIB)]);
    expect((await idOf(image)).kind).not.toMatch(/^vhd/);
    expect(await idOf(image, 'memory', { searchBytes: 4 * MIB })).toMatchObject({ kind: 'vhd-displaced-footer' });
    const near = Buffer.concat([fixedImage(MIB), new Uint8Array(512)]);
    expect((await idOf(near, 'memory', { searchBytes: 0 })).kind).not.toMatch(/^vhd/);
  });
});

describe('a damaged VHD', () => {
  const dynamic = buildImage(SHAPE);
  const allBad = patched(patched(dynamic, 30, 'X'), -512 + 30, 'X');

  it.each([
    ['whose end is cut', dynamic.subarray(0, -512), 'vhd-dynamic', /copy at offset 0 is used/],
    ['whose end is damaged', patched(dynamic, -500, 'X'), 'vhd-dynamic', /copy at offset 0 is used/],
    ['whose copy is damaged', patched(dynamic, 30, 'X'), 'vhd-dynamic', /copy at offset 0 is missing or broken/],
    ['whose footers are both damaged', allBad, 'vhd-dynamic', /^damaged: the footer checksum/],
    ['whose only footer is damaged', patched(fixedImage(MIB), -400, 'X'), 'vhd-fixed', /^damaged: the footer checksum/],
    [
      'without footers',
      patched(patched(dynamic, 0, new Uint8Array(512)), -512, new Uint8Array(512)),
      'vhd-dynamic',
      /no footer/,
    ],
    ['that is cut short', fixedImage(MIB).subarray(512), 'vhd-fixed', /^damaged: the file holds fewer bytes/],
    ['whose header is damaged', patched(dynamic, 530, 'X'), 'vhd-dynamic', /^damaged: the dynamic header/],
    ['of an unknown type', fixedImage(MIB, { diskType: 9 }), 'vhd-fixed', /no known disk type/],
    [
      'of an unknown version',
      fixedImage(MIB, { formatVersion: 2 }),
      'vhd-fixed',
      /^cannot be opened: .*unknown format version/,
    ],
    [
      'that another program has open',
      patched(dynamic, -512, new Uint8Array(512).fill(0xc7)),
      'vhd-dynamic',
      /open in another/,
    ],
    [
      'that is disabled',
      patched(patched(dynamic, -512, 'v_poison'), 0, 'v_poison'),
      'vhd-dynamic',
      /^the image is open in/,
    ],
    [
      'that is disabled and overwritten at both ends',
      patched(patched(dynamic, -512, new Uint8Array(512).fill(0xc7)), 0, new Uint8Array(512).fill(0xc7)),
      'vhd-dynamic',
      /^the image is open in/,
    ],
  ])('%s is still a VHD', async (_what, bytes, kind, problem) => {
    const found = await idOf(bytes);
    expect(found.kind).toBe(kind);
    expect(found.problems[0]).toMatch(problem);
    expect(found.detail).toContain(found.problems[0]);
  });

  it('does not show what its overwritten footer says', async () => {
    const poison = new Uint8Array(512).fill(0xc7);
    const found = await idOf(patched(patched(dynamic, -512, poison), 0, poison));
    expect(found).toMatchObject({ virtualSize: null, creator: null, created: null });
    expect(await idOf(Buffer.concat([pattern(4096), poison]))).toMatchObject({ kind: 'unknown' });
  });

  it('that begins with the footer of a fixed one and has none at its end is not called a VHD', async () => {
    const footer = fixedImage(MIB).subarray(-512);
    const found = await idOf(Buffer.concat([footer, pattern(4096)]));
    expect(found.kind).toBe('unknown');
    expect(found.detail).toContain('begins with the footer of a fixed VHD');
  });

  it('tells what is wrong with a table, and tells the first problems only', async () => {
    const blocks = [{ index: 0, entry: 0 }, { index: 1, entry: 0x7fff_ffff }, { index: 2 }, { index: 3, entry: 1 }];
    const found = await idOf(patched(buildImage({ ...SHAPE, blocks }), 30, 'X'));
    expect(found).toMatchObject({ kind: 'vhd-dynamic' });
    expect(found.problems.length).toBeGreaterThan(2);
    expect(found.detail).toMatch(/; \d+ more problems?$/);
  });
});

describe('a file of another format', () => {
  const qcow2 = patched(patched(new Uint8Array(4096), 0, fromHex('514649fb00000003')), 24, fromHex('0000000000a00000'));

  it('is told with its size and the command that converts it', async () => {
    expect(await idOf(qcow2, 'disk.qcow2')).toMatchObject({
      kind: 'qcow2',
      mime: 'application/x-qemu-disk',
      detail: 'QCOW2 image, 10 MiB, version 3',
      virtualSize: 10 * MIB,
      version: '3',
      nameMismatch: null,
      remedy: 'qemu-img convert -f qcow2 -O raw disk.qcow2 disk.qcow2.raw && vhd convert disk.qcow2.raw disk.qcow2.vhd',
    });
  });

  it.each([
    ['disk.vhd', 'named .vhd, but found: QCOW2 image'],
    ['DISK.VHDX', 'named .VHDX, but found: QCOW2 image'],
    ['disk.img', 'named .img, but found: QCOW2 image'],
    ['disk', null],
    ['disk.bin', null],
  ])('named %s', async (name, mismatch) => {
    const found = await idOf(qcow2, name);
    expect(found.nameMismatch).toBe(mismatch);
    if (mismatch !== null) expect(found.detail).toContain(mismatch);
  });

  it('escapes what could play tricks on a terminal', async () => {
    const zip = patched(patched(new Uint8Array(64), 0, fromHex('504b0304')), 26, fromHex('0500'));
    expect((await idOf(patched(zip, 30, '\x1b[2Ja'))).detail).toBe("zip file, first file '\\u{1b}[2Ja'");
  });
});

describe('a file of nothing known', () => {
  it.each([
    ['empty', new Uint8Array(0), 'inode/x-empty', 'empty file'],
    ['of zeros', new Uint8Array(MIB), 'application/octet-stream', 'all zeros at both ends'],
    ['of one byte', Uint8Array.of(7), 'application/octet-stream', 'too short for a disk: 1 byte'],
  ])('%s', async (_what, bytes, mime, detail) => {
    expect(await idOf(bytes)).toMatchObject({ kind: 'unknown', mime, detail, nameMismatch: null, problems: [] });
  });

  it('is no raw disk for sure because of its name, and no VHD either', async () => {
    expect(await idOf(pattern(4096), 'x.raw')).toMatchObject({ kind: 'unknown', nameMismatch: null });
    expect(await idOf(Buffer.from('conectix'))).toMatchObject({ kind: 'unknown', problems: [] });
    expect(await idOf(pattern(4096), 'x.vhd')).toMatchObject({
      nameMismatch: 'named .vhd, but it has no footer of a VHD',
    });
  });
});

describe('identify', () => {
  it('reads little, whatever the size', async () => {
    const images = [fixedImage(4 * MIB), buildImage(SHAPE), pattern(4 * MIB), new Uint8Array(4 * MIB)];
    for (const [index, bytes] of images.entries()) {
      const probe = new ProbeStorage(new MemoryStorage(bytes));
      await identify(probe);
      const read = probe.calls.reduce((sum, call) => sum + (call.kind === 'read' ? call.length : 0), 0);
      expect(read).toBeLessThan(index < 2 ? 400 * KIB : 1500 * KIB);
      expect(probe.count('close') + probe.changes().length).toBe(0);
    }
  });

  it('says of a device without an end that it is one', async () => {
    expect(await identify('/dev/null')).toMatchObject({ kind: 'unknown', mime: 'inode/chardevice', fileSize: 0 });
  });

  it('passes errors of the system on', async () => {
    await expect(identify('/nonexistent/file')).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(identify('.')).rejects.toMatchObject({ code: 'EISDIR' });
    const probe = new ProbeStorage(new MemoryStorage(fixedImage(MIB)));
    for (let failing = 0; failing < 5; failing++) {
      let reads = 0;
      probe.before = (call) => {
        if (call.kind === 'read' && reads++ === failing) throw Object.assign(new Error('EIO'), { code: 'EIO' });
      };
      await expect(identify(probe)).rejects.toMatchObject({ code: 'EIO' });
    }
  });

  it('takes no unknown option and no odd window', async () => {
    const storage = new MemoryStorage(new Uint8Array(1));
    await expect(identify(storage, { search: 1 } as IdentifyOptions)).rejects.toThrow(/unknown option 'search'/);
    for (const searchBytes of [-1, 1.5, Number.NaN, 2 ** 60]) {
      await expect(identify(storage, { searchBytes })).rejects.toThrow(RangeError);
    }
  });

  it('is not made to fail by any file', async () => {
    const random = new Random(20_221_208);
    const seeds = [buildImage(SHAPE), fixedImage(64 * KIB), differencing(), Buffer.alloc(70_000, 'vhdxfile')] as const;
    for (let round = 0; round < 400; round++) {
      let bytes = Uint8Array.from(random.pick(seeds));
      for (let change = random.below(6); change >= 0; change--) {
        const place = random.oneIn(2) ? random.below(2048) : bytes.length - 1 - random.below(600);
        bytes[place] = random.oneIn(3) ? 255 : random.below(256);
      }
      if (random.oneIn(3)) bytes = bytes.subarray(0, random.below(bytes.length));
      if (random.oneIn(3)) bytes = Buffer.concat([bytes, pattern(random.below(3000), round)]);
      const found = await idOf(bytes);
      expect(found.detail.length).toBeGreaterThan(0);
      expect(JSON.parse(JSON.stringify(found))).toEqual(found);
    }
  });
});
