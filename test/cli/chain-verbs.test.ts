// relink, tree, and the verbs that would break children.
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { encodeParentName } from '../../src/format/parent-reference.ts';
import { formatUuid } from '../../src/format/uuid.ts';
import { openVhd } from '../../src/open.ts';
import { shortest } from '../../src/open-error-paths.ts';
import { journalPath } from '../../src/open-journal.ts';
import { writeJournal } from '../../src/ops/journal.ts';
import { relink } from '../../src/ops/relink.ts';
import { firstDifference } from '../support/bytes.ts';
import { CHAIN_SIZE, CHILD_UUID, childImage, PARENT_UUID, parentImage } from '../support/child-images.ts';
import { vhd } from '../support/cli.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-chains');
let round = 0;
let [directory, child, parent] = ['', '', ''];

beforeEach(async () => {
  directory = folder.file(`chain-${round++}`);
  [child, parent] = [`${directory}/child.vhd`, `${directory}/base.vhd`];
  await mkdir(directory);
  await writeFile(parent, parentImage());
  await writeFile(child, childImage());
  await relink(child, { parent });
});

/** Moves the parent to a directory of its own. */
async function moveParent(): Promise<string> {
  const moved = `${directory}/moved/base.vhd`;
  await mkdir(dirname(moved));
  await rename(parent, moved);
  return moved;
}

describe('vhd relink', () => {
  it('tells what it did, and what is right already', async () => {
    const moved = await moveParent();
    expect(await vhd(['relink', child, '--parent', moved])).toMatchObject({
      code: 0,
      stderr: '',
      stdout: `relinked ${child}
  parent        ${moved}
  named before  ${parent}
  named now     ${moved}
  identifier    ${formatUuid(PARENT_UUID)}
`,
    });
    const again = await vhd(['relink', child, '--parent', moved]);
    expect(again).toMatchObject({ code: 0, stdout: `nothing to do: ${child} names ${moved} as its parent already\n` });
    const { stdout } = await vhd(['relink', child, '--parent', moved, '--json']);
    expect(JSON.parse(stdout)).toEqual({
      schema: 'vhdkit/relink/1',
      ...{ path: child, parent: moved, parentUuid: formatUuid(PARENT_UUID), previousName: moved, name: moved },
      ...{ changed: false, warnings: [], finishedJournal: false },
    });
  });

  it('refuses, and says what to do', async () => {
    const before = await readFile(child);
    const other = `${directory}/other.vhd`;
    await writeFile(other, parentImage({ footer: { uniqueId: new Uint8Array(16).fill(1) } }));
    const refused = await vhd(['relink', child, '--parent', other]);
    expect(refused).toMatchObject({ code: 3, stdout: '' });
    expect(refused.stderr).toContain('--allow-uuid-mismatch');
    expect((await vhd(['relink', child, '--parent', child])).stderr).toContain('cannot be its own parent');
    expect(await vhd(['relink', child, '--parent', `${other}x`])).toMatchObject({ code: 4 });
    for (const args of [[child], ['-', '--parent', parent], [directory]]) {
      expect(await vhd(['relink', ...args]), args.join(' ')).toMatchObject({ code: 2, stdout: '' });
    }
    expect(firstDifference(await readFile(child), before)).toBe(-1);
    const taken = await vhd(['relink', child, '--parent', other, '--allow-uuid-mismatch']);
    expect(taken).toMatchObject({ code: 0 });
    expect(taken.stderr).toContain('contents were not compared');
  });

  it('says how to open a child whose parent is in another directory', async () => {
    const far = folder.file(`far-${round}`);
    await mkdir(far);
    await rename(parent, `${far}/base.vhd`);
    const { code, stderr } = await vhd(['relink', child, '--parent', `${far}/base.vhd`]);
    expect([code, stderr]).toEqual([0, expect.stringMatching(/ its parent is in another directory: .* --parent-dir /)]);
  });

  it('relinks a directory, and ends with 1 if something is left', async () => {
    const moved = await moveParent();
    const planned = await vhd(['relink', directory, '--recursive', '--dry-run']);
    expect(planned).toMatchObject({
      code: 0,
      stdout: `would relink ${child} to ${moved}\nwould relink 1, 0 right already\n`,
    });
    expect(await vhd(['relink', directory, '--recursive'])).toMatchObject({
      code: 0,
      stdout: `relinked ${child} to ${moved}\nrelinked 1, 0 right already\n`,
    });
    await (await openVhd(child, { followParents: true })).close();
    await rename(moved, folder.file(`away-${round}.img`));
    const left = await vhd(['relink', directory, '--recursive']);
    expect(left).toMatchObject({ code: 1, stderr: '' });
    expect(left.stdout).toContain(`not linked: ${child}: no image with the identifier`);
    const { code, stdout } = await vhd(['relink', directory, '--recursive', '--json']);
    expect([code, JSON.parse(stdout)]).toMatchObject([1, { schema: 'vhdkit/relink/1', relinked: 0, failed: 1 }]);
    for (const args of [
      [child, '--recursive'],
      [directory, '--recursive', '--parent', parent],
      [directory, '--recursive', '--allow-uuid-mismatch'],
      [directory, '--recursive', '--allow-breaking-children'],
    ]) {
      expect(await vhd(['relink', ...args]), args.join(' ')).toMatchObject({ code: 2 });
    }
  });
});

