import { link, readFile, rm, stat, symlink } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { NO_OFFSET } from '../../../src/format/bytes.ts';
import { encodeFooter } from '../../../src/format/footer.ts';
import { listPartitions } from '../../../src/inspect/partitions.ts';
import { openDisk } from '../../../src/open.ts';
import { convert } from '../../../src/ops/convert.ts';
import { convertStorageInPlace } from '../../../src/ops/convert-in-place.ts';
import { readInfo } from '../../../src/ops/info.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { footerOf } from '../../support/build-image.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { CrashStorage } from '../../support/crash-storage.ts';
import { ProbeStorage } from '../../support/probe-storage.ts';
import { numberFromEnv, Random } from '../../support/seed.ts';
import { imageWith } from '../../support/streams-disks.ts';
import { WorkFolder } from '../../support/streams-files.ts';
import { gptDisk, LINUX } from '../../support/tables.ts';

const MIB = 1024 ** 2;
const folder = new WorkFolder();
const content = pattern(3 * MIB + 512, 4);
const FIXED = { to: 'fixed', inPlace: true } as const;
const RAW = { to: 'raw', inPlace: true } as const;

const dynamic = await imageWith('dynamic', content.length, []);
const small = await imageWith('fixed', 2048, []);
/** Bytes between the disk and its footer. */
const gapped = Buffer.concat([small.subarray(0, 2048), new Uint8Array(1024), small.subarray(2048)]);

/** By comparison with zeros: these are megabytes. */
function expectZeros(bytes: Uint8Array): void {
  expect(firstDifference(bytes, new Uint8Array(bytes.length))).toBe(-1);
}

