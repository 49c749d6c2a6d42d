import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  renameSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { openDisk, openVhd } from '../../src/open.ts';
import { closeLinks, resolveChain } from '../../src/open-chain.ts';
import type { ChainOptions } from '../../src/open-parent-options.ts';
import { FileStorage } from '../../src/storage/file.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { CHAIN_BLOCK_BYTES, CHAIN_DISK_BYTES, type ChainFile, writeChainFile } from '../support/chain-files.ts';
import { whyNoLocks } from '../support/locks.ts';
import { WorkFolder } from '../support/streams-files.ts';

const folder = new WorkFolder();
const noLocks = await whyNoLocks();
let root = '';
const at = (name: string): string => join(root, name);
const image = (name: string, file: ChainFile): string => writeChainFile(at(name), file);
const base = (name: string): string => image(name, { id: 1, block: 0 });
type Locators = NonNullable<ChainFile['parent']>['locators'];
const child = (name: string, locators: Locators, more: Partial<ChainFile> = {}): string => {
  return image(name, { id: 2, block: 1, ...more, parent: { id: 1, locators, ...more.parent } });
};

/** The paths of a chain from the folder of the test, behind all links. */
async function chainOf(path: string, options: ChainOptions = {}): Promise<string[]> {
  const links = await resolveChain(path, options);
  await closeLinks(links);
  return links.map((link) => relative(root, link.path));
}

async function failureOf(path: string, options: ChainOptions = {}): Promise<Error & { code: string; remedy?: string }> {
  const error: unknown = await resolveChain(path, options).then(
    async (links) => {
      await closeLinks(links);
      return new Error('it was found');
    },
    (reason: unknown) => reason,
  );
  // Whatever it was, nothing is open any more.
  expect(folder.openPaths()).toEqual([]);
  return error as Error & { code: string; remedy?: string };
}

beforeEach(() => {
  root = folder.fresh('chain');
  mkdirSync(root);
});

