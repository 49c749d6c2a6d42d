import { appendFileSync, createReadStream, readFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { convert } from '../../../src/ops/convert.ts';
import type { ConvertOptions, ConvertResult } from '../../../src/ops/convert-options.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { concatenated, ODD_SAMPLES, SAMPLE, SAMPLES, skippableFrame, storedFrame } from '../../support/compressed.ts';
import { contentOfFile, imageWith } from '../../support/streams-disks.ts';
import { WorkFolder } from '../../support/streams-files.ts';
import { ChunkSource, failureOf, outcomeOf } from '../../support/streams-sources.ts';

const folder = new WorkFolder();
const types = ['raw', 'fixed', 'dynamic'] as const;
const images = {
  raw: SAMPLE,
  fixed: await imageWith('fixed', SAMPLE.length, [{ position: 0, bytes: SAMPLE }]),
  dynamic: await imageWith('dynamic', SAMPLE.length, [{ position: 0, bytes: SAMPLE }]),
};
const gzip = (bytes: Uint8Array): Uint8Array => new Uint8Array(gzipSync(bytes));

/** Converts a file of this name and content to a raw file. */
async function taken(name: string, bytes: Uint8Array, options: Partial<ConvertOptions> = {}): Promise<ConvertResult> {
  return convert(folder.file(name, bytes), folder.fresh('taken.raw'), { to: 'raw', ...options });
}

describe('convert of a compressed file', () => {
  it.each(types.flatMap((from) => types.map((to) => [from, to] as const)))('%s inside to %s', async (from, to) => {
    const name = from === 'raw' ? 'disk.raw.gz' : 'disk.vhd.gz';
    const target = folder.fresh(to === 'raw' ? 'a.raw' : 'a.vhd');
    const result = await convert(folder.file(name, gzip(images[from])), target, { to });
    expect(result).toMatchObject({ type: to, sourceType: from, sourceCompression: 'gzip', warnings: [] });
    expect(result.virtualSize).toBe(SAMPLE.length);
    expect(firstDifference(await contentOfFile(target), SAMPLE)).toBe(-1);
  });

  it.each(['gzip', 'zstd', 'xz'] as const)('%s, whatever the name says of the format', async (format) => {
    for (const name of ['disk.raw.gz', 'disk.XZ', 'disk.img.zst', 'disk', 'disk.2026-11-24']) {
      expect(await taken(name, SAMPLES[format])).toMatchObject({ sourceType: 'raw', sourceCompression: format });
    }
  });

  it('to a stream', async () => {
    const target = new PassThrough();
    const received = buffer(target);
    const path = folder.file('disk.raw.xz', SAMPLES.xz);
    expect(await convert(path, target, { to: 'raw' })).toMatchObject({ path: '-', sourceCompression: 'xz' });
    target.end();
    expect(firstDifference(await received, SAMPLE)).toBe(-1);
    expect(await failureOf(convert(path, new PassThrough(), { to: 'dynamic' }))).toMatchObject({
      code: 'ERR_VHD_STREAM',
      storage: path,
      remedy: expect.stringMatching(/^decompress it first: xz -dc .*disk\.raw\.xz > .*disk\.raw$/) as string,
    });
  });

  it('warns if nothing would show damage', async () => {
    for (const [name, format] of [
      ['xz --check=none', 'xz'],
      ['zstd --no-check', 'zstd'],
    ] as const) {
      const { warnings } = await taken(`disk.${format}`, ODD_SAMPLES[name]);
      expect(warnings).toEqual([`the ${format} data has no checksum: if it is damaged, nothing shows it`]);
    }
  });

  it.each<[string, 'xz' | 'zstd', Uint8Array[], boolean]>([
    ['zstd behind a skippable frame', 'zstd', [skippableFrame(pattern(9)), ODD_SAMPLES['zstd --no-check']], true],
    ['zstd behind a frame that has one', 'zstd', [SAMPLES.zstd, ODD_SAMPLES['zstd --no-check']], true],
    ['zstd in front of one that has one', 'zstd', [ODD_SAMPLES['zstd --no-check'], SAMPLES.zstd], true],
    [
      'zstd, nowhere',
      'zstd',
      [skippableFrame(pattern(3)), SAMPLES.zstd, skippableFrame(pattern(3)), SAMPLES.zstd],
      false,
    ],
    ['xz behind a stream that has one', 'xz', [SAMPLES.xz, ODD_SAMPLES['xz --check=none']], true],
    ['xz behind padding', 'xz', [SAMPLES.xz, new Uint8Array(8), SAMPLES.xz, ODD_SAMPLES['xz --check=none']], true],
    ['xz in front of one that has one', 'xz', [ODD_SAMPLES['xz --check=none'], SAMPLES.xz], true],
    ['xz, nowhere', 'xz', [SAMPLES.xz, new Uint8Array(4), SAMPLES.xz, SAMPLES.xz], false],
  ])('finds what has no checksum: %s', async (_what, format, parts, isUnchecked) => {
    const data = concatenated(...parts);
    for (const lengths of [1, 3, 65_536]) {
      const { warnings } = await convert(new ChunkSource(data, lengths), folder.fresh('taken.raw'), { to: 'raw' });
      const warning = `the ${format} data has no checksum: if it is damaged, nothing shows it`;
      expect(warnings.filter((text) => text.includes('checksum'))).toEqual(isUnchecked ? [warning] : []);
    }
  });

  it('tells how much of the file was read', async () => {
    const shares: unknown[] = [];
    await taken('disk.raw.gz', gzip(new Uint8Array(24 * 1024 * 1024)), {
      onProgress: ({ share, totalBytes }) => shares.push(totalBytes ?? share),
    });
    expect(shares.at(-1)).toBe(1);
  });

  it('fills up on demand', async () => {
    const odd = gzip(SAMPLE.subarray(0, 1000));
    expect(await failureOf(taken('odd.raw.gz', odd))).toMatchObject({
      code: 'ERR_VHD_SIZE',
      message: expect.stringMatching(/^inside the gzip data: .* found 1000$/) as string,
      storage: expect.stringMatching(/odd\.raw\.gz$/) as string,
    });
    expect(await taken('odd.raw.gz', odd, { pad: true })).toMatchObject({ virtualSize: 1024 });
  });

  it('refuses what is empty inside', async () => {
    expect(await failureOf(taken('empty.raw.gz', gzip(new Uint8Array(0))))).toMatchObject({
      code: 'ERR_VHD_SIZE',
      message: expect.stringMatching(/^inside the gzip data: the stream was empty/) as string,
    });
  });

  it('leaves nothing behind of what is damaged', async () => {
    for (const bytes of [SAMPLES.xz.subarray(0, -5), concatenated(SAMPLES.xz, pattern(40))]) {
      const target = folder.fresh('damaged.vhd');
      const path = folder.file('disk.raw.xz', bytes);
      const error = await failureOf(convert(path, target, { to: 'dynamic' }));
      expect(error).toMatchObject({ storage: path, code: expect.stringMatching(/TRUNCATED|CORRUPT/) as string });
      expect(folder.namesWith('damaged.vhd')).toEqual([]);
      expect(folder.openPaths()).toEqual([]);
    }
  });

  it('notices that the source changed while it was read', async () => {
    const path = folder.file('changing.raw.gz', gzip(new Uint8Array(24 * 1024 * 1024)));
    let isTold = false;
    const onProgress = (): void => {
      if (!isTold) appendFileSync(path, 'more');
      isTold = true;
    };
    const target = folder.fresh('changed.raw');
    expect(await outcomeOf(convert(path, target, { to: 'raw', onProgress }))).toBe('ERR_VHD_SOURCE_CHANGED');
    expect(folder.namesWith('changed.raw')).toEqual([]);
  });

  it('refuses what it cannot know before the end', async () => {
    for (const option of [{ dryRun: true }, { preallocate: true }, { sizeFrom: 'chs' }, { footer: 'end' }] as const) {
      expect(await outcomeOf(taken('disk.raw.gz', SAMPLES.gzip, option))).toBe('ERR_VHD_STREAM');
    }
    await expect(taken('disk.raw', SAMPLE, { compression: 'lz4' as 'xz' })).rejects.toThrow(TypeError);
  });
});

describe('name and content', () => {
  it.each<[string, string, Uint8Array, Partial<ConvertOptions>, string]>([
    ['named .raw, gzip inside', 'a.raw', SAMPLES.gzip, {}, 'ERR_VHD_AMBIGUOUS'],
    ['named .vhd, zstd inside', 'a.vhd', SAMPLES.zstd, {}, 'ERR_VHD_AMBIGUOUS'],
    ['named .bin, xz inside', 'a.bin', SAMPLES.xz, {}, 'ERR_VHD_AMBIGUOUS'],
    ['named .raw, and said to be gzip', 'a.raw', SAMPLES.gzip, { compression: 'gzip' }, 'gzip raw'],
    ['said to be another format', 'a.xz', SAMPLES.gzip, { compression: 'xz' }, 'ERR_VHD_CORRUPT'],
    ['said to be compressed, and is not', 'a.raw', SAMPLE, { compression: 'xz' }, 'ERR_VHD_CORRUPT'],
    ['named .gz, and is not', 'a.raw.gz', SAMPLE, {}, 'ERR_VHD_AMBIGUOUS'],
    ['named .gz, and is a VHD', 'a.vhd.gz', images.fixed, {}, 'ERR_VHD_AMBIGUOUS'],
    ['named .gz, and is empty', 'a.gz', new Uint8Array(0), {}, 'ERR_VHD_AMBIGUOUS'],
    ['named .gz, and said not to be', 'a.raw.gz', SAMPLE, { compression: 'none' }, 'raw'],
    ['named .gz, and is, and said not to be', 'a.gz', SAMPLES.gzip, { compression: 'none' }, 'ERR_VHD_FOREIGN_FORMAT'],
    ['named .vhd.gz, and raw inside', 'a.vhd.gz', SAMPLES.gzip, {}, 'ERR_VHD_NOT_VHD'],
    ['named .vhd.gz, and said to be raw inside', 'a.vhd.gz', SAMPLES.gzip, { from: 'raw' }, 'gzip raw'],
    ['named .raw.gz, fixed inside', 'a.raw.gz', gzip(images.fixed), {}, 'ERR_VHD_AMBIGUOUS'],
    ['named .img.gz, dynamic inside', 'a.img.gz', gzip(images.dynamic), {}, 'ERR_VHD_AMBIGUOUS'],
    ['named .raw.gz, and said to be a VHD inside', 'a.raw.gz', gzip(images.fixed), { from: 'vhd' }, 'gzip fixed'],
    ['named .gz only, fixed inside', 'a.gz', gzip(images.fixed), {}, 'gzip fixed'],
    ['said to be a VHD inside, and is not', 'a.gz', SAMPLES.gzip, { from: 'vhd' }, 'ERR_VHD_NOT_VHD'],
  ])('%s', async (_what, name, bytes, options, outcome) => {
    const told = await taken(name, bytes, options).then(
      ({ sourceCompression, sourceType }) => [sourceCompression, sourceType].filter(Boolean).join(' '),
      (error: unknown) => (error as { code: string }).code,
    );
    expect(told).toBe(outcome);
  });

  it('a raw disk that begins like gzip is taken as it is where somebody says raw', async () => {
    const disk = concatenated(SAMPLES.gzip, pattern(2048 - SAMPLES.gzip.length));
    const target = folder.fresh('as-it-is.raw');
    const options = { to: 'raw', from: 'raw', force: true } as const;
    for (const source of [folder.file('a.img', disk), new ChunkSource(disk)]) {
      const result = await convert(source, target, options);
      expect(result.sourceCompression).toBeUndefined();
      expect(firstDifference(readFileSync(target), disk)).toBe(-1);
    }
    expect(await outcomeOf(convert(folder.file('a.img.gz', disk), target, options))).toBe('ERR_VHD_CORRUPT');
  });

  it('a VHD whose disk begins like gzip is a VHD', async () => {
    const disk = concatenated(SAMPLES.gzip, pattern(2048 - SAMPLES.gzip.length));
    const image = await imageWith('fixed', disk.length, [{ position: 0, bytes: disk }]);
    for (const name of ['a.vhd', 'a']) {
      const target = folder.fresh('inside.raw');
      expect(await convert(folder.file(name, image), target, { to: 'raw' })).toMatchObject({ sourceType: 'fixed' });
      expect(firstDifference(readFileSync(target), disk)).toBe(-1);
    }
  });

  it('a zstd file that ends like a VHD is decompressed', async () => {
    // Stored without a checksum, the last bytes of the file are the footer.
    const frame = storedFrame(images.fixed, images.fixed.length);
    expect(await taken('a.vhd.zst', frame)).toMatchObject({ sourceType: 'fixed', sourceCompression: 'zstd' });
  });
});

describe('what a compressed file holds', () => {
  const qcow2 = concatenated(Uint8Array.from([0x51, 0x46, 0x49, 0xfb]), pattern(1020));
  const tar = new Uint8Array(2048);
  tar.set(new TextEncoder().encode('ustar'), 257);
  // The sum of the header, its own eight bytes taken as spaces.
  const tarSum = tar.reduce((sum, byte) => sum + byte, 8 * 0x20);
  tar.set(new TextEncoder().encode(`${tarSum.toString(8).padStart(6, '0')}\0 `), 148);

  it.each([
    [
      'a.qcow2.gz',
      qcow2,
      'gzip -dc a.qcow2.gz > a.qcow2 && qemu-img convert -f qcow2 -O raw a.qcow2 a.qcow2.raw && vhd convert a.qcow2.raw a.qcow2.vhd',
    ],
    ['a.tar.gz', tar, 'gzip -dc a.tar.gz > a.tar && tar -xOf a.tar | vhd convert - a.tar.vhd'],
    ['a.tgz', tar, 'gzip -dc a.tgz > a && tar -xOf a | vhd convert - a.vhd'],
    ['a.raw.xz.gz', SAMPLES.xz, 'gzip -dc a.raw.xz.gz | vhd convert - a.raw.xz.vhd'],
  ])('%s is refused if it is of another format, with the way round', async (name, inside, remedy) => {
    const error = (await failureOf(taken(name, gzip(inside)))) as { code: string; remedy: string; storage: string };
    expect(error.code).toBe('ERR_VHD_FOREIGN_FORMAT');
    const path = error.storage;
    expect(error.remedy.replaceAll(path.slice(0, path.lastIndexOf(name)), '')).toBe(remedy);
  });

  it('is refused on a stream too', async () => {
    const target = folder.fresh('twice.raw');
    expect(await failureOf(convert(new ChunkSource(gzip(SAMPLES.zstd)), target, { to: 'raw' }))).toMatchObject({
      code: 'ERR_VHD_FOREIGN_FORMAT',
      storage: '-',
      remedy: 'gzip -dc FILE | vhd convert - DISK.vhd',
    });
  });
});

describe('convert of a compressed stream', () => {
  it.each(types)('%s inside', async (from) => {
    const target = folder.fresh('stream.vhd');
    const path = folder.file('stream', gzip(images[from]));
    const result = await convert(createReadStream(path), target, { to: 'dynamic' });
    expect(result).toMatchObject({ sourceType: from, sourceCompression: 'gzip' });
    expect(firstDifference(await contentOfFile(target), SAMPLE)).toBe(-1);
  });

  it('says which of both was damaged', async () => {
    const target = folder.fresh('cut.raw');
    const cut = convert(new ChunkSource(SAMPLES.gzip.subarray(0, -3)), target, { to: 'raw' });
    expect(await failureOf(cut)).toMatchObject({
      code: 'ERR_VHD_TRUNCATED',
      message: expect.stringMatching(/^the gzip data ends too early/) as string,
    });
    const inside = convert(new ChunkSource(gzip(images.dynamic.subarray(0, 3000))), target, { to: 'raw' });
    expect(await failureOf(inside)).toMatchObject({
      code: 'ERR_VHD_TRUNCATED',
      message: expect.stringMatching(/^inside the gzip data: the stream ends too early/) as string,
    });
  });

  it('is looked at only where nobody said what it is', async () => {
    const target = folder.fresh('said.raw');
    const source = (): ChunkSource => new ChunkSource(SAMPLES.gzip);
    expect(await outcomeOf(convert(source(), target, { to: 'raw', from: 'raw' }))).toBe('ERR_VHD_SIZE');
    expect(await outcomeOf(convert(source(), target, { to: 'raw', compression: 'none' }))).toBe(
      'ERR_VHD_FOREIGN_FORMAT',
    );
    const stated = { to: 'raw', from: 'raw', compression: 'gzip' } as const;
    expect(await convert(source(), target, stated)).toMatchObject({ sourceCompression: 'gzip', sourceType: 'raw' });
  });
});
