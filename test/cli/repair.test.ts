import { readdir, readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openVhd } from '../../src/open.ts';
import { readJournal } from '../../src/open-journal.ts';
import { createImage } from '../../src/ops/create.ts';
import { writeJournal } from '../../src/ops/journal.ts';
import { firstDifference } from '../support/bytes.ts';
import { vhd } from '../support/cli.ts';
import { defects } from '../support/defects.ts';
import { u32, withEntry, withFooters } from '../support/defects-edits.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-repair');

async function damaged(name: string, as = name): Promise<{ path: string; before: Uint8Array }> {
  const before = defects.find((defect) => defect.name === name)?.image() ?? new Uint8Array(0);
  const path = folder.file(`${as}.vhd`);
  await writeFile(path, before);
  return { path, before };
}

async function json(args: readonly string[]): Promise<Record<string, unknown> & { code: number }> {
  const { code, stdout } = await vhd([...args, '--json']);
  return { code, ...(JSON.parse(stdout) as Record<string, unknown>) };
}

describe('vhd repair', () => {
  it('mends what loses nothing, says what it did, and is undone', async () => {
    const { path, before } = await damaged('end-footer-zeroed');
    const result = await vhd(['repair', path]);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toContain('[footer.end-missing]');
    expect(result.stdout).toContain(`vhd undo ${path}`);
    expect((await vhd(['check', path])).code).toBe(0);
    expect(await vhd(['undo', path])).toMatchObject({ code: 0, stderr: '' });
    expect(firstDifference(await readFile(path), before)).toBe(-1);
    expect((await vhd(['undo', path])).code).toBe(3);
  });

  it('tells what would be lost, and does it only where that is permitted', async () => {
    const { path, before } = await damaged('entries-equal');
    const told = await vhd(['repair', path]);
    expect(told.code).toBe(1);
    expect(told.stdout).toMatch(/bytes 65536 to 131072 of the disk \(64 KiB\), in the file at \d+/);
    expect(told.stdout).toContain(`vhd repair ${path} --drop-blocks`);
    expect(firstDifference(await readFile(path), before)).toBe(-1);
    const done = await json(['repair', path, '--drop-blocks']);
    expect(done).toMatchObject({ code: 0, schema: 'vhdkit/repair/1', changed: true, ok: true, canUndo: true });
    expect(done['losses']).toMatchObject([{ rule: 'bat.overlap', option: 'dropBlocks', ranges: [{}, {}] }]);
    await using disk = await openVhd(path);
    expect((await disk.readBytes(65_536, 65_536)).every((byte) => byte === 0)).toBe(true);
  });

  it('writes nothing in a dry run, and only the new file with -o', async () => {
    const { path, before } = await damaged('footer-type-9');
    expect(await json(['repair', path, '--dry-run'])).toMatchObject({ code: 0, dryRun: true, changed: true });
    const output = folder.file('whole.vhd');
    expect((await vhd(['repair', path, '-o', output])).code).toBe(0);
    expect(firstDifference(await readFile(path), before)).toBe(-1);
    expect((await vhd(['check', output])).code).toBe(0);
    expect((await vhd(['repair', path, '-o', output])).code).toBe(2);
    expect((await readdir(folder.path)).filter((name) => name.startsWith('footer-type-9'))).toEqual([
      'footer-type-9.vhd',
    ]);
  });

  it.each([
    ['lost-entry', [], ['--cut', '--drop-blocks']],
    ['lost-entry', ['--cut'], ['--cut', '--drop-blocks']],
    [
      'lost-entry',
      ['--footer', 'end', '--drop-blocks', '--no-lock'],
      ['--footer', 'end', '--cut', '--drop-blocks', '--no-lock'],
    ],
  ])('prints a command that mends %s after one with %j, which leaves nothing out', async (name, given, wanted) => {
    const { path } = await damaged(name, `${name}-${given.length}`);
    const told = await vhd(['repair', path, ...given]);
    expect(told.stdout).toContain(`vhd repair ${path} ${wanted.join(' ')}   (permits that)`);
    expect((await vhd(['repair', path, ...wanted])).stdout).not.toContain('permits that');
  });

  it('names the new file again, which is there now', async () => {
    const before = withEntry(defects.find(({ name }) => name === 'lost-entry')?.image() ?? Buffer.of(), 0, 1_000_000);
    const [path, output] = [folder.file('two.vhd'), folder.file('two losses.vhd')];
    await writeFile(path, withFooters(before, u32(8, 0)));
    const { stdout } = await vhd(['repair', path, '-o', output]);
    expect(stdout).toContain(`vhd repair ${path} --drop-blocks -o '${output}' --force   (permits that)`);
    const dry = await vhd(['repair', path, '-o', folder.file('dry.vhd'), '--dry-run']);
    expect(dry.stdout).toContain(`--drop-blocks -o ${folder.file('dry.vhd')}   (permits that)`);
  });

  it('prints one command for losses that take different options', async () => {
    const { path } = await damaged('cut-in-last-block');
    const { stdout } = await vhd(['repair', path]);
    const all = `vhd repair ${path} --drop-blocks --zero-fill   (permits all of that)`;
    expect(stdout.split('permits that')).toHaveLength(3);
    expect(stdout).toContain(all);
  });

  it.each(['new.raw', 'new.vhdx', 'new.iso'])('refuses to name a VHD %s', async (name) => {
    const { path } = await damaged('start-footer-zeroed', 'misnamed');
    for (const args of [
      ['repair', path],
      ['compact', path],
      ['resize', path, '1G'],
      ['merge', path],
    ]) {
      const { code, stderr } = await vhd([...args, '-o', folder.file(name)]);
      expect([code, stderr]).toEqual([2, expect.stringContaining(`${args[0] ?? ''} makes VHDs`)]);
      expect((await vhd([...args, '-o', ''])).stderr).toContain('the new image has no name');
    }
    expect((await readdir(folder.path)).filter((file) => file.startsWith('new.'))).toEqual([]);
  });

  it('cannot be undone when the image was written to since', async () => {
    const { path } = await damaged('start-footer-zeroed');
    await vhd(['repair', path]);
    await vhd(['set', path, '--creator', 'abcd']);
    await vhd(['undo', path]);
    const bytes = await readFile(path);
    bytes.writeUInt8(bytes.readUInt8(30) ^ 1, 30);
    await vhd(['set', path, '--creator', 'efgh']);
    const now = await readFile(path);
    now.set(bytes.subarray(0, 512), 0);
    await writeFile(path, now);
    const result = await vhd(['undo', path]);
    expect(result.code).toBe(3);
    expect(result.stderr).toContain('it was changed after the set of');
  });

  it('leaves an image alone that another operation was begun on', async () => {
    const { path, before } = await damaged('start-footer-zeroed', 'begun');
    const uuid = '10111213-1415-1617-1819-1a1b1c1d1e1f';
    const fileSize = before.length;
    await writeJournal(path, {
      verb: 'merge',
      uuid,
      startedAt: '2026-01-01T00:00:00Z',
      fileSize,
      fileSizeAfter: fileSize,
      writes: [],
    });
    for (const verb of ['repair', 'undo']) expect((await vhd([verb, path])).code).toBe(3);
    expect(firstDifference(await readFile(path), before)).toBe(-1);
    expect(await readJournal(path)).toBeDefined();
  });
});

