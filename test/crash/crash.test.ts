import { describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../src/disk/open-storage.ts';
import { NO_OFFSET } from '../../src/format/bytes.ts';
import { encodeFooter } from '../../src/format/footer.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { buildImage, contentOf, footerOf, type ImageShape } from '../support/build-image.ts';
import { pattern } from '../support/bytes.ts';
import { numberFromEnv, Random } from '../support/seed.ts';
import { checkState, runProgram } from './program.ts';

const SEED = numberFromEnv('VHDKIT_SEED', 20_240_601);
const STATES = numberFromEnv('VHDKIT_CRASH_STATES', 2400);

const KiB = 1024;
const SOME = [
  { index: 3, data: pattern(4 * KiB, 1) },
  { index: 0, data: pattern(4 * KiB, 2) },
];
const DYNAMIC: Record<string, ImageShape> = {
  'an empty packed image': { size: 22 * 4 * KiB, blockSize: 4 * KiB },
  'a packed image with blocks': { size: 12 * 4 * KiB - 512, blockSize: 4 * KiB, blocks: SOME },
  'an aligned image': { size: 12 * 4 * KiB, blockSize: 4 * KiB, alignment: 'aligned', blocks: SOME },
  'an image with blocks of one sector': { size: 200 * 512, blockSize: 512, blocks: [{ index: 150 }] },
  'an image with slack': { size: 12 * 4 * KiB, blockSize: 4 * KiB, blocks: SOME, slackBytes: 6 * KiB },
  'an image with its table behind the blocks': {
    size: 12 * 4 * KiB,
    blockSize: 4 * KiB,
    blocks: SOME,
    tableOffset: 'behind-blocks',
    blocksFrom: 2560,
  },
  'an image with old bytes under clear bits': {
    size: 12 * 4 * KiB,
    blockSize: 4 * KiB,
    blocks: [
      { index: 1, data: pattern(4 * KiB, 3), sectors: [0, 5] },
      { index: 4, data: pattern(4 * KiB, 4), sectors: [] },
    ],
  },
  'an image without a footer at the start': { size: 12 * 4 * KiB, blockSize: 4 * KiB, startFooter: 'none' },
};

const FIXED_SIZE = 20 * KiB;
const fixed = {
  image: Buffer.concat([
    pattern(FIXED_SIZE, 7),
    encodeFooter({ ...footerOf({ size: FIXED_SIZE }), dataOffset: NO_OFFSET, diskType: 2 }),
  ]),
  content: pattern(FIXED_SIZE, 7),
};

const SUBJECTS = [
  ...Object.entries(DYNAMIC).map(([name, shape]) => ({ name, image: buildImage(shape), content: contentOf(shape) })),
  { name: 'a fixed image', ...fixed },
];

describe('a crash at any moment leaves everything that was flushed', () => {
  const statesEach = Math.ceil(STATES / SUBJECTS.length);

  it.each(SUBJECTS)('of $name', async (subject) => {
    let seen = 0;
    for (let seed = SEED; seen < statesEach; seed++) {
      const random = new Random(seed ^ 0x5eed);
      // Twice with each seed: on the image, and on what a crash of the first program left of it.
      let { image, content } = subject;
      for (let round = 0; round < 2; round++) {
        const states = await runProgram(image, content, seed + round);
        for (const state of states) {
          const wrong = await checkState(state, random).catch((error: unknown) => `it does not open: ${String(error)}`);
          const where = `VHDKIT_SEED=${seed} round ${round} moment ${state.moment} (${state.loss})`;
          if (wrong !== undefined) expect.fail(`${where}: ${wrong}`);
          seen++;
        }
        const left = states[random.below(states.length)];
        if (left === undefined) break;
        image = left.image;
        content = await contentAfter(image);
      }
    }
    expect(seen).toBeGreaterThanOrEqual(statesEach);
  });
});

async function contentAfter(image: Uint8Array): Promise<Uint8Array> {
  const disk = await openVhdStorage(new MemoryStorage(image), { bitmap: 'honour' });
  return disk.readBytes(0, disk.size);
}
