// What an image says of itself is told without control characters, leads to no file outside its directory, and sizes no buffer.
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { check } from '../../src/ops/check.ts';
import { readInfo } from '../../src/ops/info.ts';
import { borrowed } from '../../src/storage/borrowed.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { buildImage, footerOf } from '../support/build-image.ts';
import { pattern } from '../support/bytes.ts';
import { vhd } from '../support/cli.ts';
import { BASE_UUIDS, type BaseName, baseOf } from '../support/defects-bases.ts';
import {
  latin1,
  u32,
  withBytes,
  withFooters,
  withHeader,
  withLocator,
  withLocatorName,
} from '../support/defects-edits.ts';
import { gptDisk, LINUX, resealHeader } from '../support/tables.ts';
import { useTempFolder } from '../support/temp.ts';

/** A colour, a bell, a line end, a NUL, a right-to-left mark. */
const EVIL = '\u001b[31m\u0007\n\u0000\u202e';
const SHOWN = ['\u001b', '\u0007', '\u0000', '\u202e', '\u009b'];

/** A child whose names and texts are all evil. */
function evilChild(): Uint8Array {
  const { image } = baseOf('differencing');
  const texts = withFooters(image, (bytes, view) => {
    latin1(28, '\u001b[3\u0007')(bytes, view);
    latin1(36, '\u009b\n\u0000\u001b')(bytes, view);
  });
  const field = Buffer.from(`${EVIL}.vhd`.replaceAll('\0', 'x'), 'utf16le').swap16();
  const named = withHeader(texts, (bytes) => bytes.fill(0, 64, 576).set(field, 64));
  return withLocatorName(named, 0, Buffer.from(`.\\${EVIL}`, 'utf16le'));
}

/** A fixed disk with a GPT whose partition has an evil name. */
function evilTable(): Uint8Array {
  const entries = [{ type: LINUX, first: 40, last: 90, name: EVIL.replaceAll('\0', '') }];
  const disk = gptDisk({ sectorCount: 612, entries });
  const { image } = baseOf('gpt');
  return new Uint8Array(Buffer.concat([disk, image.subarray(-512)]));
}

describe('the command', () => {
  const folder = useTempFolder('output');

  beforeAll(async () => {
    await writeFile(folder.file('child.vhd'), evilChild());
    await writeFile(folder.file('table.vhd'), evilTable());
  });

  it.each([
    ...['info', 'check', 'tree', 'id', 'map', 'read', 'hash'].map((verb) => [verb, 'child.vhd'] as const),
    ...['info', 'check', 'tree', 'id', 'map', 'hash'].map((verb) => [verb, 'table.vhd'] as const),
  ])('%s tells %s without control characters', async (verb, name) => {
    const options = verb === 'read' ? ['--length', '512'] : [];
    const { stdout, stderr } = await vhd([verb, folder.file(name), ...options]);
    expect(stdout + stderr).not.toBe('');
    for (const mark of SHOWN) expect([mark, (stdout + stderr).includes(mark)]).toEqual([mark, false]);
    // As text a line end is what divides lines: none of them comes out of the image.
    expect(stdout + stderr).not.toMatch(/^\.vhd|^\u202e/m);
  });

  it.each(['info', 'check', 'tree', 'id', 'map'])('%s --json tells it in JSON', async (verb) => {
    for (const name of ['child.vhd', 'table.vhd']) {
      const { stdout } = await vhd([verb, folder.file(name), '--json']);
      // A verb that fails before it knows anything has nothing to tell.
      for (const line of stdout.trimEnd() === '' ? [] : [stdout]) JSON.parse(line);
      expect(Array.from(stdout).filter((letter) => letter < ' ' && letter !== '\n')).toEqual([]);
    }
  });
});