describe('vhd set', () => {
  it('sets both footers, and is undone', async () => {
    const path = folder.file('set.vhd');
    await createImage(path, { size: 4 * 1024 * 1024 });
    const before = await readFile(path);
    const uuid = '00112233-4455-6677-8899-aabbccddeeff';
    const args = ['--uuid', uuid, '--creator', 'vpc', '--chs', '8/16/63', '--timestamp', '2020-02-03T04:05:06Z'];
    const result = await json(['set', path, ...args]);
    expect(result).toMatchObject({ code: 0, schema: 'vhdkit/set/1', changed: true });
    const info = await json(['info', path]);
    expect(info).toMatchObject({ uuid, created: '2020-02-03T04:05:06Z', chsSize: 8 * 16 * 63 * 512 });
    const after = await readFile(path);
    expect(firstDifference(after.subarray(0, 512), after.subarray(-512))).toBe(-1);
    expect((await vhd(['set', path, ...args])).stdout).toContain('nothing to do');
    expect((await vhd(['set', path, '--chs', 'auto'])).code).toBe(0);
    expect((await vhd(['undo', path])).code).toBe(0);
    expect(firstDifference(await readFile(path), after)).toBe(-1);
    expect(firstDifference(before, after)).toBeGreaterThan(-1);
  });

  it('refuses another identifier for the parent of others, unless that is permitted', async () => {
    const [path, child] = [folder.file('parent.vhd'), folder.file('child.vhd')];
    await createImage(path, { size: 4 * 1024 * 1024 });
    await createImage(child, { parent: path });
    const before = await readFile(path);
    expect((await vhd(['set', path, '--uuid', 'new'])).code).toBe(3);
    expect(firstDifference(await readFile(path), before)).toBe(-1);
    const forced = await vhd(['set', path, '--uuid', 'new', '--allow-breaking-children']);
    expect(forced.code).toBe(0);
    expect(forced.stderr).toContain('vhd relink CHILD --parent');
    const none = await vhd([
      'set',
      path,
      '--uuid',
      '00000000-0000-0000-0000-000000000000',
      '--allow-breaking-children',
    ]);
    expect(none.stderr).toContain('an identifier of zeros');
  });

  it('wants something to set, and footers that are as they should be', async () => {
    const { path } = await damaged('end-footer-poisoned');
    expect((await vhd(['set', path])).code).toBe(2);
    const result = await vhd(['set', path, '--uuid', 'new']);
    expect(result.code).toBe(3);
    expect(result.stderr).toContain(`vhd repair ${path}`);
  });
});
