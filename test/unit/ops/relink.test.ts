import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { readParentNames } from '../../../src/disk/parent-names.ts';
import { examine } from '../../../src/disk/recognise.ts';
import { NO_OFFSET } from '../../../src/format/bytes.ts';
import { formatUuid } from '../../../src/format/uuid.ts';
import { openVhd } from '../../../src/open.ts';
import { type Journal, journalPath, readJournal } from '../../../src/open-journal.ts';
import { writeJournal } from '../../../src/ops/journal.ts';
import { relink } from '../../../src/ops/relink.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import {
  CHAIN_SIZE,
  CHILD_LAYOUTS,
  CHILD_UUID,
  type ChildShape,
  childImage,
  PARENT_TIMESTAMP,
  PARENT_UUID,
  parentImage,
} from '../../support/child-images.ts';
import { useTempFolder } from '../../support/temp.ts';

const folder = useTempFolder('relink');
let round = 0;
let [child, parent] = ['', ''];

beforeEach(async () => {
  const directory = folder.file(`chain-${round++}`);
  [child, parent] = [`${directory}/child.vhd`, `${directory}/new place/base.vhd`];
  await mkdir(dirname(parent), { recursive: true });
  await writeFile(parent, parentImage());
  await writeFile(child, childImage());
});

async function contentOver(image: Uint8Array): Promise<Uint8Array> {
  const base = await openVhdStorage(new MemoryStorage(parentImage()));
  const disk = await openVhdStorage(new MemoryStorage(image), { parent: base });
  const content = await disk.readBytes(0, disk.size);
  await disk.close();
  return content;
}

/** Blocks with their bitmaps, the table and what lies behind it as a batmap: start inclusive, end exclusive. */
async function protectedBytes(image: Uint8Array): Promise<[start: number, end: number][]> {
  const { header, fileSize } = await examine(new MemoryStorage(image));
  const { tableOffset = 0, maxTableEntries = 0, blockSize = 0 } = header ?? {};
  const view = new DataView(image.buffer);
  const blocks = Array.from({ length: CHAIN_SIZE / blockSize }, (_, index) => view.getUint32(tableOffset + index * 4));
  return [
    [tableOffset, tableOffset + maxTableEntries * 4],
    ...blocks
      .filter((sector) => sector !== 0xffff_ffff)
      .map((sector): [number, number] => [sector * 512, Math.min(sector * 512 + 512 + blockSize, fileSize)]),
  ];
}

const STAMP_WARNINGS: unknown = [
  expect.stringMatching(
    /has another time stamp than its child knows: it may have been changed: expected 2000-.*, found/,
  ),
];

