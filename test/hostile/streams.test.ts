// Streams that were changed at random: decodeVhd gives what a file of the same bytes would give, or a VhdError.
import { describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../src/disk/open-storage.ts';
import { VhdError } from '../../src/errors.ts';
import { decodeDynamicHeader, encodeDynamicHeader } from '../../src/format/dynamic-header.ts';
import { decodeFooter, encodeFooter } from '../../src/format/footer.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { type DecodedVhd, decodeVhd } from '../../src/stream/decode.ts';
import { buildImage, footerOf, type ImageShape } from '../support/build-image.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { numberFromEnv, Random } from '../support/seed.ts';
import { imageWith } from '../support/streams-disks.ts';
import { bytesOf, ChunkSource } from '../support/streams-sources.ts';

const blockSize = 4096;
const shape: ImageShape = {
  size: 6 * blockSize + 1024,
  blockSize,
  blocks: [
    { index: 0, data: pattern(blockSize, 1) },
    { index: 2, data: pattern(blockSize, 2) },
    { index: 3, data: 0, sectors: [] },
    { index: 6, data: pattern(1024, 3) },
  ],
};
const images: readonly [Uint8Array, ...Uint8Array[]] = [
  buildImage(shape),
  buildImage({ ...shape, alignment: 'aligned', blocks: [...(shape.blocks ?? [])].reverse() }),
  buildImage({ ...shape, isLegacyEnd: true, maxTableEntries: 300 }),
  await imageWith('fixed', 9 * 512, [{ position: 0, bytes: pattern(9 * 512) }]),
];
const dynamicHeaderAt = footerOf(shape).dataOffset;
const numbers = [0, 1, 2, 3, 4, 5, 7, 0x7f, 0x80, 0xff] as const;
/** What a mutated size may be at most for the whole disk to be read and compared. */
const MOST_BYTES = 64 * 1024 * 1024;

/** Changes an image: bytes anywhere or where structures are, cuts, insertions, pieces moved. */
function mutate(original: Uint8Array, random: Random): Uint8Array {
  let bytes = Uint8Array.from(original);
  const changes = 1 + random.below(4);
  for (let change = 0; change < changes && bytes.length > 0; change++) {
    const place = random.oneIn(2) ? random.below(bytes.length) : random.below(Math.min(1600, bytes.length));
    const kind = random.below(10);
    if (kind < 6) bytes[place] = random.oneIn(2) ? random.pick(numbers) : random.below(256);
    else if (kind === 6) bytes = bytes.slice(0, place);
    else if (kind === 7) {
      bytes = new Uint8Array([...bytes.subarray(0, place), ...pattern(600), ...bytes.subarray(place)]);
    } else if (kind === 8) bytes.fill(random.pick([0, 0xff, 0xc7]), place, place + 512);
    else bytes.copyWithin(place, random.below(bytes.length), random.below(bytes.length));
  }
  return random.oneIn(2) ? bytes : withChecksums(bytes);
}

/** Makes the checksums right again, so that the change gets past them. */
function withChecksums(bytes: Uint8Array): Uint8Array {
  const mended = Uint8Array.from(bytes);
  for (const offset of [0, mended.length - 512]) {
    if (
      offset < 0 ||
      offset + 512 > mended.length ||
      Buffer.from(mended.subarray(offset, offset + 8)).toString('latin1') !== 'conectix'
    ) {
      continue;
    }
    mended.set(encodeFooter(decodeFooter(mended.subarray(offset, offset + 512)).value), offset);
  }
  const header = mended.subarray(dynamicHeaderAt, dynamicHeaderAt + 1024);
  if (header.length === 1024 && Buffer.from(header.subarray(0, 8)).toString('latin1') === 'cxsparse') {
    mended.set(encodeDynamicHeader(decodeDynamicHeader(header).value), dynamicHeaderAt);
  }
  return mended;
}

/** The content the stream gives, undefined where it is too large to be held; throws what decoding throws. */
async function contentFromStream(decoded: DecodedVhd): Promise<Uint8Array | undefined> {
  if (decoded.isAscending && (decoded.size ?? 0) <= MOST_BYTES) {
    const content = await bytesOf(decoded.raw());
    expect(content.length).toBe(decoded.end()?.size);
    return content;
  }
  const size = decoded.size ?? 0;
  const content = size <= MOST_BYTES ? new Uint8Array(size) : undefined;
  for await (const { bytes, start } of decoded.extents()) {
    expect(start + bytes.length).toBeLessThanOrEqual(size);
    content?.set(bytes, start);
  }
  return content;
}

/** True unless the stream of these bytes is a VhdError. */
async function endsWell(image: Uint8Array): Promise<boolean> {
  try {
    await contentFromStream(await decodeVhd(new ChunkSource(image)));
    return true;
  } catch (error) {
    return !(error instanceof VhdError);
  }
}

async function contentFromFile(image: Uint8Array): Promise<Uint8Array> {
  const disk = await openVhdStorage(new MemoryStorage(image));
  return disk.readBytes(0, disk.size);
}

/** Runs one mutation; how it ended. */
async function probe(image: Uint8Array, random: Random): Promise<'error' | 'bytes' | 'too large'> {
  let content: Uint8Array | undefined;
  try {
    const lengths = [1 + random.below(900), 1 + random.below(9000), 100 + random.below(40_000)];
    content = await contentFromStream(await decodeVhd(new ChunkSource(image, lengths)));
  } catch (error) {
    if (error instanceof VhdError) return 'error';
    throw error;
  }
  if (content === undefined) return 'too large';
  // The stream was believed to its end, so a file of these bytes has to say the same.
  expect(firstDifference(content, await contentFromFile(image))).toBe(-1);
  return 'bytes';
}

describe('a changed VHD on a stream', () => {
  const runs = numberFromEnv('VHDKIT_RUNS', 600);
  const seed = numberFromEnv('VHDKIT_SEED', 20_240_229);

  it('is a VhdError, or the bytes that the same file holds, in bounded time', async () => {
    const ends = { error: 0, bytes: 0, 'too large': 0 };
    const wrong: string[] = [];
    for (let run = 0; run < runs; run++) {
      const random = new Random(seed + run);
      const image = mutate(random.pick(images), random);
      const startedAt = performance.now();
      try {
        ends[await probe(image, random)]++;
      } catch (error) {
        wrong.push(`VHDKIT_SEED=${String(seed + run)} VHDKIT_RUNS=1: ${String(error).slice(0, 160)}`);
      }
      if (performance.now() - startedAt > 1000) wrong.push(`VHDKIT_SEED=${String(seed + run)}: over a second`);
    }
    expect(wrong).toEqual([]);
    // Else the mutations would be too gentle, or too rough, to say anything.
    if (runs >= 300) expect(Math.min(ends.error, ends.bytes)).toBeGreaterThan(runs / 20);
  });

  it('never ends without an error where it was cut', async () => {
    const wrong: number[] = [];
    for (const image of images) {
      const isLegacy = image.length % 512 !== 0;
      for (let length = 0; length < image.length - (isLegacy ? 0 : 1); length += length % 512 === 510 ? 1 : 85) {
        const ended = await endsWell(image.subarray(0, length));
        if (ended) wrong.push(length);
      }
    }
    expect(wrong).toEqual([]);
  });
});
