import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { NO_OFFSET } from '../../src/format/bytes.ts';
import { encodeFooter } from '../../src/format/footer.ts';
import { createVhd, type OpenDiskOptions, openDisk, openRaw, openVhd } from '../../src/open.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { buildImage, footerOf } from '../support/build-image.ts';
import { pattern } from '../support/bytes.ts';
import { IDENTITY, imageWith } from '../support/streams-disks.ts';
import { WorkFolder } from '../support/streams-files.ts';
import { failureOf, outcomeOf } from '../support/streams-sources.ts';

const MiB = 1024 * 1024;
const folder = new WorkFolder();
const data = pattern(5000);
const dynamic = await imageWith('dynamic', MiB, [{ position: 100, bytes: data }], 512 * 1024);
const fixed = await imageWith('fixed', MiB, [{ position: 100, bytes: data }]);
const zipGuest = await imageWith('fixed', MiB, [
  { position: 0, bytes: Buffer.from('PK\x03\x04') },
  { position: 100, bytes: data },
]);
const raw = new Uint8Array(64 * 1024);
raw.set(data, 100);

/** An image whose footer at the end, or at the start, or both, lost a byte. */
function damaged(image: Uint8Array, ...ends: ('start' | 'end')[]): Uint8Array {
  const bytes = Uint8Array.from(image);
  for (const end of ends) {
    const offset = (end === 'start' ? 0 : bytes.length - 512) + 45;
    bytes[offset] = 0xee;
  }
  return bytes;
}

function head(position: number, text: string | number[]): Uint8Array {
  const bytes = Uint8Array.from(raw);
  bytes.set(typeof text === 'string' ? Buffer.from(text, 'latin1') : text, position);
  return bytes;
}