describe('a parent is found', () => {
  it.each([
    ['beside the child', 'snap/a.vhd', [['W2ru', '.\\a.vhd']]],
    ['beside the child, without a dot', 'snap/a.vhd', [['W2ru', 'a.vhd']]],
    ['below the child', 'snap/sub/dir/a.vhd', [['W2ru', '.\\sub\\dir\\a.vhd']]],
    ['by an absolute path of Windows, by its file name', 'snap/a.vhd', [['W2ku', 'C:\\old\\a.vhd']]],
    ['by a relative path in W2ku, as of blktap', 'snap/a.vhd', [['W2ku', '.\\a.vhd']]],
    ['by a URL', 'snap/ä b.vhd', [['MacX', 'file://./%C3%A4%20b.vhd']]],
    ['by a URL of blktap', 'snap/a%20b.vhd', [['MacX', 'file://./a%20b.vhd']]],
    ['by an old relative name', 'snap/a.vhd', [['Wi2r', '.\\a.vhd']]],
    ['by an old absolute name', 'snap/a.vhd', [['Wi2k', 'C:\\a.vhd']]],
    [
      'by the second of two names',
      'snap/a.vhd',
      [
        ['W2ru', '.\\gone.vhd'],
        ['W2ku', 'D:\\a.vhd'],
      ],
    ],
  ] as const)('%s', async (_how, name, locators) => {
    base(name);
    const path = child('snap/child.vhd', locators);
    expect(await chainOf(path)).toEqual(['snap/child.vhd', name]);
  });

  it.each([['a.vhd'], ['C:\\Users\\me\\a.vhd'], ['/srv/disks/a.vhd']])('by the name field: %s', async (name) => {
    base('snap/a.vhd');
    const path = child('snap/child.vhd', [], { parent: { id: 1, name } });
    expect(await chainOf(path)).toEqual(['snap/child.vhd', 'snap/a.vhd']);
  });

  it('by an absolute path into its directory', async () => {
    base('snap/sub/a.vhd');
    const path = child('snap/child.vhd', [['W2ku', at('snap/sub/a.vhd')]]);
    expect(await chainOf(path)).toEqual(['snap/child.vhd', 'snap/sub/a.vhd']);
  });

  it('after the whole directory was moved', async () => {
    base('old/base/a.vhd');
    child('old/child.vhd', [
      ['W2ku', at('old/base/a.vhd')],
      ['W2ru', '.\\base\\a.vhd'],
    ]);
    renameSync(at('old'), at('new'));
    expect(await chainOf(at('new/child.vhd'))).toEqual(['new/child.vhd', 'new/base/a.vhd']);
  });

  it('behind a name that another image has: what has the identifier counts', async () => {
    image('snap/a.vhd', { id: 9 });
    base('snap/b.vhd');
    const path = child('snap/child.vhd', [
      ['W2ru', '.\\a.vhd'],
      ['W2ku', 'C:\\b.vhd'],
    ]);
    expect(await chainOf(path)).toEqual(['snap/child.vhd', 'snap/b.vhd']);
  });

  it('for every link of a chain, in order, each opened once', async () => {
    base('snap/0.vhd');
    for (let id = 2; id <= 12; id++) {
      const locators = [['W2ru', `.\\${id - 2}.vhd`]] as const;
      image(`snap/${id - 1}.vhd`, { id, parent: { id: id - 1, locators } });
    }
    const links = await resolveChain(at('snap/11.vhd'));
    expect(links.map(({ path }) => relative(at('snap'), path))).toEqual(
      Array.from({ length: 12 }, (_, index) => `${11 - index}.vhd`),
    );
    expect(new Set(folder.openPaths()).size).toBe(folder.openPaths().length);
    await closeLinks(links);
    expect(folder.openPaths()).toEqual([]);
  });

  it('where the child is reached through a link, beside the link or beside the child', async () => {
    base('snap/a.vhd');
    const path = child('snap/child.vhd', [['W2ru', '.\\a.vhd']]);
    mkdirSync(at('links'));
    symlinkSync(path, at('links/child.vhd'));
    expect(await chainOf(at('links/child.vhd'))).toEqual(['links/child.vhd', 'snap/a.vhd']);
    renameSync(at('snap/a.vhd'), at('links/a.vhd'));
    expect(await chainOf(at('links/child.vhd'))).toEqual(['links/child.vhd', 'links/a.vhd']);
  });

  it('where a directory is a link', async () => {
    base('real/sub/a.vhd');
    child('real/child.vhd', [['W2ku', at('linked/sub/a.vhd')]]);
    symlinkSync(at('real'), at('linked'));
    symlinkSync('sub', at('real/other'));
    expect(await chainOf(at('linked/child.vhd'))).toEqual(['linked/child.vhd', 'real/sub/a.vhd']);
    child('real/child.vhd', [['W2ru', '.\\other\\a.vhd']]);
    expect(await chainOf(at('real/child.vhd'))).toEqual(['real/child.vhd', 'real/sub/a.vhd']);
  });

  it('from a path that is relative, and told in the same way', async () => {
    base('snap/a.vhd');
    const path = child('snap/child.vhd', [['W2ru', '.\\a.vhd']]);
    const links = await resolveChain(relative(process.cwd(), path));
    await closeLinks(links);
    const [fromHere, whole] = [relative(process.cwd(), at('snap/a.vhd')), at('snap/a.vhd')];
    expect(links.map((link) => link.path)).toEqual([
      relative(process.cwd(), path),
      fromHere.length < whole.length ? fromHere : whole,
    ]);
  });
});

