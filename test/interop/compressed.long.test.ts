// What gzip, xz and zstd write, in many ways, comes out as it went in, or not at all.
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { VhdError } from '../../src/errors.ts';
import type { Compression } from '../../src/format/compression.ts';
import { convert } from '../../src/ops/convert.ts';
import { decompress } from '../../src/stream/decompress.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { describeWithPeers } from '../support/peers.ts';
import { numberFromEnv, Random } from '../support/seed.ts';
import { contentOfFile } from '../support/streams-disks.ts';
import { bytesOf, ChunkSource } from '../support/streams-sources.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('compressed');
const KIB = 1024;
const SIZE = 1024 * KIB;
// Text, noise and nothing, as on a disk; whole buffers of every decoder.
const disk = new Uint8Array(SIZE);
for (let index = 0; index < 300_000; index++) disk[index] = (index * (index >> 7)) & 255;
disk.set(pattern(200_000), 400_000);
disk.set(disk.subarray(0, 100_000), SIZE - 100_000);

beforeAll(() => writeFile(folder.file('disk.raw'), disk));

/** Runs a line of shell in the folder; what it writes is the compressed data. */
function made(line: string): Uint8Array {
  return new Uint8Array(execFileSync('bash', ['-c', line], { cwd: folder.path, maxBuffer: 16 * 1024 * KIB }));
}

const halves = (program: string): string =>
  `(head -c 700000 disk.raw | ${program} -c; tail -c +700001 disk.raw | ${program} -c)`;
/** How often a bit is flipped, and the data cut, for each way of making it. */
const TRIALS = numberFromEnv('VHDKIT_RUNS', 3);

interface Way {
  readonly line: string;
  /** True if there is nothing that would show a flipped bit. */
  readonly isUnchecked?: boolean;
}

const WAYS: Readonly<Record<Compression, readonly Way[]>> = {
  gzip: [
    { line: 'gzip -c disk.raw' },
    { line: 'gzip -1 -c disk.raw' },
    { line: 'gzip -9 -n -c < disk.raw' },
    { line: halves('gzip') },
  ],
  zstd: [
    { line: 'zstd -c disk.raw' },
    { line: 'zstd -c < disk.raw' },
    { line: 'zstd -T2 -15 -c disk.raw' },
    { line: 'zstd --fast=5 -c disk.raw' },
    { line: 'zstd -19 -c < disk.raw' },
    { line: 'zstd --long=27 -c < disk.raw' },
    { line: 'zstd --no-check -c disk.raw', isUnchecked: true },
    { line: halves('zstd') },
  ],
  xz: [
    { line: 'xz -c disk.raw' },
    { line: 'xz -0 -c < disk.raw' },
    { line: 'xz -9 -c disk.raw' },
    { line: 'xz -T2 --block-size=200000 -c disk.raw' },
    { line: 'xz --check=crc32 -c disk.raw' },
    { line: 'xz --check=none -c disk.raw', isUnchecked: true },
    { line: halves('xz') },
    { line: `(${halves('xz')}; head -c 512 /dev/zero)` },
  ],
};

async function expandedOrError(bytes: Uint8Array, format: Compression): Promise<Uint8Array | VhdError> {
  return bytesOf(decompress(new ChunkSource(bytes), { format })).catch((error: unknown) => {
    if (error instanceof VhdError) return error;
    throw error;
  });
}

describe.each(['gzip', 'zstd', 'xz'] as const)('%s', (format) => {
  describeWithPeers([format], 'of the real program', () => {
    it.each(WAYS[format])('$line', async ({ line, isUnchecked = false }) => {
      const whole = made(line);
      expect(firstDifference((await expandedOrError(whole, format)) as Uint8Array, disk)).toBe(-1);
      const random = new Random(numberFromEnv('VHDKIT_SEED', 7));
      for (let trial = 0; trial < TRIALS; trial++) {
        const cut = await expandedOrError(whole.subarray(0, random.below(whole.length)), format);
        // Padding may be cut, and the second half at its very start: then it is what a whole file looks like.
        if (cut instanceof Uint8Array) expect([disk.length, 700_000]).toContain(cut.length);
        if (isUnchecked) continue;
        const flipped = whole.slice();
        const index = random.below(whole.length);
        flipped[index] = (flipped[index] ?? 0) ^ (1 << random.below(8));
        const found = await expandedOrError(flipped, format);
        if (found instanceof Uint8Array) expect(firstDifference(found, disk)).toBe(-1);
      }
    });

    it('as the source of vhd convert', async () => {
      const [source, target] = [folder.file(`${format}.raw.${format}`), folder.file(`${format}.vhd`)];
      await writeFile(source, made(`${format} -c disk.raw`));
      const options = { to: 'dynamic', compression: format } as const;
      expect(await convert(source, target, options)).toMatchObject({ virtualSize: SIZE, sourceCompression: format });
      expect(firstDifference(await contentOfFile(target), disk)).toBe(-1);
    });
  });
});

describeWithPeers(['zstd'], 'zstd with a dictionary', () => {
  it('is refused', async () => {
    await writeFile(folder.file('dictionary'), pattern(4000));
    const bytes = made('zstd -D dictionary -c disk.raw');
    const found = await expandedOrError(bytes, 'zstd');
    // A raw dictionary has no number: what was made with it does not decode.
    if (found instanceof Uint8Array) expect(firstDifference(found, disk)).toBe(-1);
    else expect(found.code).toMatch(/^ERR_VHD_(CORRUPT|UNSUPPORTED)$/);
  });
});

describeWithPeers(['xz'], 'the dictionary of xz -8', () => {
  it('is taken whole', async () => {
    // 20 MB back: only a decoder that keeps all of its dictionary finds it.
    const line = '(cat disk.raw; head -c 20000000 /dev/zero; cat disk.raw) | xz -8 -T1 -c';
    await writeFile(folder.file('far.xz'), made(line));
    const bytes = await bytesOf(decompress(new ChunkSource(await readFile(folder.file('far.xz')))));
    expect(bytes.length).toBe(20_000_000 + 2 * SIZE);
    expect(firstDifference(bytes.subarray(-SIZE), disk)).toBe(-1);
  });
});