describe('an image is relinked', () => {
  const sources = ['W2ru', 'W2ku', 'MacX', 'MacX', 'name'];

  it.each(Object.entries(CHILD_LAYOUTS))('%s', async (_, shape: ChildShape) => {
    const before = childImage(shape);
    // A block that a locator claims cannot be read before, and can be afterwards.
    const content = await contentOver(childImage({ ...shape, locators: [] }));
    await writeFile(child, before);
    await expect(openVhd(child)).rejects.toMatchObject({ code: 'ERR_VHD_PARENT_MISSING' });
    const done = await relink(child, { parent });
    expect(done).toMatchObject({ changed: true, finishedJournal: false, warnings: STAMP_WARNINGS, name: parent });
    const after = await readFile(child);
    for (const [start, end] of await protectedBytes(before)) {
      expect(firstDifference(before.subarray(start, end), after.subarray(start, end)), `${start}`).toBe(-1);
    }
    const storage = new MemoryStorage(after);
    const examination = await examine(storage);
    expect(examination).toMatchObject({ refusal: undefined, header: { parentTimestamp: PARENT_TIMESTAMP } });
    const names = await readParentNames(storage, examination);
    expect(names.findings).toEqual([]);
    expect(names.names.map(({ source }) => source)).toEqual(sources);
    expect(names.names[0]?.text).toBe('.\\new place\\base.vhd');
    expect(firstDifference(await contentOver(after), content)).toBe(-1);
    // What it names is found, and nothing but that.
    const disk = await openVhd(child, { followParents: true });
    expect(firstDifference(await disk.readBytes(0, disk.size), content)).toBe(-1);
    await disk.close();
    expect(await readdir(dirname(child))).toEqual(['child.vhd', 'new place']);
    expect(await relink(child, { parent })).toMatchObject({ changed: false });
    expect(firstDifference(await readFile(child), after)).toBe(-1);
  });

  it('keeps what it has of unknown bytes', async () => {
    const shape = CHILD_LAYOUTS['with bytes nobody knows in the room of its locator'] ?? {};
    await writeFile(child, childImage(shape));
    await relink(child, { parent });
    const after = await readFile(child);
    expect(firstDifference(after.subarray(2060, 3060), pattern(1000, 9))).toBe(-1);
  });

  it('leaves no old name behind in room that it uses again', async () => {
    const long = { offset: 2048, space: 1024, name: `.\\${'long'.repeat(50)}.vhd` };
    await writeFile(
      child,
      childImage({ locators: [long, { ...long, offset: 3072, platformCode: 'W2ku', name: '' }], blocksFrom: 4096 }),
    );
    await relink(child, { parent });
    expect(Buffer.from(await readFile(child)).includes(Buffer.from('long', 'utf16le'))).toBe(false);
  });

  it('to and fro, without growing each time', async () => {
    const second = `${dirname(child)}/b.vhd`;
    await writeFile(second, parentImage());
    await relink(child, { parent });
    const { length } = await readFile(child);
    for (const place of [second, parent, second, parent]) await relink(child, { parent: place });
    expect((await readFile(child)).length).toBe(length);
  });

  it('only in words, if that is asked for', async () => {
    const before = await readFile(child);
    expect(await relink(child, { parent, dryRun: true })).toMatchObject({ changed: true });
    expect(firstDifference(await readFile(child), before)).toBe(-1);
  });
});