describe('two images with the same identifier', () => {
  // As minivhd and DOSBox-X make them within a second.
  it('make a chain all the same', async () => {
    image('a.vhd', { id: 7, block: 0 });
    image('b.vhd', { id: 7, block: 1, parent: { id: 7, locators: [['W2ru', '.\\a.vhd']] } });
    const path = image('c.vhd', { id: 7, block: 2, parent: { id: 7, locators: [['W2ru', '.\\b.vhd']] } });
    expect(await chainOf(path)).toEqual(['c.vhd', 'b.vhd', 'a.vhd']);
    await using disk = await openVhd(path);
    expect([...(await disk.readBytes(0, CHAIN_DISK_BYTES))].filter((byte) => byte === 7)).toHaveLength(
      3 * CHAIN_BLOCK_BYTES,
    );
  });

  it('make no image its own parent, under whatever name', async () => {
    const path = image('a.vhd', { id: 7, parent: { id: 7, locators: [['W2ru', '.\\a.vhd']] } });
    expect(await failureOf(path)).toMatchObject({ code: 'ERR_VHD_PARENT_LOOP', storage: path });
    linkSync(path, at('b.vhd'));
    expect(await failureOf(at('b.vhd'))).toMatchObject({ code: 'ERR_VHD_PARENT_LOOP' });
    symlinkSync('a.vhd', at('c.vhd'));
    expect(await failureOf(at('c.vhd'))).toMatchObject({ code: 'ERR_VHD_PARENT_LOOP' });
  });

  it('are told apart by another name', async () => {
    image('a.vhd', { id: 7 });
    const names = [
      ['W2ru', '.\\b.vhd'],
      ['W2ku', 'C:\\a.vhd'],
    ] as const;
    const path = image('b.vhd', { id: 7, parent: { id: 7, locators: names } });
    expect(await chainOf(path)).toEqual(['b.vhd', 'a.vhd']);
  });
});

describe('a loop is refused', () => {
  it('of two and of three', async () => {
    for (const count of [2, 3]) {
      for (let id = 1; id <= count; id++) {
        const next = (id % count) + 1;
        image(`${id}.vhd`, { id, parent: { id: next, locators: [['W2ru', `.\\${next}.vhd`]] } });
      }
      const error = await failureOf(at('1.vhd'));
      expect(error).toMatchObject({ code: 'ERR_VHD_PARENT_LOOP', storage: at(`${count}.vhd`) });
      expect(error.message).toContain(`'${at('1.vhd')}' (W2ru): it is in this chain already`);
    }
  });

  it('and so is a chain that is too long', async () => {
    base('0.vhd');
    for (let id = 2; id <= 4; id++) image(`${id - 1}.vhd`, { id, parent: { id: id - 1, name: `${id - 2}.vhd` } });
    expect(await chainOf(at('3.vhd'), { maxChainLength: 4 })).toHaveLength(4);
    expect(await failureOf(at('3.vhd'), { maxChainLength: 3 })).toMatchObject({
      code: 'ERR_VHD_LIMIT',
      storage: at('1.vhd'),
    });
  });
});