describe('a pending journal', () => {
  beforeEach(async () => {
    const { length } = await readFile(child);
    await writeJournal(child, {
      ...{ verb: 'relink', uuid: formatUuid(CHILD_UUID), startedAt: '2026-11-24T10:00:00.000Z' },
      ...{ fileSize: length, fileSizeAfter: length, writes: [] },
    });
  });

  it.each([
    ['read', 'CHILD', '-o', 'OUT'],
    ['map', 'CHILD'],
    ['convert', 'CHILD', 'OUT', '--to', 'raw'],
    ['write', 'CHILD', 'SRC'],
    ['create', 'CHILD', '1M', '--force'],
    ['convert', 'SRC', 'CHILD', '--force'],
  ])('refuses vhd %s %s', async (...words) => {
    const before = await readFile(child);
    await writeFile(`${directory}/src.raw`, new Uint8Array(512));
    const names: Record<string, string> = { CHILD: child, SRC: `${directory}/src.raw`, OUT: `${directory}/out.raw` };
    const refused = await vhd(words.map((word) => names[word] ?? word));
    expect(refused).toMatchObject({ code: 3, stdout: '' });
    expect(refused.stderr).toContain(`vhd relink ${child}   (finishes it)`);
    expect(firstDifference(await readFile(child), before)).toBe(-1);
  });

  it('is told by info, which works', async () => {
    const { code, stdout } = await vhd(['info', child]);
    expect(code).toBe(0);
    expect(stdout).toContain('an operation that changes it in place was begun and not finished');
  });

  it('is finished as the remedy says', async () => {
    const done = await vhd(['relink', child]);
    expect(done).toMatchObject({ code: 0, stderr: '' });
    expect(done.stdout).toContain(`finished what was begun`);
    await expect(readFile(journalPath(child))).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await vhd(['map', child])).toMatchObject({ code: 0 });
  });
});

describe('a parent is not broken', () => {
  const source = (): string => `${directory}/src.raw`;
  const flag = '--allow-breaking-children';

  beforeEach(() => writeFile(source(), new Uint8Array(CHAIN_SIZE).fill(3)));

  it.each([
    ['write', 'PARENT', 'SRC'],
    ['create', 'PARENT', '1M', '--force'],
    ['snapshot', 'SPARE', 'PARENT', '--force'],
    ['convert', 'SRC', 'PARENT', '--force'],
    ['convert', 'FIXED', '--in-place', '--to', 'raw'],
    ['read', 'SPARE', '-o', 'PARENT', '--force'],
  ])('by vhd %s %s, unless that is allowed', async (...words) => {
    const names: Record<string, string> = { SRC: source(), PARENT: parent, SPARE: `${directory}/spare.vhd` };
    await writeFile(`${directory}/spare.vhd`, parentImage({ footer: { uniqueId: new Uint8Array(16).fill(1) } }));
    if (words.includes('FIXED')) {
      await vhd(['convert', source(), parent, '--to', 'fixed', '--force', flag, '--uuid', formatUuid(PARENT_UUID)]);
      names['FIXED'] = parent;
    }
    const before = await readFile(parent);
    const args = words.map((word) => names[word] ?? word);
    const refused = await vhd(args);
    expect(refused).toMatchObject({ code: 3, stdout: '' });
    expect(refused.stderr).toContain(`another image has it as its parent and would be broken: '${child}'`);
    expect(refused.stderr).toContain(flag);
    expect(firstDifference(await readFile(parent), before)).toBe(-1);
    expect(await vhd([...args, flag])).toMatchObject({ code: 0 });
    expect(firstDifference(await readFile(parent), before)).toBeGreaterThan(-1);
  });

  it('and what breaks none is done', async () => {
    expect(await vhd(['write', child, source()])).toMatchObject({ code: 0 });
    expect(await vhd(['convert', source(), parent, '--force', '--dry-run'])).toMatchObject({ code: 0 });
    expect(await vhd(['convert', child, `${directory}/flat.raw`])).toMatchObject({ code: 0 });
  });
});

