// What is held of a file of manifests while it is read.
import process from 'node:process';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { HASH_BLOCK_BYTES, HASH_SCHEMA, RootDigest } from '../../../src/ops/hash.ts';
import { readManifests } from '../../../src/ops/manifest.ts';
import { readManifestFor } from '../../../src/ops/manifest-choice.ts';

const MiB = 1024 ** 2;
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function held(): number {
  collectGarbage();
  const { external, heapUsed } = process.memoryUsage();
  return external + heapUsed;
}

/** Some text many times, each with its number, and at the end how much is held of it. */
function measured(textOf: (index: number) => string, count: number) {
  const result = { bytes: 0 };
  async function* source() {
    const before = held();
    for (let index = 0; index < count; index += 100) {
      const texts = Array.from({ length: 100 }, (_, offset) => textOf(index + offset));
      yield await Promise.resolve(Buffer.from(texts.join('')));
    }
    result.bytes = held() - before;
  }
  return { result, source: source() };
}

const sumOf = (index: number): string => `${index.toString(16).padStart(64, '0')}  ${index}.vhd\n`;

function objectOf(index: number): string {
  const blocks = [{ start: 0, sha256: 'ab'.repeat(32) }];
  const digest = new RootDigest(HASH_BLOCK_BYTES);
  for (const block of blocks) digest.add(block);
  const sizes = { virtualSize: HASH_BLOCK_BYTES, blockSize: HASH_BLOCK_BYTES };
  return `${JSON.stringify({ schema: HASH_SCHEMA, path: `${index}.vhd`, ...sizes, root: digest.hex(), blocks })}\n`;
}

it('a manifest of one block is small', async () => {
  const { result, source } = measured(objectOf, 4000);
  expect(await readManifests(source)).toHaveLength(4000);
  // With room for 4096 blocks in each of them it is 590 MB.
  expect(result.bytes).toBeLessThan(12 * MiB);
});

it.each([
  ['objects', objectOf, 10_000],
  ['lines', sumOf, 50_000],
] as const)('of %s that are about other images nothing is held', async (_what, textOf, count) => {
  const { result, source } = measured(textOf, count);
  expect(await readManifestFor(source, 'dir/7.vhd')).toMatchObject({ path: '7.vhd' });
  expect(result.bytes).toBeLessThan(2 * MiB);
});