describe('a parent that is not there', () => {
  it('is missing, with every path that was tried', async () => {
    writeFileSync(at('notes.txt'), 'not an image');
    mkdirSync(at('dir.vhd'));
    const path = child('child.vhd', [
      ['W2ru', '.\\gone.vhd'],
      ['W2ku', 'C:\\disks\\dir.vhd'],
      ['MacX', 'file://server/share/notes.txt'],
      ['Wi2r', '.\\notes.txt'],
    ]);
    mkdirSync(at('more'));
    const error = await failureOf(path, { parentDirs: [at('more')] });
    expect(error).toMatchObject({ code: 'ERR_VHD_PARENT_MISSING', storage: path });
    expect(error.remedy).toContain('--parent-dir');
    for (const told of [
      `'${at('gone.vhd')}' (W2ru): no such file`,
      `'C:\\disks\\dir.vhd' (W2ku): a path of Windows`,
      `'${at('dir.vhd')}' (W2ku): a directory`,
      `'file://server/share/notes.txt' (MacX): a file on another machine`,
      `'${at('notes.txt')}' (Wi2r): `,
      `'${at('more/gone.vhd')}' (directory): no such file`,
    ]) {
      expect(error.message).toContain(told);
    }
    expect(error.message).toContain('identifier 01010101-0101-0101-0101-010101010101');
  });

  it('is another image, if only that was found', async () => {
    image('a.vhd', { id: 9 });
    const path = child('child.vhd', [['W2ru', '.\\a.vhd']]);
    const error = await failureOf(path);
    expect(error).toMatchObject({ code: 'ERR_VHD_PARENT_UUID', storage: path });
    expect(error.message).toContain(`'${at('a.vhd')}' (W2ru): another image, with identifier 09090909-`);
  });

  it('may have no name at all', async () => {
    expect((await failureOf(child('child.vhd', []))).message).toMatch(/not named in a way that leads anywhere/);
  });

  it.each(['\u0001\u001b[31m', '\ud800', 'x'.repeat(300), `${'y/'.repeat(4000)}z`, 'a\u202eb', '%00', 'file://%zz'])(
    'may have any name: %j',
    async (name) => {
      const locators = [
        ['W2ru', name],
        ['W2ku', `/${name}`],
        ['MacX', `file://./${name}`],
      ] as const;
      const path = child('child.vhd', locators, { parent: { id: 1, name: name.slice(0, 200) } });
      const error = await failureOf(path);
      expect(error.code).toMatch(/^ERR_VHD_PARENT_(MISSING|OUTSIDE)$/);
      // biome-ignore lint: control characters are what must not be there
      expect(error.message).not.toMatch(/[\u0000-\u001f\u202e]/);
      expect(error.message.length).toBeLessThan(10_000);
    },
  );

  it('is never a pipe or a device', async () => {
    execFileSync('mkfifo', [at('a.vhd')]);
    symlinkSync('/dev/zero', at('b.vhd'));
    const path = child('child.vhd', [
      ['W2ru', '.\\a.vhd'],
      ['W2ku', 'C:\\b.vhd'],
    ]);
    const error = await failureOf(path);
    expect(error.message).toContain(`'${at('a.vhd')}' (W2ru): a pipe or a device`);
    const followed = await failureOf(path, { followParents: true });
    expect(followed.message).toContain(`'${at('b.vhd')}' (W2ku): a pipe or a device`);
  });

  const isRoot = process.getuid?.() === 0;
  it.skipIf(isRoot)(
    `but may be, and cannot be read, is an error of the system${isRoot ? ' (skipped: root may read everything)' : ''}`,
    async () => {
      base('a.vhd');
      chmodSync(at('a.vhd'), 0);
      const path = child('child.vhd', [['W2ru', '.\\a.vhd']]);
      expect(await failureOf(path)).toMatchObject({ code: 'EACCES', path: at('a.vhd') });
    },
  );

  it('but damaged, is told of as damaged', async () => {
    // What tapdisk does to a footer while it has the image open.
    writeFileSync(at('a.vhd'), Buffer.alloc(1024, 0xc7));
    const path = child('child.vhd', [['W2ru', '.\\a.vhd']]);
    expect(await failureOf(path)).toMatchObject({ code: 'ERR_VHD_IN_USE', storage: at('a.vhd') });
  });
});

