// Chains whose images lie in files, which are read together, and in files and elsewhere.
import { truncate, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { FileStorage } from '../../../src/storage/file.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import {
  buildChain,
  type Chain,
  forReading,
  type LinkShape,
  openOver,
  randomChain,
} from '../../support/build-chain.ts';
import { pattern } from '../../support/bytes.ts';
import { expectBytes, type Range } from '../../support/chain-checks.ts';
import { numberFromEnv, Random } from '../../support/seed.ts';
import { useTempFolder } from '../../support/temp.ts';

const KiB = 1024;
const SEED = numberFromEnv('VHDKIT_SEED', 20_261_124);
const RUNS = numberFromEnv('VHDKIT_RUNS', 8);
const folder = useTempFolder('chain-files');

let fileCount = 0;

/** Opens a chain some of whose images are put into files. */
async function openInFiles(chain: Chain, isInFile: (depth: number) => boolean) {
  const paths = chain.map(() => folder.file(`${fileCount++}.vhd`));
  const storages: Storage[] = [];
  for (const [depth, link] of chain.entries()) {
    const path = paths[depth] ?? '';
    if (isInFile(depth)) await writeFile(path, link.image);
    storages.push(isInFile(depth) ? await FileStorage.open(path) : forReading(link));
  }
  const [child, ...parents] = storages;
  if (child === undefined) throw new Error('a chain has a link');
  const storageOf = (_link: unknown, depth: number): Storage => {
    const storage = parents[depth];
    if (storage === undefined) throw new Error(`no parent ${depth}`);
    return storage;
  };
  return { disk: await openOver(child, chain.slice(1), { storageOf }), paths, storages };
}

describe('a chain in files', () => {
  const choice = {
    sizes: [64 * KiB, 48 * KiB - 512, 96 * KiB],
    blockSizes: [512, 4 * KiB, 4 * KiB, 16 * KiB],
  } as const;

  it.each([
    ['all', () => true],
    ['every other one', (depth: number) => depth % 2 === 0],
    ['all but the child', (depth: number) => depth > 0],
  ] as const)('gives the bytes of the link that owns them, %s in a file of its own', async (_name, isInFile) => {
    for (let run = 0; run < RUNS; run++) {
      const random = new Random(SEED + run);
      const chain = randomChain(choice, 2 + random.below(4), random);
      const { disk } = await openInFiles(chain, isInFile);
      const content = chain[0]?.content ?? new Uint8Array(0);
      const ranges = Array.from({ length: 12 }, (): Range => {
        const position = random.below(disk.size);
        return [position, random.below(disk.size - position + 1)];
      });
      await Promise.all([[0, disk.size] as const, ...ranges].map((range) => expectBytes(disk, content, range)));
      await disk.close();
    }
  });

  const shapes: LinkShape[] = [
    {
      size: 32 * KiB,
      blockSize: 4 * KiB,
      blocks: [
        { index: 1, data: pattern(4 * KiB, 1) },
        { index: 3, sectors: [1] },
      ],
    },
    { size: 32 * KiB, blockSize: 4 * KiB, blocks: [{ index: 2, data: pattern(4 * KiB, 2) }] },
    { type: 'fixed', data: pattern(32 * KiB, 3) },
  ];
  const chain = buildChain(shapes);

  it.each([0, 1, 2])(
    'one of which is cut short while it is open says which, and at what offset (depth %i)',
    async (cut) => {
      const { disk, paths } = await openInFiles(chain, () => true);
      const path = paths[cut] ?? '';
      // Bitmaps are known now.
      await disk.readBytes(0, disk.size);
      await truncate(path, 2560);
      await expect(disk.readBytes(0, disk.size)).rejects.toMatchObject({ code: 'ERR_VHD_TRUNCATED', storage: path });
      const owned = [
        [4 * KiB, 4 * KiB],
        [8 * KiB, 4 * KiB],
        [20 * KiB, 12 * KiB],
      ] as const;
      for (const [depth, range] of owned.entries()) {
        if (depth !== cut) await expectBytes(disk, chain[0]?.content ?? new Uint8Array(0), range);
      }
      await disk.close();
    },
  );

  it('one of which is closed under it says so, and every other part can be read', async () => {
    const { disk, storages } = await openInFiles(chain, () => true);
    await disk.readBytes(0, disk.size);
    await storages[1]?.close();
    await expect(disk.readBytes(0, disk.size)).rejects.toMatchObject({ code: 'ERR_VHD_CLOSED' });
    await expectBytes(disk, chain[0]?.content ?? new Uint8Array(0), [20 * KiB, 12 * KiB]);
    await expectBytes(disk, chain[0]?.content ?? new Uint8Array(0), [4 * KiB, 4 * KiB]);
    await disk.close();
  });

  it('is closed only when every read has ended', async () => {
    const { disk } = await openInFiles(chain, () => true);
    const reads = Array.from({ length: 20 }, () => disk.readBytes(0, disk.size));
    const closing = disk.close();
    for (const bytes of await Promise.all(reads)) expect(Buffer.compare(bytes, chain[0]?.content ?? bytes)).toBe(0);
    await closing;
  });
});