describe('a parent outside the directory of its child', () => {
  const folder = useTempFolder('outside');
  const secret = Buffer.from(pattern(65_536, 77));
  const child = (name: string, code = 'W2ru'): Uint8Array => {
    const bytes = Buffer.from(name, code === 'MacX' ? 'utf8' : 'utf16le');
    const locators = [{ platformCode: code, bytes }];
    const shape = { size: 65_536, blockSize: 4096, alignment: 'aligned' } as const;
    return buildImage({ ...shape, parent: { uniqueId: BASE_UUIDS.parent, locators } });
  };
  const outside = (): string => folder.file('outside/secret.vhd');

  beforeAll(async () => {
    await mkdir(folder.file('outside'));
    await mkdir(folder.file('inside'));
    const footer = { uniqueId: BASE_UUIDS.parent, currentSize: 65_536 };
    const blocks = Array.from({ length: 16 }, (_, index) => ({ index, data: secret.subarray(index * 4096) }));
    await writeFile(
      outside(),
      buildImage({ size: footerOf({ size: 65_536 }).currentSize, blockSize: 4096, blocks, footer }),
    );
    await symlink('../outside/secret.vhd', folder.file('inside/link.vhd'));
    await symlink('../outside', folder.file('inside/dir'));
  });

  it.each<[string, (path: string) => string, string]>([
    ['..', () => '..\\outside\\secret.vhd', 'W2ru'],
    ['.. behind a name', () => '.\\a\\..\\..\\outside\\secret.vhd', 'W2ru'],
    ['an absolute path', (path) => path, 'W2ku'],
    ['a URL', (path) => `file://localhost${path}`, 'MacX'],
    ['an escaped URL', (path) => `file://${encodeURI(dirname(path))}/%73ecret.vhd`, 'MacX'],
    ['escaped dots', () => 'file://./%2e%2e/outside/secret.vhd', 'MacX'],
    ['escaped slashes', () => 'file://./..%2foutside%2fsecret.vhd', 'MacX'],
    ['a NUL behind it', () => '..\\outside\\secret.vhd\0.txt', 'W2ru'],
    ['a symbolic link', () => '.\\link.vhd', 'W2ru'],
    ['a directory that is one', () => '.\\dir\\secret.vhd', 'W2ru'],
  ])('is not opened by any verb: %s', async (_, nameOf, code) => {
    const path = folder.file('inside/child.vhd');
    await writeFile(path, child(nameOf(outside()), code));
    const target = folder.file('inside/out.raw');
    for (const words of [
      ['read', path],
      ['convert', path, target, '--to', 'raw'],
      ['hash', path],
    ]) {
      const result = await vhd(words);
      expect([words[0], result.code]).toEqual([words[0], 3]);
      expect(result.bytes.includes(secret.subarray(0, 64))).toBe(false);
    }
    const checked = await vhd(['check', path, '--json']);
    expect(checked.stdout).toMatch(/parent\.(outside|missing)/);
    await expect(readFile(target)).rejects.toThrow('ENOENT');
    // It is there, and is read by who is allowed to.
    const allowed = await vhd(['read', path, '--parent-dir', folder.file('outside'), '--length', '64']);
    if (code === 'W2ru' && nameOf('').includes('secret')) {
      expect(allowed.bytes.includes(secret.subarray(0, 64))).toBe(true);
    }
  });
});

describe('numbers in an image', () => {
  /** Remembers the longest read. */
  function watched(image: Uint8Array): { readonly storage: Storage; longest: number } {
    const inner = borrowed(new MemoryStorage(image));
    const watch = {
      longest: 0,
      storage: {
        ...inner,
        read: (target: Uint8Array, position: number) => {
          watch.longest = Math.max(watch.longest, target.length);
          return inner.read(target, position);
        },
      },
    };
    return watch;
  }

  const hugeGpt = (image: Uint8Array): Uint8Array =>
    withBytes(image, (bytes, view) => {
      view.setUint32(512 + 80, 0xffff_ffff, true);
      resealHeader(bytes, 512);
    });

  it.each<[string, BaseName, (image: Uint8Array) => Uint8Array]>([
    ['entries of the table', 'aligned', (image) => withHeader(image, u32(28, 0xffff_ffff))],
    ['bytes of a block', 'aligned', (image) => withHeader(image, u32(32, 0x8000_0000))],
    ['bytes of a name', 'differencing', (image) => withLocator(image, 0, u32(8, 0xffff_ffff))],
    ['room for a name', 'differencing', (image) => withLocator(image, 0, u32(4, 0xffff_ffff))],
    ['sectors of the batmap', 'batmap', (image) => withBytes(image, u32(2048 + 16, 0xffff_ffff))],
    ['entries of a GPT', 'gpt', hugeGpt],
    [
      'bytes of an entry of a GPT',
      'gpt',
      (image) =>
        withBytes(image, (bytes, view) => {
          view.setUint32(512 + 84, 0x8000_0000, true);
          resealHeader(bytes, 512);
        }),
    ],
  ])('size no buffer: %s', async (_, base, change) => {
    const watch = watched(change(baseOf(base).image));
    await check(watch.storage, { deep: true });
    await readInfo(watch.storage);
    expect(watch.longest).toBeGreaterThan(0);
    expect(watch.longest).toBeLessThanOrEqual(1024 * 1024);
  });
});
