import { describe, expect, it } from 'vitest';
import { dataRuns } from '../../../src/format/zeros.ts';
import { openVhd } from '../../../src/open.ts';
import { check } from '../../../src/ops/check.ts';
import { compact } from '../../../src/ops/compact.ts';
import { buildImage, contentOf, type ImageShape } from '../../support/build-image.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { sparseFolders, whyNoHoles, writeSparse } from '../../support/sparse-files.ts';

const BLOCK = 2 * 1024 * 1024;
const COUNT = 12;

describe.each(sparseFolders('compact-sparse'))('a sparse image in %s', async (folder) => {
  const why = await whyNoHoles(folder);

  it.skipIf(why !== undefined).each(['packed', 'aligned'] as const)(
    'takes no more room when it was compacted: %s',
    async (alignment) => {
      // In front blocks that were allocated and hold nothing; behind them such with one page of data, at another place each.
      const blocks = Array.from({ length: COUNT }, (_, index) => {
        const data = new Uint8Array(BLOCK);
        if (index >= COUNT / 2) data.set(pattern(4096, index), 4096 * index);
        return { index, data };
      });
      const shape: ImageShape = { size: COUNT * BLOCK, blockSize: BLOCK, alignment, blocks };
      const image = buildImage(shape);
      const path = `${folder}/${alignment}.vhd`;
      const pieces = dataRuns(image, 4096).map(
        ({ start, length }) => [start, image.subarray(start, start + length)] as const,
      );
      writeSparse(path, image.length, pieces);
      const { storedBytes, storedBytesBefore, movedBlocks } = await compact(path);
      expect(movedBlocks).toBe(COUNT / 2);
      expect(storedBytesBefore).toBeLessThan(BLOCK);
      expect(storedBytes).toBeLessThanOrEqual(storedBytesBefore ?? 0);
      await using disk = await openVhd(path);
      expect(firstDifference(await disk.readBytes(0, disk.size), contentOf(shape))).toBe(-1);
      expect((await check(path, { deep: true })).ok).toBe(true);
    },
  );
});