describe('in place', () => {
  it('puts a footer behind a raw disk and takes it off again, moving nothing', async () => {
    const storage = new ProbeStorage(new MemoryStorage(content));
    await convertStorageInPlace(storage, { ...FIXED, blockSize: 1 });
    expect(storage.changes()).toEqual([`write ${content.length}+512`, 'flush']);
    const disk = await openVhdStorage(storage);
    expect(firstDifference(await disk.readBytes(0, disk.size), content)).toBe(-1);
    storage.calls.length = 0;
    const done = await convertStorageInPlace(storage, { ...RAW, blockSize: 1 });
    expect(storage.changes()).toEqual([`truncate ${content.length}+0`, 'flush']);
    expect(done).toMatchObject({ sourceType: 'fixed', fileSize: content.length, copiedBytes: 0 });
  });

  it('gives the file its new name, and never another one’s without being told', async () => {
    const path = folder.file('disk.raw', content);
    const target = folder.fresh('disk.vhd');
    expect(await convert(path, target, FIXED)).toMatchObject({
      path: target,
      type: 'fixed',
      virtualSize: content.length,
    });
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
    expect((await readInfo(target)).readable).toBe(true);
    const other = folder.file('other.raw', pattern(512));
    await expect(convert(target, other, RAW)).rejects.toMatchObject({ code: 'ERR_VHD_EXISTS' });
    expect((await stat(target)).size).toBe(content.length + 512);
    await convert(target, other, { ...RAW, force: true });
    expect(firstDifference(await readFile(other), content)).toBe(-1);
  });

  it('does nothing to what is that already, and nothing in a dry run', async () => {
    const path = folder.file('fixed.vhd', await imageWith('fixed', content.length, [{ position: 0, bytes: content }]));
    const before = await readFile(path);
    expect((await convert(path, path, FIXED)).changes).toEqual([]);
    expect((await convert(path, path, { ...RAW, dryRun: true })).changes).toHaveLength(1);
    expect((await convert(path, folder.fresh('new.raw'), { ...RAW, dryRun: true })).fileSize).toBe(content.length);
    expect(firstDifference(await readFile(path), before)).toBe(-1);
  });

  it('fills a raw disk up on demand', async () => {
    const path = folder.file('odd.raw', content.subarray(0, 1000));
    await expect(convert(path, path, FIXED)).rejects.toMatchObject({ code: 'ERR_VHD_SIZE' });
    expect((await stat(path)).size).toBe(1000);
    expect(await convert(path, path, { ...FIXED, pad: true })).toMatchObject({ virtualSize: 1024, fileSize: 1536 });
    const info = await readInfo(path);
    expect([info.readable, info.virtualSize]).toEqual([true, 1024]);
  });

  it('keeps the identity of an image that is made fit for Azure', async () => {
    const path = folder.file('kept.vhd', await imageWith('fixed', content.length, [{ position: 0, bytes: content }]));
    const before = await readInfo(path);
    const done = await convert(path, path, { ...FIXED, azure: true });
    expect(done).toMatchObject({ virtualSize: 20 * MIB, uploadSize: 20 * MIB + 512, fileSize: 20 * MIB + 512 });
    const { uuid, created, creator } = before;
    expect(await readInfo(path)).toMatchObject({ uuid, created, creator, virtualSize: 20 * MIB, findings: [] });
    const bytes = await readFile(path);
    expect(firstDifference(bytes.subarray(0, content.length), content)).toBe(-1);
    expectZeros(bytes.subarray(content.length, 20 * MIB));
  });

  it.each([
    ['a dynamic image', dynamic, 'ERR_VHD_UNSUPPORTED'],
    ['bytes between disk and footer', gapped, 'ERR_VHD_CORRUPT'],
    ['an empty file', new Uint8Array(0), 'ERR_VHD_SIZE'],
  ])('refuses %s, and leaves it alone', async (_name, bytes, code) => {
    for (const options of [FIXED, RAW]) {
      const storage = new ProbeStorage(new MemoryStorage(bytes));
      await expect(convertStorageInPlace(storage, { ...options, blockSize: 1 })).rejects.toMatchObject({ code });
      expect(storage.changes().filter((change) => change !== 'flush')).toEqual([]);
    }
  });

  it('refuses a file with other names, and takes the one away where the new name is the other', async () => {
    const path = folder.file('linked.raw', content);
    const [first, second] = [folder.fresh('first.vhd'), folder.fresh('second.vhd')];
    await link(path, first);
    await link(path, second);
    for (const target of [path, first]) {
      await expect(convert(path, target, FIXED)).rejects.toMatchObject({ code: 'ERR_VHD_UNSUPPORTED' });
    }
    expect(firstDifference(await readFile(path), content)).toBe(-1);
    await rm(second);
    await convert(path, first, FIXED);
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
    expect((await readInfo(first)).readable).toBe(true);
  });

  it('follows links, and refuses to give one a new name', async () => {
    const path = folder.file('behind.raw', content);
    const source = folder.fresh('link.raw');
    await symlink(path, source);
    await expect(convert(source, folder.fresh('new.vhd'), FIXED)).rejects.toMatchObject({
      code: 'ERR_VHD_UNSUPPORTED',
    });
    expect((await stat(path)).size).toBe(content.length);
    const target = folder.fresh('dangling.vhd');
    const behind = folder.fresh('behind.vhd');
    await symlink(behind, target);
    await convert(path, target, FIXED);
    expect((await stat(behind)).size).toBe(content.length + 512);
  });

  it.each(['nodir/disk.vhd', '.'])('says what is wrong with the name %s before the file is touched', async (name) => {
    const path = folder.file('kept.raw', content);
    await expect(convert(path, `${folder.path}/${name}`, FIXED)).rejects.toThrow();
    expect(firstDifference(await readFile(path), content)).toBe(-1);
  });

  it('goes on where a killed call ended, whatever the name, and puts no footer behind a footer', async () => {
    const image = await imageWith('fixed', content.length, [{ position: 0, bytes: content }]);
    const path = folder.file('killed.raw', image);
    const target = folder.fresh('killed.vhd');
    await expect(convert(path, target, { ...FIXED, from: 'raw' })).rejects.toMatchObject({ code: 'ERR_VHD_AMBIGUOUS' });
    expect(firstDifference(await readFile(path), image)).toBe(-1);
    expect(await convert(path, target, FIXED)).toMatchObject({ sourceType: 'fixed', changes: [] });
    expect(firstDifference(await readFile(target), image)).toBe(-1);
  });

  it('makes a footer of 511 bytes one of 512, and tells the size that is there', async () => {
    const image = await imageWith('fixed', 20 * MIB, [{ position: 0, bytes: content }]);
    for (const azure of [true, false]) {
      const path = folder.file('legacy.vhd', image.subarray(0, image.length - 1));
      const done = await convert(path, path, { ...FIXED, azure });
      expect([done.fileSize, (await stat(path)).size]).toEqual([image.length, image.length]);
      expect(done.changes).toEqual(['its footer of 511 bytes became one of 512']);
      expect((await readInfo(path)).findings).toEqual([]);
    }
  });

  it('refuses what a footer alone cannot do', async () => {
    const image = await imageWith('fixed', content.length, []);
    const path = folder.file('options.vhd', image);
    await expect(convert(path, path, { ...FIXED, creator: 'abcd' })).rejects.toMatchObject({
      code: 'ERR_VHD_UNSUPPORTED',
    });
    for (const option of [{ sizeFrom: 'chs' }, { preallocate: true }] as const) {
      await expect(convert(path, path, { ...RAW, ...option })).rejects.toThrow(TypeError);
    }
    await expect(convert('/dev/null', '/dev/null', FIXED)).rejects.toMatchObject({ code: 'ERR_VHD_UNSUPPORTED' });
    await expect(convert(path, path, { ...FIXED, to: 'dynamic' })).rejects.toThrow(TypeError);
    expect(firstDifference(await readFile(path), image)).toBe(-1);
  });

  it('leaves the file as it was when there is no room for the footer', async () => {
    const storage = new ProbeStorage(new MemoryStorage(content));
    storage.after = ({ kind }) => {
      if (kind === 'write') throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
    };
    await expect(convertStorageInPlace(storage, { ...FIXED, blockSize: 1 })).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(await storage.size()).toBe(content.length);
  });
});

