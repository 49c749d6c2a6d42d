import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { createImage } from '../../../src/ops/create.ts';
import { OutputFile } from '../../../src/ops/output-file.ts';
import { FileStorage } from '../../../src/storage/file.ts';
import { pattern } from '../../support/bytes.ts';
import { whyNoLocks } from '../../support/locks.ts';
import { WorkFolder } from '../../support/streams-files.ts';
import { outcomeOf } from '../../support/streams-sources.ts';

const folder = new WorkFolder();
const noLocks = await whyNoLocks();
const unlocked = noLocks === undefined ? '' : ` (skipped: ${noLocks})`;

function place(): string {
  const path = folder.fresh('place');
  mkdirSync(path);
  return path;
}

describe('OutputFile', () => {
  it('appears under its name when it is committed, not before', async () => {
    const directory = place();
    const target = join(directory, 'out.vhd');
    const output = await OutputFile.create(target, {});
    await output.storage.write(pattern(700), 0);
    expect(await readdir(directory)).toEqual([expect.stringMatching(/^\.out\.vhd\.[0-9a-z]+\.tmp$/)]);
    expect(await output.commit()).toBe(700);
    expect(await readdir(directory)).toEqual(['out.vhd']);
    expect(readFileSync(target)).toEqual(Buffer.from(pattern(700)));
    await output.discard();
    expect(await readdir(directory)).toEqual(['out.vhd']);
    expect(folder.openPaths()).toEqual([]);
  });

  it('leaves nothing when it is discarded, however often', async () => {
    const directory = place();
    const output = await OutputFile.create(join(directory, 'out.vhd'), {});
    const writing = output.storage.write(pattern(100_000), 0);
    await output.discard();
    await output.discard();
    await writing.catch(() => undefined);
    expect(await readdir(directory)).toEqual([]);
    expect(folder.openPaths()).toEqual([]);
  });

  it('lets two go for one name, and the first one win', async () => {
    const directory = place();
    const target = join(directory, 'out.vhd');
    const [one, two] = await Promise.all([OutputFile.create(target, {}), OutputFile.create(target, {})]);
    await one.storage.write(pattern(1, 1), 0);
    await two.storage.write(pattern(2, 2), 0);
    await one.commit();
    expect(await outcomeOf(two.commit())).toBe('ERR_VHD_EXISTS');
    await two.discard();
    expect(await readdir(directory)).toEqual(['out.vhd']);
    expect(statSync(target).size).toBe(1);
  });

  it.skipIf(noLocks !== undefined)(`keeps others from what it replaces, until it has${unlocked}`, async () => {
    const target = join(place(), 'out.vhd');
    writeFileSync(target, pattern(512), { mode: 0o444 });
    for (const end of ['commit', 'discard'] as const) {
      const output = await OutputFile.create(target, { force: true });
      expect(await outcomeOf(FileStorage.open(target, { lock: 'read' }))).toBe('ERR_VHD_IN_USE');
      expect(await outcomeOf(OutputFile.create(target, { force: true }))).toBe('ERR_VHD_IN_USE');
      await output[end]();
      await (await FileStorage.open(target, { lock: 'write' })).close();
      expect(await readdir(dirname(target))).toEqual(['out.vhd']);
      expect(folder.openPaths()).toEqual([]);
    }
  });

  it.skipIf(noLocks !== undefined)(
    `does not replace what others have locked, unless it is told to${unlocked}`,
    async () => {
      const target = join(place(), 'out.vhd');
      writeFileSync(target, 'old');
      const holder = await FileStorage.open(target, { lock: 'write', writable: true });
      expect(await outcomeOf(OutputFile.create(target, { force: true }))).toBe('ERR_VHD_IN_USE');
      const image = { size: 1024 * 1024, force: true };
      expect(await outcomeOf(createImage(target, { ...image, type: 'fixed' }))).toBe('ERR_VHD_IN_USE');
      expect(await readdir(dirname(target))).toEqual(['out.vhd']);
      await createImage(target, { ...image, type: 'fixed', lock: false });
      await holder.close();
    },
  );

  it('loads no helper where there is nothing to replace', async () => {
    const lock = vi.spyOn(FileStorage.prototype, 'lock');
    const output = await OutputFile.create(join(place(), 'out.vhd'), { force: true });
    await output.discard();
    expect(lock).not.toHaveBeenCalled();
  });

  it('stands beside what a symbolic link points to', async () => {
    const [there, here] = [place(), place()];
    writeFileSync(join(there, 'real.vhd'), 'old');
    symlinkSync(join(there, 'real.vhd'), join(here, 'link.vhd'));
    const output = await OutputFile.create(join(here, 'link.vhd'), { force: true });
    expect(await readdir(here)).toEqual(['link.vhd']);
    expect((await readdir(there)).length).toBe(2);
    await output.storage.write(pattern(5), 0);
    await output.commit();
    expect(await readdir(there)).toEqual(['real.vhd']);
    expect(statSync(join(here, 'link.vhd')).size).toBe(5);
  });
});
