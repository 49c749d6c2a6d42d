import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, linkSync, lstatSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { VhdError } from '../../../src/errors.ts';
import { openDisk, openVhd } from '../../../src/open.ts';
import { convert } from '../../../src/ops/convert.ts';
import type { ConvertOptions } from '../../../src/ops/convert-options.ts';
import type { Progress } from '../../../src/ops/progress.ts';
import { buildImage } from '../../support/build-image.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { checkParameters } from '../../support/seed.ts';
import { IDENTITY, imageWith } from '../../support/streams-disks.ts';
import { WorkFolder } from '../../support/streams-files.ts';
import { failureOf, outcomeOf } from '../../support/streams-sources.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const folder = new WorkFolder();

async function contentOf(path: string): Promise<Uint8Array> {
  const { disk } = await openDisk(path);
  const bytes = new Uint8Array(disk.size);
  await disk.read(bytes, 0);
  await disk.close();
  return bytes;
}

function sparse(size: number, ...places: number[]): Uint8Array {
  const bytes = new Uint8Array(size);
  for (const place of places) bytes.set(pattern(Math.min(3000, size - place), place + 1), place);
  return bytes;
}

const contents: Readonly<Record<string, Uint8Array>> = {
  random: pattern(5 * MiB + 512),
  sparse: sparse(13 * MiB + 1024, 700, 5 * MiB - 10, 13 * MiB),
  empty: new Uint8Array(3 * MiB),
  'one sector': pattern(512),
};

