// Resizes that change much of the file: what is zeros costs nothing, and what is more than a journal holds is told beforehand.
import { randomFillSync } from 'node:crypto';
import { stat, writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { openVhd } from '../../../src/open.ts';
import { check } from '../../../src/ops/check.ts';
import { createImage } from '../../../src/ops/create.ts';
import { resize } from '../../../src/ops/resize.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { resizeJournal } from '../../support/resizing.ts';
import { gptDisk, LINUX } from '../../support/tables.ts';
import { useTempFolder } from '../../support/temp.ts';

const MIB = 1024 ** 2;
const folder = useTempFolder('resize-limits');

it('a backup GPT finds room where more blocks were cut than are reserved ahead', async () => {
  const path = folder.file('gpt.vhd');
  await createImage(path, { size: 256 * MIB });
  const gpt = gptDisk({ sectorCount: 256 * 2048, entries: [{ type: LINUX, first: 2048, last: 16_383, name: 'one' }] });
  const disk = await openVhd(path, { writable: true });
  await disk.write(gpt.subarray(0, MIB), 0);
  await disk.write(gpt.subarray(-MIB), 255 * MIB);
  for (let index = 0; index < 20; index++) await disk.write(pattern(512, index), (100 + 2 * index) * MIB);
  await disk.close();
  const result = await resize(path, { size: 80 * MIB, allowDataLoss: true });
  expect(result).toMatchObject({ gpt: 'moved', freedBlocks: 21, canUndo: true });
  expect(result.fileSize).toBe((await stat(path)).size);
  expect(result.fileSize).toBeLessThan(6 * MIB);
  expect((await check(path)).findings.filter(({ severity }) => severity !== 'note')).toEqual([]);
  const shrunk = await openVhd(path);
  const end = await shrunk.readBytes(78 * MIB, 2 * MIB);
  await shrunk.close();
  expect(end.subarray(0, -33 * 512).every((byte) => byte === 0)).toBe(true);
  expect(Buffer.from(end.subarray(-512, -504)).toString()).toBe('EFI PART');
});

it('what is more than a journal holds is refused, also where nothing is to be written', async () => {
  const path = folder.file('random.vhd');
  await writeFile(path, buildImage({ size: 32 * MIB, blockSize: 32 * MIB, blocks: [] }));
  const disk = await openVhd(path, { writable: true });
  await disk.write(randomFillSync(new Uint8Array(13 * MIB)), 19 * MIB);
  await disk.close();
  const before = await stat(path);
  await expect(resize(path, { size: 18 * MIB, allowDataLoss: true, dryRun: true })).rejects.toMatchObject({
    code: 'ERR_VHD_LIMIT',
    remedy: expect.stringContaining('-o') as string,
  });
  expect((await stat(path)).mtimeMs).toBe(before.mtimeMs);
});

it('what a draft cannot hold is told as that, and not as a write that failed', async () => {
  const storage = new MemoryStorage(buildImage({ size: 32 * MIB, blockSize: 2 * MIB, blocks: [] }));
  const patches = [{ position: 0, bytes: new Uint8Array(18 * MIB).fill(1) }];
  await expect(resizeJournal(storage, { size: 40 * MIB, patches })).rejects.toMatchObject({
    code: 'ERR_VHD_LIMIT',
    remedy: expect.stringContaining('-o') as string,
  });
});
