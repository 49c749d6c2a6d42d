// The images that are written for others: what the index says of them holds, read anew from the files.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { VhdError } from '../../src/errors.ts';
import { openVhd } from '../../src/open.ts';
import { defects } from '../support/defects.ts';
import { BASE_NAMES } from '../support/defects-bases.ts';
import { codeOf } from '../support/defects-open.ts';
import { type Fixture, type FixtureIndex, writeFixtures } from '../support/fixtures.ts';
import { useTempFolder } from '../support/temp.ts';

/** An unnamed raw parent is opened only by who allows it: a reader that does has to give the bytes. */
const ALLOWED = { allowRawParent: true } as const;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Reads a disk as the index wants it: zeros in the place of what is refused. */
async function contentOf(path: string, fixture: Fixture): Promise<Uint8Array> {
  const disk = await openVhd(path, fixture.rule === null ? ALLOWED : {});
  try {
    const content = new Uint8Array(disk.size);
    let position = 0;
    for (const { start, length } of [...fixture.unreadable, { start: disk.size, length: 0 }]) {
      await disk.read(content.subarray(position, start), position);
      const refused = disk.readBytes(start, length).then(() => 'read', codeOf);
      if (length > 0) expect(await refused).toBe(fixture.code);
      position = start + length;
    }
    return content;
  } finally {
    await disk.close();
  }
}

describe('the fixtures', () => {
  const folder = useTempFolder('fixtures');
  let index: FixtureIndex = { schema: 'vhdkit/fixtures/1', images: [] };

  beforeAll(async () => {
    await writeFixtures(folder.file('all'));
    index = JSON.parse(await readFile(folder.file('all/index.json'), 'utf8')) as FixtureIndex;
  });

  it('are all bases and all defects', () => {
    expect(index.images.map(({ path }) => path.split('/')[1])).toEqual([
      ...BASE_NAMES,
      ...defects.map(({ name }) => name),
    ]);
  });

  it('are what the index says', async () => {
    for (const fixture of index.images) {
      const path = join(folder.file('all'), fixture.path);
      expect([fixture.path, sha256(await readFile(path))]).toEqual([fixture.path, fixture.sha256]);
      if (fixture.parent !== null) await readFile(join(folder.file('all'), fixture.parent));
      const found = await contentOf(path, fixture).then(sha256, (error: unknown) => {
        if (error instanceof VhdError) return error.code;
        throw error;
      });
      expect([fixture.path, found]).toEqual([fixture.path, fixture.contentSha256 ?? fixture.code]);
    }
  });

  it('are the same in every run', async () => {
    const again = await writeFixtures(folder.file('again'));
    expect(again).toEqual(index);
    await expect(writeFixtures(folder.file('again'))).rejects.toThrow('expected an empty folder');
  });
});