describe('a relink is refused', () => {
  const other = Uint8Array.from({ length: 16 }, () => 7);

  async function expectRefused(options: object, expected: object): Promise<void> {
    const names = await readdir(dirname(child));
    const before = await readFile(child);
    await expect(relink(child, { parent, ...options })).rejects.toMatchObject(expected);
    expect(firstDifference(await readFile(child), before)).toBe(-1);
    expect(await readdir(dirname(child))).toEqual(names);
  }

  it('to a parent with another identifier, unless that is allowed and the sizes are equal', async () => {
    await writeFile(parent, parentImage({ footer: { uniqueId: other } }));
    const expected = formatUuid(PARENT_UUID);
    await expectRefused({}, { code: 'ERR_VHD_PARENT_UUID', storage: parent, expected, found: formatUuid(other) });
    const done = await relink(child, { parent, allowUuidMismatch: true });
    expect(done.warnings).toEqual([expect.stringContaining('contents were not compared') as string]);
    await (await openVhd(child, { followParents: true })).close();
    expect(await relink(child, { parent })).toMatchObject({
      changed: false,
      warnings: [],
      parentUuid: formatUuid(other),
    });
  });

  it('to a smaller one, whatever is allowed', async () => {
    await writeFile(parent, parentImage({ size: CHAIN_SIZE - 512, footer: { uniqueId: other } }));
    const remedy = expect.stringContaining('vhd tree') as string;
    await expectRefused({ allowUuidMismatch: true }, { code: 'ERR_VHD_PARENT_SIZE', storage: parent, remedy });
  });

  it('but not to a larger one, as after a merge into it', async () => {
    await writeFile(parent, parentImage({ size: CHAIN_SIZE + 512, footer: { uniqueId: other } }));
    const { warnings } = await relink(child, { parent, allowUuidMismatch: true });
    expect(warnings).toEqual([
      expect.stringContaining('contents were not compared'),
      expect.stringContaining('the parent is larger: its end is not to be seen'),
    ]);
  });

  it('to another one while others read through it, unless that is allowed', async () => {
    await writeFile(parent, parentImage({ footer: { uniqueId: other } }));
    const footer = { uniqueId: new Uint8Array(16).fill(5) };
    const below = `${dirname(child)}/below.vhd`;
    await writeFile(below, childImage({ footer, header: { parentUniqueId: CHILD_UUID } }));
    await expectRefused({ allowUuidMismatch: true }, { code: 'ERR_VHD_HAS_CHILDREN', found: `'${below}'` });
    const allowed = { parent, allowUuidMismatch: true, allowBreakingChildren: true };
    expect(await relink(child, allowed)).toMatchObject({ changed: true });
  });

  it('to one that is being merged into, unless the merge is of this very child', async () => {
    const { length } = await readFile(parent);
    const journal = (uniqueId: Uint8Array): Journal => ({
      ...{ verb: 'merge', uuid: formatUuid(uniqueId), startedAt: '2026-11-24T10:00:00.000Z', writes: [] },
      ...{ fileSize: length, fileSizeAfter: length, childUuid: formatUuid(CHILD_UUID), childPath: child },
    });
    await writeFile(parent, parentImage({ footer: { uniqueId: other } }));
    await writeJournal(parent, journal(other));
    await expectRefused({ allowUuidMismatch: true }, { code: 'ERR_VHD_JOURNAL', storage: parent });
    await writeFile(parent, parentImage());
    await writeJournal(parent, journal(PARENT_UUID), true);
    expect(await relink(child, { parent })).toMatchObject({ changed: true });
  });

  it('to itself, and to what has it among its parents', async () => {
    await expectRefused({ parent: child }, { code: 'ERR_VHD_PARENT_LOOP' });
    await writeFile(child, childImage({ header: { parentUniqueId: CHILD_UUID } }));
    await expectRefused({ parent: child }, { code: 'ERR_VHD_PARENT_LOOP' });
    // The parent is a child of the child, and finds it in the directory above.
    const footer = { uniqueId: PARENT_UUID };
    await writeFile(parent, childImage({ footer, header: { parentUniqueId: CHILD_UUID }, blocksFrom: 2560 }));
    await writeFile(child, childImage());
    await relink(parent, { parent: child });
    const message = expect.stringContaining(`its parent cannot be '${parent}', which is based on it itself`) as string;
    await expectRefused({}, { code: 'ERR_VHD_PARENT_LOOP', storage: child, message });
  });

  it('to what has it among its parents in a directory that is told', async () => {
    const [middle, far] = [`${folder.file(`far-${round}`)}/middle.vhd`, new Uint8Array(16).fill(6)];
    await mkdir(dirname(middle));
    await writeFile(middle, childImage({ footer: { uniqueId: far }, header: { parentUniqueId: CHILD_UUID } }));
    await relink(middle, { parent: child });
    const shape = { footer: { uniqueId: PARENT_UUID }, header: { parentUniqueId: far }, blocksFrom: 2560 };
    await writeFile(parent, childImage(shape));
    await relink(parent, { parent: middle });
    await expectRefused({ parentDirs: [dirname(middle)] }, { code: 'ERR_VHD_PARENT_LOOP', storage: child });
  });

  it('for what has no parent, or is open elsewhere', async () => {
    await writeFile(child, parentImage());
    await expectRefused({}, { code: 'ERR_VHD_UNSUPPORTED', found: 'a dynamic disk' });
    await writeFile(child, childImage({ endFooter: new Uint8Array(512).fill(0xc7) }));
    await expectRefused({}, { code: 'ERR_VHD_IN_USE' });
  });

  it('if there is no such parent, or it is none', async () => {
    await expectRefused({ parent: `${parent}x` }, { code: 'ENOENT' });
    await writeFile(parent, pattern(5000));
    const remedy = expect.stringContaining('vhd tree DIR') as string;
    await expectRefused({}, { code: 'ERR_VHD_NOT_VHD', remedy });
  });

  it('for options that are none', async () => {
    await expect(relink(child, { parent, force: true } as object)).rejects.toThrow(TypeError);
    await expect(relink(child)).rejects.toThrow(/expected a parent/);
  });
});

