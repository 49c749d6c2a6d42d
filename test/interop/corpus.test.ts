// Images by some thirty programs: opened, their bytes are what the corpus knows them to be. Damaged ones are refused, or
// right. (Read by others and adjudicated: see the index of the corpus.)
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { VhdError } from '../../src/errors.ts';
import { openDisk, openVhd } from '../../src/open.ts';
import { mapRuns } from '../../src/ops/map.ts';
import { corpusForeignImages, corpusImages, describeWithCorpus, unpackCorpus } from '../support/corpus.ts';
import { useTempFolder } from '../support/temp.ts';
import { chunkDigest, mappedDigest, rawDigest } from './digests.ts';

/** A disk of size 0, as qemu-img makes one: refused or opened with nothing on it, both are right. */
const isEmptyDisk = (image: { raw: { size: number } | undefined }): boolean => image.raw?.size === 0;

describeWithCorpus('the corpus', () => {
  const temp = useTempFolder('corpus');
  const isSound = (image: (typeof corpusImages)[number]): boolean => !image.isDamaged && !image.isFragment;
  const sound = corpusImages.filter(isSound);
  const plain = sound.filter((image) => (image.diskType === 2 || image.diskType === 3) && !isEmptyDisk(image));

  beforeAll(async () => {
    await unpackCorpus(temp.path, true);
  });

  test('is large enough to mean something', () => {
    expect(plain.length).toBeGreaterThan(140);
  });

  describe('opened, holds the bytes it is known to hold', () => {
    for (const { name, raw, chunks } of plain) {
      test(name, async () => {
        const disk = await openVhd(temp.file(name));
        if (raw !== undefined) expect(await rawDigest(disk)).toEqual(raw);
        else expect(await chunkDigest(disk)).toEqual(chunks);
        await disk.close();
      });
    }
  });

  describe('mapped, has its bytes in the file where the map says', () => {
    for (const { name, raw } of plain) {
      if (raw === undefined || raw.size > 128 * 1024 ** 2) continue;
      test(name, async () => {
        await using disk = await openVhd(temp.file(name));
        expect(await mappedDigest([temp.file(name)], mapRuns(disk))).toEqual(raw);
      });
    }
  });

  describe('what is damaged is refused, or what it holds is right', () => {
    const damaged = corpusImages.filter((image) => !isSound(image) || isEmptyDisk(image));
    for (const { name, raw } of damaged) {
      test(name, { timeout: 10_000 }, async () => {
        const before = await digestOf(temp.file(name));
        const outcome = await outcomeOf(temp.file(name));
        if (outcome instanceof VhdError) expect(outcome.code).toMatch(/^ERR_VHD_/);
        else expect(outcome).toEqual(raw ?? 'refused');
        expect(await digestOf(temp.file(name))).toBe(before);
      });
    }
  });

  describe('an image of another format is refused by its name', () => {
    for (const { name } of corpusForeignImages) {
      test(name, async () => {
        await expect(openVhd(temp.file(name))).rejects.toBeInstanceOf(VhdError);
        await expect(openDisk(temp.file(name))).rejects.toMatchObject({ code: 'ERR_VHD_FOREIGN_FORMAT' });
      });
    }
  });
});

/** What a whole image holds, or the library's refusal; any other error is thrown. */
async function outcomeOf(path: string): Promise<unknown> {
  try {
    const disk = await openVhd(path);
    try {
      return await rawDigest(disk);
    } finally {
      await disk.close();
    }
  } catch (error) {
    if (error instanceof VhdError) return error;
    throw error;
  }
}

async function digestOf(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}
