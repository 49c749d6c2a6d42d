import { readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { encodeFooter } from '../../src/format/footer.ts';
import { formatUuid } from '../../src/format/uuid.ts';
import { openVhd } from '../../src/open.ts';
import { readJournal } from '../../src/open-journal.ts';
import { createImage } from '../../src/ops/create.ts';
import { removeJournal, writeJournal } from '../../src/ops/journal.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { vhd } from '../support/cli.ts';
import { whyNoLocks } from '../support/locks.ts';
import { useTempFolder } from '../support/temp.ts';

const MIB = 1024 * 1024;
const SIZE = 4 * MIB;
const NO_LOCKS = await whyNoLocks();

interface MergeReport {
  readonly [field: string]: unknown;
  readonly safeToDelete: readonly string[];
}

describe('vhd merge', () => {
  const temp = useTempFolder('cli-merge');
  let folder = 0;
  let names: Record<'base' | 'link' | 'child', string>;

  /** A base, a link over it and a child over that. */
  beforeEach(async () => {
    const at = (name: string): string => temp.file(`${folder}-${name}.vhd`);
    folder++;
    names = { base: at('base'), link: at('link'), child: at('child') };
    await createImage(names.base, { size: SIZE, blockSize: 512 * 1024 });
    await put(names.base, pattern(MIB, 1), 0);
    await createImage(names.link, { parent: names.base });
    await put(names.link, pattern(4096, 2), 4096);
    await createImage(names.child, { parent: names.link });
    await put(names.child, pattern(1024, 3), 4608);
    await put(names.child, new Uint8Array(8192), 65_536);
  });

  async function put(path: string, bytes: Uint8Array, position: number): Promise<void> {
    await using disk = await openVhd(path, { writable: true });
    await disk.write(bytes, position);
  }

  async function contentOf(path: string): Promise<Uint8Array> {
    await using disk = await openVhd(path);
    return await disk.readBytes(0, disk.size);
  }

  /** Nothing changes the images but what is expected to. */
  async function whileUnchanged(paths: readonly string[], job: () => Promise<void>): Promise<void> {
    const before = await Promise.all(paths.map((path) => readFile(path)));
    await job();
    for (const [index, path] of paths.entries()) {
      expect(firstDifference(await readFile(path), before[index] ?? new Uint8Array()), path).toBe(-1);
    }
  }

  async function refused(
    words: readonly string[],
  ): Promise<{ code: string; message: string; remedy: string; exitCode: number }> {
    const { code, stderr } = await vhd(['merge', ...words, '--json']);
    expect(code).not.toBe(0);
    return JSON.parse(stderr) as { code: string; message: string; remedy: string; exitCode: number };
  }

  it('merges a child into its parent, says so before and after, and leaves it as it was', async () => {
    const { base, link, child } = names;
    const wanted = await contentOf(child);
    await whileUnchanged([base, child], async () => {
      const { code, stdout, stderr } = await vhd(['merge', child]);
      expect(code).toBe(0);
      expect(stderr).toMatch(/^vhd: merging 9 KiB of \S+child\.vhd into \S+link\.vhd, 0 new blocks, free .*\n$/);
      expect(stdout).toMatch(/^merged \S+child\.vhd into \S+link\.vhd\n/);
      expect(stdout).toMatch(/safe to delete +\S+child\.vhd\n/);
    });
    expect(firstDifference(await contentOf(link), wanted)).toBe(-1);
    expect(firstDifference(await contentOf(child), wanted)).toBe(-1);
    expect(await readJournal(link)).toBeUndefined();
  });

  it('merges several links into an ancestor, and reports as JSON', async () => {
    const { base, link, child } = names;
    const wanted = await contentOf(child);
    const { code, stdout, stderr } = await vhd(['merge', child, '--into', base, '--json']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({
      schema: 'vhdkit/merge/1',
      ...{ path: base, into: base, type: 'dynamic', virtualSize: SIZE, merged: [child, link] },
      ...{
        safeToDelete: [child, link],
        outdated: [link],
        relinks: [],
        deleted: false,
        grown: false,
        resumed: false,
        warnings: [],
      },
    });
    expect(firstDifference(await contentOf(base), wanted)).toBe(-1);
  });

  it('says before and after which links no longer read what they did', async () => {
    const { base, link, child } = names;
    const dry = await vhd(['merge', child, '--into', base, '--dry-run']);
    expect(dry.stderr).toContain(`${link} no longer reads what it did afterwards`);
    const { stdout, stderr } = await vhd(['merge', child, '--into', base]);
    expect(stderr).toContain(`${link} no longer reads what it did afterwards`);
    expect(stdout).toContain(`${link} no longer reads what it did; merging it would undo this`);
  });

  it('warns, before it writes, of a parent that is not as its child knows it, and refuses it if told to', async () => {
    const { base, child } = names;
    const bytes = await readFile(base);
    await using disk = await openVhd(base);
    const footer = encodeFooter({ ...disk.footer, timestamp: disk.footer.timestamp + 60 });
    await disk.close();
    bytes.set(footer, 0);
    bytes.set(footer, bytes.length - 512);
    await writeFile(base, bytes);
    // That of the file would do as well.
    await utimes(base, 1e9, 1e9);
    expect(await refused([child, '--into', base, '--strict-parent'])).toMatchObject({ code: 'ERR_VHD_PARENT_CHANGED' });
    const { code, stderr } = await vhd(['merge', child, '--into', base]);
    expect(code).toBe(0);
    expect(stderr.match(/another time stamp than its child knows/g)).toHaveLength(1);
    expect(stderr.indexOf('another time stamp')).toBeLessThan(stderr.indexOf('merging'));
  });

  it('writes nothing with --dry-run', async () => {
    const { base, link, child } = names;
    await whileUnchanged([base, link, child], async () => {
      const { code, stdout } = await vhd(['merge', child, '--into', base, '--dry-run', '--json']);
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ dryRun: true, into: base, merged: [child, link], safeToDelete: [] });
      expect(await readJournal(base)).toBeUndefined();
    });
  });

  it('writes a new image with -o, and changes no other', async () => {
    const { base, link, child } = names;
    await whileUnchanged([base, link, child], async () => {
      const whole = temp.file(`${folder}-new.vhd`);
      const { stdout } = await vhd(['merge', child, '--into', base, '-o', whole, '--dry-run', '--json']);
      expect((await vhd(['merge', child, '--into', base, '-o', whole, '-q'])).code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ path: whole, fileSize: (await readFile(whole)).length, dryRun: true });
      expect(firstDifference(await contentOf(whole), await contentOf(child))).toBe(-1);
      const delta = temp.file(`${folder}-delta.vhd`);
      expect((await vhd(['merge', child, '-o', delta, '-q'])).code).toBe(0);
      expect(firstDifference(await contentOf(delta), await contentOf(child))).toBe(-1);
      expect(await refused([child, '-o', delta])).toMatchObject({ code: 'ERR_VHD_EXISTS', exitCode: 2 });
      expect((await vhd(['merge', child, '-o', delta, '--force', '-q'])).code).toBe(0);
      expect(await refused([child, '-o', base, '--force'])).toMatchObject({ code: 'ERR_VHD_SAME_FILE' });
    });
  });

  it('deletes what is merged only if it is told to, and nothing has it as parent', async () => {
    const { base, link, child } = names;
    const grandchild = temp.file(`${folder}-grandchild.vhd`);
    await createImage(grandchild, { parent: child });
    await whileUnchanged([base, link, child], async () => {
      const { code, message, remedy } = await refused([child, '--into', base, '--delete-merged']);
      expect(code).toBe('ERR_VHD_HAS_CHILDREN');
      expect(message).toContain('grandchild.vhd');
      expect(remedy).toContain('--allow-uuid-mismatch');
    });
    const { stdout } = await vhd(['merge', child, '--into', base, '--json']);
    const { safeToDelete, relinks } = JSON.parse(stdout) as MergeReport;
    expect(safeToDelete).toEqual([]);
    expect(relinks).toEqual([`vhd relink ${grandchild} --parent ${base} --allow-uuid-mismatch`]);
    const wanted = await contentOf(grandchild);
    expect((await vhd(['relink', grandchild, '--parent', base, '--allow-uuid-mismatch'])).code).toBe(0);
    const again = await vhd(['merge', child, '--into', base, '--delete-merged', '--json', '--allow-breaking-children']);
    expect(JSON.parse(again.stdout)).toMatchObject({ deleted: true, safeToDelete: [] });
    await expect(readFile(child)).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(readFile(link)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(firstDifference(await contentOf(grandchild), wanted)).toBe(-1);
  });

  it('refuses to change what others have as their parent', async () => {
    const { base, link, child } = names;
    const other = temp.file(`${folder}-other.vhd`);
    await createImage(other, { parent: link });
    await whileUnchanged([base, link, child, other], async () => {
      expect(await refused([child])).toMatchObject({ code: 'ERR_VHD_HAS_CHILDREN', exitCode: 3 });
      // It would see what the child has, through the link between.
      expect(await refused([child, '--into', base])).toMatchObject({ code: 'ERR_VHD_HAS_CHILDREN' });
    });
    expect((await vhd(['merge', child, '-q', '--allow-breaking-children'])).code).toBe(0);
  });

  it('makes a smaller ancestor larger first', async () => {
    const { link } = names;
    const child = temp.file(`${folder}-large.vhd`);
    await rm(names.child);
    await createImage(child, { parent: link, size: 8 * MIB });
    await put(child, pattern(600, 9), 8 * MIB - 600);
    const wanted = await contentOf(child);
    const { stderr, stdout } = await vhd(['merge', child, '--into', names.base]);
    expect(stderr).toContain('larger than its 4 MiB');
    expect(stdout).toMatch(/virtual size +8 MiB \(8388608 bytes\), more than before/);
    expect(firstDifference(await contentOf(names.base), wanted)).toBe(-1);
  });

  it('does not make a link larger whose own parent has something there that nobody sees', async () => {
    const { base } = names;
    const [link, child, output] = ['short', 'long', 'union'].map((name) => temp.file(`${folder}-${name}.vhd`)) as [
      string,
      string,
      string,
    ];
    for (const path of [names.child, names.link]) await rm(path);
    await put(base, pattern(5000, 8), 3 * MIB);
    await createImage(link, { parent: base, size: 2 * MIB });
    await createImage(child, { parent: link, size: SIZE });
    await put(child, pattern(600, 9), SIZE - 600);
    const wanted = await contentOf(child);
    await whileUnchanged([base, link, child], async () => {
      expect(await refused([child])).toMatchObject({ code: 'ERR_VHD_PARENT_SIZE' });
      expect((await vhd(['merge', child, '-o', output, '-q'])).code).toBe(0);
      expect(firstDifference(await contentOf(output), wanted)).toBe(-1);
    });
    // What nobody sees is nobody's reason to refuse, where the child has something over it.
    await put(child, pattern(5000, 7), 3 * MIB);
    expect((await vhd(['merge', child, '-q', '--dry-run'])).code).toBe(3);
    await put(child, pattern(2 * MIB, 6), 2 * MIB);
    const covered = await contentOf(child);
    expect((await vhd(['merge', child, '-q'])).code).toBe(0);
    expect(firstDifference(await contentOf(link), covered)).toBe(-1);
    expect(firstDifference(await contentOf(child), covered)).toBe(-1);
  });

  it('goes on with what was begun, and with nothing else', async () => {
    const { base, link, child } = names;
    await using disk = await openVhd(child);
    const [uuid, childUuid] = [await uuidOf(base), formatUuid(disk.footer.uniqueId)];
    await disk.close();
    const journal = { verb: 'merge', uuid, startedAt: '2026-01-01T00:00:00Z', fileSize: 1, fileSizeAfter: 1 } as const;
    const links = [{ uuid: await uuidOf(link), path: link }];
    const begun = { ...journal, writes: [], childPath: child, links, parentDirs: ["it's there"] };
    await writeJournal(base, { ...begun, childUuid: uuid });
    expect(await refused([child, '--into', base])).toMatchObject({ code: 'ERR_VHD_JOURNAL' });
    await removeJournal(base);
    await writeJournal(base, { ...begun, childUuid });
    const { code, message, remedy } = await refused([link, '--into', base]);
    expect(code).toBe('ERR_VHD_JOURNAL');
    expect(message).toContain('a merge was begun');
    expect(remedy).toContain(`vhd merge ${child} --into ${base} --parent-dir 'it'\\''s there'`);
    const { stdout, stderr } = await vhd(['merge', child, '--into', base]);
    expect(stderr).toMatch(/^vhd: going on with merging /);
    expect(stdout).toMatch(/^merged /);
    expect(await readJournal(base)).toBeUndefined();
  });

  it('notices that the chain is another than when the merge was begun, and keeps it from becoming one', async () => {
    const { base, link, child } = names;
    const wanted = await contentOf(child);
    const [uuid, childUuid] = [await uuidOf(base), await uuidOf(child)];
    const journal = { verb: 'merge', uuid, startedAt: '2026-01-01T00:00:00Z', fileSize: 1, fileSizeAfter: 1 } as const;
    const links = [{ uuid: await uuidOf(link), path: link }];
    const stranger = temp.file(`${folder}-stranger.vhd`);
    await createImage(stranger, { size: SIZE });
    const relinkTo = async (parent: string): Promise<void> => {
      const { code, stderr } = await vhd(['relink', child, '--parent', parent, '--allow-uuid-mismatch', '--json']);
      expect(code).toBe(3);
      expect(JSON.parse(stderr)).toMatchObject({ code: 'ERR_VHD_JOURNAL', path: base });
    };
    await writeJournal(base, { ...journal, writes: [], childUuid, childPath: child, links });
    await whileUnchanged([child, link, base], async () => {
      for (const parent of [base, stranger]) await relinkTo(parent);
      // The same parent in the same chain is no other chain.
      expect((await vhd(['relink', child, '--parent', link, '-q'])).code).toBe(0);
    });
    await removeJournal(base);
    // Another program does it all the same: nobody takes the half merged image for what it was.
    expect((await vhd(['relink', child, '--parent', base, '--allow-uuid-mismatch', '-q'])).code).toBe(0);
    await writeJournal(base, { ...journal, writes: [], childUuid, childPath: child, links });
    await expect(openVhd(child)).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL', storage: base });
    const { code, message, remedy } = await refused([child, '--into', base, '--allow-breaking-children']);
    expect(code).toBe('ERR_VHD_JOURNAL');
    expect(message).toContain(`expected ${link} between them`);
    expect(remedy).toContain(`vhd relink ${child} --parent ${link} --allow-uuid-mismatch`);
    expect((await vhd(['relink', child, '--parent', link, '--allow-uuid-mismatch', '-q'])).code).toBe(0);
    expect((await vhd(['merge', child, '--into', base, '-q'])).code).toBe(0);
    expect(firstDifference(await contentOf(base), wanted)).toBe(-1);
  });

  it('refuses another merge while one is pending that needs the chain', async () => {
    const { base, link, child } = names;
    const [uuid, childUuid] = [await uuidOf(base), await uuidOf(child)];
    const journal = { verb: 'merge', startedAt: '2026-01-01T00:00:00Z', fileSize: 1, fileSizeAfter: 1 } as const;
    const links = [{ uuid: await uuidOf(link), path: link }];
    await writeJournal(base, { ...journal, writes: [], uuid, childUuid, childPath: child, links });
    await whileUnchanged([base, link, child], async () => {
      const { code, remedy } = await refused([child, '--delete-merged']);
      expect(code).toBe('ERR_VHD_JOURNAL');
      expect(remedy).toContain(`vhd merge ${child} --into ${base}`);
    });
    await removeJournal(base);
    await writeJournal(link, { ...journal, writes: [], uuid: await uuidOf(link), childUuid, childPath: child });
    await whileUnchanged([base, link, child], async () => {
      expect(await refused([child, '--into', base, '--delete-merged'])).toMatchObject({
        code: 'ERR_VHD_JOURNAL',
        path: link,
      });
    });
    // Whom it breaks was asked for when it was begun.
    await createImage(temp.file(`${folder}-other.vhd`), { parent: base });
    await removeJournal(link);
    await writeJournal(base, { ...journal, writes: [], uuid, childUuid, childPath: child, links });
    expect((await vhd(['merge', child, '--into', base, '-q'])).code).toBe(0);
  });

  async function uuidOf(path: string): Promise<string> {
    await using disk = await openVhd(path);
    return formatUuid(disk.footer.uniqueId);
  }

  it('refuses what it cannot merge, each in its own words', async () => {
    const { base, link, child } = names;
    const stranger = temp.file(`${folder}-stranger.vhd`);
    await createImage(stranger, { size: SIZE });
    await whileUnchanged([base, link, child, stranger], async () => {
      expect(await refused([base])).toMatchObject({ code: 'ERR_VHD_UNSUPPORTED', exitCode: 3 });
      const { code, remedy } = await refused([child, '--into', stranger]);
      expect({ code, remedy }).toEqual({
        code: 'ERR_VHD_PARENT_MISSING',
        remedy: `vhd merge ${child} --into ${link}`,
      });
      expect(await refused([child, '--into', child])).toMatchObject({ code: 'ERR_VHD_SAME_FILE' });
      expect(await refused([child, '--into', temp.file('none.vhd')])).toMatchObject({ code: 'ENOENT', exitCode: 4 });
      expect(await refused([child, '-o', '-'])).toMatchObject({ code: 'ERR_VHD_USAGE', exitCode: 2 });
      expect(await refused([child, '--force'])).toMatchObject({ code: 'ERR_VHD_USAGE' });
      expect(await refused([child, '-o', 'x.vhd', '--delete-merged'])).toMatchObject({ code: 'ERR_VHD_USAGE' });
      expect(await refused(['-'])).toMatchObject({ code: 'ERR_VHD_USAGE' });
    });
  });

  it('refuses an ancestor that a machine is saved with', async () => {
    const { base, child } = names;
    const bytes = await readFile(base);
    await using disk = await openVhd(base);
    const footer = encodeFooter({ ...disk.footer, savedState: 1 });
    await disk.close();
    bytes.set(footer, 0);
    bytes.set(footer, bytes.length - 512);
    await writeFile(base, bytes);
    await whileUnchanged([base], async () => {
      const { code, message } = await refused([child, '--into', base]);
      expect({ code, message }).toEqual({
        code: 'ERR_VHD_IN_USE',
        message: 'nothing may be merged into it: a virtual machine is saved with it, and would go on with other bytes',
      });
    });
  });

  it.skipIf(NO_LOCKS !== undefined)('refuses an ancestor that somebody reads', async () => {
    const { base, child } = names;
    await using _reader = await openVhd(base);
    expect(await refused([child, '--into', base])).toMatchObject({ code: 'ERR_VHD_IN_USE' });
    expect(await readJournal(base)).toBeUndefined();
  });

  it('stops when it is told to, and goes on then', async () => {
    const { base, child } = names;
    const wanted = await contentOf(child);
    const signal = AbortSignal.abort(new Error('enough'));
    expect((await vhd(['merge', child, '--into', base], { signal })).code).toBe(130);
    expect(firstDifference(await contentOf(child), wanted)).toBe(-1);
    expect((await vhd(['merge', child, '--into', base, '-q'])).code).toBe(0);
    expect(firstDifference(await contentOf(base), wanted)).toBe(-1);
  });
});