const PARTITION = { type: LINUX, first: 2048, last: 30_000, name: 'root' };
const SECTOR_COUNT = (20 * MIB) / 512 + 41;

/** A disk with a GPT whose backup is at its end, as raw bytes or as a fixed image. */
function partitioned(asFixed: boolean): Uint8Array {
  const disk = gptDisk({ sectorCount: SECTOR_COUNT, entries: [PARTITION] });
  disk.set(pattern(100_000, 8), 4 * MIB);
  if (!asFixed) return disk;
  const footer = { ...footerOf({ size: disk.length }), dataOffset: NO_OFFSET, diskType: 2 };
  return Buffer.concat([disk, encodeFooter(footer)]);
}

/** What is wrong with a file that a crash left; undefined if nothing is. */
async function faultOf(image: Uint8Array, isFixed: boolean): Promise<string | undefined> {
  const storage = new MemoryStorage(image);
  const { disk, type } = await openDisk(storage, { from: isFixed ? 'vhd' : undefined });
  if (isFixed && type !== 'fixed') return `it is ${type}`;
  const { scheme, partitions } = await listPartitions(disk);
  const [first] = partitions;
  if (scheme !== 'gpt' || first?.start !== MIB || first.name !== 'root') {
    return `its table is ${JSON.stringify(partitions)}`;
  }
  const data = new Uint8Array(100_000);
  await disk.read(data, 4 * MIB);
  return firstDifference(data, pattern(100_000, 8)) === -1 ? undefined : 'its data changed';
}

describe('a crash while a disk is made fit for Azure in place', () => {
  const seed = numberFromEnv('VHDKIT_SEED', 20_261_124);

  it.each([true, false])('leaves its partitions and data (fixed before: %s)', async (wasFixed) => {
    const random = new Random(seed);
    const storage = new CrashStorage(partitioned(wasFixed));
    let barriers = 0;
    const left: { image: Uint8Array; isFixed: boolean; what: string }[] = [];
    const seen = new Set<string>();
    storage.onMoment = () => {
      // Until the new footer is durable a raw disk may end in anything; a fixed one has its old footer, or none at its end.
      const losses = barriers < 2 ? (['killed'] as const) : (['killed', 'whole-writes', 'any-sectors'] as const);
      for (const loss of losses) {
        const isFixed = wasFixed || barriers >= 2;
        const file = storage.crash(loss, random);
        const key = `${file.key} ${isFixed}`;
        if (seen.has(key)) continue;
        seen.add(key);
        left.push({ image: file.toBytes(), isFixed, what: `${loss} after ${barriers} moments of barriers` });
      }
    };
    const flush = storage.flush.bind(storage);
    storage.flush = async () => {
      barriers++;
      await flush();
      barriers++;
    };
    const done = await convertStorageInPlace(storage, { ...FIXED, azure: true, blockSize: 1 });
    expect(done.changes.length).toBeGreaterThanOrEqual(2);
    left.push({ image: storage.crash('nothing-durable-only', random).toBytes(), isFixed: true, what: 'done' });
    for (const { image, isFixed, what } of left) {
      expect([what, await faultOf(image, isFixed)]).toEqual([what, undefined]);
    }
    // Whatever was left, the same call finishes it, and the disk is what it was, with zeros behind it.
    const before = partitioned(false);
    for (const { image, isFixed } of left) {
      // Of a raw disk whose footer is not durable yet only a killed process is promised anything.
      const again = new MemoryStorage(image, { name: 'disk.raw' });
      if (wasFixed && !isFixed) continue;
      await convertStorageInPlace(again, { ...FIXED, azure: true, blockSize: 1 });
      const { disk } = await openDisk(again, { from: 'vhd' });
      expect((await listPartitions(disk)).findings).toEqual([]);
      expect(disk.size).toBe(21 * MIB);
      const bytes = new Uint8Array(disk.size);
      await disk.read(bytes, 0);
      const backup = 33 * 512;
      expect(firstDifference(bytes.subarray(MIB, before.length - backup), before.subarray(MIB, -backup))).toBe(-1);
      expectZeros(bytes.subarray(before.length - backup, -backup));
    }
  });
});
