import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { formatUuid } from '../../src/format/uuid.ts';
import { openVhd } from '../../src/open.ts';
import { shortest } from '../../src/open-error-paths.ts';
import { readJournal } from '../../src/open-journal.ts';
import { createImage } from '../../src/ops/create.ts';
import { removeJournal, writeJournal } from '../../src/ops/journal.ts';
import { merge } from '../../src/ops/merge.ts';
import type { Progress } from '../../src/ops/progress.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { vhd } from '../support/cli.ts';
import {
  contentOf,
  MERGE_SIZE,
  put,
  refused,
  useMergeImages,
  uuidOf,
  whileUnchanged,
} from '../support/merge-images.ts';
import { useTempFolder } from '../support/temp.ts';

const MIB = 1024 * 1024;

describe('a merge that was begun', () => {
  const temp = useTempFolder('cli-merge-begun');
  const images = useMergeImages(temp);

  it('goes on with what was begun, and with nothing else', async () => {
    const { base, link, child } = images.names;
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
    expect(remedy).toContain(`vhd merge ${shortest(child)} --into ${base} --parent-dir 'it'\\''s there'`);
    const { stdout, stderr } = await vhd(['merge', child, '--into', base]);
    expect(stderr).toMatch(/^vhd: going on with merging /);
    expect(stdout).toMatch(/^merged /);
    expect(await readJournal(base)).toBeUndefined();
  });

  it('notices that the chain is another than when the merge was begun, and keeps it from becoming one', async () => {
    const { base, link, child } = images.names;
    const wanted = await contentOf(child);
    const [uuid, childUuid] = [await uuidOf(base), await uuidOf(child)];
    const journal = { verb: 'merge', uuid, startedAt: '2026-01-01T00:00:00Z', fileSize: 1, fileSizeAfter: 1 } as const;
    const links = [{ uuid: await uuidOf(link), path: link }];
    const stranger = temp.file(`${images.folder}-stranger.vhd`);
    await createImage(stranger, { size: MERGE_SIZE });
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
    expect(message).toContain(`expected ${shortest(link)} between them`);
    expect(remedy).toContain(`vhd relink ${shortest(child)} --parent ${shortest(link)} --allow-uuid-mismatch`);
    expect((await vhd(['relink', child, '--parent', link, '--allow-uuid-mismatch', '-q'])).code).toBe(0);
    expect((await vhd(['merge', child, '--into', base, '-q'])).code).toBe(0);
    expect(firstDifference(await contentOf(base), wanted)).toBe(-1);
  });

  it('refuses another merge while one is pending that needs the chain', async () => {
    const { base, link, child } = images.names;
    const [uuid, childUuid] = [await uuidOf(base), await uuidOf(child)];
    const journal = { verb: 'merge', startedAt: '2026-01-01T00:00:00Z', fileSize: 1, fileSizeAfter: 1 } as const;
    const links = [{ uuid: await uuidOf(link), path: link }];
    await writeJournal(base, { ...journal, writes: [], uuid, childUuid, childPath: child, links });
    await whileUnchanged([base, link, child], async () => {
      const { code, remedy } = await refused([child, '--delete-merged']);
      expect(code).toBe('ERR_VHD_JOURNAL');
      expect(remedy).toContain(`vhd merge ${shortest(child)} --into ${base}`);
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
    await createImage(temp.file(`${images.folder}-other.vhd`), { parent: base });
    await removeJournal(link);
    await writeJournal(base, { ...journal, writes: [], uuid, childUuid, childPath: child, links });
    expect((await vhd(['merge', child, '--into', base, '-q'])).code).toBe(0);
  });

  it('changes nothing when it is told to stop before it begins', async () => {
    const { base, child } = images.names;
    const signal = AbortSignal.abort(new Error('enough'));
    await whileUnchanged([base, child], async () => {
      expect((await vhd(['merge', child, '--into', base], { signal })).code).toBe(130);
    });
    expect(await readJournal(base)).toBeUndefined();
  });

  /** Stops a merge when the first bytes are on their way. */
  async function stopHalfWay(child: string, into: string): Promise<void> {
    const stop = new AbortController();
    const onProgress = ({ doneBytes }: Progress): void => {
      if (doneBytes > 0) stop.abort(new Error('enough'));
    };
    await expect(merge(child, { into, onProgress, signal: stop.signal })).rejects.toThrow('enough');
    expect((await readJournal(into))?.verb).toBe('merge');
  }

  it('stops half way when it is told to, and goes on then', async () => {
    const { base, link, child } = images.names;
    await put(child, pattern(3 * MIB, 8), MIB);
    const wanted = await contentOf(child);
    await stopHalfWay(child, base);
    expect(firstDifference(await contentOf(child), wanted)).toBe(-1);
    for (const path of [base, link]) await expect(openVhd(path)).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL' });
    const { stdout } = await vhd(['merge', child, '--into', base, '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ resumed: true });
    expect(firstDifference(await contentOf(base), wanted)).toBe(-1);
  });

  it('does not go on with a child that holds less than it did', async () => {
    const { base, child } = images.names;
    const older = await readFile(child);
    await put(child, pattern(3 * MIB, 8), MIB);
    await stopHalfWay(child, base);
    const newer = await readFile(child);
    await writeFile(child, older);
    const { code, message } = await refused([child, '--into', base]);
    expect(code).toBe('ERR_VHD_JOURNAL');
    expect(message).toContain('the child is an older one');
    await writeFile(child, newer);
    expect((await vhd(['merge', child, '--into', base, '-q'])).code).toBe(0);
  });
});
