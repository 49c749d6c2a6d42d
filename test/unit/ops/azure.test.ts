import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { OverlayDisk } from '../../../src/disk/overlay.ts';
import { openVhd } from '../../../src/open.ts';
import { azureSizeFor, azureWarnings, shapeForAzure, uploadSizeFor } from '../../../src/ops/azure.ts';
import { convert } from '../../../src/ops/convert.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { rawDisk } from '../../support/streams-disks.ts';
import { WorkFolder } from '../../support/streams-files.ts';
import { ChunkSource } from '../../support/streams-sources.ts';

const MIB = 1024 ** 2;
const GIB = 1024 * MIB;
const folder = new WorkFolder();
const AZURE = { to: 'fixed', azure: true } as const;

describe('the size of a disk for Azure', () => {
  it.each([
    [512, 20 * MIB],
    [20 * MIB, 20 * MIB],
    [20 * MIB + 512, 21 * MIB],
    [21 * MIB - 512, 21 * MIB],
    [20 * GIB, 20 * GIB],
    [32_767 * GIB - 512, 32_767 * GIB],
    [32_767 * GIB, 32_767 * GIB],
  ])('of %d bytes is %d', (byteLength, size) => {
    expect(azureSizeFor(byteLength)).toBe(size);
  });

  it('has the limits of the upload sizes Azure names', () => {
    expect(uploadSizeFor(azureSizeFor(1))).toBe(20_972_032);
    expect(uploadSizeFor(azureSizeFor(32_767 * GIB))).toBe(35_183_298_347_520);
    expect(() => azureSizeFor(32_767 * GIB + 512)).toThrow(
      /at most 35183298347008 bytes \(32767 GiB\), found 35183298347520/,
    );
  });

  it('comes with a word on what will not start from it', () => {
    expect(azureWarnings(2048 * GIB)).toEqual([]);
    expect(azureWarnings(2048 * GIB + MIB)).toEqual([expect.stringContaining('generation 2')]);
    expect(azureWarnings(4095 * GIB + MIB)).toEqual([expect.stringContaining('data disk')]);
  });
});

describe('a disk without a GPT for Azure', () => {
  const content = pattern(21 * MIB + 512, 5);

  it('grows by zeros, and is not wrapped where nothing changes', async () => {
    const disk = rawDisk(content);
    const shaped = await shapeForAzure(disk);
    expect(shaped.disk).toBeInstanceOf(OverlayDisk);
    expect([shaped.disk.size, shaped.changes]).toEqual([
      22 * MIB,
      [`its size was rounded up from ${content.length} to ${22 * MIB} bytes`],
    ]);
    const whole = rawDisk(new Uint8Array(22 * MIB));
    expect((await shapeForAzure(whole)).disk).toBe(whole);
  });

  it.each([undefined, content.length])('comes down a pipe, its size told as %s', async (inputSize) => {
    const path = folder.fresh('piped.vhd');
    const result = await convert(new ChunkSource(content, 70_001), path, { ...AZURE, inputSize });
    expect(result).toMatchObject({ virtualSize: 22 * MIB, fileSize: 22 * MIB + 512, uploadSize: 22 * MIB + 512 });
    await using disk = await openVhd(path);
    const bytes = await disk.readBytes(0, disk.size);
    expect(firstDifference(bytes.subarray(0, content.length), content)).toBe(-1);
    expect(bytes.subarray(content.length).every((byte) => byte === 0)).toBe(true);
  });

  it('refuses what is wrong before anything is written', async () => {
    const source = folder.file('any.raw', content);
    const target = folder.fresh('none.vhd');
    await expect(convert(source, target, { ...AZURE, to: 'dynamic' })).rejects.toThrow(TypeError);
    await expect(convert(source, target, { ...AZURE, inputSize: 5 })).rejects.toMatchObject({ code: 'ERR_VHD_SIZE' });
    await expect(convert(source, target, { ...AZURE, inputSize: 0.5 })).rejects.toThrow(RangeError);
    expect(folder.namesWith('none')).toEqual([]);
  });

  it('tells the upload size without writing', async () => {
    const source = folder.fresh('dry.raw');
    writeFileSync(source, content);
    const target = folder.fresh('dry.vhd');
    const outcome = await convert(source, target, { ...AZURE, dryRun: true });
    expect(outcome).toMatchObject({ uploadSize: 22 * MIB + 512, fileSize: 22 * MIB + 512, virtualSize: 22 * MIB });
    expect(folder.namesWith('dry.vhd')).toEqual([]);
  });
});
