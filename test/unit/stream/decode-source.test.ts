// How decodeVhd treats the stream it reads: errors, cancelling, signals, memory.
import { createReadStream } from 'node:fs';
import { PassThrough, Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { encodeFooter } from '../../../src/format/footer.ts';
import { encodeFront } from '../../../src/format/front.ts';
import { type DecodedVhd, decodeVhd } from '../../../src/stream/decode.ts';
import { buildImage, contentOf, footerOf, type ImageShape } from '../../support/build-image.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { imageWith } from '../../support/streams-disks.ts';
import { WorkFolder } from '../../support/streams-files.ts';
import { bytesOf, ChunkSource, failing, failureOf, sleep, stalling } from '../../support/streams-sources.ts';

const MiB = 1024 * 1024;
const folder = new WorkFolder();
const shape: ImageShape = { size: 6 * MiB, blocks: [{ index: 0, data: pattern(2 * MiB) }, { index: 2 }] };
const dynamic = buildImage(shape);
const fixed = await imageWith('fixed', 2 * MiB, [{ position: 0, bytes: pattern(2 * MiB) }]);

const exhaust = async (decoding: Promise<DecodedVhd>): Promise<void> => {
  for await (const _ of (await decoding).extents());
};

describe('the source of decodeVhd', () => {
  it('may be a Node stream or a web stream', async () => {
    const path = folder.file('disk.vhd', dynamic);
    const sources = [
      () => createReadStream(path),
      () => new Blob([dynamic]).stream() as unknown as AsyncIterable<Uint8Array>,
      () => Readable.from(new ChunkSource(dynamic), { objectMode: false }).pipe(new PassThrough()),
    ];
    for (const source of sources) {
      const decoded = await decodeVhd(source());
      expect(firstDifference(await bytesOf(decoded.raw()), contentOf(shape))).toBe(-1);
    }
  });

  it('that gives text is refused with a hint', async () => {
    const stream = createReadStream(folder.file('text.vhd', dynamic), { encoding: 'latin1' });
    await expect(decodeVhd(stream as AsyncIterable<never>)).rejects.toThrow(/encoding/);
  });

  it.each([
    ['before the front is whole', dynamic.subarray(0, 100)],
    ['inside a block', dynamic.subarray(0, 70_000)],
    ['behind the footer', dynamic],
    ['inside a fixed image', fixed.subarray(0, 70_000)],
    ['behind the footer of a fixed image', fixed],
  ])('passes its error unwrapped %s', async (_where, bytes) => {
    const failure = new Error('ECONNRESET');
    expect(await failureOf(exhaust(decodeVhd(failing(bytes, failure))))).toBe(failure);
  });

  it.each([
    ['dynamic', dynamic],
    ['fixed', fixed],
  ])('of a %s image is released when the consumer wants no more', async (_type, image) => {
    const source = new ChunkSource(image);
    for await (const _ of (await decodeVhd(source)).extents()) break;
    expect(source.isReleased).toBe(true);
    const other = new ChunkSource(image);
    for await (const _ of (await decodeVhd(other)).raw()) break;
    expect(other.isReleased).toBe(true);
  });

  it.each<[string, Uint8Array]>([
    ['in front', buildImage({ ...shape, footer: { diskType: 4 } })],
    ['in its table', buildImage({ ...shape, header: { maxTableEntries: 1 } })],
    ['in a block', buildImage({ ...shape, blocks: [{ index: 0, sectors: [] }, { index: 1 }] })],
  ])('is released when the stream is refused %s', async (_where, image) => {
    const source = new ChunkSource(image, 5000);
    await failureOf(exhaust(decodeVhd(source)));
    expect(source.pulled).toBeLessThan(image.length);
    expect(source.isReleased).toBe(true);
  });

  it('is a file that gets closed when the consumer wants no more', async () => {
    const path = folder.file('closed.vhd', dynamic);
    const stream = createReadStream(path);
    for await (const _ of (await decodeVhd(stream)).extents()) break;
    await sleep(30);
    expect(stream.destroyed).toBe(true);
    expect(folder.openPaths()).not.toContain(path);
  });

  it('may hand out single bytes without taking forever', async () => {
    // A reader whose time grows with the square of the chunks needs seconds for this, and minutes for 512 KiB.
    const source = new ChunkSource(dynamic.subarray(0, 48 * 1024), 1);
    // Seconds of the processor: those of the clock are also of whatever else runs.
    const before = process.cpuUsage();
    await failureOf(exhaust(decodeVhd(source)));
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(500);
  });
});

describe('the signal of decodeVhd', () => {
  const reason = new Error('enough');

  it.each([
    ['a dynamic image', dynamic],
    ['an empty dynamic image', buildImage({ size: 6 * MiB })],
    ['a fixed image', fixed],
  ])('aborted before stops %s', async (_name, image) => {
    const signal = AbortSignal.abort(reason);
    expect(await failureOf(exhaust(decodeVhd(new ChunkSource(image), { signal })))).toBe(reason);
  });

  it.each([
    ['a dynamic image', dynamic],
    ['a fixed image', fixed],
  ])('stops %s on the way', async (_name, image) => {
    const controller = new AbortController();
    const source = new ChunkSource(image);
    const decoded = await decodeVhd(source, { signal: controller.signal });
    const consume = async (): Promise<void> => {
      for await (const _ of decoded.extents()) controller.abort(reason);
    };
    expect(await failureOf(consume())).toBe(reason);
    expect(source.pulled).toBeLessThan(image.length);
  });

  it('stops a stream that has gone silent', async () => {
    const controller = new AbortController();
    const decoding = exhaust(decodeVhd(stalling(dynamic.subarray(0, 100_000)), { signal: controller.signal }));
    setTimeout(() => controller.abort(reason), 10);
    const outcome = await Promise.race([failureOf(decoding), sleep(500).then(() => 'still waiting')]);
    expect(outcome).toBe(reason);
  });
});

describe('the memory of decodeVhd', () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const used = (): number => {
    collectGarbage();
    const { external, heapUsed } = process.memoryUsage();
    return (heapUsed + external) / MiB;
  };

  /** A full dynamic image of a size, never all of it at once. */
  async function* fullImage(size: number, blockSize: number): AsyncGenerator<Uint8Array> {
    const footer = encodeFooter(footerOf({ size, blockSize }));
    const blockCount = size / blockSize;
    const stride = (512 + blockSize) / 512;
    const table = Math.ceil((blockCount * 4) / 512);
    yield encodeFront(
      footer,
      size,
      blockSize,
      Array.from({ length: blockCount }, (_, index): [number, number] => [index, 3 + table + index * stride]),
    );
    const block = new Uint8Array(512 + blockSize).fill(0xff);
    // Chunks that end nowhere in particular, as those of a socket.
    for (let index = 0; index < blockCount; index++) {
      for (let at = 0; at < block.length; at += 100_003) yield block.subarray(at, at + 100_003);
    }
    yield footer;
  }

  it('does not grow with the disk', async () => {
    const decoded = await decodeVhd(fullImage(1024 * MiB, 2 * MiB));
    const before = used();
    let most = 0;
    let total = 0;
    let chunks = 0;
    for await (const bytes of decoded.raw()) {
      total += bytes.length;
      if (++chunks % 200 === 0) most = Math.max(most, used() - before);
    }
    expect(total).toBe(1024 * MiB);
    expect(most).toBeLessThan(64);
  });

  it('for a table is a small multiple of the table', async () => {
    const blockCount = 1_044_480;
    const footer = encodeFooter(footerOf({ size: blockCount * 2 * MiB }));
    const sectors = function* (): Generator<[number, number]> {
      for (let index = 0; index < blockCount; index++) yield [index, 8192 + index * 4104];
    };
    const front = encodeFront(footer, blockCount * 2 * MiB, 2 * MiB, sectors());
    const before = used();
    const decoded = await decodeVhd(new ChunkSource(front));
    const grown = used() - before;
    expect(decoded.isAscending).toBe(true);
    expect(grown).toBeLessThan(5 * (front.length / MiB));
  });
});
