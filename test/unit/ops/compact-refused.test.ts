// Images that compact refuses, or whose batmap changes along.
import { mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { checksumOf } from '../../../src/format/checksum.ts';
import { encodeFooter } from '../../../src/format/footer.ts';
import { MAX_BAT_BYTES } from '../../../src/format/spec.ts';
import { openVhd } from '../../../src/open.ts';
import { journalPath } from '../../../src/open-journal.ts';
import { check } from '../../../src/ops/check.ts';
import { compact } from '../../../src/ops/compact.ts';
import { buildImage, footerOf, type ImageShape } from '../../support/build-image.ts';
import { firstDifference } from '../../support/bytes.ts';
import { baseOf } from '../../support/defects-bases.ts';
import { withHeader } from '../../support/defects-edits.ts';
import { useTempFolder } from '../../support/temp.ts';

const BLOCK = 16 * 1024;
const temp = useTempFolder('compact-refused');
let count = 0;

async function newPath(): Promise<string> {
  const folder = temp.file(`${count++}`);
  await mkdir(folder);
  return `${folder}/disk.vhd`;
}

async function written(shape: ImageShape): Promise<string> {
  const path = await newPath();
  await writeFile(path, buildImage(shape));
  return path;
}

async function contentOf(path: string): Promise<Uint8Array> {
  await using disk = await openVhd(path);
  return await disk.readBytes(0, disk.size);
}

describe('what is not compacted', () => {
  const shape: ImageShape = { size: 4 * BLOCK, blockSize: BLOCK, blocks: [{ index: 0, data: 0 }, { index: 1 }] };

  async function refusal(image: ImageShape, bytes?: Uint8Array): Promise<unknown> {
    const path = await written(image);
    if (bytes !== undefined) await writeFile(path, bytes);
    const before = await readFile(path);
    const error: unknown = await compact(path).catch((reason: unknown) => reason);
    expect(firstDifference(await readFile(path), before)).toBe(-1);
    return error;
  }

  it('is an image that a machine was saved with, or that is marked', async () => {
    expect(await refusal({ ...shape, footer: { savedState: 1 } })).toMatchObject({ code: 'ERR_VHD_IN_USE' });
    const reserved = footerOf(shape).reserved.slice();
    reserved[0] = 1;
    expect(await refusal({ ...shape, footer: { reserved } })).toMatchObject({ code: 'ERR_VHD_IN_USE' });
  });

  it('is a damaged one: check tells all of it', async () => {
    const image = { ...shape, blocks: [{ index: 0 }, { index: 1, entry: 4 }] };
    expect(await refusal(image)).toMatchObject({
      code: 'ERR_VHD_CORRUPT',
      remedy: expect.stringMatching(/^vhd check /) as unknown,
    });
  });

  it('is one whose table refers to blocks behind the end of the disk', async () => {
    const longer = buildImage({ ...shape, size: 4 * BLOCK, blocks: [{ index: 0, data: 0 }, { index: 3 }] });
    const footer = encodeFooter({ ...footerOf({ ...shape, size: 2 * BLOCK }) });
    longer.set(footer, 0);
    longer.set(footer, longer.length - 512);
    expect(await refusal(shape, longer)).toMatchObject({ code: 'ERR_VHD_UNSUPPORTED', rule: 'bat.long' });
  });

  it('is none whose table is said to reach into its blocks: bytes of those are no entries', async () => {
    // As entries the bytes of a block name sector 7.
    const data = Buffer.alloc(BLOCK, Uint8Array.of(0, 0, 0, 7));
    const blocks = [{ index: 2, data }, { index: 0, data: 0 }, { index: 3 }];
    const path = await written({ ...shape, blocks, header: { maxTableEntries: 4096 } });
    const before = await contentOf(path);
    expect(await compact(path)).toMatchObject({ droppedBlocks: 1, movedBlocks: 1 });
    expect(firstDifference(await contentOf(path), before)).toBe(-1);
    expect((await check(path)).ok).toBe(true);
  });

  it('is a table behind the blocks that is said to be longer than any: it stays where it is', async () => {
    const small = Buffer.from(buildImage(shape));
    const tableOffset = 2 * MAX_BAT_BYTES;
    const image = withHeader(small, (_bytes, view) => {
      view.setBigUint64(16, BigInt(tableOffset));
      view.setUint32(28, MAX_BAT_BYTES / 4 + 1024);
    });
    const path = await newPath();
    await using file = await open(path, 'w');
    await file.write(image.subarray(0, 1536), 0, 1536, 0);
    await file.write(image.subarray(2048, -512), 0, image.length - 2560, 2048);
    await file.write(small.subarray(1536, 2048), 0, 512, tableOffset);
    await file.write(image.subarray(-512), 0, 512, tableOffset + MAX_BAT_BYTES + 4096);
    const before = await contentOf(path);
    const { storedBytes, storedBytesBefore, droppedBlocks } = await compact(path);
    expect(droppedBlocks).toBe(1);
    expect(storedBytes).toBeLessThanOrEqual(storedBytesBefore ?? 0);
    expect(firstDifference(await contentOf(path), before)).toBe(-1);
  });

  it('is one that another operation was begun on', async () => {
    const path = await written(shape);
    await writeFile(journalPath(path), 'not whole');
    await expect(compact(path)).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL' });
  });
});

describe('a batmap', () => {
  const { image } = baseOf('batmap');
  const offset = Buffer.from(image).indexOf('tdbatmap');

  async function zeroed(): Promise<string> {
    const path = await newPath();
    await writeFile(path, image);
    const { fileOffset, length } = await firstStored(path);
    await using file = await open(path, 'r+');
    await file.write(new Uint8Array(length), 0, length, fileOffset);
    return path;
  }

  async function firstStored(path: string): Promise<{ fileOffset: number; length: number }> {
    await using disk = await openVhd(path);
    const blockSize = disk.blockSize ?? 0;
    for await (const { kind, fileOffset = 0 } of disk.extents({ located: true })) {
      if (kind === 'data') return { fileOffset, length: blockSize };
    }
    throw new Error('it has blocks');
  }

  it('says nothing of a block that went, and its checksum is right', async () => {
    const path = await zeroed();
    const before = await contentOf(path);
    expect(await compact(path)).toMatchObject({ droppedBlocks: 1 });
    expect(firstDifference(await contentOf(path), before)).toBe(-1);
    const after = await readFile(path);
    const start = Number(after.readBigUInt64BE(offset + 8));
    const map = after.subarray(start, start + after.readUInt32BE(offset + 16) * 512);
    expect(after.readUInt32BE(offset + 24)).toBe(checksumOf(map, map.length));
    expect(map.equals(Buffer.from(image).subarray(start, start + map.length))).toBe(false);
    expect((await check(path)).findings.filter(({ rule }) => rule.startsWith('batmap'))).toEqual([]);
    expect(await readdir(path.replace('/disk.vhd', ''))).toEqual(['disk.vhd']);
  });

  it('that is damaged stays as it is', async () => {
    const path = await zeroed();
    await using file = await open(path, 'r+');
    await file.write(new Uint8Array([1, 2]), 0, 2, offset + 24);
    await expect(compact(path)).rejects.toMatchObject({ code: 'ERR_VHD_UNSUPPORTED' });
  });
});
