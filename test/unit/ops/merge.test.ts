import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openVhd } from '../../../src/open.ts';
import { findJournalPath, readJournal } from '../../../src/open-journal.ts';
import { merge } from '../../../src/ops/merge.ts';
import { buildOver, type Chain, randomShape } from '../../support/build-chain.ts';
import { firstDifference } from '../../support/bytes.ts';
import { type ChainFiles, writeChain } from '../../support/chain-folders.ts';
import { checkParameters, mix, Random } from '../../support/seed.ts';
import { useTempFolder } from '../../support/temp.ts';

const KiB = 1024;
const CHOICE = { sizes: [40 * KiB, 39 * KiB + 512, 61 * KiB], blockSizes: [512, 4 * KiB, 16 * KiB] } as const;
const { numRuns: RUNS, seed: SEED = 1 } = checkParameters(20);
const TIMEOUT = RUNS * 2000;

async function contentOfFile(path: string, parentDirs: readonly string[]): Promise<Uint8Array> {
  await using disk = await openVhd(path, { parentDirs });
  return await disk.readBytes(0, disk.size);
}

async function filesOf(paths: readonly string[]): Promise<readonly Uint8Array[]> {
  return Promise.all(paths.map((path) => readFile(path)));
}

/** Nobody changed anything; `except` is the position of one that may be another. */
async function expectUnchanged(paths: readonly string[], before: readonly Uint8Array[], except = -1): Promise<void> {
  for (const [index, bytes] of (await filesOf(paths)).entries()) {
    if (index !== except) expect(firstDifference(bytes, before[index] ?? new Uint8Array())).toBe(-1);
  }
}

/** A chain that also owns zeros: where a child has zeros and its parents data, the zeros count. */
function chainWithZeros(length: number, random: Random): Chain {
  let chain: Chain = [];
  for (let level = 0; level < length; level++) {
    const shape = randomShape(CHOICE, level === 0, random);
    const places = shape.type === 'fixed' ? [shape.data] : (shape.blocks ?? []).map(({ data }) => data);
    for (const data of places) {
      if (!(data instanceof Uint8Array)) continue;
      const odds = 1 + random.below(4);
      for (let at = 0; at < data.length; at += 512) if (random.oneIn(odds)) data.fill(0, at, at + 512);
    }
    chain = buildOver(chain, shape);
  }
  return chain;
}

/** What the ancestor is to hold: the child, and what it had behind the end of that. */
function mergedContent(chain: Chain, position: number): Uint8Array {
  const [child, target] = [chain[0]?.content ?? new Uint8Array(), chain[position]?.content ?? new Uint8Array()];
  const content = new Uint8Array(Math.max(child.length, target.length));
  content.set(target);
  content.set(child);
  return content;
}

describe('merge', () => {
  const temp = useTempFolder('merge');
  let count = 0;

  async function chainInFiles(
    random: Random,
    length = 2 + random.below(3),
  ): Promise<{ chain: Chain; files: ChainFiles }> {
    const chain = chainWithZeros(length, random);
    return { chain, files: await writeChain(chain, temp.file(`chain-${count++}`)) };
  }

  it(
    'makes the ancestor read as the child, which stays as it is',
    async () => {
      let refused = 0;
      for (let run = 0; run < RUNS; run++) {
        const random = new Random(mix(SEED, run));
        const { chain, files } = await chainInFiles(random);
        const { paths, parentDirs } = files;
        const position = 1 + random.below(chain.length - 1);
        const [child = '', into = ''] = [paths[0], paths[position]];
        const before = await filesOf(paths);
        const options = position === 1 && random.oneIn(2) ? {} : { into };
        const wanted = mergedContent(chain, position);
        const result = await merge(child, { parentDirs, ...options }).catch((error: unknown) => error);
        if (result instanceof Error) {
          expect(result).toMatchObject({ code: 'ERR_VHD_PARENT_SIZE' });
          await expectUnchanged(paths, before);
          refused++;
          continue;
        }
        const what = `run ${run}, into ${position} of ${chain.map(({ type, size, blockSize }) => `${type} ${size} ${blockSize}`).join(', ')}`;
        expect(firstDifference(await contentOfFile(into, parentDirs), wanted), what).toBe(-1);
        expect(firstDifference(await contentOfFile(child, parentDirs), chain[0]?.content ?? wanted), what).toBe(-1);
        await expectUnchanged(paths, before, position);
        expect(result).toMatchObject({
          into,
          path: into,
          merged: paths.slice(0, position),
          virtualSize: wanted.length,
        });
        expect(await readJournal(into)).toBeUndefined();
        expect(await findJournalPath(into)).toBeDefined();
      }
      expect(refused).toBeLessThan(RUNS / 5);
    },
    TIMEOUT,
  );

  it(
    'makes a new image of what the ancestor would become, and changes none',
    async () => {
      for (let run = 0; run < RUNS / 3; run++) {
        const random = new Random(mix(SEED + 1, run));
        const { chain, files } = await chainInFiles(random);
        const { paths, parentDirs } = files;
        const position = 1 + random.below(chain.length - 1);
        const before = await filesOf(paths);
        const output = temp.file(`new-${run}.vhd`);
        const into = paths[position] ?? '';
        const result = await merge(paths[0] ?? '', { parentDirs, into, output });
        const target = chain[position];
        expect(result).toMatchObject({ path: output, into, type: target?.type, safeToDelete: [] });
        const wanted = mergedContent(chain, position);
        expect(firstDifference(await contentOfFile(output, parentDirs), wanted), `run ${run}`).toBe(-1);
        await expectUnchanged(paths, before);
      }
    },
    TIMEOUT,
  );
});
