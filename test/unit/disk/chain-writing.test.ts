// Writes into a child: first and last block, first and last sector, which link owned that, and how it is written.
import { describe, expect, it } from 'vitest';
import type { VhdDisk } from '../../../src/disk/vhd-disk.ts';
import { ArrayStorage } from '../../support/array-storage.ts';
import { buildChain, type Chain, forReading, type LinkShape, openOver } from '../../support/build-chain.ts';
import { pattern } from '../../support/bytes.ts';
import { type ChangedChain, expectBytes, expectOwner, type Range } from '../../support/chain-checks.ts';
import { collect } from '../../support/collect.ts';

const KiB = 1024;

/** How the blocks of the child are: absent, all garbage under clear bits, the sector owned, all but the sector, all. */
type Owning = 'no block' | 'nothing' | 'the sector' | 'all others' | 'everything';
const OWNINGS: readonly Owning[] = ['no block', 'nothing', 'the sector', 'all others', 'everything'];

interface Row {
  readonly size: number;
  readonly blockSize: number;
  readonly sector: number;
  readonly owning: Owning;
}

function chainOf({ size, blockSize, sector, owning }: Row, parents: readonly LinkShape[]): Chain {
  const perBlock = blockSize / 512;
  const index = Math.floor(sector / perBlock);
  const data = pattern(blockSize, 3);
  const others = Array.from({ length: perBlock }, (_, each) => each).filter((each) => each !== sector % perBlock);
  const sectors = { nothing: [], 'the sector': [sector % perBlock], 'all others': others };
  const blocks = {
    'no block': [],
    nothing: [{ index, data, sectors: sectors.nothing }],
    'the sector': [{ index, data, sectors: sectors['the sector'] }],
    'all others': [{ index, data, sectors: sectors['all others'] }],
    everything: [{ index, data }],
  };
  return buildChain([{ size, blockSize, blocks: blocks[owning] }, ...parents]);
}

/** One change: bytes from a place on, or a discard. */
interface Change {
  readonly range: Range;
  readonly kind: 'bytes' | 'zeros' | 'discard';
}

/** What is done around a sector: all of it, parts of it, over its ends, its block, all. */
function changesAround({ size, blockSize, sector }: Row): Change[] {
  const at = sector * 512;
  const block = at - (at % blockSize);
  const ranges: Range[] = [
    [at, 512],
    [at + 200, 3],
    [at + 510, 4],
    [at - 1, 2],
    [at - 300, 1100],
    [block, blockSize],
    [block - 100, blockSize + 200],
    [0, size],
  ];
  const cut = ranges.map(([position, length]): Range => {
    const start = Math.max(0, position);
    return [start, Math.min(size, position + length) - start];
  });
  const kinds = ['bytes', 'zeros', 'discard'] as const;
  return cut.filter(([, length]) => length > 0).flatMap((range) => kinds.map((kind) => ({ range, kind })));
}

async function perform(
  disk: VhdDisk,
  { range: [position, length], kind }: Change,
  changed: ChangedChain,
): Promise<void> {
  const source = kind === 'bytes' ? pattern(length, 77) : new Uint8Array(length);
  changed.bytes.set(source, position);
  changed.touched.fill(1, position, position + length);
  await (kind === 'discard' ? disk.discard(position, length) : disk.write(source, position));
}

async function expectChanged(disk: VhdDisk, changed: ChangedChain): Promise<void> {
  await expectBytes(disk, changed.bytes, [0, disk.size]);
  for (const extent of await collect(disk.extents())) expectOwner(changed, extent);
}

/** Makes the changes, and looks at once, after a flush, after a close, and after one more write. */
async function check(chain: Chain, changes: readonly Change[]): Promise<void> {
  const [child, ...parents] = chain;
  if (child === undefined) throw new Error('a chain has a link');
  const changed = { chain, bytes: child.content.slice(), touched: new Uint8Array(child.size) };
  const storage = new ArrayStorage(child.image.slice());
  const disk = await openOver(storage, parents, { writable: true });
  for (const change of changes) await perform(disk, change, changed);
  await expectChanged(disk, changed);
  await disk.flush();
  await expectChanged(disk, changed);
  await disk.close();
  const image = storage.bytes;
  const readable = await openOver(forReading({ image }), parents);
  expect(readable.findings.filter(({ severity }) => severity === 'error')).toEqual([]);
  await expectChanged(readable, changed);
  const again = await openOver(new ArrayStorage(image), parents, { writable: true, durability: 'always' });
  await perform(again, { range: [Math.max(0, child.size - 700), Math.min(child.size, 700)], kind: 'bytes' }, changed);
  await expectChanged(again, changed);
  await again.close();
}

function rowsOf(blockSize: number, sizes: readonly number[], ownings = OWNINGS): Row[] {
  const rows: Row[] = [];
  for (const size of sizes) {
    for (const block of new Set([0, Math.floor((size - 1) / blockSize)])) {
      const first = (block * blockSize) / 512;
      const last = Math.ceil(Math.min(size, (block + 1) * blockSize) / 512) - 1;
      for (const sector of new Set([first, last])) {
        for (const owning of ownings) rows.push({ size, blockSize, sector, owning });
      }
    }
  }
  return rows;
}

const ROWS: Record<string, readonly Row[]> = {
  'blocks of one sector': rowsOf(512, [512, 5 * 512, 4 * 512 + 100]),
  'blocks of 4 KiB': rowsOf(4 * KiB, [12 * KiB, 12 * KiB - 512, 9 * KiB + 100]),
  'blocks of 64 KiB': rowsOf(64 * KiB, [129 * KiB], ['no block', 'all others']),
};

/** What stands above, for a child of a size. */
const PARENTS: Record<string, (size: number) => readonly LinkShape[]> = {
  'a full fixed image': (size) => [{ type: 'fixed', data: pattern(size, 5) }],
  'an empty dynamic image': (size) => [{ size, blockSize: 8 * KiB }],
  'a smaller child': (size) => [
    {
      size: Math.ceil(size / 2),
      blockSize: 2 * KiB,
      blocks: [{ index: 0, data: pattern(2 * KiB, 6), sectors: [0, 2] }],
    },
    { type: 'fixed', data: pattern(size + 512, 7) },
  ],
};

/** VHDKIT_RUNS set: all of the table; a third of its rows over each of the parents otherwise. */
const EVERY = process.env['VHDKIT_RUNS'] !== undefined;

describe('what is written into a child is there, and nothing else is another one', () => {
  const cases = Object.entries(ROWS).flatMap(([name, rows]) =>
    Object.entries(PARENTS).map(([above, parentsOf], turn) => [name, above, { rows, parentsOf, turn }] as const),
  );

  it.each(cases)('with %s over %s', async (_name, _above, { rows, parentsOf, turn }) => {
    for (const [index, row] of rows.entries()) {
      if (!EVERY && index % 3 !== turn) continue;
      const chain = chainOf(row, parentsOf(row.size));
      const changes = changesAround(row);
      // Each change alone in some of the rows, and all together in every one.
      const alone = changes.filter((_, change) => EVERY || change % 6 === index % 6).map((change) => [change]);
      const programs = [...alone, changes, changes.toReversed()];
      for (const program of programs) {
        await check(chain, program).catch((cause: unknown) => {
          throw new Error(`${JSON.stringify(row)}, ${JSON.stringify(program)}: ${String(cause)}`, { cause });
        });
      }
    }
  });
});
