import fc from 'fast-check';
import { describe, it } from 'vitest';
import { NO_OFFSET } from '../../src/format/bytes.ts';
import { encodeFooter } from '../../src/format/footer.ts';
import { buildImage, contentOf, footerOf, type ImageShape } from '../support/build-image.ts';
import { pattern } from '../support/bytes.ts';
import { checkParameters } from '../support/seed.ts';
import { type Opening, programs, runModel } from './model.ts';

const KiB = 1024;
const clean = new Uint8Array(4 * KiB);
clean.set(pattern(512, 3), 1024);
const BLOCKS = [
  { index: 9, data: pattern(4 * KiB, 1) },
  { index: 2, data: clean, sectors: [2] },
  { index: 0, data: pattern(4 * KiB, 2) },
];

const DYNAMIC: Record<string, ImageShape> = {
  'blocks of 4 KiB': { size: 24 * 4 * KiB - 1536, blockSize: 4 * KiB, blocks: BLOCKS },
  'blocks of 4 KiB, data on 4 KiB': { size: 24 * 4 * KiB, blockSize: 4 * KiB, alignment: 'aligned', blocks: BLOCKS },
  'blocks of one sector': { size: 150 * 512, blockSize: 512 },
  'blocks of 512 KiB': { size: 4 * 512 * KiB + 512, blockSize: 512 * KiB, alignment: 'aligned' },
};

/** So little is gathered that arenas fill, leave and fill again; and some writes are longer than an arena. */
const TIGHT: Opening = { limits: { gatherBelow: 3000, arenaBytes: 2048 } };
const OPENINGS: readonly (readonly [string, Opening, number])[] = [
  ['as it is', {}, 15],
  ['with little room to gather', TIGHT, 15],
  ["with durability 'always'", { durability: 'always' }, 8],
];

describe.each(OPENINGS)('a disk opened %s is an array of bytes, whatever is done to it:', (_how, opening, runs) => {
  it.each(Object.entries(DYNAMIC))('a dynamic one with %s', async (_name, shape) => {
    const subject = { image: buildImage(shape), content: contentOf(shape) };
    const { size, blockSize = 0 } = shape;
    const property = fc.asyncProperty(programs({ size, blockSize }), (program) => runModel(program, subject, opening));
    await fc.assert(property, checkParameters(blockSize > 64 * KiB ? Math.ceil(runs / 4) : runs));
  });

  it('a fixed one', async () => {
    const size = 40 * KiB;
    const footer = encodeFooter({ ...footerOf({ size }), dataOffset: NO_OFFSET, diskType: 2 });
    const content = pattern(size, 4);
    const subject = { image: Buffer.concat([content, footer]), content };
    const property = fc.asyncProperty(programs({ size, blockSize: 4096 }), (program) =>
      runModel(program, subject, opening),
    );
    await fc.assert(property, checkParameters(runs));
  });
});
