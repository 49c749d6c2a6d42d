import { createReadStream } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Compression } from '../../../src/format/compression.ts';
import { type DecompressOptions, decompress } from '../../../src/stream/decompress.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import {
  concatenated,
  ODD_SAMPLES,
  SAMPLE,
  SAMPLES,
  skippableFrame,
  storedFrame,
  zeroFrame,
} from '../../support/compressed.ts';
import { numberFromEnv, Random } from '../../support/seed.ts';
import { WorkFolder } from '../../support/streams-files.ts';
import { bytesOf, ChunkSource, failing, failureOf, outcomeOf, stalling } from '../../support/streams-sources.ts';

const folder = new WorkFolder();
const formats = ['gzip', 'zstd', 'xz'] as const;
const KIB = 1024;

async function expanded(bytes: Uint8Array, options: DecompressOptions = {}, lengths = 65_536): Promise<Uint8Array> {
  return bytesOf(decompress(new ChunkSource(bytes, lengths), options));
}

const failed = (bytes: Uint8Array, options?: DecompressOptions): Promise<unknown> =>
  failureOf(expanded(bytes, options));

/** What came out of data that was tampered with: an error's code, or the bytes it should be. */
async function verdict(bytes: Uint8Array, format: Compression): Promise<string> {
  const outcome = await expanded(bytes, { format }).catch((error: unknown) => error);
  if (outcome instanceof Uint8Array) return firstDifference(outcome, SAMPLE) === -1 ? 'the same' : 'other bytes';
  return String((outcome as { code?: unknown }).code);
}

describe.each(formats)('decompress %s', (format) => {
  const sample = SAMPLES[format];
  // Everywhere in the headers and at the end, every third place in between.
  const cuts = [...sample.keys()].filter((cut) => cut > 0 && (cut < 16 || cut > sample.length - 16 || cut % 3 === 0));

  it('gives what went in, however the chunks come', async () => {
    for (const lengths of [1, 7, 1000, 65_536]) {
      expect(firstDifference(await expanded(sample, {}, lengths), SAMPLE)).toBe(-1);
    }
    expect(firstDifference(await expanded(sample, { format }), SAMPLE)).toBe(-1);
  });

  it('takes what was put together out of several', async () => {
    const both = await expanded(concatenated(sample, sample));
    expect(firstDifference(both, concatenated(SAMPLE, SAMPLE))).toBe(-1);
  });

  it('takes a Node stream', async () => {
    const path = folder.file('sample', sample);
    expect(firstDifference(await bytesOf(decompress(createReadStream(path))), SAMPLE)).toBe(-1);
  });

  it('rejects data that is cut anywhere', async () => {
    for (const length of cuts.filter((cut) => cut >= 6)) {
      const told = { code: 'ERR_VHD_TRUNCATED', storage: '-', offset: length, found: 'the end' };
      expect(await failed(sample.subarray(0, length))).toMatchObject(told);
    }
  });

  it('rejects a second part that is cut anywhere', async () => {
    for (const length of cuts) {
      expect(await outcomeOf(expanded(concatenated(sample, sample.subarray(0, length))))).toMatch(
        /^ERR_VHD_(TRUNCATED|CORRUPT)$/,
      );
    }
  });

  it('notices a flipped bit in every byte, where it matters', async () => {
    // The file's time and system in gzip, a bit that zstd leaves unused, the first byte of a range coder: no content.
    const free = { gzip: [3, 4, 5, 6, 7, 8, 9], zstd: [4, 7, 8], xz: [30] }[format] as readonly number[];
    const random = new Random(numberFromEnv('VHDKIT_SEED', 1));
    for (const index of sample.keys()) {
      const flipped = sample.slice();
      flipped[index] = (flipped[index] ?? 0) ^ (1 << random.below(8));
      const found = await verdict(flipped, format);
      if (found === 'the same') expect(free).toContain(index);
      else expect(found).toMatch(/^ERR_VHD_(CORRUPT|TRUNCATED|UNSUPPORTED|LIMIT)$/);
    }
  });

  it('rejects other bytes behind it, zeros too, and says where', async () => {
    for (const tail of [pattern(600), new Uint8Array(601)]) {
      const isPadding = format === 'xz' && tail[0] === 0;
      const error = await failed(concatenated(sample, tail));
      expect(error).toMatchObject({ code: 'ERR_VHD_CORRUPT', storage: '-' });
      expect((error as { offset: number }).offset).toBeLessThanOrEqual(sample.length + (isPadding ? 601 : 16));
    }
  });

  it('rejects other data than it was told', async () => {
    for (const other of formats.filter((name) => name !== format)) {
      const error = await failed(SAMPLES[other], { format, name: 'disk.raw' });
      expect(error).toMatchObject({ code: 'ERR_VHD_CORRUPT', storage: 'disk.raw', offset: 0 });
    }
    expect(await failed(new Uint8Array(0), { format })).toMatchObject({ code: 'ERR_VHD_CORRUPT' });
  });

  it('runs beside others, in turn', async () => {
    const [first, second] = [0, 1].map(() => decompress(new ChunkSource(sample, 9))[Symbol.asyncIterator]());
    const parts: [Uint8Array[], Uint8Array[]] = [[], []];
    for (let ended = 0; ended < 2; ) {
      const [one, two] = [await first!.next(), await second!.next()];
      if (one.done !== true) parts[0].push(one.value);
      if (two.done !== true) parts[1].push(two.value);
      ended = [one, two].filter(({ done }) => done === true).length;
    }
    for (const chunks of parts) expect(firstDifference(concatenated(...chunks), SAMPLE)).toBe(-1);
  });

  it('releases its source when it is not wanted any more, or fails', async () => {
    const left = new ChunkSource(concatenated(sample, sample), 50);
    for await (const bytes of decompress(left)) {
      expect(bytes.length).toBeGreaterThan(0);
      break;
    }
    expect(left.isReleased).toBe(true);
    const damaged = new ChunkSource(concatenated(sample.subarray(0, 20), pattern(10_000)), 50);
    await outcomeOf(bytesOf(decompress(damaged)));
    expect(damaged.isReleased).toBe(true);
  });

  it('passes an error of its source on as it is', async () => {
    const error = new Error('the cable');
    expect(await failureOf(bytesOf(decompress(failing(sample.subarray(0, 30), error))))).toBe(error);
  });

  it('rejects with the reason of an abort while it waits', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const pending = failureOf(bytesOf(decompress(stalling(sample.subarray(0, 30)), { signal: controller.signal })));
    setTimeout(() => controller.abort(reason), 10);
    expect(await pending).toBe(reason);
  });
});

