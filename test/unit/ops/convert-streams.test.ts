import { execFileSync, spawnSync } from 'node:child_process';
import { createReadStream, createWriteStream, statSync } from 'node:fs';
import { PassThrough, Readable, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { describe, expect, it } from 'vitest';
import { openVhd } from '../../../src/open.ts';
import { convert } from '../../../src/ops/convert.ts';
import type { TargetType as AnyTargetType, ConvertOptions, ConvertResult } from '../../../src/ops/convert-options.ts';
import type { Progress } from '../../../src/ops/progress.ts';
import { decodeVhd } from '../../../src/stream/decode.ts';
import { buildImage, contentOf as contentOfShape } from '../../support/build-image.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { contentOfFile, contentOfImage, IDENTITY, imageWith, rawDisk, vastDisk } from '../../support/streams-disks.ts';
import { WorkFolder } from '../../support/streams-files.ts';
import { bytesOf, ChunkSource, failureOf, outcomeOf, sleep } from '../../support/streams-sources.ts';

type TargetType = Exclude<AnyTargetType, 'differencing'>;

const KiB = 1024;
const MiB = 1024 * KiB;
const folder = new WorkFolder();
const size = 9 * MiB + 512;
const patches = [
  { position: 300, bytes: pattern(MiB, 1) },
  { position: 5 * MiB, bytes: pattern(1000, 2) },
  { position: size - 10, bytes: pattern(10, 3) },
];
const content = new Uint8Array(size);
for (const { bytes, position } of patches) content.set(bytes, position);
const images: Readonly<Record<TargetType, Uint8Array>> = {
  raw: content,
  fixed: await imageWith('fixed', size, patches),
  dynamic: await imageWith('dynamic', size, patches),
};
const types: readonly TargetType[] = ['raw', 'fixed', 'dynamic'];
const pairs = types.flatMap((from) => types.map((to) => [from, to] as const));

/** Converts into memory. */
async function toBytes(
  source: Parameters<typeof convert>[0],
  options: ConvertOptions,
): Promise<{ bytes: Uint8Array; result: ConvertResult }> {
  const target = new PassThrough();
  const received = buffer(target);
  const result = await convert(source, target, options);
  expect(target.writableEnded).toBe(false);
  target.end();
  return { bytes: await received, result };
}

const contentOf = (to: TargetType, bytes: Uint8Array): Promise<Uint8Array> =>
  to === 'raw' ? Promise.resolve(bytes) : contentOfImage(bytes);

describe('convert from a stream to a file', () => {
  it.each(pairs)('takes %s to %s', async (from, to) => {
    for (const lengths of [9973, 30 * MiB]) {
      const target = folder.fresh(to === 'raw' ? 'a.raw' : 'a.vhd');
      const result = await convert(new ChunkSource(images[from], lengths), target, { to });
      expect(result).toMatchObject({ path: target, type: to, sourceType: from, virtualSize: size, warnings: [] });
      expect(result.fileSize).toBe(statSync(target).size);
      expect(result.copiedBytes + result.skippedBytes).toBe(size);
      expect(firstDifference(await contentOfFile(target), content)).toBe(-1);
    }
  });

  it('leaves room for the largest table as a hole, and writes as many entries as the size needs', async () => {
    for (const [blockSize, table] of [
      [512 * KiB, 16 * MiB],
      [2 * MiB, 4 * MiB],
    ] as const) {
      const target = folder.fresh('hole.vhd');
      await convert(new ChunkSource(content), target, { to: 'dynamic', blockSize });
      const disk = await openVhd(target);
      expect(disk.header).toMatchObject({ maxTableEntries: Math.ceil(size / blockSize), blockSize });
      expect(disk.dataAlignment).toBeGreaterThanOrEqual(4096);
      expect(disk.findings.filter((item) => item.severity !== 'note')).toEqual([]);
      await disk.close();
      expect(statSync(target).size).toBeGreaterThan(table);
      expect(statSync(target).blocks * 512).toBeLessThan(4 * blockSize + MiB);
      // The stream of the result is readable as a stream too.
      const again = await bytesOf((await decodeVhd(createReadStream(target))).raw());
      expect(firstDifference(again, content)).toBe(-1);
    }
  });

  it('makes dynamic images that qemu-img reads in full', async (context) => {
    if (spawnSync('qemu-img', ['--version']).status !== 0) context.skip('qemu-img is not installed');
    const source = folder.file('qemu.raw', content);
    const target = folder.fresh('qemu.vhd');
    await convert(new ChunkSource(content), target, { to: 'dynamic' });
    execFileSync('qemu-img', ['compare', '-f', 'raw', '-F', 'vpc', source, target]);
  });

  it('makes an empty dynamic image of zeros', async () => {
    const target = folder.fresh('zeros.vhd');
    await convert(new ChunkSource(new Uint8Array(8 * MiB)), target, { to: 'dynamic' });
    expect(statSync(target).size).toBeLessThanOrEqual(8192);
    expect(firstDifference(await contentOfFile(target), new Uint8Array(8 * MiB))).toBe(-1);
  });

  it('takes blocks in any order, but to a raw stream', async () => {
    const shape = { size: 5 * MiB, blockSize: MiB, blocks: [{ index: 4 }, { index: 0 }, { index: 2 }] };
    const image = buildImage(shape);
    for (const to of types) {
      const target = folder.fresh('order.out');
      await convert(new ChunkSource(image), target, { to });
      expect(firstDifference(await contentOfFile(target), contentOfShape(shape))).toBe(-1);
    }
    expect(await outcomeOf(toBytes(new ChunkSource(image), { to: 'raw' }))).toBe('ERR_VHD_STREAM');
  });

  it('makes the same file for the same identity, however the chunks come', async () => {
    for (const to of types) {
      const one = folder.fresh('one');
      const two = folder.fresh('two');
      await convert(new ChunkSource(content, 7777), one, { to, ...IDENTITY });
      await convert(new ChunkSource(content, 3_000_001), two, { to, ...IDENTITY });
      const [first, second] = await Promise.all([bytesOf(createReadStream(one)), bytesOf(createReadStream(two))]);
      expect(firstDifference(first, second)).toBe(-1);
    }
  });

  it('takes Node streams, web streams, and raw on demand', async () => {
    const path = folder.file('source.vhd', images.fixed);
    const target = folder.fresh('raw.raw');
    expect(await convert(createReadStream(path), target, { to: 'raw', from: 'raw' })).toMatchObject({
      sourceType: 'raw',
      virtualSize: size + 512,
    });
    const web = new Blob([images.dynamic]).stream() as unknown as AsyncIterable<Uint8Array>;
    await convert(web, target, { to: 'raw', force: true });
    expect(firstDifference(await contentOfFile(target), content)).toBe(-1);
  });

  it('fills up on demand, and says so', async () => {
    const odd = pattern(1000);
    expect(await outcomeOf(convert(new ChunkSource(odd), folder.fresh('odd'), { to: 'raw' }))).toBe('ERR_VHD_SIZE');
    const padded = new Uint8Array([...odd, ...new Uint8Array(24)]);
    for (const to of types) {
      const target = folder.fresh('padded');
      const { warnings } = await convert(new ChunkSource(odd), target, { to, pad: true });
      expect(warnings).toEqual([expect.stringMatching(/zeros from 1000 to 1024/)]);
      expect(await contentOfFile(target)).toEqual(padded);
    }
    for (const to of ['raw', 'fixed'] as const) {
      const { bytes, result } = await toBytes(new ChunkSource(odd), { to, pad: true });
      expect(bytes.subarray(0, 1024)).toEqual(Buffer.from(padded));
      expect(result.warnings).toEqual([expect.stringMatching(/zeros from 1000 to 1024/)]);
    }
  });
});

describe('convert to a stream', () => {
  it.each(pairs)('takes a %s file to %s', async (from, to) => {
    const path = folder.file(from === 'raw' ? 'b.raw' : 'b.vhd', images[from]);
    const { bytes, result } = await toBytes(path, { to });
    expect(result).toMatchObject({ path: '-', type: to, sourceType: from, virtualSize: size });
    expect(result.fileSize).toBe(bytes.length);
    expect(result.copiedBytes + result.skippedBytes).toBe(size);
    expect(firstDifference(await contentOf(to, bytes), content)).toBe(-1);
  });

  it.each(pairs.filter(([, to]) => to !== 'dynamic'))('takes a %s stream to %s', async (from, to) => {
    const { bytes, result } = await toBytes(new ChunkSource(images[from]), { to });
    expect(result).toMatchObject({ path: '-', type: to, sourceType: from, virtualSize: size, fileSize: bytes.length });
    expect(firstDifference(await contentOf(to, bytes), content)).toBe(-1);
  });

  it('refuses dynamic from a stream, with the way round', async () => {
    const source = new ChunkSource(content);
    const error = await failureOf(toBytes(source, { to: 'dynamic' }));
    expect(error).toMatchObject({ code: 'ERR_VHD_STREAM', remedy: expect.stringContaining('--to fixed') as string });
    expect(source.isReleased || source.pulled === 0).toBe(true);
  });

  it('waits for a slow target instead of reading everything', async () => {
    const disk = vastDisk(256 * MiB);
    const target = new Writable({ write: () => undefined });
    const controller = new AbortController();
    const done = outcomeOf(convert(disk, target, { to: 'raw', signal: controller.signal }));
    await sleep(60);
    expect(disk.count('read')).toBeLessThanOrEqual(16);
    controller.abort();
    await done;
  });

  it.each(types)('hears of an error of the target, as %s', async (to) => {
    const disk = rawDisk(pattern(2048));
    const target = createWriteStream('/dev/full');
    target.on('error', () => undefined);
    expect(await outcomeOf(convert(disk, target, { to }))).toBe('ENOSPC');
    const broken = new Writable({ write: (_chunk, _encoding, done) => setTimeout(() => done(new Error('EPIPE')), 5) });
    broken.on('error', () => undefined);
    expect(await failureOf(convert(disk, broken, { to }))).toMatchObject({ message: 'EPIPE' });
  });

  it('rejects with the reason of an abort', async () => {
    const reason = new Error('enough');
    for (const source of [vastDisk(64 * MiB), new ChunkSource(new Uint8Array(64 * MiB))]) {
      const controller = new AbortController();
      const target = new Writable({ write: (_chunk, _encoding, done) => setTimeout(done, 5) });
      setTimeout(() => controller.abort(reason), 12);
      expect(await failureOf(convert(source, target, { to: 'raw', signal: controller.signal }))).toBe(reason);
    }
  });

  it('passes an error of the source unwrapped, and lets go of it when the target breaks', async () => {
    const failure = new Error('EIO');
    const stream = Readable.from(
      (async function* () {
        yield pattern(100_000);
        throw failure;
      })(),
    );
    expect(await failureOf(toBytes(stream, { to: 'raw' }))).toBe(failure);
    const source = new ChunkSource(content);
    const target = new PassThrough();
    target.on('error', () => undefined);
    target.destroy(new Error('gone'));
    await failureOf(convert(source, target, { to: 'raw' }));
    expect(source.isReleased).toBe(true);
  });

  it('is read by a file through a pipe', async () => {
    const path = folder.fresh('piped.vhd');
    const target = createWriteStream(path);
    await convert(rawDisk(content), target, { to: 'dynamic' });
    target.end();
    await finished(target);
    expect(firstDifference(await contentOfFile(path), content)).toBe(-1);
  });
});

describe('the progress of convert', () => {
  const sources = (from: TargetType) => ({
    file: () => folder.file(from === 'raw' ? 'p.raw' : 'p.vhd', images[from]),
    stream: () => new ChunkSource(images[from]),
  });
  const ways = pairs.flatMap(([from, to]) =>
    (['file', 'stream'] as const).flatMap((source) =>
      (['file', 'stream'] as const)
        .filter((target) => !(to === 'dynamic' && source === 'stream' && target === 'stream'))
        .map((target) => [from, source, to, target] as const),
    ),
  );

  it.each(ways)('from a %s %s to a %s %s rises to the size of the disk', async (from, source, to, target) => {
    const told: Progress[] = [];
    const sink = new Writable({ write: (_chunk, _encoding, done) => done() });
    await convert(sources(from)[source](), target === 'file' ? folder.fresh('p.out') : sink, {
      to,
      onProgress: (progress) => void told.push(progress),
    });
    const done = told.map((progress) => progress.doneBytes);
    expect(done).toEqual([...done].sort((first, second) => first - second));
    expect(told.at(-1)?.doneBytes).toBe(size);
    expect([size, undefined]).toContain(told.at(-1)?.totalBytes);
  });
});

describe('streams that convert refuses', () => {
  it.each<[string, Uint8Array, object, string]>([
    ['nothing', new Uint8Array(0), {}, 'ERR_VHD_SIZE'],
    ['100 bytes', pattern(100), {}, 'ERR_VHD_SIZE'],
    ['QCOW2', Buffer.concat([Buffer.from('QFI\xfb', 'latin1'), pattern(1020)]), {}, 'ERR_VHD_FOREIGN_FORMAT'],
    ['no VHD where one is said to be', pattern(1024), { from: 'vhd' }, 'ERR_VHD_NOT_VHD'],
    ['a dynamic image cut short', images.dynamic.subarray(0, -4096), {}, 'ERR_VHD_TRUNCATED'],
    ['a differencing image', buildImage({ size: MiB, footer: { diskType: 4 } }), {}, 'ERR_VHD_DIFFERENCING'],
    ['a fixed image with a damaged footer', damaged(images.fixed), {}, 'ERR_VHD_CORRUPT'],
  ])('hold %s, and leave nothing', async (_what, bytes, options, code) => {
    for (const to of types) {
      const source = new ChunkSource(bytes);
      expect(await outcomeOf(convert(source, folder.fresh('refused.out'), { to, ...options }))).toBe(code);
      expect(source.isReleased).toBe(true);
    }
    expect(folder.namesWith('refused.out')).toEqual([]);
  });

  it('are not read at all where an option is wrong or the target exists', async () => {
    const target = folder.file('exists.vhd', pattern(10));
    for (const [options, name] of [
      [{ to: 'dynamic', blockSize: MiB }, 'RangeError'],
      [{ to: 'dynamic', uuid: 'x' }, 'RangeError'],
      [{ to: 'fixed', creator: 'fives' }, 'RangeError'],
      [{ to: 'raw', dryRun: true }, 'TypeError'],
      [{ to: 'raw', what: 1 }, 'TypeError'],
    ] as const) {
      const source = new ChunkSource(content);
      const error = await failureOf(convert(source, folder.fresh('wrong.out'), options as never));
      expect([error instanceof Error && error.name, source.pulled <= 128 * KiB]).toEqual([name, true]);
    }
    const source = new ChunkSource(content);
    expect(await outcomeOf(convert(source, target, { to: 'fixed' }))).toBe('ERR_VHD_EXISTS');
    expect(source.pulled).toBeLessThanOrEqual(128 * KiB);
    expect(folder.namesWith('wrong.out')).toEqual([]);
  });

  it('end, also with blocks of no bytes', () => {
    const script = `
      import { convert } from ${JSON.stringify(new URL('../../../src/ops/convert.ts', import.meta.url).href)};
      const source = (async function* () { yield new Uint8Array(4096).fill(1); })();
      await convert(source, ${JSON.stringify(folder.fresh('endless.vhd'))}, { to: 'dynamic', blockSize: 0 }).catch(
        (error) => console.log(error.name),
      );`;
    const node = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      timeout: 20_000,
      encoding: 'utf8',
    });
    expect(node.stdout).toBe('RangeError\n');
  });
});

function damaged(image: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(image);
  bytes[bytes.length - 512 + 45] = 0xee;
  return bytes;
}
