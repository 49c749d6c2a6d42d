// Conversions that end early: whatever the reason, nothing is left under the target's name or a temporary one.
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { convert } from '../../../src/ops/convert.ts';
import type { TargetType } from '../../../src/ops/convert-options.ts';
import { createImage } from '../../../src/ops/create.ts';
import type { Progress } from '../../../src/ops/progress.ts';
import { pattern } from '../../support/bytes.ts';
import { ProbeDisk, rawDisk, vastDisk } from '../../support/streams-disks.ts';
import { WorkFolder } from '../../support/streams-files.ts';
import { ChunkSource, failing, failureOf, outcomeOf, sleep, stalling } from '../../support/streams-sources.ts';

const MiB = 1024 * 1024;
const folder = new WorkFolder();
/** Quicker to make than a pattern, and nothing of it can be skipped. */
const large = new Uint8Array(64 * MiB).fill(0x5a);
const types: readonly TargetType[] = ['raw', 'fixed', 'dynamic'];

/** Runs `change` when the conversion tells progress for the first time, which is not at its end. */
function once(change: () => void): (progress: Progress) => void {
  let isDone = false;
  return () => {
    if (!isDone) change();
    isDone = true;
  };
}

describe('a source that changes while it is converted', () => {
  it.each<[string, (path: string) => void]>([
    ['shrinks', (path) => truncateSync(path, 40 * MiB)],
    ['shrinks by a sector', (path) => truncateSync(path, 64 * MiB - 512)],
    ['grows', (path) => appendFileSync(path, 'x')],
    ['is touched', (path) => utimesSync(path, new Date(0), new Date(0))],
  ])('and %s is an error', async (_how, change) => {
    for (const to of types) {
      const source = folder.file('changing.raw', large);
      const target = folder.fresh('changed.out');
      const error = await failureOf(convert(source, target, { to, onProgress: once(() => change(source)) }));
      expect(error).toMatchObject({ code: 'ERR_VHD_SOURCE_CHANGED', storage: source });
      expect(folder.namesWith('changed.out')).toEqual([]);
      expect(folder.openPaths()).not.toContain(source);
      truncateSync(source, 0);
    }
  });
});

describe.skipIf(process.platform === 'win32')('a named pipe as a source', () => {
  it('is refused at once instead of waited for', async () => {
    const path = folder.fresh('pipe');
    spawnSync('sh', ['-c', 'mkfifo "$0"', path]);
    expect(await outcomeOf(convert(path, folder.fresh('piped.raw'), { to: 'raw' }))).toBe('ESPIPE');
    expect(folder.namesWith('piped.raw')).toEqual([]);
  });
});

describe('an aborted conversion', () => {
  const reason = new Error('enough');

  it.each(types)('of a file to %s leaves nothing', async (to) => {
    const source = folder.file('abort.raw', large.subarray(0, 32 * MiB));
    for (const when of ['before', 'on the way']) {
      const controller = new AbortController();
      if (when === 'before') controller.abort(reason);
      const target = folder.fresh('aborted.out');
      const onProgress = once(() => controller.abort(reason));
      expect(await failureOf(convert(source, target, { to, signal: controller.signal, onProgress }))).toBe(reason);
      expect(folder.namesWith('aborted.out')).toEqual([]);
      expect(folder.openPaths()).toEqual([]);
    }
  });

  it.each(types)('of a stream to %s leaves nothing and cancels the stream', async (to) => {
    const controller = new AbortController();
    const source = new ChunkSource(large.subarray(0, 32 * MiB));
    const target = folder.fresh('aborted.out');
    const onProgress = once(() => controller.abort(reason));
    expect(await failureOf(convert(source, target, { to, signal: controller.signal, onProgress }))).toBe(reason);
    expect(source.pulled).toBeLessThan(32 * MiB);
    expect(source.isReleased).toBe(true);
    expect(folder.namesWith('aborted.out')).toEqual([]);
  });

  it('of a stream that has gone silent ends too', async () => {
    const controller = new AbortController();
    const target = folder.fresh('silent.out');
    const converting = convert(stalling(pattern(MiB)), target, { to: 'dynamic', signal: controller.signal });
    setTimeout(() => controller.abort(reason), 10);
    expect(await Promise.race([failureOf(converting), sleep(500).then(() => 'still waiting')])).toBe(reason);
    expect(folder.namesWith('silent.out')).toEqual([]);
  });

  it('does not first write all the zeros it was to write', async () => {
    const controller = new AbortController();
    const disk = vastDisk(512 * MiB);
    const target = folder.fresh('zeros.out');
    setTimeout(() => controller.abort(reason), 5);
    const options = { to: 'fixed', preallocate: true, signal: controller.signal } as const;
    expect(await failureOf(convert(disk, target, options))).toBe(reason);
    // What asks for extents is the copy, which begins when the zeros are there.
    expect(disk.count('extents')).toBe(0);
    expect(folder.namesWith('zeros.out')).toEqual([]);
  });

  it('tells the reason also where the source has changed', async () => {
    const source = folder.file('both.raw', large.subarray(0, 32 * MiB));
    const controller = new AbortController();
    const onProgress = once(() => {
      utimesSync(source, new Date(0), new Date(0));
      controller.abort(reason);
    });
    const options = { to: 'raw', signal: controller.signal, onProgress } as const;
    expect(await failureOf(convert(source, folder.fresh('both.out'), options))).toBe(reason);
  });
});

