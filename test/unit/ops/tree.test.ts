import { link, mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { encodeParentName } from '../../../src/format/parent-reference.ts';
import { formatUuid } from '../../../src/format/uuid.ts';
import { openVhd } from '../../../src/open.ts';
import { journalPath } from '../../../src/open-journal.ts';
import { writeJournal } from '../../../src/ops/journal.ts';
import { relink } from '../../../src/ops/relink.ts';
import { relinkAll } from '../../../src/ops/relink-all.ts';
import { readTree, type TreeReport } from '../../../src/ops/tree.ts';
import { firstDifference } from '../../support/bytes.ts';
import { childImage, parentImage } from '../../support/child-images.ts';
import { useTempFolder } from '../../support/temp.ts';

const folder = useTempFolder('tree');
let round = 0;

const uuidOf = (digit: number): Uint8Array => new Uint8Array(16).fill(digit);
const base = (digit: number): Uint8Array => parentImage({ footer: { uniqueId: uuidOf(digit) } });

/** A child of another image: identifiers, and the name it has for its parent. */
function child(digit: number, parentDigit: number, name = ''): Uint8Array {
  const header = { parentUniqueId: uuidOf(parentDigit), parentNameBytes: encodeParentName(name) };
  return childImage({ footer: { uniqueId: uuidOf(digit) }, header });
}

async function directoryWith(files: Readonly<Record<string, Uint8Array>>): Promise<string> {
  const directory = folder.file(`directory-${round++}`);
  await mkdir(directory);
  for (const [name, bytes] of Object.entries(files)) {
    await mkdir(dirname(`${directory}/${name}`), { recursive: true });
    await writeFile(`${directory}/${name}`, bytes);
  }
  return directory;
}

/** Each image as `depth name state`. */
function told({ images }: TreeReport, directory: string): string[] {
  return images.map(({ depth, path, parentState }) => `${depth} ${path.slice(directory.length + 1)} ${parentState}`);
}

const FORKS = {
  'base.vhd': base(1),
  'a.vhd': child(2, 1, 'base.vhd'),
  'b.vhd': child(3, 1, 'base.vhd'),
  'sub/deep.vhd': child(4, 2, '../a.vhd'),
  'other.vhd': base(7),
  'orphan.vhd': child(8, 9, 'C:\\lost\\parent.vhd'),
  'broken.vhd': new Uint8Array(2000),
};

describe('readTree', () => {
  it('tells chains, forks, orphans and what is broken', async () => {
    const directory = await directoryWith(FORKS);
    const report = await readTree(directory);
    expect(told(report, directory)).toEqual([
      '0 base.vhd none',
      '1 a.vhd named',
      '2 sub/deep.vhd named',
      '1 b.vhd named',
      '0 orphan.vhd missing',
      '0 other.vhd none',
      '0 broken.vhd none',
    ]);
    expect(report).toMatchObject({ path: directory, missingParents: 1, brokenImages: 1 });
    expect(report.images[1]).toMatchObject({
      ...{
        type: 'differencing',
        uuid: formatUuid(uuidOf(2)),
        parentUuid: formatUuid(uuidOf(1)),
        parentName: 'base.vhd',
      },
      ...{ parentPath: `${directory}/base.vhd`, allocatedBlocks: 3, blockCount: 40, ownedShare: 3 / 40, problem: null },
    });
    expect(report.images[4]).toMatchObject({ parentPath: null, parentName: 'C:\\lost\\parent.vhd' });
    expect(report.images[6]).toMatchObject({ type: null, uuid: null, fileSize: 2000 });
    expect(report.images[6]?.problem).toContain('footer');
  });

  it('tells of an image the tree it belongs to', async () => {
    const directory = await directoryWith(FORKS);
    for (const name of ['base.vhd', 'a.vhd', 'b.vhd']) {
      expect(told(await readTree(`${directory}/${name}`), directory)).toEqual([
        ...['0 base.vhd none', '1 a.vhd named', '1 b.vhd named'],
      ]);
    }
    expect(told(await readTree(`${directory}/orphan.vhd`), directory)).toEqual(['0 orphan.vhd missing']);
    await writeFile(`${directory}/disk.img`, base(5));
    await expect(readTree(`${directory}/disk.img`)).rejects.toMatchObject({ code: 'ERR_VHD_UNSUPPORTED' });
    await expect(readTree(`${directory}/none`)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('goes by names where identifiers are not unique, and says where they do not tell', async () => {
    const directory = await directoryWith({
      'base.vhd': base(1),
      'copy.vhd': base(1),
      'child.vhd': child(1, 1, 'copy.vhd'),
      'grandchild.vhd': child(1, 1, 'child.vhd'),
      'lost.vhd': child(2, 1, 'gone.vhd'),
    });
    const report = await readTree(directory);
    expect(told(report, directory)).toEqual([
      '0 base.vhd none',
      '0 copy.vhd none',
      '1 child.vhd named',
      '2 grandchild.vhd named',
      '0 lost.vhd ambiguous',
    ]);
    expect(report.images[4]?.parentCandidates).toHaveLength(4);
    expect(report.missingParents).toBe(1);
  });

  it('ends where parents lead in a circle', async () => {
    const directory = await directoryWith({
      'a.vhd': child(1, 2, 'b.vhd'),
      'b.vhd': child(2, 1, 'a.vhd'),
      'c.vhd': child(3, 1, 'a.vhd'),
      'self.vhd': child(4, 4, 'self.vhd'),
    });
    expect(told(await readTree(directory), directory)).toEqual([
      '0 a.vhd loop',
      '1 c.vhd named',
      '0 b.vhd loop',
      '0 self.vhd missing',
    ]);
  });

  it('looks for parents where it is told to, and lists of those only what is needed', async () => {
    const elsewhere = await directoryWith({ 'base.vhd': base(1), 'unrelated.vhd': base(9) });
    const directory = await directoryWith({ 'child.vhd': child(2, 1, 'base.vhd') });
    expect((await readTree(directory)).missingParents).toBe(1);
    const report = await readTree(directory, { parentDirs: [elsewhere] });
    expect(report.images.map(({ path, parentState }) => [path, parentState])).toEqual([
      [`${elsewhere}/base.vhd`, 'none'],
      [`${directory}/child.vhd`, 'moved'],
    ]);
  });

  it('counts a file once', async () => {
    const directory = await directoryWith({ 'b.vhd': base(1) });
    await link(`${directory}/b.vhd`, `${directory}/a.vhd`);
    await symlink('b.vhd', `${directory}/c.vhd`);
    expect(told(await readTree(directory), directory)).toEqual(['0 a.vhd none']);
    expect(told(await readTree(`${directory}/c.vhd`), directory)).toEqual(['0 a.vhd none']);
  });
});

describe('relinkAll', () => {
  const moved = {
    'base/base.vhd': base(1),
    'a.vhd': child(2, 1, 'C:\\vm\\base.vhd'),
    'sub/deep.vhd': child(3, 2, 'C:\\vm\\a.vhd'),
    'right.vhd': child(4, 2, 'a.vhd'),
    'orphan.vhd': child(5, 9, 'lost.vhd'),
    'single.vhd': base(7),
  };

  it('relinks what has moved, and nothing else', async () => {
    const directory = await directoryWith(moved);
    const [right, orphan] = [await readFile(`${directory}/right.vhd`), await readFile(`${directory}/orphan.vhd`)];
    const planned = await relinkAll(directory, { dryRun: true });
    expect((await readTree(directory)).images.filter(({ parentState }) => parentState === 'moved')).toHaveLength(2);
    const done = await relinkAll(directory);
    expect(done).toEqual(planned);
    expect(done).toMatchObject({ relinked: 2, right: 1, failed: 1 });
    expect(done.images.map(({ path, outcome }) => [path.slice(directory.length + 1), outcome])).toEqual([
      ['a.vhd', 'relinked'],
      ['orphan.vhd', 'missing'],
      ['right.vhd', 'right'],
      ['sub/deep.vhd', 'relinked'],
    ]);
    expect(firstDifference(await readFile(`${directory}/right.vhd`), right)).toBe(-1);
    expect(firstDifference(await readFile(`${directory}/orphan.vhd`), orphan)).toBe(-1);
    await (await openVhd(`${directory}/sub/deep.vhd`, { followParents: true })).close();
    expect(await relinkAll(directory)).toMatchObject({ relinked: 0, right: 3, failed: 1 });
    // The whole directory may go elsewhere: names that lead from the child outlive that.
    await rename(directory, `${directory}-moved`);
    expect(await relinkAll(`${directory}-moved`)).toMatchObject({ relinked: 0, right: 3, failed: 1 });
  });

  it('chooses none of several', async () => {
    const directory = await directoryWith({ 'x.vhd': base(1), 'y.vhd': base(1), 'child.vhd': child(2, 1, 'gone.vhd') });
    expect(await relinkAll(directory)).toMatchObject({
      failed: 1,
      images: [{ outcome: 'ambiguous', candidates: [`${directory}/x.vhd`, `${directory}/y.vhd`], parent: null }],
    });
  });

  it('finishes what was begun, and tells what fails', async () => {
    const directory = await directoryWith({ 'base/base.vhd': base(1), 'a.vhd': child(2, 1), 'b.vhd': child(3, 1) });
    const before = await readFile(`${directory}/a.vhd`);
    await relink(`${directory}/a.vhd`, { parent: `${directory}/base/base.vhd` });
    const after = await readFile(`${directory}/a.vhd`);
    await writeJournal(`${directory}/a.vhd`, {
      ...{ verb: 'relink', uuid: formatUuid(uuidOf(2)), startedAt: '2026-11-24T10:00:00.000Z' },
      ...{ fileSize: before.length, fileSizeAfter: after.length },
      writes: [{ offset: 0, before, after }],
    });
    // The header is torn: without the journal nobody knows what it is.
    await writeFile(`${directory}/a.vhd`, Buffer.concat([before.subarray(0, 1024), after.subarray(1024)]));
    await writeFile(journalPath(`${directory}/b.vhd`), 'damaged');
    const done = await relinkAll(directory);
    expect(done.images.map(({ outcome }) => outcome)).toEqual(['relinked', 'failed']);
    expect(done.images[1]?.problem).toContain('journal');
    expect(firstDifference(await readFile(`${directory}/a.vhd`), after)).toBe(-1);
  });
});
