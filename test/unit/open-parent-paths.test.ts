import { posix, win32 } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ParentName } from '../../src/disk/parent-names.ts';
import { parentPaths } from '../../src/open-parent-paths.ts';

const POSIX = { childDirs: ['/vm/snap'], parentDirs: ['/base'] };
const WINDOWS = { childDirs: ['D:\\vm\\snap'], parentDirs: ['E:\\base'] };

/** What is tried, as `source path` or `source path (problem)`. */
function tried(
  names: readonly ParentName[],
  on: 'posix' | 'win32',
  places = on === 'posix' ? POSIX : WINDOWS,
): string[] {
  return parentPaths(names, places, on === 'posix' ? posix : win32).map(({ source, path, problem }) => {
    return `${source} ${path}${problem === undefined ? '' : ` (${problem})`}`;
  });
}

const name = (source: ParentName['source'], text: string): ParentName => ({ source, text });

describe('the paths of a parent', () => {
  it('of a child as Windows 10 makes it, on Windows', () => {
    const names = [
      name('W2ru', '.\\win8.vhd'),
      name('W2ku', 'C:\\Users\\s\\win8.vhd'),
      name('name', 'C:\\Users\\s\\win8.vhd'),
    ];
    expect(tried(names, 'win32')).toEqual([
      'W2ru D:\\vm\\snap\\win8.vhd',
      'W2ku C:\\Users\\s\\win8.vhd',
      'directory E:\\base\\win8.vhd',
    ]);
    expect(tried(names, 'posix')).toEqual([
      'W2ru /vm/snap/win8.vhd',
      'W2ku C:\\Users\\s\\win8.vhd (a path of Windows)',
      'directory /base/win8.vhd',
    ]);
  });

  it('begin with what the locators say; the name field has the first word where only file names count', () => {
    const names = [name('W2ru', '..\\base\\old.vhd'), name('name', '/disks/new.vhd')];
    expect(tried(names, 'posix')).toEqual([
      'W2ru /vm/base/old.vhd',
      'name /disks/new.vhd',
      'name /vm/snap/new.vhd',
      'W2ru /vm/snap/old.vhd',
      'directory /base/new.vhd',
      'directory /base/old.vhd',
    ]);
  });

  it('begin in every directory of the child', () => {
    const places = { childDirs: ['/links', '/real'], parentDirs: [] };
    expect(tried([name('W2ru', 'sub\\a.vhd')], 'posix', places)).toEqual([
      'W2ru /links/sub/a.vhd',
      'W2ru /real/sub/a.vhd',
      'W2ru /links/a.vhd',
      'W2ru /real/a.vhd',
    ]);
  });

  it.each([
    ['W2ru', '.\\a.vhd', '/vm/snap/a.vhd'],
    ['W2ru', './a.vhd', '/vm/snap/a.vhd'],
    ['W2ru', 'a.vhd', '/vm/snap/a.vhd'],
    ['W2ru', '..\\..\\b/a.vhd', '/b/a.vhd'],
    // As DiscUtils writes it on Linux, and blktap a relative one in every locator.
    ['W2ru', '..\\/tmp/gen/a.vhd', '/vm/tmp/gen/a.vhd'],
    ['W2ku', '.\\a.vhd', '/vm/snap/a.vhd'],
    ['W2ku', '/w/vbox/a.vhd', '/w/vbox/a.vhd'],
    ['W2ku', '\\w\\dosboxx\\a.vhd', '/w/dosboxx/a.vhd'],
    ['MacX', 'file://./a.vhd', '/vm/snap/a.vhd'],
    ['MacX', 'file://localhost/w/a%20b.vhd', '/w/a b.vhd'],
    ['MacX', '/w/a.vhd', '/w/a.vhd'],
    ['Wi2k', '.\\sub\\a.vhd', '/vm/snap/sub/a.vhd'],
    ['name', 'a.vhd', '/vm/snap/a.vhd'],
  ] as const)('%s %s begins with %s here', (source, text, path) => {
    expect(tried([name(source, text)], 'posix')[0]).toBe(`${source} ${path}`);
  });

  it.each([
    ['W2ru', '.\\a.vhd', 'D:\\vm\\snap\\a.vhd'],
    ['W2ru', '../b/a.vhd', 'D:\\vm\\b\\a.vhd'],
    ['W2ku', 'C:/b/a.vhd', 'C:\\b\\a.vhd'],
    ['W2ku', '\\b\\a.vhd', 'D:\\b\\a.vhd'],
    ['W2ku', '\\\\?\\C:\\b\\a.vhd', 'C:\\b\\a.vhd'],
    ['W2ku', '\\\\server\\share\\a.vhd', '\\\\server\\share\\a.vhd'],
    ['MacX', 'file:///C:/b/a%20b.vhd', 'C:\\b\\a b.vhd'],
  ] as const)('%s %s begins with %s on Windows', (source, text, path) => {
    expect(tried([name(source, text)], 'win32')[0]).toBe(`${source} ${path}`);
  });

  it.each([
    ['posix', 'W2ku', 'C:\\b\\a.vhd', 'a path of Windows'],
    ['posix', 'W2ku', '\\\\server\\share\\a.vhd', 'a path of Windows'],
    ['posix', 'W2ku', '\\\\?\\C:\\a.vhd', 'a path of Windows'],
    ['posix', 'MacX', 'file://server/b/a.vhd', 'a file on another machine'],
    ['posix', 'W2ru', '\ud800a.vhd', 'no file can have this name'],
    ['win32', 'W2ku', '/w/a.vhd', 'a path of another system'],
    ['win32', 'W2ku', '\\\\.\\PhysicalDrive0', 'a device'],
    ['win32', 'W2ru', '.\\a.vhd:stream', 'no path of a file'],
    ['win32', 'W2ku', 'C:a.vhd', 'no path of a file'],
  ] as const)('on %s %s %s leads nowhere: %s', (on, source, text, problem) => {
    expect(tried([name(source, text)], on)[0]).toBe(`${source} ${text} (${problem})`);
  });

  it('may have a backslash in a name where the system has that', () => {
    expect(tried([name('W2ku', '/w/a\\b.vhd')], 'posix').slice(0, 2)).toEqual(['W2ku /w/a\\b.vhd', 'W2ku /w/a/b.vhd']);
  });

  it.each(['..', '.', '..\\..', '\\', '/'])('do not take %s for a file name', (text) => {
    expect(tried([name('name', text)], 'posix')).toHaveLength(1);
    expect(tried([name('name', text)], 'win32')).toHaveLength(1);
  });

  it('are none without a name', () => {
    expect(tried([], 'posix')).toEqual([]);
  });
});
