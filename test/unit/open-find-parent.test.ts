import { execFileSync } from 'node:child_process';
import { chmodSync, linkSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { openVhd } from '../../src/open.ts';
import { closeLinks, resolveChain } from '../../src/open-chain.ts';
import { CHAIN_BLOCK_BYTES, CHAIN_DISK_BYTES, ChainFolder } from '../support/chain-files.ts';

const chains = new ChainFolder();
const { at, base, chainOf, child, failureOf, image, openPaths } = chains;

beforeEach(chains.begin);

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
    expect(new Set(openPaths()).size).toBe(openPaths().length);
    await closeLinks(links);
    expect(openPaths()).toEqual([]);
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
    execFileSync('sh', ['-c', 'mkfifo "$0"', at('a.vhd')]);
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

  it('but under another name, is told with the command that mends it', async () => {
    base('snap/renamed.vhd');
    image('snap/other.vhd', { id: 7 });
    const path = child('snap/child.vhd', [['W2ru', '.\\a.vhd']]);
    const remedy = (found: string): string => `vhd relink ${path} --parent ${found}   (has that identifier)`;
    expect(await failureOf(path)).toMatchObject({
      code: 'ERR_VHD_PARENT_MISSING',
      remedy: remedy(at('snap/renamed.vhd')),
    });
    renameSync(at('snap/other.vhd'), at('snap/a.vhd'));
    expect(await failureOf(path)).toMatchObject({
      code: 'ERR_VHD_PARENT_UUID',
      remedy: remedy(at('snap/renamed.vhd')),
    });
    mkdirSync(at('bases'));
    renameSync(at('snap/renamed.vhd'), at('bases/renamed.vhd'));
    expect((await failureOf(path)).remedy).toContain('--parent-dir');
    const inDirs = await failureOf(path, { parentDirs: [at('bases')] });
    expect(inDirs).toMatchObject({ remedy: remedy(at('bases/renamed.vhd')) });
  });

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
    for (const field of ['code', 'message', 'found', 'remedy'] as const) {
      expect(Reflect.get(present, field)).toEqual(Reflect.get(absent, field));
    }
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