describe('a parent without an identifier', () => {
  it('is a raw disk, as blktap has it', async () => {
    await writeFile(child, childImage({ header: { parentUniqueId: new Uint8Array(16), parentTimestamp: 77 } }));
    await writeFile(parent, pattern(CHAIN_SIZE, 8));
    expect(await relink(child, { parent })).toMatchObject({ changed: true });
    const { header } = await examine(new MemoryStorage(await readFile(child)));
    expect(header).toMatchObject({ parentTimestamp: 77, dataOffset: NO_OFFSET });
    const disk = await openVhd(child, { followParents: true, allowRawParent: true });
    expect((await disk.readBytes(0, 512)).length).toBe(512);
    await disk.close();
  });
});

describe('a relink that was begun', () => {
  /** As a killed call leaves it: the journal, and as many of the writes as `done`. */
  async function begin(done: number): Promise<Journal> {
    const whole = `${child}.whole`;
    const before = await readFile(child);
    await writeFile(whole, before);
    await relink(whole, { parent });
    const after = await readFile(whole);
    const length = Math.max(before.length, after.length);
    const at = Math.max(0, firstDifference(before, after));
    const journal: Journal = {
      ...{ verb: 'relink', uuid: formatUuid(CHILD_UUID), startedAt: '2026-11-24T10:00:00.000Z' },
      ...{ fileSize: before.length, fileSizeAfter: after.length },
      writes: [{ offset: at, before: before.subarray(at), after: after.subarray(at, length) }],
    };
    await writeJournal(child, journal);
    const torn = Buffer.from(before);
    after.copy(torn, at, at, Math.min(before.length, at + done));
    await writeFile(child, torn);
    return journal;
  }

  it.each([0, 512, 1024, 5000])(
    'is finished by the same call, and refuses readers until then: %i bytes',
    async (done) => {
      await begin(done);
      await expect(openVhd(child, { parentDirs: [dirname(parent)] })).rejects.toMatchObject({
        code: 'ERR_VHD_JOURNAL',
        remedy: expect.stringContaining(`vhd relink ${child}`) as string,
      });
      expect(await relink(child, { parent })).toMatchObject({ changed: false, finishedJournal: true });
      expect(await readJournal(child)).toBeUndefined();
      expect(firstDifference(await readFile(child), await readFile(`${child}.whole`))).toBe(-1);
      await (await openVhd(child, { followParents: true })).close();
    },
  );

  it('is finished by a call that names no parent, as the remedy says', async () => {
    await begin(512);
    expect(await relink(child)).toMatchObject({
      parent: null,
      finishedJournal: true,
      parentUuid: formatUuid(PARENT_UUID),
    });
    expect(firstDifference(await readFile(child), await readFile(`${child}.whole`))).toBe(-1);
  });

  it('is not finished on an image that is another one by now, or by a dry run', async () => {
    const journal = await begin(0);
    await expect(relink(child, { parent, dryRun: true })).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL' });
    const image = childImage({ footer: { uniqueId: PARENT_UUID } });
    await writeFile(child, image);
    await expect(relink(child, { parent })).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL', expected: journal.uuid });
    expect(firstDifference(await readFile(child), image)).toBe(-1);
  });

  it.each([
    ['grows it beyond reason', { fileSizeAfter: 2 ** 50 }],
    ['makes it shorter', { fileSizeAfter: 4096, writes: [] }],
  ])('is not finished if its journal %s', async (_, changes) => {
    const journal = await begin(0);
    await writeJournal(child, { ...journal, ...changes }, true);
    const before = await readFile(child);
    await expect(relink(child, { parent })).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL' });
    expect(firstDifference(await readFile(child), before)).toBe(-1);
  });

  it('is nothing to finish if it was a merge', async () => {
    const journal = await begin(0);
    await writeJournal(child, { ...journal, verb: 'merge', writes: [], childUuid: formatUuid(PARENT_UUID) }, true);
    await expect(relink(child, { parent })).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL' });
    expect(await readFile(journalPath(child))).toBeDefined();
  });
});