describe('vhd tree', () => {
  it('draws chains, and ends with 1 if a parent is missing', async () => {
    const shape = { footer: { uniqueId: new Uint8Array(16).fill(2) }, header: { parentUniqueId: CHILD_UUID } };
    await writeFile(`${directory}/deep.vhd`, childImage(shape));
    await relink(`${directory}/deep.vhd`, { parent: child });
    const { code, stdout } = await vhd(['tree', directory]);
    const lines = stdout.replaceAll(directory, 'DIR').split('\n');
    expect(code).toBe(0);
    expect(lines.slice(0, 3).map((line) => line.replace(/ {2,}/g, '  '))).toEqual([
      expect.stringMatching(/^DIR\/base\.vhd {2}dynamic {2}160 KiB {2}.* on disk {2}5 % owned {2}a0a1a2a3-/),
      expect.stringMatching(/^└─ DIR\/child\.vhd {2}differencing {2}160 KiB {2}.* on disk {2}7\.5 % owned {2}c0c1/),
      expect.stringMatching(/^ {2}└─ DIR\/deep\.vhd {2}differencing/),
    ]);
    expect(lines[4]).toMatch(/^3 images, \d.* on disk$/);
    await rename(parent, folder.file(`gone-${round}.img`));
    const missing = await vhd(['tree', child]);
    expect(missing.code).toBe(1);
    expect(missing.stdout).toContain(`its parent is not here: .\\base.vhd (${formatUuid(PARENT_UUID)})`);
    expect(missing.stdout).toContain('; 1 without its parent');
    const json = await vhd(['tree', directory, '--json']);
    expect([json.code, JSON.parse(json.stdout)]).toMatchObject([
      1,
      { schema: 'vhdkit/tree/1', missingParents: 1, images: [{ parentState: 'missing', depth: 0 }, { depth: 1 }] },
    ]);
  });

  it('says how to mend what has moved, and what is broken', async () => {
    const moved = await moveParent();
    await writeFile(`${directory}/noise.vhd`, 'noise');
    const { code, stdout } = await vhd(['tree', directory]);
    expect(code).toBe(0);
    expect(stdout).toContain(`! its parent has moved: vhd relink ${child} --parent ${moved}`);
    expect(stdout).toContain('; 1 broken');
  });

  it('tells of what was begun and not finished', async () => {
    const { length } = await readFile(parent);
    await writeJournal(parent, {
      ...{ verb: 'merge', uuid: formatUuid(PARENT_UUID), startedAt: '2026-11-24T10:00:00.000Z', writes: [] },
      ...{ fileSize: length, fileSizeAfter: length, childUuid: formatUuid(CHILD_UUID), childPath: child },
    });
    const { code, stdout } = await vhd(['tree', directory]);
    expect([code, stdout]).toEqual([
      0,
      expect.stringContaining(`vhd merge ${shortest(child)} --into ${parent} finishes it`),
    ]);
    const json = JSON.parse((await vhd(['tree', directory, '--json'])).stdout) as { images: { journal: unknown }[] };
    const pending = { rule: 'file.journal', remedy: `vhd merge ${shortest(child)} --into ${parent}` };
    expect(json.images.map(({ journal }) => journal)).toEqual([expect.objectContaining(pending), null]);
  });

  it('shows a raw parent that is there', async () => {
    const header = { parentUniqueId: new Uint8Array(16), parentNameBytes: encodeParentName('base.raw') };
    await writeFile(child, childImage({ header }));
    const missing = await vhd(['tree', child]);
    expect(missing.code).toBe(1);
    await writeFile(`${directory}/base.raw`, new Uint8Array(CHAIN_SIZE));
    const { code, stdout } = await vhd(['tree', child]);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/! its parent is a raw disk, .*base\.raw$/m)]);
  });

  it('finds nothing where nothing is, and fails where it cannot look', async () => {
    await mkdir(`${directory}/empty`);
    expect(await vhd(['tree', `${directory}/empty`])).toMatchObject({ code: 0, stdout: 'no images\n' });
    expect(await vhd(['tree', `${directory}/none`])).toMatchObject({ code: 4 });
  });
});