describe('a conversion whose source fails', () => {
  const failure = new Error('EIO');

  it.each(types)('passes the error unwrapped and leaves no %s file', async (to) => {
    const disk = new ProbeDisk(rawDisk(large.subarray(0, 9 * MiB)));
    disk.before = (_kind, position) => {
      if (position >= 4 * MiB) throw failure;
    };
    expect(await failureOf(convert(disk, folder.fresh('failed.out'), { to }))).toBe(failure);
    expect(disk.pending).toBe(0);
    const stream = failing(pattern(5 * MiB), failure);
    expect(await failureOf(convert(stream, folder.fresh('failed.out'), { to }))).toBe(failure);
    expect(folder.namesWith('failed.out')).toEqual([]);
  });
});

describe('a target that appears meanwhile', () => {
  it('is not clobbered', async () => {
    const source = folder.file('source.raw', large.subarray(0, 32 * MiB));
    for (const to of types) {
      const target = folder.fresh('meanwhile.out');
      const onProgress = once(() => writeFileSync(target, 'mine'));
      expect(await outcomeOf(convert(source, target, { to, onProgress }))).toBe('ERR_VHD_EXISTS');
      expect(statSync(target).size).toBe(4);
      expect(folder.namesWith('meanwhile.out').length).toBe(types.indexOf(to) + 1);
    }
  });

  it('is written beside itself until it is complete', async () => {
    const source = folder.file('source.raw', large.subarray(0, 32 * MiB));
    const place = folder.fresh('place');
    mkdirSync(place);
    const target = join(place, 'whole.vhd');
    let seen: Promise<string[]> | undefined;
    await convert(source, target, { to: 'fixed', onProgress: once(() => void (seen = readdir(place))) });
    expect(await seen).toEqual([expect.stringMatching(/^\..*whole\.vhd.*\.tmp$/)]);
    expect(await readdir(place)).toEqual(['whole.vhd']);
  });
});

describe('a target that may only be read', () => {
  it('is replaced by force, and stays so, also for who is not root', async () => {
    const place = folder.fresh('mine');
    mkdirSync(place);
    for (const path of [folder.path, place]) chmodSync(path, 0o777);
    const source = join(place, 'source.raw');
    const target = join(place, 'target.vhd');
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(65_534);
    try {
      writeFileSync(source, pattern(1024));
      writeFileSync(target, 'old');
      chmodSync(target, 0o444);
      await convert(source, target, { to: 'fixed', force: true });
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
    expect(statSync(target)).toMatchObject({ size: 1536 });
    expect(statSync(target).mode & 0o777).toBe(0o444);
    expect((await readdir(place)).sort()).toEqual(['source.raw', 'target.vhd']);
  });
});

describe('a full disk', () => {
  const place = folder.fresh('small');
  mkdirSync(place);
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', place]).status === 0;
  afterAll(() => {
    if (mounted) spawnSync('umount', [place]);
  });

  it.for(types)('is an error of the system, and leaves no %s file', async (to, context) => {
    if (!mounted) context.skip('a small file system cannot be mounted here');
    const source = folder.file('large.raw', large.subarray(0, 9 * MiB));
    const target = join(place, 'full.out');
    expect(await outcomeOf(convert(source, target, { to }))).toBe('ENOSPC');
    expect(await outcomeOf(convert(new ChunkSource(large.subarray(0, 9 * MiB)), target, { to }))).toBe('ENOSPC');
    if (to !== 'dynamic') {
      const options = { to, preallocate: true };
      expect(await outcomeOf(convert(rawDisk(new Uint8Array(9 * MiB)), target, options))).toBe('ENOSPC');
    }
    expect(await readdir(place)).toEqual([]);
  });

  it('leaves no created image either', async (context) => {
    if (!mounted) context.skip('a small file system cannot be mounted here');
    const target = join(place, 'made.vhd');
    expect(await outcomeOf(createImage(target, { size: 9 * MiB, type: 'fixed', preallocate: true }))).toBe('ENOSPC');
    expect(await readdir(place)).toEqual([]);
    expect(existsSync(target)).toBe(false);
  });
});
