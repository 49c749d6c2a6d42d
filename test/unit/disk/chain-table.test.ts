// Sizes, block sizes, the first and the last block, the first and the last sector of it, and which link owns that.
import { describe, expect, it } from 'vitest';
import { buildChain, type Chain, type LinkShape, openChain, randomChain } from '../../support/build-chain.ts';
import type { BlockShape } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { expectBytes, expectExtents, expectedOf, type Range } from '../../support/chain-checks.ts';
import { mix, numberFromEnv, Random } from '../../support/seed.ts';

const KiB = 1024;
const LINKS = 4;

/** Blocks around sectors, which alone are owned; in a differencing image other bytes lie under all other bits. */
function blocksAround(sectors: readonly number[], touched: readonly number[], size: number, link: Link): BlockShape[] {
  const perBlock = link.blockSize / 512;
  const indexes = new Set(touched.map((sector) => Math.floor(sector / perBlock)));
  return [...indexes].map((index) => {
    const inBlock = sectors.map((sector) => sector - index * perBlock).filter((each) => each >= 0 && each < perBlock);
    const data = pattern(link.blockSize, mix(link.seed, index) % 100_000);
    for (let each = 0; each < perBlock; each++) {
      if (link.isBase && !inBlock.includes(each)) data.fill(0, each * 512, each * 512 + 512);
    }
    const left = Math.min(link.blockSize, Math.max(0, size - index * link.blockSize));
    return { index, data, sectors: inBlock.filter((each) => each * 512 < left) };
  });
}

interface Link {
  readonly blockSize: number;
  readonly seed: number;
  readonly isBase: boolean;
}

/** What a row of the table is about. */
interface Row {
  readonly size: number;
  /** Of each link, the child first. */
  readonly blockSizes: readonly number[];
  /** The sector in question. */
  readonly sector: number;
  /** The depth that owns it; the number of links: nobody. */
  readonly owner: number;
  readonly base: 'fixed' | 'dynamic';
}

/** A chain in which one link owns the sector, another one those beside it, and all others have blocks there that own nothing. */
function chainOf({ size, blockSizes, sector, owner, base }: Row): Chain {
  const sectorCount = Math.ceil(size / 512);
  const beside = [sector - 1, sector + 1].filter((each) => each >= 0 && each < sectorCount);
  const shapes = blockSizes.map((blockSize, depth): LinkShape => {
    const isBase = depth === blockSizes.length - 1;
    if (isBase && base === 'fixed') return { type: 'fixed', data: pattern(size, 7) };
    const sectors = depth === owner ? [sector] : depth === (owner + 2) % blockSizes.length ? beside : [];
    const blocks = blocksAround(sectors, [sector, ...beside], size, { blockSize, seed: depth, isBase });
    return { size, blockSize, alignment: depth % 2 === 0 ? 'aligned' : 'packed', blocks };
  });
  return buildChain(shapes);
}

/** The whole disk, single sectors, and ranges of bytes over the boundaries of sectors, blocks and links. */
function rangesAround(sector: number, size: number): Range[] {
  const at = sector * 512;
  const wanted: Range[] = [
    [0, size],
    [at, 512],
    [at - 512, 512],
    [at + 512, 512],
    [at - 3, 7],
    [at + 100, 1],
    [at + 509, 6],
    [at - 700, 2000],
    [at, 0],
  ];
  return wanted.flatMap(([position, length]): Range[] => {
    const [start, end] = [Math.max(0, position), Math.min(size, position + length)];
    return end < start ? [] : [[start, end - start]];
  });
}

async function checkChain(chain: Chain, ranges: readonly Range[]): Promise<void> {
  const disk = await openChain(chain);
  const expected = expectedOf(chain);
  expect(disk.size).toBe(expected.content.length);
  for (const [index, range] of ranges.entries()) {
    await expectBytes(disk, expected.content, range);
    if (index % 3 === 0) await expectExtents(disk, expected, range);
  }
  await disk.close();
}

