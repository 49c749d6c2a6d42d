import { readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { formatUuid } from '../../src/format/uuid.ts';
import { openDisk, openVhd } from '../../src/open.ts';
import { resolveChain } from '../../src/open-chain.ts';
import type { Journal } from '../../src/open-journal.ts';
import type { ChainOptions } from '../../src/open-parent-options.ts';
import { writeJournal } from '../../src/ops/journal.ts';
import { FileStorage } from '../../src/storage/file.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { CHAIN_BLOCK_BYTES, CHAIN_DISK_BYTES, ChainFolder, chainUuid } from '../support/chain-files.ts';
import { whyNoLocks } from '../support/locks.ts';

const noLocks = await whyNoLocks();
const chains = new ChainFolder();
const { at, base, chainOf, child, failureOf, image, openPaths } = chains;

beforeEach(chains.begin);

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
    expect(openPaths()).toEqual([]);
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
    expect(openPaths()).toHaveLength(2);
    await disk.close();
    expect(openPaths()).toEqual([]);
  });

  it('is written to in the child alone', async () => {
    const path = made();
    const before = readFileSync(at('a.vhd'));
    const disk = await openVhd(path, { writable: true });
    await disk.write(new Uint8Array(700).fill(9), 100);
    await disk.close();
    expect(readFileSync(at('a.vhd')).equals(before)).toBe(true);
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
    expect(openPaths()).toEqual([]);
  });

  it('tells what is wrong with a parent, and leaves nothing open', async () => {
    const path = made();
    image('a.vhd', { id: 1, block: 0, shape: { header: { headerVersion: 7 } } });
    await expect(openVhd(path)).rejects.toMatchObject({ code: 'ERR_VHD_UNSUPPORTED', storage: at('a.vhd') });
    expect(openPaths()).toEqual([]);
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

describe('an operation that was not finished', () => {
  const journal = (verb: Journal['verb'], of: number, more: Partial<Journal> = {}): Journal => ({
    ...{ verb, uuid: formatUuid(chainUuid(of)), startedAt: '2026-11-24T10:00:00.000Z' },
    ...{ fileSize: 1, fileSizeAfter: 1, writes: [], ...more },
  });
  const merge = (of: number, child: number): Journal => {
    return journal('merge', of, { childUuid: formatUuid(chainUuid(child)), childPath: '/child.vhd' });
  };
  /** `top.vhd` over `child.vhd` over `a.vhd`, and `other.vhd` over that too. */
  const made = (): void => {
    base('a.vhd');
    child('child.vhd', [['W2ru', '.\\a.vhd']]);
    child('other.vhd', [['W2ru', '.\\a.vhd']], { id: 5 });
    image('top.vhd', { id: 3, parent: { id: 2, locators: [['W2ru', '.\\child.vhd']] } });
  };

  it('on an image keeps readers and writers away', async () => {
    made();
    await writeJournal(at('top.vhd'), journal('relink', 3));
    for (const open of [openVhd, openDisk]) {
      await expect(open(at('top.vhd'))).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL', storage: at('top.vhd') });
    }
    await expect(openVhd(at('top.vhd'), { writable: true })).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL' });
    expect(openPaths()).toEqual([]);
  });

  it('on a parent keeps readers away', async () => {
    made();
    await writeJournal(at('child.vhd'), journal('relink', 2));
    expect(await failureOf(at('top.vhd'))).toMatchObject({ code: 'ERR_VHD_JOURNAL', storage: at('child.vhd') });
  });

  it('that merges into a parent keeps away those who do not read through the child', async () => {
    made();
    await writeJournal(at('a.vhd'), merge(1, 2));
    expect(await chainOf(at('top.vhd'))).toEqual(['top.vhd', 'child.vhd', 'a.vhd']);
    expect(await chainOf(at('child.vhd'))).toEqual(['child.vhd', 'a.vhd']);
    expect(await failureOf(at('other.vhd'))).toMatchObject({ code: 'ERR_VHD_JOURNAL', storage: at('a.vhd') });
    await expect(openVhd(at('a.vhd'))).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL' });
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
