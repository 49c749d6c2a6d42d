import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { createVhdStorage } from '../../src/disk/create-storage.ts';
import { FlatDisk } from '../../src/disk/flat.ts';
import { openVhdStorage } from '../../src/disk/open-storage.ts';
import { NO_OFFSET } from '../../src/format/bytes.ts';
import { encodeFooter } from '../../src/format/footer.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { buildChain, openOver } from '../support/build-chain.ts';
import { type BlockShape, buildImage, contentOf, footerOf, type ImageShape } from '../support/build-image.ts';
import { pattern } from '../support/bytes.ts';
import { ProbeStorage } from '../support/probe-storage.ts';
import { diskSuite } from './disk.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

const folder = mkdtempSync(join(tmpdir(), 'vhdkit-disk-'));
afterAll(() => rmSync(folder, { recursive: true }));

const openVhd = (storage: Storage, writable: boolean) => openVhdStorage(storage, { writable });

const raw = pattern(20 * KiB, 2);
for (const discard of ['zeroes', 'ignored'] as const) {
  diskSuite({
    name: `a raw image whose storage's discard is ${discard}`,
    content: raw,
    blockSize: 4096,
    create: () => new ProbeStorage(new MemoryStorage(raw), { discard }),
    open: async (storage, writable) => new FlatDisk(storage, raw.length, !writable),
  });
}

const fixedFooter = { ...footerOf({ size: raw.length }), dataOffset: NO_OFFSET, diskType: 2 };
const fixedImage = Buffer.concat([raw, encodeFooter(fixedFooter)]);
diskSuite({
  name: 'a fixed image',
  content: raw,
  blockSize: 4096,
  create: () => new MemoryStorage(fixedImage),
  open: openVhd,
});

for (const blockSize of [2 * MiB, 512 * KiB]) {
  const empty = new MemoryStorage();
  const made = await createVhdStorage(empty, { size: 3 * blockSize + 1536, blockSize });
  await made.close();
  diskSuite({
    name: `a new dynamic image with blocks of ${blockSize} bytes`,
    content: new Uint8Array(3 * blockSize + 1536),
    blockSize,
    create: () => new MemoryStorage(empty.toBytes()),
    open: openVhd,
  });
}

/** A disk of a few blocks: some there, out of order, one of them only in part. */
function blocksOf(blockSize: number): BlockShape[] {
  const sectors = Array.from({ length: blockSize / 512 }, (_, sector) => sector).filter((sector) => sector % 5 !== 2);
  const partial = pattern(blockSize, 12);
  for (let sector = 2; sector < blockSize / 512; sector += 5) partial.fill(0, sector * 512, (sector + 1) * 512);
  return [
    { index: 3, data: pattern(blockSize, 11) },
    { index: 0, data: partial, sectors },
    { index: 1, data: pattern(300, 13) },
  ];
}

function shapeOf(blockSize: number, shape: Partial<ImageShape> = {}): ImageShape {
  return { size: 5 * blockSize - 512, blockSize, blocks: blocksOf(blockSize), ...shape };
}

const BIG = 16 * MiB;
const SHAPES: Record<string, ImageShape> = {
  'with packed blocks of 4 KiB': shapeOf(4 * KiB),
  'with aligned blocks of 4 KiB': shapeOf(4 * KiB, { alignment: 'aligned' }),
  'with packed blocks of 512 bytes': {
    size: 9 * 512,
    blockSize: 512,
    blocks: [
      { index: 5, data: pattern(512, 21) },
      { index: 0, data: pattern(512, 22) },
      { index: 8, data: 0, sectors: [] },
    ],
  },
  'with blocks of 16 MiB': {
    size: 2 * BIG + 512,
    blockSize: BIG,
    blocks: [{ index: 1, data: pattern(70_000, 23), sectors: Array.from({ length: 200 }, (_, sector) => sector) }],
  },
  'with packed blocks of 64 KiB': shapeOf(64 * KiB),
  'with its table far behind the header': shapeOf(4 * KiB, { tableOffset: 8192 }),
  'with its table behind the blocks': shapeOf(4 * KiB, { tableOffset: 'behind-blocks', blocksFrom: 4096 }),
  'with a table longer than needed': shapeOf(4 * KiB, { maxTableEntries: 700 }),
  'with zeros behind the last entry': shapeOf(4 * KiB, { maxTableEntries: 5, tablePadding: 0 }),
  'without a footer at the end': shapeOf(4 * KiB, { endFooter: 'none' }),
  'without a footer at the start': shapeOf(4 * KiB, { startFooter: 'none' }),
  'with a footer of 511 bytes': shapeOf(4 * KiB, { isLegacyEnd: true }),
  'with slack before the footer': shapeOf(4 * KiB, { slackBytes: 7 * 512 }),
  'with a last block that is cut to the disk': {
    size: 4096 * 2 + 1024,
    blockSize: 4096,
    blocks: [
      { index: 0, data: pattern(4096, 31) },
      { index: 2, data: pattern(1024, 32), storedBytes: 1024 },
    ],
  },
  'of a size that is no whole number of sectors': {
    size: 4096 * 2 + 700,
    blockSize: 4096,
    blocks: [{ index: 2, data: pattern(4096, 33) }],
  },
};

for (const [name, shape] of Object.entries(SHAPES)) {
  const image = buildImage(shape);
  diskSuite({
    name: `an image ${name}`,
    content: contentOf(shape),
    blockSize: shape.blockSize ?? 2 * MiB,
    create: () => new MemoryStorage(image),
    open: openVhd,
  });
}

// What blktap leaves on a volume: old bytes under bits that are clear.
const dirty = shapeOf(4 * KiB, {
  footer: { creatorApplication: 'tap\0' },
  blocks: [
    { index: 0, data: pattern(4 * KiB, 41), sectors: [0, 3, 7] },
    { index: 1, data: pattern(4 * KiB, 42), sectors: [] },
  ],
});
const dirtyImage = buildImage(dirty);
diskSuite({
  name: 'an image of blktap with old bytes under clear bits',
  content: contentOf(dirty),
  blockSize: 4 * KiB,
  create: () => new MemoryStorage(dirtyImage),
  open: openVhd,
});

// Children, over parents that hold other things at the same places.
for (const [name, shape] of Object.entries({
  'with packed blocks of 4 KiB': shapeOf(4 * KiB),
  'with aligned blocks of 64 KiB': shapeOf(64 * KiB, { alignment: 'aligned' }),
  'with packed blocks of 512 bytes': {
    size: 9 * 512,
    blockSize: 512,
    blocks: [{ index: 5 }, { index: 8, sectors: [] }],
  },
  'of a size that is no whole number of sectors': {
    size: 4096 * 3 + 700,
    blockSize: 4096,
    blocks: [
      { index: 3, data: pattern(4096, 33), sectors: [0] },
      { index: 0, data: pattern(4096, 34), sectors: [1, 2] },
    ],
  },
})) {
  const chain = buildChain([
    shape,
    { size: shape.size, blockSize: 2048, blocks: [{ index: 1, data: pattern(2048, 51), sectors: [0, 2] }] },
    { size: Math.ceil(shape.size / 1024) * 512, blockSize: 1024, blocks: [{ index: 0 }, { index: 2 }] },
  ]);
  const [child, ...parents] = chain;
  if (child === undefined) throw new Error('a chain has a link');
  diskSuite({
    name: `a child ${name}`,
    content: child.content,
    blockSize: child.blockSize,
    create: () => new MemoryStorage(child.image),
    open: (storage, writable) => openOver(storage, parents, { writable }),
  });
}