describe('outside the directory of the child', () => {
  const outside = (): string => {
    base('base/a.vhd');
    return child('snap/child.vhd', [['W2ru', '..\\base\\a.vhd']]);
  };

  it('nothing is followed, and the way to allow it is told', async () => {
    const path = outside();
    const error = await failureOf(path);
    expect(error).toMatchObject({ code: 'ERR_VHD_PARENT_OUTSIDE', storage: path });
    const dir = relative(process.cwd(), at('base'));
    expect(error.remedy).toContain(`add --parent-dir ${dir.length < at('base').length ? dir : at('base')}`);
    expect(error.message).toContain(`'${at('base/a.vhd')}' (W2ru): outside the directories`);
  });

  it('it is the same whether something is there or not', async () => {
    const path = child('snap/child.vhd', [['W2ru', '..\\base\\a.vhd']]);
    const absent = await failureOf(path);
    base('base/a.vhd');
    const present = await failureOf(path);
    expect({ ...present, message: present.message }).toEqual({ ...absent, message: absent.message });
  });

  it.each([
    ['the directory', ['base']],
    ['one above it', ['.']],
    ['another one, and it', ['snap', 'base']],
  ])('parentDirs allow %s', async (_what, dirs) => {
    const path = outside();
    expect(await chainOf(path, { parentDirs: dirs.map(at) })).toEqual(['snap/child.vhd', 'base/a.vhd']);
  });

  it('parentDirs are searched by file name', async () => {
    base('new/a.vhd');
    const path = child('snap/child.vhd', [['W2ru', '..\\base\\a.vhd']]);
    expect(await chainOf(path, { parentDirs: [at('new')] })).toEqual(['snap/child.vhd', 'new/a.vhd']);
    expect(await chainOf(path, { parentDirs: [relative(process.cwd(), at('new'))] })).toHaveLength(2);
  });

  it('a parent that they allow may have its own beside it, and beside the child', async () => {
    image('base/b.vhd', { id: 3, block: 0 });
    image('base/a.vhd', { id: 1, parent: { id: 3, locators: [['W2ru', '.\\b.vhd']] } });
    const path = child('snap/child.vhd', [['W2ru', '..\\base\\a.vhd']]);
    expect(await chainOf(path, { parentDirs: [at('base')] })).toEqual(['snap/child.vhd', 'base/a.vhd', 'base/b.vhd']);
    image('snap/b.vhd', { id: 3, block: 0 });
    image('base/a.vhd', { id: 1, parent: { id: 3, locators: [['W2ru', '..\\snap\\b.vhd']] } });
    expect(await chainOf(path, { parentDirs: [at('base')] })).toEqual(['snap/child.vhd', 'base/a.vhd', 'snap/b.vhd']);
  });

  it('followParents follows', async () => {
    expect(await chainOf(outside(), { followParents: true })).toEqual(['snap/child.vhd', 'base/a.vhd']);
  });

  it.each(['file', 'directory'])('a symbolic link to a %s there leads nowhere', async (kind) => {
    base('base/a.vhd');
    mkdirSync(at('snap'));
    if (kind === 'file') symlinkSync('../base/a.vhd', at('snap/a.vhd'));
    else symlinkSync(at('base'), at('snap/sub'));
    const path = child('snap/child.vhd', [['W2ru', kind === 'file' ? '.\\a.vhd' : '.\\sub\\a.vhd']]);
    const error = await failureOf(path);
    expect(error).toMatchObject({ code: 'ERR_VHD_PARENT_OUTSIDE' });
    expect(error.message).toContain(`a symbolic link to ${at('base/a.vhd')}, outside the directories`);
    expect(await chainOf(path, { parentDirs: [at('base')] })).toEqual(['snap/child.vhd', 'base/a.vhd']);
  });

  it('links in a circle end', async () => {
    symlinkSync('b.vhd', at('a.vhd'));
    symlinkSync('a.vhd', at('b.vhd'));
    const error = await failureOf(child('child.vhd', [['W2ru', '.\\a.vhd']]));
    expect(error.message).toContain('too many symbolic links');
  });

  it('a directory that is not there is an error of the system', async () => {
    expect(await failureOf(outside(), { parentDirs: [at('nosuch')] })).toMatchObject({ code: 'ENOENT' });
  });
});