/** What `openDisk` takes a file for, or the code with which it refuses. */
async function taken(name: string, bytes: Uint8Array, options: OpenDiskOptions = {}): Promise<string> {
  let opened;
  try {
    opened = await openDisk(folder.file(name, bytes), options);
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
  const { disk, isAssumedRaw, type, vhd } = opened;
  expect(vhd === undefined).toBe(type === 'raw');
  const found = new Uint8Array(10);
  if (disk.size >= 110) {
    await disk.read(found, 100);
    expect(found).toEqual(data.slice(0, 10));
  }
  await disk.close();
  return isAssumedRaw ? 'raw, assumed' : type;
}

describe('openDisk takes', () => {
  it.each<[string, string, Uint8Array, string]>([
    ['a dynamic image', 'a.vhd', dynamic, 'dynamic'],
    ['a fixed image', 'a.vhd', fixed, 'fixed'],
    ['a VHD with any extension', 'a.bin', fixed, 'fixed'],
    ['a VHD without extension', 'a', dynamic, 'dynamic'],
    ['a VHD named VHD in capitals', 'A.VHD', dynamic, 'dynamic'],
    ['a VHD that lost its end footer', 'a.bin', dynamic.subarray(0, -512), 'dynamic'],
    ['a VHD whose end footer is damaged', 'a.vhd', damaged(dynamic, 'end'), 'dynamic'],
    ['a VHD whose guest begins like a zip file', 'a.bin', zipGuest, 'fixed'],
    ['other bytes as raw', 'a.bin', raw, 'raw, assumed'],
    ['other bytes without extension as raw', 'a', raw, 'raw, assumed'],
    ['other bytes named .raw as raw', 'a.raw', raw, 'raw, assumed'],
    ['other bytes named .img as raw', 'a.img', raw, 'raw, assumed'],
    ['one sector as raw', 'a.bin', raw.subarray(0, 512), 'raw, assumed'],
    ['the word conectix in other places as raw', 'a.bin', head(1024, 'conectix'), 'raw, assumed'],
  ])('%s', async (_what, name, bytes, kind) => {
    expect(await taken(name, bytes)).toBe(kind);
  });
});

describe('openDisk refuses', () => {
  it.each<[string, string, Uint8Array, string]>([
    ['.raw with a footer', 'a.raw', fixed, 'ERR_VHD_AMBIGUOUS'],
    ['.img with a footer', 'a.img', dynamic, 'ERR_VHD_AMBIGUOUS'],
    ['.IMG with a footer', 'a.IMG', dynamic, 'ERR_VHD_AMBIGUOUS'],
    ['.vhd without a footer', 'a.vhd', raw, 'ERR_VHD_AMBIGUOUS'],
    ['.avhd without a footer', 'a.avhd', raw, 'ERR_VHD_AMBIGUOUS'],
    ['.vpc without a footer', 'a.vpc', raw, 'ERR_VHD_AMBIGUOUS'],
    ['100 bytes named .vhd', 'a.vhd', raw.subarray(0, 100), 'ERR_VHD_AMBIGUOUS'],
    ['a fixed image with a damaged footer', 'a.bin', damaged(fixed, 'end'), 'ERR_VHD_CORRUPT'],
    ['a dynamic image with two damaged footers', 'a.bin', damaged(dynamic, 'start', 'end'), 'ERR_VHD_CORRUPT'],
    ['a damaged footer copy and no footer', 'a.bin', damaged(dynamic, 'start').subarray(0, -512), 'ERR_VHD_CORRUPT'],
    ['a fixed image cut in the middle', 'a.vhd', fixed.subarray(0, MiB / 2), 'ERR_VHD_AMBIGUOUS'],
    [
      'a child without its parent',
      'a.vhd',
      buildImage({ size: MiB, footer: { diskType: 4 } }),
      'ERR_VHD_PARENT_MISSING',
    ],
    ['an empty file', 'a.bin', new Uint8Array(0), 'ERR_VHD_SIZE'],
    ['an empty file named .vhd', 'a.vhd', new Uint8Array(0), 'ERR_VHD_SIZE'],
    ['100 bytes', 'a.bin', raw.subarray(0, 100), 'ERR_VHD_SIZE'],
    ['513 bytes', 'a.raw', raw.subarray(0, 513), 'ERR_VHD_SIZE'],
    ['VHDX', 'a.vhdx', head(0, 'vhdxfile'), 'ERR_VHD_FOREIGN_FORMAT'],
    ['VHDX named .vhd', 'a.vhd', head(0, 'vhdxfile'), 'ERR_VHD_FOREIGN_FORMAT'],
    ['QCOW2 named .vhd', 'a.vhd', head(0, 'QFI\xfb'), 'ERR_VHD_FOREIGN_FORMAT'],
    ['QCOW2 named .raw', 'a.raw', head(0, 'QFI\xfb'), 'ERR_VHD_FOREIGN_FORMAT'],
    ['VMDK', 'a.vmdk', head(0, 'KDMV'), 'ERR_VHD_FOREIGN_FORMAT'],
    ['VMDK text', 'a.vmdk', head(0, '# Disk DescriptorFile'), 'ERR_VHD_FOREIGN_FORMAT'],
    ['VDI', 'a.vdi', head(0x40, [0x7f, 0x10, 0xda, 0xbe]), 'ERR_VHD_FOREIGN_FORMAT'],
    ['ISO', 'a.iso', head(32_769, 'CD001'), 'ERR_VHD_FOREIGN_FORMAT'],
    ['zip', 'a.zip', head(0, 'PK\x03\x04'), 'ERR_VHD_FOREIGN_FORMAT'],
    ['7z', 'a.7z', head(0, "7z\xbc\xaf'\x1c"), 'ERR_VHD_FOREIGN_FORMAT'],
    ['gzip', 'a.gz', head(0, '\x1f\x8b\x08'), 'ERR_VHD_FOREIGN_FORMAT'],
    ['xz', 'a.xz', head(0, '\xfd7zXZ\0'), 'ERR_VHD_FOREIGN_FORMAT'],
    ['zstd', 'a.zst', head(0, '\x28\xb5\x2f\xfd'), 'ERR_VHD_FOREIGN_FORMAT'],
    ['a zip of 30 bytes', 'a.bin', Buffer.from(`PK\x03\x04${'x'.repeat(26)}`), 'ERR_VHD_FOREIGN_FORMAT'],
  ])('%s', async (_what, name, bytes, code) => {
    const open = folder.openPaths();
    expect(await taken(name, bytes)).toBe(code);
    expect(folder.openPaths()).toEqual(open);
  });

  it('a foreign format with the command that converts it, the path quoted', async () => {
    const path = folder.file("it's $HOME.vhd", head(0, 'QFI\xfb'));
    const error = await failureOf(openDisk(path));
    const quoted = `'${path.replaceAll("'", "'\\''")}'`;
    expect(error).toMatchObject({ storage: path, remedy: expect.stringContaining(quoted) as string });
  });

  it('contradictions with the way to settle them', async () => {
    expect(await failureOf(openDisk(folder.file('a.raw', fixed)))).toMatchObject({
      remedy: expect.stringContaining('--from raw or --from vhd') as string,
    });
    expect(await failureOf(openDisk(folder.file('a.vhd', raw)))).toMatchObject({
      remedy: expect.stringContaining('--from raw') as string,
    });
  });

  it('a directory and a missing file as the system does', async () => {
    mkdirSync(folder.fresh('folder'));
    expect(await outcomeOf(openDisk(folder.path))).toBe('EISDIR');
    expect(await outcomeOf(openDisk(folder.fresh('missing')))).toBe('ENOENT');
    expect(folder.openPaths()).not.toContain(folder.path);
  });
});

describe('what the caller says', () => {
  it.each<[string, string, Uint8Array, OpenDiskOptions, string]>([
    ['raw is raw, footer or not', 'a.vhd', damagedFooterDisk(), { from: 'raw' }, 'raw'],
    ['raw is raw, footer and all', 'a.raw', wholeFixed(), { from: 'raw' }, 'raw'],
    ['raw is raw, even where it looks like QCOW2', 'a.qcow2', head(0, 'QFI\xfb'), { from: 'raw' }, 'raw'],
    ['vhd is a VHD, even where it is named .raw', 'a.raw', fixed, { from: 'vhd' }, 'fixed'],
    ['vhd is none without a footer', 'a.bin', raw, { from: 'vhd' }, 'ERR_VHD_NOT_VHD'],
    ['vhd is none where it is empty', 'a.bin', new Uint8Array(0), { from: 'vhd' }, 'ERR_VHD_NOT_VHD'],
    ['vhd is none in QCOW2', 'a.bin', head(0, 'QFI\xfb'), { from: 'vhd' }, 'ERR_VHD_NOT_VHD'],
    ['pad fills up', 'a.bin', raw.subarray(0, 700), { pad: true }, 'raw, assumed'],
    ['pad does not fill nothing up', 'a.bin', new Uint8Array(0), { pad: true }, 'ERR_VHD_SIZE'],
    ['pad does nothing to a VHD', 'a.vhd', fixed, { pad: true }, 'fixed'],
  ])('%s', async (_what, name, bytes, options, kind) => {
    expect(await taken(name, bytes, options)).toBe(kind);
  });

  it('about padding reads as zeros, and is for reading only', async () => {
    const path = folder.file('a.bin', raw.subarray(0, 700));
    const disk = await openRaw(path, { pad: true });
    expect(disk).toMatchObject({ size: 1024, readOnly: true });
    const bytes = new Uint8Array(1024).fill(9);
    await disk.read(bytes, 0);
    expect(bytes).toEqual(new Uint8Array([...raw.subarray(0, 700), ...new Uint8Array(324)]));
    await disk.read(bytes.subarray(0, 100), 800);
    expect(bytes.subarray(0, 100)).toEqual(new Uint8Array(100));
    await disk.close();
    expect(await outcomeOf(openRaw(path, { pad: true, writable: true }))).toBe('ERR_VHD_SIZE');
  });

  it('about the footer and the size is followed', async () => {
    const image = buildImage({ size: MiB, endFooter: { uniqueId: pattern(16), geometry: GEOMETRY } });
    const path = folder.file('a.vhd', image);
    expect(await outcomeOf(openDisk(path))).toBe('ERR_VHD_FOOTERS_DISAGREE');
    const { disk, vhd } = await openDisk(path, { footer: 'end', sizeFrom: 'chs' });
    expect(vhd?.footer.uniqueId).toEqual(pattern(16));
    expect(disk.size).toBe(2 * 4 * 17 * 512);
    await disk.close();
  });
});

const GEOMETRY = { cylinders: 2, heads: 4, sectorsPerTrack: 17 };

function wholeFixed(): Uint8Array {
  const disk = Uint8Array.from(raw);
  const footer = { ...footerOf({ size: raw.length }), dataOffset: NO_OFFSET, diskType: 2 };
  return Buffer.concat([disk, encodeFooter(footer)]);
}

function damagedFooterDisk(): Uint8Array {
  return damaged(wholeFixed(), 'end');
}

describe('sources of openVhd, openDisk and openRaw', () => {
  it('may be a path, a URL, a symbolic link, a storage', async () => {
    const path = folder.file('with space ü.vhd', dynamic);
    const link = folder.fresh('link');
    symlinkSync(path, link);
    for (const source of [path, pathToFileURL(path), link, new MemoryStorage(dynamic)]) {
      const disk = await openVhd(source);
      expect(await disk.readBytes(100, data.length)).toEqual(data);
      await disk.close();
      const opened = await openDisk(typeof source === 'object' && 'href' in source ? source : path);
      expect(opened.type).toBe('dynamic');
      await opened.disk.close();
    }
    expect(folder.openPaths()).not.toContain(path);
  });

  it('may be a FileHandle, which stays open', async () => {
    const handle = await open(folder.file('a.vhd', fixed), 'r');
    for (const how of [openVhd, openRaw, async (source: typeof handle) => (await openDisk(source)).disk]) {
      const disk = await how(handle).catch(() => undefined);
      await disk?.close();
      expect((await handle.stat()).size).toBe(fixed.length);
    }
    await expect(openVhd(handle, { footer: 'start' })).rejects.toMatchObject({ code: 'ERR_VHD_NOT_VHD' });
    expect((await handle.read(Buffer.alloc(4), 0, 4, 100)).bytesRead).toBe(4);
    await handle.close();
  });

  it('are left for reading only, and byte for byte as they were', async () => {
    const path = folder.file('a.vhd', dynamic);
    for (const disk of [await openVhd(path), (await openDisk(path)).disk, await openRaw(path)]) {
      expect(disk.readOnly).toBe(true);
      expect(await outcomeOf(disk.write(data, 0))).toBe('ERR_VHD_READ_ONLY');
      expect(await outcomeOf(disk.discard(0, 512))).toBe('ERR_VHD_READ_ONLY');
      await disk.close();
    }
    expect(readFileSync(path).equals(dynamic)).toBe(true);
  });

  it('are writable on demand', async () => {
    const path = folder.file('a.vhd', dynamic);
    const { disk } = await openDisk(path, { writable: true });
    await disk.write(data, 700_000);
    await disk.close();
    const again = await openVhd(path);
    expect(await again.readBytes(700_000, data.length)).toEqual(data);
    await again.close();
  });

  it('are closed when opening fails', async () => {
    const closes: string[] = [];
    class Closing extends MemoryStorage {
      override async close(): Promise<void> {
        closes.push(this.name);
        await super.close();
      }
    }
    const storage = (): MemoryStorage => new Closing(raw.subarray(0, 100), { name: 'bad.vhd' });
    for (const how of [openVhd, openDisk, openRaw]) {
      const before = closes.length;
      await failureOf(how(storage()));
      expect(closes.length).toBeGreaterThan(before);
    }
  });

  it('are not opened with unknown options', async () => {
    const path = folder.file('a.vhd', dynamic);
    await expect(openVhd(path, { from: 'vhd' } as never)).rejects.toThrow(TypeError);
    await expect(openRaw(path, { footer: 'end' } as never)).rejects.toThrow(TypeError);
    await expect(openDisk(path, { readonly: true } as never)).rejects.toThrow(TypeError);
    expect(folder.openPaths()).not.toContain(path);
  });

  it.each([{ from: 'VHD' }, { footer: 'last' }, { sizeFrom: 'geometry' }, { bitmap: 'loose' }])(
    'are not opened with the unknown value %o',
    async (options) => {
      const error = await failureOf(openDisk(folder.file('a.vhd', dynamic), options as never));
      expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
    },
  );
});

describe('createVhd', () => {
  it('makes a file that is there at once, from a path or a URL', async () => {
    for (const toTarget of [String, pathToFileURL]) {
      const path = folder.fresh('new.vhd');
      const disk = await createVhd(toTarget(path), { size: MiB, ...IDENTITY });
      await disk.write(data, 5);
      await disk.close();
      const again = await openVhd(path);
      expect(again).toMatchObject({ type: 'dynamic', size: MiB });
      expect(await again.readBytes(5, data.length)).toEqual(data);
      await again.close();
    }
  });

  it('does not touch a file that exists', async () => {
    const path = folder.file('old.vhd', data);
    expect(await outcomeOf(createVhd(path, { size: MiB }))).toBe('EEXIST');
    expect(readFileSync(path).equals(data)).toBe(true);
  });

  it.each<[string, object]>([
    ['a size of 100 bytes', { size: 100 }],
    ['no size', {}],
    ['too large a size', { size: 2041 * 1024 ** 3 }],
    ['an identifier that is none', { size: MiB, uuid: 'x' }],
    ['a creator of five letters', { size: MiB, creator: 'fives' }],
    ['blocks of 1 MiB', { size: MiB, blockSize: MiB }],
    ['an unknown type', { size: MiB, type: 'raw' }],
  ])('leaves no file and no descriptor behind when it refuses %s', async (_what, options) => {
    const path = folder.fresh('refused.vhd');
    await failureOf(createVhd(path, options));
    expect(folder.openPaths()).not.toContain(path);
    writeFileSync(path, '', { flag: 'wx' });
  });

  it('is misuse with unknown options, and makes nothing', async () => {
    const path = folder.fresh('misuse.vhd');
    await expect(createVhd(path, { size: MiB, force: true } as never)).rejects.toThrow(TypeError);
    writeFileSync(path, '', { flag: 'wx' });
  });
});
