// Chains by Windows 10, VirtualBox, blktap, DiscUtils, DOSBox-X, minivhd and others: read through, mapped, flattened and
// written to. (What they hold was read by others and adjudicated: see the index of the corpus.)
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { openDisk, openVhd } from '../../src/open.ts';
import { convert } from '../../src/ops/convert.ts';
import { mapRuns } from '../../src/ops/map.ts';
import { pattern } from '../support/bytes.ts';
import { type CorpusImage, corpusImages, describeWithCorpus, unpackCorpus } from '../support/corpus.ts';
import { stub, whyMissing } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';
import { Contents } from './contents.ts';
import { chunksOf, mappedDigest, rawDigest } from './digests.ts';
import { expectSevenZipHolds } from './readers.ts';

const chains = corpusImages.filter(
  ({ diskType, isDamaged, isFragment }) => diskType === 4 && !isDamaged && !isFragment,
);
/** blktap's child of a raw disk. */
const options = { allowRawParent: true };

describeWithCorpus('the chains of the corpus', () => {
  const temp = useTempFolder('corpus-chains');

  beforeAll(async () => {
    await unpackCorpus(temp.path);
  });

  test('are of seven programs', () => {
    expect(chains.length).toBeGreaterThanOrEqual(11);
    expect(new Set(chains.map(({ name }) => dirname(name))).size).toBeGreaterThanOrEqual(7);
  });

  describe('hold the bytes they are known to hold', () => {
    for (const { name, raw, chain } of chains) {
      test(name, async () => {
        const { disk, vhd, parentPaths } = await openDisk(temp.file(name), options);
        expect(await rawDigest(disk)).toEqual(raw);
        expect(parentPaths).toEqual(chain.slice(1).map((link) => temp.file(link)));
        expect(vhd?.findings.filter(({ severity }) => severity === 'error')).toEqual([]);
        await disk.close();
      });
    }
  });

  describe('have them in the files where the map says', () => {
    for (const { name, raw, chain } of chains) {
      test(name, async () => {
        await using disk = await openVhd(temp.file(name), options);
        expect(
          await mappedDigest(
            chain.map((link) => temp.file(link)),
            mapRuns(disk),
          ),
        ).toEqual(raw);
      });
    }
  });

  describe('become one image', () => {
    for (const { name, raw } of chains) {
      test(name, async () => {
        for (const to of ['raw', 'fixed', 'dynamic'] as const) {
          const target = temp.file(`flat-${to}`);
          await convert(temp.file(name), target, { to, force: true, ...options });
          const { disk } = await openDisk(target, { from: to === 'raw' ? 'raw' : 'vhd' });
          expect(await rawDigest(disk)).toEqual(raw);
          await disk.close();
        }
      });
    }
  });

  describe('are found after a move, and nothing else is taken for them', () => {
    for (const { name, raw, chain } of chains) {
      test(name, async () => {
        const folder = temp.file('moved');
        const [path = '', parent = ''] = await copyChain(
          chain.map((link) => temp.file(link)),
          folder,
        );
        await using disk = await openVhd(path, options);
        expect(await rawDigest(disk)).toEqual(raw);
        await disk.close();
        await rename(parent, `${parent}.away`);
        // DOSBox-X and minivhd give all of them one identifier.
        const refused = expect.stringMatching(/^ERR_VHD_PARENT_(MISSING|OUTSIDE)$/) as string;
        await expect(openVhd(path, options)).rejects.toMatchObject({ code: refused, storage: path });
        await rm(folder, { recursive: true });
      });
    }
  });

  const reason = whyMissing('7z');
  if (reason !== undefined) stub('read by 7z: the same bytes', reason);
  else {
    describe('read by 7z: the same bytes', () => {
      for (const { name } of chains.filter(({ agree }) => agree.includes('7z'))) {
        test(name, async () => {
          await using disk = await openVhd(temp.file(name));
          await expectSevenZipHolds(temp.file(name), await contentsOf(disk));
        });
      }
    });
  }

  describe('written to in the child: it is there, and the parents are as they were', () => {
    for (const image of chains) test(image.name, () => writeTo(image));
  });

  async function writeTo({ chain, agree }: CorpusImage): Promise<void> {
    const folder = temp.file('written');
    const [path = '', ...parents] = await copyChain(
      chain.map((link) => temp.file(link)),
      folder,
    );
    const before = await digestsOf(parents);
    const disk = await openVhd(path, { writable: true, ...options });
    let expected = await contentsOf(disk);
    // Parts of sectors, a whole one, over blocks that are there and that are not; zeros over what a parent has.
    for (const position of [100, 1_048_576, Math.floor(disk.size / 1024) * 512, 2 * 1_048_576 - 700]) {
      const bytes = pattern(1400, position);
      await disk.write(bytes, position);
      expected = expected.with(position, bytes);
    }
    await disk.write(new Uint8Array(5000), 32_256);
    expected = expected.with(32_256, new Uint8Array(5000));
    await disk.close();
    await using again = await openVhd(path, options);
    const bytes = await again.readBytes(0, again.size);
    expect(expected.difference(bytes, 0)).toBeUndefined();
    expect(await digestsOf(parents)).toEqual(before);
    if (reason === undefined && agree.includes('7z')) await expectSevenZipHolds(path, expected);
    await rm(folder, { recursive: true });
  }
});

async function copyChain(paths: readonly string[], folder: string): Promise<string[]> {
  await mkdir(folder);
  return Promise.all(
    paths.map(async (path) => {
      const copy = join(folder, basename(path));
      await copyFile(path, copy);
      return copy;
    }),
  );
}

async function contentsOf(disk: Parameters<typeof chunksOf>[0]): Promise<Contents> {
  const places = [];
  for await (const place of chunksOf(disk)) places.push(place);
  return new Contents(disk.size, places);
}

async function digestsOf(paths: readonly string[]): Promise<string[]> {
  return Promise.all(
    paths.map(async (path) =>
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex'),
    ),
  );
}