describe('a parent that fits badly', () => {
  it('with another time stamp is a finding', async () => {
    base('a.vhd');
    const path = child('child.vhd', [['W2ru', '.\\a.vhd']], { parent: { id: 1, timestamp: 600_000_000 } });
    await using disk = await openVhd(path);
    expect(disk.findings).toMatchObject([
      {
        rule: 'parent.timestamp',
        severity: 'warning',
        expected: '2019-01-05T10:40:00Z',
        found: '2022-03-07T20:26:40Z',
      },
    ]);
  });

  it('with another time stamp is refused under strictParent, with nothing left open', async () => {
    base('a.vhd');
    const path = child('child.vhd', [['W2ru', '.\\a.vhd']], { parent: { id: 1, timestamp: 600_000_000 } });
    expect(await failureOf(path, { strictParent: true })).toMatchObject({
      code: 'ERR_VHD_PARENT_CHANGED',
      storage: path,
      rule: 'parent.timestamp',
    });
  });

  it('of no time stamp, or the time of the file, is right', async () => {
    base('a.vhd');
    const unknown = child('child.vhd', [['W2ru', '.\\a.vhd']], { parent: { id: 1, timestamp: 0 } });
    expect(await chainOf(unknown, { strictParent: true })).toHaveLength(2);
    const seconds = 946_684_800 + 600_000_000;
    utimesSync(at('a.vhd'), seconds, seconds);
    const byFile = child('child.vhd', [['W2ru', '.\\a.vhd']], { parent: { id: 1, timestamp: 600_000_000 } });
    expect(await chainOf(byFile, { strictParent: true })).toHaveLength(2);
  });

  it.each([
    ['smaller', CHAIN_DISK_BYTES / 2, 'note'],
    ['larger', CHAIN_DISK_BYTES * 2, 'warning'],
  ])('because it is %s, is a finding', async (what, size, severity) => {
    image('a.vhd', { id: 1, size });
    const path = child('child.vhd', [['W2ru', '.\\a.vhd']]);
    await using disk = await openVhd(path);
    const message = expect.stringContaining(`the parent is ${what}`) as string;
    expect(disk.findings).toEqual([expect.objectContaining({ rule: 'parent.size', severity, message })]);
  });
});

describe('a raw parent, as of blktap', () => {
  const raw = (bytes = new Uint8Array(CHAIN_DISK_BYTES).fill(5)): string => {
    writeFileSync(at('base.img'), bytes);
    return child('child.vhd', [['W2ru', '.\\base.img']], { parent: { id: 0 } });
  };

  it('is opened only when it is said', async () => {
    const path = raw();
    expect(await failureOf(path)).toMatchObject({
      code: 'ERR_VHD_PARENT_UUID',
      remedy: 'if it is, add --allow-raw-parent',
    });
    await using disk = await openVhd(path, { allowRawParent: true });
    const bytes = await disk.readBytes(0, disk.size);
    expect([bytes[0], bytes[CHAIN_BLOCK_BYTES], bytes[2 * CHAIN_BLOCK_BYTES]]).toEqual([5, 2, 5]);
  });

  it('is no VHD of another identifier, and no parent of a child that names one', async () => {
    image('base.img', { id: 4 });
    const path = child('child.vhd', [['W2ru', '.\\base.img']], { parent: { id: 0 } });
    expect(await failureOf(path, { allowRawParent: true })).toMatchObject({ code: 'ERR_VHD_PARENT_UUID' });
    raw();
    const named = child('child.vhd', [['W2ru', '.\\base.img']]);
    expect(await failureOf(named, { allowRawParent: true })).toMatchObject({ code: 'ERR_VHD_PARENT_MISSING' });
  });

  it('is a whole number of sectors', async () => {
    const path = raw(new Uint8Array(1000));
    await expect(openVhd(path, { allowRawParent: true })).rejects.toMatchObject({ code: 'ERR_VHD_SIZE' });
    expect(folder.openPaths()).toEqual([]);
  });
});

