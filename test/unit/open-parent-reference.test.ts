import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { posix, win32 } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ParentReference } from '../../src/format/parent-reference.ts';
import { parentReferenceBetween, parentReferenceFor } from '../../src/open-parent-reference.ts';
import { useTempFolder } from '../support/temp.ts';

const FOOTER = { uniqueId: Uint8Array.from({ length: 16 }, (_, index) => index + 1), timestamp: 4711 };
const folder = useTempFolder('parent-reference');

function namesIn({ locators }: ParentReference): string[] {
  return locators.map(({ platformCode, bytes }) => {
    return `${platformCode} ${Buffer.from(bytes).toString(platformCode === 'MacX' ? 'utf8' : 'utf16le')}`;
  });
}

const between = (child: string, parent: string, path = posix): string[] => {
  return namesIn(parentReferenceBetween(child, parent, FOOTER, path));
};

describe('parentReferenceBetween', () => {
  it('names a parent beside the child on Windows as Windows 10 does, and for Macintosh and blktap', () => {
    const reference = parentReferenceBetween('C:\\vm\\child.vhd', 'C:\\vm\\win 8.vhd', FOOTER, win32);
    expect(reference).toMatchObject({ ...FOOTER, name: 'C:\\vm\\win 8.vhd' });
    expect(namesIn(reference)).toEqual([
      'W2ku C:\\vm\\win 8.vhd',
      'W2ru .\\win 8.vhd',
      'MacX file://./win%208.vhd',
      'MacX file://localhost/C:/vm/win%208.vhd',
    ]);
  });

  it('leads up and down', () => {
    expect(between('C:\\vm\\a\\c.vhd', 'C:\\vm\\b\\p.vhd', win32).slice(1, 3)).toEqual([
      'W2ru ..\\b\\p.vhd',
      'MacX file://../b/p.vhd',
    ]);
    expect(between('/vm/c.vhd', '/vm/sub/p.vhd')).toEqual([
      'W2ku /vm/sub/p.vhd',
      'W2ru .\\sub\\p.vhd',
      'MacX file://./sub/p.vhd',
      'MacX file://localhost/vm/sub/p.vhd',
    ]);
    expect(between('/c.vhd', '/..p.vhd')[1]).toBe('W2ru .\\..p.vhd');
  });

  it('has no relative name from one drive to another', () => {
    expect(between('C:\\c.vhd', 'D:\\vm\\p.vhd', win32)).toEqual([
      'W2ku D:\\vm\\p.vhd',
      'MacX file://localhost/D:/vm/p.vhd',
    ]);
    expect(between('C:\\c.vhd', '\\\\server\\share\\p.vhd', win32)).toEqual([
      'W2ku \\\\server\\share\\p.vhd',
      'MacX file://server/share/p.vhd',
    ]);
  });

  it('leaves away what would name another file', () => {
    expect(between('/vm/c.vhd', '/vm/a\\b.vhd')).toEqual([
      'W2ku /vm/a\\b.vhd',
      'MacX file://./a%5Cb.vhd',
      'MacX file://localhost/vm/a%5Cb.vhd',
    ]);
    expect(between('C:\\c.vhd', 'C:\\\ud800.vhd', win32)).toEqual(['W2ku C:\\\ud800.vhd', 'W2ru .\\\ud800.vhd']);
  });
});

describe('parentReferenceFor', () => {
  it.skipIf(process.platform === 'win32')('follows directories to where they are, since .. leads up from there', async () => {
    const top = folder.file('top');
    await mkdir(`${top}/real/deep`, { recursive: true });
    await symlink('real/deep', `${top}/link`);
    await writeFile(`${top}/real/p.vhd`, '');
    const reference = await parentReferenceFor(`${top}/link/c.vhd`, `${top}/real/p.vhd`, FOOTER);
    expect(namesIn(reference)[1]).toBe('W2ru ..\\p.vhd');
    expect(reference.name).toMatch(/\/real\/p\.vhd$/);
    await symlink('p.vhd', `${top}/real/latest.vhd`);
    expect(namesIn(await parentReferenceFor(`${top}/c.vhd`, `${top}/real/latest.vhd`, FOOTER))[1]).toBe(
      'W2ru .\\real\\latest.vhd',
    );
  });

  it('names what is not there', async () => {
    const reference = await parentReferenceFor(folder.file('no/c.vhd'), folder.file('no/p.vhd'), FOOTER);
    expect(namesIn(reference)[1]).toBe('W2ru .\\p.vhd');
  });
});