describe('convert from file to file', () => {
  it.each(Object.keys(contents))('keeps %s contents through raw, fixed and dynamic', async (name) => {
    const content = contents[name] ?? new Uint8Array(0);
    let path = folder.file('start.raw', content);
    for (const to of ['dynamic', 'raw', 'fixed', 'dynamic', 'fixed', 'raw'] as const) {
      const next = folder.fresh(to === 'raw' ? 'next.raw' : 'next.vhd');
      const result = await convert(path, next, { to });
      expect(result).toMatchObject({ path: next, type: to, virtualSize: content.length, warnings: [] });
      expect(result.fileSize).toBe(statSync(next).size);
      expect(result.copiedBytes + result.skippedBytes).toBe(content.length);
      expect(firstDifference(await contentOf(next), content)).toBe(-1);
      path = next;
    }
    expect(firstDifference(readFileSync(path), content)).toBe(-1);
  });

  it('tells a dry run the numbers of the real one', async () => {
    const shape = fc.record({
      sectors: fc.integer({ min: 1, max: 9000 }),
      blockSize: fc.constantFrom(512 * KiB, 2 * MiB),
      to: fc.constantFrom('raw', 'fixed', 'dynamic'),
      places: fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { maxLength: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ blockSize, places, sectors, to }) => {
        const size = sectors * 512;
        const source = folder.file('dry.raw', sparse(size, ...places.map((place) => Math.floor(place * size))));
        const target = folder.fresh('dry.out');
        const options = { to, blockSize } as ConvertOptions;
        const { seconds: _dry, ...dry } = await convert(source, target, { ...options, dryRun: true });
        expect(folder.namesWith('dry.out')).not.toContain(target);
        const { seconds: _real, ...real } = await convert(source, target, options);
        expect(dry).toEqual(real);
        expect(statSync(target).size).toBe(dry.fileSize);
      }),
      checkParameters(12),
    );
  });

  it('makes the same file twice for the same identity', async () => {
    const source = folder.file('twice.raw', contents['sparse'] ?? new Uint8Array(0));
    for (const to of ['fixed', 'dynamic'] as const) {
      const paths = [folder.fresh('one.vhd'), folder.fresh('two.vhd')] as const;
      for (const path of paths) await convert(source, path, { to, ...IDENTITY });
      expect(firstDifference(readFileSync(paths[0]), readFileSync(paths[1]))).toBe(-1);
    }
  });

  it('leaves holes, or writes zeros on demand', async () => {
    // Where the file system can, the target would be a clone: as dense as its source, and without room of its own.
    vi.stubEnv('VHDKIT_NATIVE', '0');
    onTestFinished(() => void vi.unstubAllEnvs());
    const source = folder.file('holes.raw', sparse(32 * MiB, 0));
    const blocks = async (options: ConvertOptions): Promise<number> => {
      const target = folder.fresh('holes.out');
      await convert(source, target, options);
      return statSync(target).blocks * 512;
    };
    expect(await blocks({ to: 'fixed' })).toBeLessThan(4 * MiB);
    expect(await blocks({ to: 'raw' })).toBeLessThan(4 * MiB);
    expect(await blocks({ to: 'fixed', preallocate: true })).toBeGreaterThanOrEqual(32 * MiB);
    expect(await blocks({ to: 'raw', preallocate: true })).toBeGreaterThanOrEqual(32 * MiB);
  });

  it('makes images that qemu-img reads in full', async (context) => {
    const found = spawnSync('qemu-img', ['--version']).status === 0;
    if (!found) context.skip('qemu-img is not installed');
    const source = folder.file('qemu.raw', contents['sparse'] ?? new Uint8Array(0));
    for (const to of ['fixed', 'dynamic'] as const) {
      const target = folder.fresh('qemu.vhd');
      await convert(source, target, { to, blockSize: 512 * KiB });
      execFileSync('qemu-img', ['compare', '-f', 'raw', '-F', 'vpc', source, target]);
    }
  });

  it('tells its progress, never back and to the end', async () => {
    const source = folder.file('progress.raw', contents['sparse'] ?? new Uint8Array(0));
    for (const to of ['raw', 'fixed', 'dynamic'] as const) {
      const told: Progress[] = [];
      const options = { to, onProgress: (progress: Progress) => void told.push(progress) };
      const { copiedBytes, skippedBytes, virtualSize } = await convert(source, folder.fresh('progress.out'), options);
      expect(told.at(-1)).toEqual({ phase: 'copy', doneBytes: virtualSize, totalBytes: virtualSize, skippedBytes });
      expect(copiedBytes + skippedBytes).toBe(virtualSize);
      const done = told.map((progress) => progress.doneBytes);
      expect(done).toEqual([...done].sort((first, second) => first - second));
    }
  });

  it('fills a source up on demand, and says so', async () => {
    const source = folder.file('odd.bin', pattern(1000));
    expect(await outcomeOf(convert(source, folder.fresh('odd.vhd'), { to: 'fixed' }))).toBe('ERR_VHD_SIZE');
    const target = folder.fresh('padded.vhd');
    const result = await convert(source, target, { to: 'dynamic', pad: true });
    expect(await contentOf(target)).toEqual(new Uint8Array([...pattern(1000), ...new Uint8Array(24)]));
    expect(result.warnings).toEqual([expect.stringMatching(/zeros from 1000 to 1024/)]);
  });

  it('passes on what is odd about the source', async () => {
    const image = buildImage({ size: MiB, isLegacyEnd: true });
    const { warnings } = await convert(folder.file('legacy.vhd', image), folder.fresh('new.vhd'), { to: 'fixed' });
    expect(warnings).toEqual([expect.stringContaining('511 bytes')]);
  });

  it('names what the source was, also where it is an open disk', async () => {
    const path = folder.file('open.vhd', await imageWith('dynamic', MiB, []));
    const disk = await openVhd(path);
    expect(await convert(path, folder.fresh('a.raw'), { to: 'raw' })).toMatchObject({ sourceType: 'dynamic' });
    expect(await convert(disk, folder.fresh('b.raw'), { to: 'raw' })).toMatchObject({ sourceType: 'dynamic' });
    expect(await disk.readBytes(0, 4)).toEqual(new Uint8Array(4));
    await disk.close();
  });
});

