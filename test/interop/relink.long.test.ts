// Chains by other programs, moved: their images renamed and scattered, so that no name leads anywhere, and relinked.
import { createHash } from 'node:crypto';
import { copyFile, mkdir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { openVhd } from '../../src/open.ts';
import { relink } from '../../src/ops/relink.ts';
import { relinkAll } from '../../src/ops/relink-all.ts';
import { corpusImages, describeWithCorpus, unpackCorpus } from '../support/corpus.ts';
import { runPeer, stub, whyMissing } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';
import { rawDigest } from './digests.ts';

/** Programs that give a child the identifier of its parent leave only names to tell them apart. */
const HAVE_ONE_IDENTIFIER = /^gen-(minivhd|dosbox-x)\//;
/** Parents without an identifier are found by nobody but by name. */
const RAW_BASED = 'gen-blktap/bt-rawchild.vhd';

describeWithCorpus('a chain of the corpus that was moved', () => {
  const temp = useTempFolder('relink-corpus');
  const children = corpusImages.filter((image) => image.diskType === 4 && !image.isDamaged && !image.isFragment);

  beforeAll(() => unpackCorpus(temp.file('corpus')));

  test('is there', () => expect(children.length).toBeGreaterThan(9));

  /** Copies a chain, link after link, to where `place` says. */
  async function move(chain: readonly string[], place: (index: number) => string): Promise<string[]> {
    const paths = chain.map((_, index) => temp.file(place(index)));
    for (const [index, path] of paths.entries()) {
      await mkdir(dirname(path), { recursive: true });
      await copyFile(temp.file(`corpus/${chain[index]}`), path);
    }
    return paths;
  }

  async function relinkEach(paths: readonly string[]): Promise<string> {
    for (const [index, path] of paths.entries()) {
      const parent = paths[index + 1];
      if (parent !== undefined) await relink(path, { parent });
    }
    return paths[0] ?? '';
  }

  async function digestOf(path: string): Promise<unknown> {
    await using disk = await openVhd(path, { followParents: true, allowRawParent: true });
    return await rawDigest(disk);
  }

  for (const { name, raw, chain } of children) {
    const label = basename(name, '.vhd');
    const isFoundByIdentifier = !HAVE_ONE_IDENTIFIER.test(name) && name !== RAW_BASED;

    describe(name, () => {
      test('reads the same when each image has its own directory', async () => {
        const child = await relinkEach(
          await move(chain, (index) => `${label}/own/${'x/'.repeat(index)}Привет ${index}.vhd`),
        );
        expect(await digestOf(child)).toEqual(raw);
      });

      test.runIf(isFoundByIdentifier)('is mended as a directory', async () => {
        const paths = await move(chain, (index) => `${label}/all/${index % 2 === 0 ? 'a/' : 'b/'}link-${index}.vhd`);
        const done = await relinkAll(temp.file(`${label}/all`));
        expect(done).toMatchObject({ relinked: chain.length - 1, failed: 0 });
        expect(await digestOf(paths[0] ?? '')).toEqual(raw);
      });

      const missing = whyMissing('7z');
      if (missing !== undefined) stub('read by 7-Zip', missing);
      else if (name !== RAW_BASED) {
        test('is read by 7-Zip under other names', async () => {
          const child = await relinkEach(await move(chain, (index) => `${label}/7z/link-${index}.vhd`));
          const hash = createHash('sha256');
          let size = 0;
          const onOutput = (chunk: Buffer): boolean => {
            hash.update(chunk);
            size += chunk.length;
            return true;
          };
          await runPeer('7z', ['x', '-so', '-tvhd', child], { onOutput });
          expect({ size, sha256: hash.digest('hex') }).toEqual(raw);
        });
      }
    });
  }
});
