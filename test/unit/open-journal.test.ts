import { createHash } from 'node:crypto';
import { mkdir, readdir, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { formatUuid } from '../../src/format/uuid.ts';
import {
  checkJournal,
  type Journal,
  journalFindings,
  journalPath,
  readJournal,
  readUndo,
  undoPath,
} from '../../src/open-journal.ts';
import { decodeJournal, encodeJournal, journalNote, journalNoteOffset } from '../../src/open-journal-record.ts';
import { readInfo } from '../../src/ops/info.ts';
import { carryOut, keepForUndo, removeJournal, rollBack, writeJournal } from '../../src/ops/journal.ts';
import { undo } from '../../src/ops/undo.ts';
import { FileStorage } from '../../src/storage/file.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { buildImage, IMAGE_UUID } from '../support/build-image.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('journal');
const image = buildImage({ size: 1024 * 1024, blocks: [] });
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

const JOURNAL: Journal = {
  verb: 'relink',
  uuid: formatUuid(IMAGE_UUID),
  startedAt: '2026-11-24T10:00:00.000Z',
  fileSize: image.length,
  fileSizeAfter: image.length,
  writes: [{ offset: 600, before: image.slice(600, 603), after: bytes(1, 2, 3) }],
};
const CHILD_UUID = Uint8Array.from({ length: 16 }, () => 0x77);
const MERGE: Journal = {
  ...JOURNAL,
  verb: 'merge',
  writes: [],
  childUuid: formatUuid(CHILD_UUID),
  childPath: "/vm/it's child.vhd",
  parentDirs: ['../base'],
  details: { grownTo: 4096, keepsBitmaps: true },
};

async function imageWith(name: string, journal?: Journal | string): Promise<string> {
  const path = folder.file(name);
  await writeFile(path, image);
  if (typeof journal === 'string') await writeFile(journalPath(path), journal);
  else if (journal !== undefined) await writeJournal(path, journal);
  return path;
}

/** A journal whose checksum is right, whatever it says. */
function sealed(text: string): string {
  return `${text}\n{"sha256":"${createHash('sha256').update(text).digest('hex')}"}\n`;
}

describe('a journal', () => {
  it.each([JOURNAL, MERGE])('is read back as it was written: $verb', async (journal) => {
    const path = await imageWith(`${journal.verb}.vhd`, journal);
    const read = await readJournal(path);
    expect(read).toEqual({ details: {}, ...journal });
    await removeJournal(path);
    expect(await readJournal(path)).toBeUndefined();
    await removeJournal(path);
  });

  it('is found beside the file that a link leads to', async () => {
    const path = await imageWith('target.vhd', JOURNAL);
    await mkdir(folder.file('elsewhere'));
    await symlink(path, folder.file('elsewhere/link.vhd'));
    expect((await readJournal(folder.file('elsewhere/link.vhd')))?.verb).toBe('relink');
  });

  it('leaves nothing else behind, and is not replaced unless asked', async () => {
    const path = await imageWith('twice.vhd', JOURNAL);
    await expect(writeJournal(path, MERGE)).rejects.toMatchObject({ code: 'ERR_VHD_EXISTS' });
    await writeJournal(path, MERGE, true);
    expect((await readJournal(path))?.verb).toBe('merge');
    const names = (await readdir(folder.path)).filter((name) => name.includes('twice'));
    expect(names.sort()).toEqual(['twice.vhd', 'twice.vhd.vhd-journal']);
  });

  it('is nothing where there is no image, or a name too long for one', async () => {
    expect(await readJournal(folder.file('nothing.vhd'))).toBeUndefined();
    await writeFile(folder.file('x'.repeat(250)), image);
    expect(await readJournal(folder.file('x'.repeat(250)))).toBeUndefined();
  });
});

describe('checkJournal', () => {
  it('lets everybody in where there is no journal', async () => {
    await checkJournal(await imageWith('free.vhd'), { writable: true });
  });

  it('refuses all while a relink is pending, with the command that finishes it', async () => {
    const path = await imageWith('relinked.vhd', JOURNAL);
    for (const options of [{}, { writable: true }, { uuidsAbove: [CHILD_UUID] }]) {
      await expect(checkJournal(path, options)).rejects.toMatchObject({
        code: 'ERR_VHD_JOURNAL',
        storage: path,
        remedy: expect.stringContaining(`vhd relink ${path}`) as string,
      });
    }
  });

  it('lets those read who come through the child that is merged', async () => {
    const path = await imageWith('merged.vhd', MERGE);
    await checkJournal(path, { uuidsAbove: [IMAGE_UUID, CHILD_UUID] });
    await expect(checkJournal(path, { writable: true, uuidsAbove: [CHILD_UUID] })).rejects.toMatchObject({
      code: 'ERR_VHD_JOURNAL',
    });
    for (const uuidsAbove of [undefined, [], [IMAGE_UUID]]) {
      await expect(checkJournal(path, { uuidsAbove })).rejects.toMatchObject({
        code: 'ERR_VHD_JOURNAL',
        remedy: expect.stringContaining(`vhd merge '/vm/it'\\''s child.vhd' --into ${path}`) as string,
      });
    }
  });

  it('lets nobody read through another chain than the merge was begun from', async () => {
    const linkUuid = Uint8Array.from({ length: 16 }, () => 0x55);
    const links = [{ uuid: formatUuid(linkUuid), path: 'link.vhd' }];
    const path = await imageWith('chain.vhd', { ...MERGE, links });
    await checkJournal(path, { uuidsAbove: [IMAGE_UUID, CHILD_UUID, linkUuid] });
    for (const uuidsAbove of [[CHILD_UUID], [linkUuid, CHILD_UUID], [CHILD_UUID, linkUuid, IMAGE_UUID], [linkUuid]]) {
      await expect(checkJournal(path, { uuidsAbove })).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL' });
    }
  });

  it('tells a journal that another image of that name left', async () => {
    const path = await imageWith('stray.vhd', { ...MERGE, uuid: formatUuid(CHILD_UUID) });
    await expect(checkJournal(path, { uuidsAbove: [CHILD_UUID] })).rejects.toMatchObject({
      code: 'ERR_VHD_JOURNAL',
      expected: formatUuid(CHILD_UUID),
      found: formatUuid(IMAGE_UUID),
      remedy: expect.stringContaining('rm ') as string,
    });
  });
});

describe('info', () => {
  it('reports a pending journal, and works', async () => {
    const path = await imageWith('reported.vhd', JOURNAL);
    const report = await readInfo(path);
    expect(report.readable).toBe(true);
    expect(report.findings[0]).toMatchObject({ rule: 'file.journal', severity: 'warning' });
    expect(report.findings[0]?.expected).toContain('vhd relink');
  });

  it('reports one that cannot be read', async () => {
    const path = await imageWith('damaged.vhd', '{}');
    expect((await readInfo(path)).findings[0]).toMatchObject({ rule: 'file.journal', severity: 'error' });
    expect(await journalFindings(await imageWith('none.vhd'))).toEqual([]);
  });
});

describe('a hostile journal', () => {
  const line = new TextDecoder().decode(encodeJournal(JOURNAL)).split('\n')[0] ?? '';
  const changed = (changes: object): string => sealed(JSON.stringify({ ...(JSON.parse(line) as object), ...changes }));
  const cases: Record<string, string> = {
    empty: '',
    'no JSON': 'x\ny\n',
    'a journal without its checksum': line,
    'a wrong checksum': `${line} \n${new TextDecoder().decode(encodeJournal(JOURNAL)).split('\n')[1] ?? ''}\n`,
    'a checksum that is no text': `${line}\n{"sha256":1}\n`,
    'an array': sealed('[]'),
    null: sealed('null'),
    'another schema': changed({ schema: 'vhdkit/journal/2' }),
    'an unknown verb': changed({ verb: 'format' }),
    'a verb of the prototype': changed({ verb: 'constructor' }),
    'no identifier': changed({ uuid: 'x' }),
    'a time that is none': changed({ startedAt: 'yesterday; rm -rf' }),
    'a size below zero': changed({ fileSize: -1 }),
    'a size beyond 2^53': changed({ fileSizeAfter: 1e300 }),
    'writes that are no list': changed({ writes: {} }),
    'a write that is no object': changed({ writes: [3] }),
    'half a byte': changed({ writes: [{ offset: 0, before: '', after: 'a' }] }),
    'a write behind the end': changed({ writes: [{ offset: image.length, before: '', after: '00' }] }),
    'writes that overlap': changed({
      writes: [
        { offset: 0, before: '0000', after: '0101' },
        { offset: 1, before: '00', after: '01' },
      ],
    }),
    'a write of less than it replaces': changed({ writes: [{ offset: 0, before: '0000', after: '01' }] }),
    'too many writes': changed({ writes: Array.from({ length: 65_537 }, () => ({})) }),
    'too many fields': changed(Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`f${index}`, 1]))),
    'links that are no list': changed({ links: {} }),
    'a link without an identifier': changed({ links: [{ path: 'x' }] }),
    'directories with a NUL': changed({ parentDirs: ['a\0b'] }),
    'a field that is an object': changed({ more: {} }),
    'a field of an odd name': changed({ __proto__x: 1 }),
    'a path with a NUL': changed({ childPath: 'a\0b' }),
    'a long path': changed({ childPath: 'x'.repeat(40_000) }),
    'deep nesting': sealed('['.repeat(1_000_000)),
    'bytes that are no UTF-8': '\u{fffd}',
  };

  it.each(Object.entries(cases))('is refused: %s', async (name, text) => {
    const path = await imageWith(`hostile-${Object.keys(cases).indexOf(name)}.vhd`, text);
    for (const call of [readJournal, checkJournal]) {
      await expect(call(path)).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL', storage: journalPath(path) });
    }
  });

  it('is refused before it is read if it is too large, and if it is no file', async () => {
    const path = await imageWith('large.vhd', '');
    await truncate(journalPath(path), 2 ** 40);
    await expect(readJournal(path)).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL' });
    const other = await imageWith('folder.vhd');
    await mkdir(journalPath(other));
    await expect(readJournal(other)).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL' });
  });

  it('is no matter of chance: any byte that differs is found', () => {
    const whole = encodeJournal(MERGE);
    const noteOffset = journalNoteOffset(whole) ?? 0;
    for (let index = 0; index < noteOffset - 1; index++) {
      const broken = Uint8Array.from(whole);
      broken[index] = (broken[index] ?? 0) ^ 1;
      expect(decodeJournal(broken).journal, `byte ${index}`).toBeUndefined();
    }
  });

  it('with a note that was torn is whole, and says nothing of when the image was written', () => {
    const noted = encodeJournal(JOURNAL);
    const noteOffset = journalNoteOffset(noted) ?? 0;
    noted.set(journalNote(1_700_000_000_123_456_789n), noteOffset);
    expect(decodeJournal(noted).journal?.details).toMatchObject({ writtenAt: '1700000000123456789' });
    expect(journalNoteOffset(noted)).toBe(noteOffset);
    for (const torn of [noted.subarray(0, noteOffset), noted.subarray(0, noteOffset + 20), encodeJournal(JOURNAL)]) {
      const { journal } = decodeJournal(torn);
      expect(journal?.details).not.toHaveProperty('writtenAt');
      expect(journal?.writes).toEqual(JOURNAL.writes);
    }
  });

  it('that was kept for undo and is damaged keeps nobody from the image', async () => {
    const path = await imageWith('damaged-undo.vhd');
    await writeFile(undoPath(path), 'not whole');
    await checkJournal(path, { writable: true });
    await expect(undo(path)).rejects.toMatchObject({ code: 'ERR_VHD_UNDO', storage: undoPath(path) });
  });

  it('is kept for undo where it is: a full disk has no room for another', async () => {
    const path = await imageWith('kept.vhd', JOURNAL);
    const before = await stat(journalPath(path));
    await using storage = await FileStorage.open(path);
    await keepForUndo({ storage, path }, JOURNAL);
    const after = await stat(undoPath(path));
    expect([after.ino, after.size]).toEqual([before.ino, before.size]);
    expect((await readUndo(path))?.details).toMatchObject({ writtenAt: `${await storage.modifiedAt()}` });
  });

  it('changes no image that it does not fit', async () => {
    const storage = new MemoryStorage(Uint8Array.from(image));
    const other = { ...JOURNAL, writes: [{ offset: 600, before: bytes(9, 9, 9), after: bytes(1, 2, 3) }] };
    await expect(carryOut(storage, other)).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL' });
    for (const fileSize of [1024, 1_000_000_000_000]) {
      const sizes = { fileSize, fileSizeAfter: fileSize, writes: [] };
      await expect(carryOut(storage, { ...JOURNAL, ...sizes })).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL' });
    }
    const found = new Uint8Array(image.length);
    await storage.read(found, 0);
    expect(found).toEqual(image);
  });
});

describe('what a journal wrote down', () => {
  const grown: Journal = {
    ...JOURNAL,
    fileSize: 1000,
    fileSizeAfter: 2048,
    writes: [
      { offset: 100, before: bytes(0, 0), after: bytes(5, 6) },
      { offset: 900, before: new Uint8Array(100), after: new Uint8Array(1148).fill(7) },
    ],
  };

  it('is carried out, again if need be, and rolled back', async () => {
    const storage = new MemoryStorage(new Uint8Array(1000));
    await carryOut(storage, grown);
    await carryOut(storage, grown);
    const found = new Uint8Array(2048);
    await storage.read(found, 0);
    expect([...found.subarray(99, 103), ...found.subarray(898, 901), found[2047]]).toEqual([0, 5, 6, 0, 0, 0, 7, 7]);
    await rollBack(storage, grown);
    expect(await storage.size()).toBe(1000);
    await storage.read(found.subarray(0, 1000), 0);
    expect(found.subarray(0, 1000)).toEqual(new Uint8Array(1000));
  });
});