describe('an opened chain', () => {
  const made = (): string => {
    base('a.vhd');
    return child('child.vhd', [['W2ru', '.\\a.vhd']]);
  };

  it('reads through, and closes everything', async () => {
    const disk = await openVhd(made());
    const bytes = await disk.readBytes(0, disk.size);
    expect([0, 1, 2].map((block) => bytes[block * CHAIN_BLOCK_BYTES])).toEqual([1, 2, 0]);
    expect(folder.openPaths()).toHaveLength(2);
    await disk.close();
    expect(folder.openPaths()).toEqual([]);
  });

  it('is written to in the child alone', async () => {
    const path = made();
    copyFileSync(at('a.vhd'), at('before.vhd'));
    const disk = await openVhd(path, { writable: true });
    await disk.write(new Uint8Array(700).fill(9), 100);
    await disk.close();
    execFileSync('cmp', [at('a.vhd'), at('before.vhd')]);
    await using again = await openVhd(path);
    const bytes = await again.readBytes(0, 1024);
    expect([bytes[99], bytes[100], bytes[799], bytes[800]]).toEqual([1, 9, 9, 1]);
  });

  it.skipIf(noLocks !== undefined)('has its parents locked for reading, unless it locks nothing', async () => {
    const path = made();
    const disk = await openVhd(path, { writable: true });
    await expect(openVhd(at('a.vhd'), { writable: true })).rejects.toMatchObject({ code: 'ERR_VHD_IN_USE' });
    await disk.close();
    const writer = await openVhd(at('a.vhd'), { writable: true });
    await expect(openVhd(path)).rejects.toMatchObject({ code: 'ERR_VHD_IN_USE', storage: at('a.vhd') });
    await (await openVhd(path, { lock: false })).close();
    await writer.close();
  });

  it('tells of a parent that changed while it was read', async () => {
    const { disk, checkUnchanged, parentPaths } = await openDisk(made());
    expect(parentPaths).toEqual([at('a.vhd')]);
    await checkUnchanged();
    writeFileSync(at('a.vhd'), 'x', { flag: 'a' });
    await expect(checkUnchanged()).rejects.toMatchObject({ code: 'ERR_VHD_SOURCE_CHANGED', storage: at('a.vhd') });
    await disk.close();
  });

  it('of a storage wants its parent, or where to look for it', async () => {
    const path = made();
    const storage = async (): Promise<FileStorage> => FileStorage.open(path);
    await expect(openVhd(await storage())).rejects.toMatchObject({ code: 'ERR_VHD_PARENT_MISSING' });
    await (await openVhd(await storage(), { parentDirs: [dirname(path)] })).close();
    await (await openVhd(await storage(), { parent: await openVhd(at('a.vhd')) })).close();
    await (await openVhd(path, { parent: await openVhd(at('a.vhd')) })).close();
    expect(folder.openPaths()).toEqual([]);
  });

  it('tells what is wrong with a parent, and leaves nothing open', async () => {
    const path = made();
    image('a.vhd', { id: 1, block: 0, shape: { header: { headerVersion: 7 } } });
    await expect(openVhd(path)).rejects.toMatchObject({ code: 'ERR_VHD_UNSUPPORTED', storage: at('a.vhd') });
    expect(folder.openPaths()).toEqual([]);
    expect(await failureOf(path)).toMatchObject({ code: 'ERR_VHD_UNSUPPORTED', storage: at('a.vhd') });
  });

  it('tells of warnings about its parents', async () => {
    const path = made();
    image('a.vhd', { id: 1, block: 0, shape: { endFooter: 'none' } });
    await using disk = await openVhd(path);
    const message = expect.stringMatching(/a\.vhd: the footer at the end is missing/) as string;
    expect(disk.findings).toEqual([expect.objectContaining({ rule: 'footer.end-missing', message })]);
  });
});

describe('options', () => {
  it.each([
    [{ parentDirs: 'x' }, 'parentDirs: expected an array of paths'],
    [{ parentDirs: [1] }, 'parentDirs: expected an array of paths'],
    [{ followParents: 1 }, 'followParents: expected true or false'],
    [{ strictParent: 'yes' }, 'strictParent: expected true or false'],
    [{ allowRawParent: null }, 'allowRawParent: expected true or false'],
    [{ maxChainLength: 0 }, 'maxChainLength: expected a whole number from 1 on'],
    [{ maxChainLength: 1.5 }, 'maxChainLength: expected a whole number from 1 on'],
  ])('%j are misuse', async (given, message) => {
    const options = given as unknown as ChainOptions;
    await expect(openVhd(new MemoryStorage(), options)).rejects.toThrow(message);
    await expect(openDisk(new MemoryStorage(), options)).rejects.toThrow(message);
    await expect(resolveChain('nosuch', options)).rejects.toThrow(message);
  });

  it('of a chain of one do nothing', async () => {
    expect(await chainOf(base('a.vhd'), { maxChainLength: 1, parentDirs: ['nosuch'] })).toEqual(['a.vhd']);
  });
});

afterAll(() => {
  expect(folder.openPaths()).toEqual([]);
});
