import { closeSync, openSync, renameSync, truncateSync, utimesSync, writeFileSync, writeSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { FileStorage } from '../../../src/storage/file.ts';
import { FileWatch } from '../../../src/storage/file-watch.ts';
import { pattern } from '../../support/bytes.ts';
import { useTempFolder } from '../../support/temp.ts';

const folder = useTempFolder('file-watch');
const SECONDS = 1_700_000_000;
let path: string;

beforeEach(() => {
  path = folder.file('disk.raw');
  writeFileSync(path, pattern(8192));
  utimesSync(path, SECONDS, SECONDS);
});

function overwrite(position: number): void {
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.from('changed'), 0, 7, position);
  closeSync(file);
}

async function outcomeAfter(change: () => void): Promise<unknown> {
  const storage = await FileStorage.open(path);
  try {
    const watch = await FileWatch.start(storage);
    expect(watch.byteLength).toBe(8192);
    change();
    return await watch.check().then(
      () => 'unchanged',
      (error: unknown) => error,
    );
  } finally {
    await storage.close();
  }
}

describe('FileWatch', () => {
  it.each<[string, () => void, string, string]>([
    ['grown', () => writeFileSync(path, pattern(10), { flag: 'a' }), '8192 bytes', '8202 bytes'],
    ['cut short', () => truncateSync(path, 100), '8192 bytes', '100 bytes'],
    ['emptied', () => truncateSync(path, 0), '8192 bytes', '0 bytes'],
    ['written to in its middle', () => overwrite(4096), 'modified 2023-11-14T22:13:20.000000000Z', '8192 bytes'],
    [
      'touched by a quarter of a second',
      () => utimesSync(path, SECONDS, SECONDS + 0.25),
      '20.000000000Z',
      '20.250000000Z',
    ],
  ])('tells that a file was %s', async (_how, change, expected, found) => {
    expect(await outcomeAfter(change)).toMatchObject({
      code: 'ERR_VHD_SOURCE_CHANGED',
      storage: path,
      expected: expect.stringContaining(expected) as string,
      found: expect.stringContaining(found) as string,
      message: expect.stringMatching(/^the source changed while it was read: expected .*, found /) as string,
    });
  });

  it.each([0, 505, 8192 - 512, 8192 - 7])(
    'tells that the bytes at %d were changed where time and size are the same',
    async (position) => {
      const change = (): void => {
        overwrite(position);
        utimesSync(path, SECONDS, SECONDS);
      };
      expect(await outcomeAfter(change)).toMatchObject({
        code: 'ERR_VHD_SOURCE_CHANGED',
        message: 'the source changed while it was read: expected the same bytes at both ends, found others',
      });
    },
  );

  it('has the time before 1970 right', async () => {
    utimesSync(path, new Date(-1500), new Date(-1500));
    expect(await outcomeAfter(() => truncateSync(path, 0))).toMatchObject({
      expected: '8192 bytes, modified 1969-12-31T23:59:58.500000000Z',
    });
  });

  it.each<[string, () => void]>([
    ['nothing happened', () => undefined],
    ['it was read', () => utimesSync(path, SECONDS + 100, SECONDS)],
    [
      'its name went to another file',
      () => {
        writeFileSync(`${path}.new`, 'new');
        renameSync(`${path}.new`, path);
      },
    ],
  ])('lets pass that %s', async (_how, change) => {
    expect(await outcomeAfter(change)).toBe('unchanged');
  });

  it.each([0, 1, 511, 700])('takes files of %d bytes', async (byteLength) => {
    truncateSync(path, byteLength);
    const storage = await FileStorage.open(path);
    const watch = await FileWatch.start(storage);
    await watch.check();
    writeFileSync(path, 'x', { flag: 'a' });
    const cause = new Error('behind it');
    await expect(watch.check(cause)).rejects.toMatchObject({ code: 'ERR_VHD_SOURCE_CHANGED', cause });
    await storage.close();
  });
});