describe('decompress', () => {
  it('passes on what is not compressed', async () => {
    for (const bytes of [pattern(5000), new Uint8Array(0), SAMPLES.xz.subarray(0, 5)]) {
      expect(await expanded(bytes)).toEqual(bytes);
    }
  });

  it('refuses options it does not know', () => {
    expect(() => decompress(new ChunkSource(SAMPLE), { from: 'raw' } as object)).toThrow(TypeError);
    expect(() => decompress(new ChunkSource(SAMPLE), { format: 'lz4' as 'xz' })).toThrow(/gzip, zstd, xz/);
  });

  it('takes skippable frames of zstd, in front and behind', async () => {
    const skippable = skippableFrame(pattern(300));
    const bytes = await expanded(concatenated(skippable, SAMPLES.zstd, skippable, SAMPLES.zstd, skippable));
    expect(firstDifference(bytes, concatenated(SAMPLE, SAMPLE))).toBe(-1);
    expect(await failed(concatenated(SAMPLES.zstd, skippable.subarray(0, -1)))).toMatchObject({
      code: 'ERR_VHD_TRUNCATED',
    });
  });

  it('ends with the frame also where that fills the buffers to the last byte', async () => {
    for (const kib of [128, 512, 1024]) {
      const frame = zeroFrame(kib / 128);
      expect(firstDifference(await expanded(frame), new Uint8Array(kib * KIB))).toBe(-1);
      expect(await expanded(concatenated(frame, SAMPLES.zstd))).toHaveLength(kib * KIB + SAMPLE.length);
    }
  });

  it('holds a frame of zstd to the size it states', async () => {
    const content = pattern(1000);
    expect(await expanded(storedFrame(content, 1000))).toEqual(content);
    for (const stated of [999, 1001, 512, 2 ** 31]) {
      expect(await outcomeOf(expanded(storedFrame(content, stated)))).toMatch(/^ERR_VHD_(CORRUPT|TRUNCATED|LIMIT)$/);
    }
  });

  it('leaves xz-decompress alone for those who use it themselves', async () => {
    const { XzReadableStream } = await import('xz-decompress');
    const owner = XzReadableStream as unknown as { _moduleInstance?: unknown };
    const theirs = (): Promise<Uint8Array> => bytesOf(new XzReadableStream(new Blob([SAMPLES.xz]).stream()) as never);
    const first = expanded(SAMPLES.xz);
    const [mine, other] = await Promise.all([first, theirs()]);
    const shared = owner._moduleInstance;
    expect(shared).toBeDefined();
    await expanded(SAMPLES.xz);
    expect(owner._moduleInstance).toBe(shared);
    for (const bytes of [mine, other, await theirs()]) expect(firstDifference(bytes, SAMPLE)).toBe(-1);
  });

  it('takes the padding of xz, a multiple of four bytes', async () => {
    const padded = concatenated(SAMPLES.xz, new Uint8Array(8), SAMPLES.xz, new Uint8Array(4));
    expect(firstDifference(await expanded(padded), concatenated(SAMPLE, SAMPLE))).toBe(-1);
    expect(await failed(padded.subarray(0, -1))).toMatchObject({ code: 'ERR_VHD_CORRUPT' });
  });

  it.each([
    ['xz --check=none', 'resolved'],
    ['zstd --no-check', 'resolved'],
    ['xz --check=sha256', 'ERR_VHD_UNSUPPORTED'],
    ['xz --x86 --lzma2', 'ERR_VHD_UNSUPPORTED'],
    ['xz --lzma2=dict=128MiB', 'ERR_VHD_LIMIT'],
    ['zstd --long=28', 'ERR_VHD_LIMIT'],
  ] as const)('%s: %s', async (options, outcome) => {
    const sample = ODD_SAMPLES[options];
    expect(await outcomeOf(expanded(sample))).toBe(outcome);
    if (outcome === 'resolved') return;
    const format = options.startsWith('xz') ? 'xz -dc' : 'zstd -dc --long=31';
    expect(await failed(sample, { name: "it's.raw" })).toMatchObject({
      storage: "it's.raw",
      remedy: `${format} 'it'\\''s.raw' | vhd convert - DISK.vhd`,
    });
  });

  it('lets others have their turn', async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    let byteLength = 0;
    // Data that needs no waiting for anything: 1 GiB in 32 KiB.
    for await (const bytes of decompress(new ChunkSource(zeroFrame(8192)))) byteLength += bytes.length;
    clearInterval(timer);
    expect(byteLength).toBe(KIB ** 3);
    expect(turns).toBeGreaterThan(2);
  });
});
