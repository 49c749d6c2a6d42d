import { readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { encodeFooter } from '../../src/format/footer.ts';
import { openVhd } from '../../src/open.ts';
import { readJournal } from '../../src/open-journal.ts';
import { createImage } from '../../src/ops/create.ts';
import { buildChain } from '../support/build-chain.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { writeChain } from '../support/chain-folders.ts';
import { vhd } from '../support/cli.ts';
import { whyNoLocks } from '../support/locks.ts';
import { contentOf, MERGE_SIZE, put, refused, useMergeImages, whileUnchanged } from '../support/merge-images.ts';
import { useTempFolder } from '../support/temp.ts';

const MIB = 1024 * 1024;

const NO_LOCKS = await whyNoLocks();

interface MergeReport {
  readonly [field: string]: unknown;
  readonly safeToDelete: readonly string[];
}

describe('vhd merge', () => {
  const temp = useTempFolder('cli-merge');
  const images = useMergeImages(temp);

  it('merges a child into its parent, says so before and after, and leaves it as it was', async () => {
    const { base, link, child } = images.names;
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
    const { base, link, child } = images.names;
    const wanted = await contentOf(child);
    const { code, stdout, stderr } = await vhd(['merge', child, '--into', base, '--json']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({
      schema: 'vhdkit/merge/1',
      ...{ path: base, into: base, type: 'dynamic', virtualSize: MERGE_SIZE, merged: [child, link] },
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
    const { base, link, child } = images.names;
    const dry = await vhd(['merge', child, '--into', base, '--dry-run']);
    expect(dry.stderr).toContain(`${link} no longer reads what it did afterwards`);
    const { stdout, stderr } = await vhd(['merge', child, '--into', base]);
    expect(stderr).toContain(`${link} no longer reads what it did afterwards`);
    expect(stdout).toContain(`${link} no longer reads what it did; merging it would undo this`);
  });

  it('warns, before it writes, of a parent that is not as its child knows it, and refuses it if told to', async () => {
    const { base, child } = images.names;
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
    const { base, link, child } = images.names;
    await whileUnchanged([base, link, child], async () => {
      const told = await vhd(['merge', child, '--into', base, '--dry-run', '--delete-merged']);
      expect(told.stdout).toContain(`would delete  ${child}, ${link}\n`);
      const { code, stdout } = await vhd(['merge', child, '--into', base, '--dry-run', '--json']);
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ dryRun: true, into: base, merged: [child, link], safeToDelete: [] });
      expect(await readJournal(base)).toBeUndefined();
    });
  });

  it('writes a new image with -o, and changes no other', async () => {
    const { base, link, child } = images.names;
    await whileUnchanged([base, link, child], async () => {
      const whole = temp.file(`${images.folder}-new.vhd`);
      const { stdout } = await vhd(['merge', child, '--into', base, '-o', whole, '--dry-run', '--json']);
      expect((await vhd(['merge', child, '--into', base, '-o', whole, '-q'])).code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ path: whole, fileSize: (await readFile(whole)).length, dryRun: true });
      expect(firstDifference(await contentOf(whole), await contentOf(child))).toBe(-1);
      const delta = temp.file(`${images.folder}-delta.vhd`);
      expect((await vhd(['merge', child, '-o', delta, '-q'])).code).toBe(0);
      expect(firstDifference(await contentOf(delta), await contentOf(child))).toBe(-1);
      expect(await refused([child, '-o', delta])).toMatchObject({ code: 'ERR_VHD_EXISTS', exitCode: 2 });
      expect((await vhd(['merge', child, '-o', delta, '--force', '-q'])).code).toBe(0);
      expect(await refused([child, '-o', base, '--force'])).toMatchObject({ code: 'ERR_VHD_SAME_FILE' });
      await createImage(temp.file(`${images.folder}-of-whole.vhd`), { parent: whole });
      expect(await refused([child, '-o', whole, '--force'])).toMatchObject({ code: 'ERR_VHD_HAS_CHILDREN' });
      expect(await refused([child, '-o', temp.file('n.raw')])).toMatchObject({ code: 'ERR_VHD_USAGE' });
      expect(await refused([child, '-o', '/dev/null'])).toMatchObject({
        code: 'ERR_VHD_EXISTS',
        remedy: `name a file; vhd convert ${child} - flattens to a pipe`,
      });
      // What is not stored is a hole.
      const { blocks, size } = await stat(delta);
      expect(blocks * 512).toBeLessThan(size / 2);
    });
  });

  it('deletes what is merged only if it is told to, and nothing has it as parent', async () => {
    const { base, link, child } = images.names;
    const grandchild = temp.file(`${images.folder}-grandchild.vhd`);
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
    const { base, link, child } = images.names;
    const other = temp.file(`${images.folder}-other.vhd`);
    await createImage(other, { parent: link });
    await whileUnchanged([base, link, child, other], async () => {
      expect(await refused([child])).toMatchObject({ code: 'ERR_VHD_HAS_CHILDREN', exitCode: 3 });
      // It would see what the child has, through the link between.
      expect(await refused([child, '--into', base])).toMatchObject({ code: 'ERR_VHD_HAS_CHILDREN' });
    });
    expect((await vhd(['merge', child, '-q', '--allow-breaking-children'])).code).toBe(0);
  });

  it('makes a smaller ancestor larger first', async () => {
    const { link } = images.names;
    const child = temp.file(`${images.folder}-large.vhd`);
    await rm(images.names.child);
    await createImage(child, { parent: link, size: 8 * MIB });
    await put(child, pattern(600, 9), 8 * MIB - 600);
    const wanted = await contentOf(child);
    const { stderr, stdout } = await vhd(['merge', child, '--into', images.names.base]);
    expect(stderr).toContain('larger than its 4 MiB');
    expect(stdout).toMatch(/virtual size +8 MiB \(8388608 bytes\), more than before/);
    expect(firstDifference(await contentOf(images.names.base), wanted)).toBe(-1);
  });

  it('does not make a link larger whose own parent has something there that nobody sees', async () => {
    const { base } = images.names;
    const [link, child, output] = ['short', 'long', 'union'].map((name) =>
      temp.file(`${images.folder}-${name}.vhd`),
    ) as [string, string, string];
    for (const path of [images.names.child, images.names.link]) await rm(path);
    await put(base, pattern(5000, 8), 3 * MIB);
    await createImage(link, { parent: base, size: 2 * MIB });
    await createImage(child, { parent: link, size: MERGE_SIZE });
    await put(child, pattern(600, 9), MERGE_SIZE - 600);
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

  it('refuses what it cannot merge, each in its own words', async () => {
    const { base, link, child } = images.names;
    const stranger = temp.file(`${images.folder}-stranger.vhd`);
    await createImage(stranger, { size: MERGE_SIZE });
    await whileUnchanged([base, link, child, stranger], async () => {
      expect(await refused([base])).toMatchObject({
        code: 'ERR_VHD_UNSUPPORTED',
        remedy: 'name a child of it: vhd tree DIR shows which images there are',
        exitCode: 3,
      });
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
    const { base, child } = images.names;
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
        message: 'nothing may be merged into it: a virtual machine is saved with it',
      });
    });
  });

  it('refuses an ancestor that another program has marked as open, or as merged', async () => {
    const { base, child } = images.names;
    const whole = await readFile(base);
    const poisoned = Uint8Array.from(whole);
    poisoned.set(new TextEncoder().encode('v_poison'), whole.length - 512);
    await using disk = await openVhd(base);
    const hidden = Uint8Array.from(whole);
    const footer = encodeFooter({ ...disk.footer, reserved: disk.footer.reserved.with(0, 1) });
    await disk.close();
    hidden.set(footer, 0);
    hidden.set(footer, hidden.length - 512);
    for (const [bytes, words] of [
      [poisoned, 'another program has it open'],
      [hidden, 'marked hidden'],
    ] as const) {
      await writeFile(base, bytes);
      await whileUnchanged([base], async () => {
        const { code, message } = await refused([child, '--into', base]);
        expect(code).toBe('ERR_VHD_IN_USE');
        expect(message).toContain(words);
      });
      expect(await readJournal(base)).toBeUndefined();
    }
  });

  it.skipIf(NO_LOCKS !== undefined)('refuses an ancestor that somebody reads', async () => {
    const { base, child } = images.names;
    await using _reader = await openVhd(base);
    expect(await refused([child, '--into', base])).toMatchObject({ code: 'ERR_VHD_IN_USE' });
    expect(await readJournal(base)).toBeUndefined();
  });

  it('finds out before it writes that bytes of the ancestor are in sectors marked as never written', async () => {
    const chain = buildChain([
      { size: 8 * 4096, blockSize: 4096, blocks: [{ index: 3, data: pattern(4096, 2), sectors: [0] }] },
      {
        size: 8 * 4096,
        blockSize: 4096,
        blocks: [0, 3].map((index) => ({ index, data: pattern(4096, 9), sectors: [2] })),
      },
    ]);
    const { paths, parentDirs } = await writeChain(chain, temp.file(`${images.folder}-bits`));
    const [child = '', target = ''] = paths;
    const dirs = parentDirs.flatMap((directory) => ['--parent-dir', directory]);
    await whileUnchanged([target], async () => {
      const { code, remedy } = await refused([child, ...dirs]);
      expect(code).toBe('ERR_VHD_BITMAP');
      expect(remedy).toContain('--bitmap');
      expect(await readJournal(target)).toBeUndefined();
    });
  });
});