describe('the target of convert', () => {
  const source = folder.file('target-source.raw', contents['sparse'] ?? new Uint8Array(0));

  it('that exists is kept, or replaced on demand with its mode', async () => {
    const target = folder.file('exists.vhd', pattern(10));
    chmodSync(target, 0o640);
    expect(await outcomeOf(convert(source, target, { to: 'dynamic' }))).toBe('ERR_VHD_EXISTS');
    expect(readFileSync(target)).toEqual(Buffer.from(pattern(10)));
    await convert(source, target, { to: 'dynamic', force: true });
    expect(statSync(target).mode & 0o7777).toBe(0o640);
    expect((await contentOf(target)).length).toBe(contents['sparse']?.length);
  });

  it('that is a symbolic link stays one, what it points to is replaced', async () => {
    const real = folder.file('real.vhd', pattern(10));
    const link = folder.fresh('link.vhd');
    symlinkSync(real, link);
    expect(await outcomeOf(convert(source, link, { to: 'fixed' }))).toBe('ERR_VHD_EXISTS');
    await convert(source, link, { to: 'fixed', force: true });
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(lstatSync(real).isFile()).toBe(true);
    expect((await contentOf(real)).length).toBe(contents['sparse']?.length);
  });

  it('that is a symbolic link to nothing is written through it, or refused before the copy', async () => {
    const real = folder.fresh('to-come.vhd');
    const link = folder.fresh('dangling.vhd');
    symlinkSync(real, link);
    const told: Progress[] = [];
    const error: unknown = await convert(source, link, {
      to: 'fixed',
      force: true,
      onProgress: (progress) => void told.push(progress),
    }).then(
      () => undefined,
      (failure: unknown) => failure,
    );
    if (error === undefined) expect((await contentOf(real)).length).toBe(contents['sparse']?.length);
    else expect(told).toEqual([]);
  });

  it('that is a folder or a device is refused, force or not', async () => {
    for (const target of [folder.path, '/dev/null']) {
      expect(await outcomeOf(convert(source, target, { to: 'raw' }))).toBe('ERR_VHD_EXISTS');
      expect(await outcomeOf(convert(source, target, { to: 'raw', force: true }))).toBe('ERR_VHD_EXISTS');
    }
  });

  it('may have any name a file can have', async () => {
    for (const name of ['漢'.repeat(81) + '.vhd', `${'n'.repeat(251)}.vhd`, '🙂'.repeat(60), '-', '.hidden']) {
      const target = `${folder.path}/${name}`;
      await convert(source, target, { to: 'raw' });
      expect(statSync(target).size).toBe(contents['sparse']?.length);
    }
  });

  it('may not be the source, by name, hard link or symbolic link, even by force', async () => {
    const path = folder.file('same.raw', pattern(1024));
    const hard = folder.fresh('hard.raw');
    const soft = folder.fresh('soft.raw');
    linkSync(path, hard);
    symlinkSync(path, soft);
    for (const target of [path, hard, soft, `${folder.path}/./${path.slice(folder.path.length + 1)}`]) {
      for (const force of [false, true]) {
        expect(await outcomeOf(convert(path, target, { to: 'dynamic', force }))).toBe('ERR_VHD_SAME_FILE');
      }
    }
    expect(readFileSync(path)).toEqual(Buffer.from(pattern(1024)));
  });
});

describe('what convert refuses', () => {
  const source = folder.file('refused.raw', pattern(1024));

  it.each<[string, object, string]>([
    ['unknown options', { to: 'raw', sizes: 3 }, 'TypeError'],
    ['a writable source', { to: 'raw', writable: true }, 'TypeError'],
    ...['azure', 'inPlace', 'reproducible', 'force', 'pad', 'dryRun', 'preallocate', 'blockingWrites'].flatMap((name) =>
      ['yes', 1, null].map((value): [string, object, string] => [
        `${name}: ${value}`,
        { to: 'fixed', [name]: value },
        'TypeError',
      ]),
    ),
    ['blocks of 1 MiB', { to: 'dynamic', blockSize: MiB }, 'RangeError'],
    ['an identifier that is none', { to: 'fixed', uuid: 'x' }, 'RangeError'],
    ['a creator of five letters', { to: 'dynamic', creator: 'fives' }, 'RangeError'],
  ])('is %s, and nothing is left', async (_what, options, name) => {
    const target = folder.fresh('misuse.out');
    const error = await failureOf(convert(source, target, options as never));
    expect(error).toMatchObject({ name });
    expect(folder.namesWith('misuse.out')).toEqual([]);
  });

  it.each(['vhd', 'differencing', undefined])('is a target of type %s, and nothing is left', async (to) => {
    const target = folder.fresh('type.out');
    const error = await failureOf(convert(source, target, { to: to as never }));
    expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
    expect(folder.namesWith('type.out')).toEqual([]);
  });

  it.each(['raw', 'fixed', 'dynamic'] as const)(
    'is an image of no whole sectors to %s, as a defect of it',
    async (to) => {
      const path = folder.file('sectors.vhd', buildImage({ size: 3 * MiB + 100, blocks: [{ index: 0 }] }));
      const target = folder.fresh('sectors.out');
      const error = await convert(path, target, { to }).then(
        () => undefined,
        (failure: unknown) => failure,
      );
      // Raw bytes may be as many as they are; a VHD cannot, and that is the image's fault, not the caller's.
      expect(error === undefined ? to : error instanceof VhdError).toBe(error === undefined ? 'raw' : true);
    },
  );

  it('is a folder, a missing file and a missing target folder, as the system says it', async () => {
    expect(await outcomeOf(convert(folder.path, folder.fresh('x'), { to: 'raw' }))).toBe('EISDIR');
    expect(await outcomeOf(convert(folder.fresh('missing'), folder.fresh('x'), { to: 'raw' }))).toBe('ENOENT');
    expect(await outcomeOf(convert(source, `${folder.path}/no/x.vhd`, { to: 'raw' }))).toBe('ENOENT');
  });
});