/** Rows for disks of three blocks, and the odd sizes beside. */
function rowsOf(blockSize: number, others: readonly number[], sizes: readonly number[]): Row[] {
  const rows: Row[] = [];
  const blockSizes = [blockSize, ...others];
  const owners = Array.from({ length: blockSizes.length + 1 }, (_, owner) => owner);
  for (const size of sizes) {
    const lastBlock = Math.floor((size - 1) / blockSize);
    for (const block of new Set([0, lastBlock])) {
      const first = (block * blockSize) / 512;
      const last = Math.ceil(Math.min(size, (block + 1) * blockSize) / 512) - 1;
      for (const sector of new Set([first, last])) {
        const row = { size, blockSizes, sector };
        rows.push(
          ...owners.flatMap((owner) => (['dynamic', 'fixed'] as const).map((base) => ({ ...row, owner, base }))),
        );
      }
    }
  }
  return rows;
}

const TABLES: Record<string, readonly Row[]> = {
  'blocks of one sector': rowsOf(512, [512, 512, 512], [1, 512, 513, 3 * 512, 130 * 512]),
  'blocks of 4 KiB': rowsOf(4 * KiB, [4 * KiB, 4 * KiB, 4 * KiB], [512, 8 * KiB, 12 * KiB - 512, 12 * KiB - 100]),
  'blocks of other sizes in every link': rowsOf(4 * KiB, [512, 64 * KiB, 16 * KiB], [12 * KiB, 40 * KiB + 512]),
  'larger blocks in the child': rowsOf(64 * KiB, [4 * KiB, 512, 32 * KiB], [128 * KiB, 192 * KiB - 512]),
  'blocks of 512 KiB over 64 KiB': rowsOf(512 * KiB, [64 * KiB], [1024 * KiB - 512]),
  'blocks of 2 MiB over 512 KiB': rowsOf(2048 * KiB, [512 * KiB], [2048 * KiB + 512]),
};

describe('a chain gives the bytes of the link that owns them', () => {
  it.each(Object.entries(TABLES))('with %s', async (_name, rows) => {
    for (const row of rows) {
      try {
        await checkChain(chainOf(row), rangesAround(row.sector, row.size));
      } catch (error) {
        throw new Error(`${JSON.stringify(row)}: ${String(error)}`, { cause: error });
      }
    }
  });

  const SEED = numberFromEnv('VHDKIT_SEED', 20_261_124);
  const RUNS = numberFromEnv('VHDKIT_RUNS', 15);
  const sizes = [20 * KiB, 64 * KiB, 48 * KiB - 512, 33 * KiB + 512, 64 * KiB - 100, 512, 5 * KiB + 7] as const;
  const CHOICES = {
    'small blocks of all sizes': { sizes, blockSizes: [512, 1024, 4 * KiB, 16 * KiB] },
    'equal blocks': { sizes: [64 * KiB], blockSizes: [4 * KiB] },
    'equal sizes and blocks of many sizes': {
      sizes: [96 * KiB],
      blockSizes: [512, 2 * KiB, 8 * KiB, 32 * KiB, 128 * KiB],
    },
  } as const;

  it.each(Object.entries(CHOICES))('whatever they own, and whatever their sizes: %s', async (_name, choice) => {
    for (let run = 0; run < RUNS; run++) {
      const seed = SEED + run;
      const random = new Random(seed);
      const chain = randomChain(choice, 1 + random.below(LINKS), random);
      const { size } = chain[0] ?? { size: 0 };
      const ranges = Array.from({ length: 6 }, (): Range => {
        const position = random.below(size);
        return [position, random.below(random.oneIn(2) ? 3000 : size - position + 1)];
      });
      const cut = ranges.map(([position, length]): Range => [position, Math.min(length, size - position)]);
      try {
        await checkChain(chain, [[0, size], ...cut]);
      } catch (error) {
        throw new Error(`VHDKIT_SEED=${seed} VHDKIT_RUNS=1: ${String(error)}`, { cause: error });
      }
    }
  });
});
