// A sector written into dynamic images by some thirty programs: it is there, nothing else has changed, and whoever read
// the image before still reads it.
import { copyFile, rm } from 'node:fs/promises';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openVhd } from '../../src/open.ts';
import { compare } from '../../src/ops/compare.ts';
import { pattern } from '../support/bytes.ts';
import { corpusImages, describeWithCorpus, unpackCorpus } from '../support/corpus.ts';
import { runPeer, stub, whyMissing } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';
import { Contents } from './contents.ts';
import { chunksOf } from './digests.ts';
import { expectDiskHolds } from './ours.ts';
import { expectQemuSame, expectSevenZipHolds, sevenZipSize } from './readers.ts';

/** Above this, the bytes are compared only by qemu, which skips holes. */
const EXTRACT_LIMIT = 128 * 1024 * 1024;

/** Merged into its child by blktap, which marked it so and is going to delete it. */
const HIDDEN = 'gen-blktap/bt-hidden.vhd';

const subjects = corpusImages.filter(
  ({ name, diskType, isDamaged, raw }) => diskType === 3 && !isDamaged && raw?.size !== 0 && name !== HIDDEN,
);

describeWithCorpus('a sector written into an image of the corpus', () => {
  const temp = useTempFolder('corpus-write');
  const changed = (): string => temp.file('changed.vhd');
  const raw = (): string => temp.file('changed.raw');
  /** The name that the index gives to the qemu that is here. */
  let qemuKey = '';

  beforeAll(async () => {
    await unpackCorpus(temp.path);
    if (whyMissing('qemu-img') !== undefined) return;
    const { stdout } = await runPeer('qemu-img', ['--version']);
    qemuKey = Number(/version (\d+)/.exec(stdout)?.[1]) < 10 ? 'qemu7.2' : 'qemu11.1';
  });

  afterEach(async () => {
    await rm(changed(), { force: true });
    await rm(raw(), { force: true });
  });

  test('has many to be tried on', () => {
    expect(subjects.length).toBeGreaterThan(90);
  });

  test('is refused where the image is marked as hidden', async () => {
    await expect(openVhd(temp.file(HIDDEN), { writable: true })).rejects.toMatchObject({ code: 'ERR_VHD_IN_USE' });
  });

  for (const peer of ['qemu-img', '7z'] as const) {
    const reason = whyMissing(peer);
    if (reason !== undefined) stub(`is read by ${peer} where it read the image before`, reason);
  }

  describe('is there, changes nothing else, and hinders no reader', () => {
    for (const { name, agree } of subjects) {
      test(name, async () => {
        await copyFile(temp.file(name), changed());
        const { contents: expected, middle } = await writeInTheMiddle(changed());

        const disk = await openVhd(changed());
        await expectDiskHolds(disk, expected);
        await disk.close();

        const { ranges, tail } = await compare(temp.file(name), changed(), { from: 'vhd' });
        expect([ranges, tail]).toMatchObject([[{ start: middle, length: 512 }], null]);

        // Whoever compares all bytes compares the size as well.
        if (agree.includes(qemuKey)) {
          await expected.writeRaw(raw());
          await expectQemuSame(changed(), raw());
          expect(await compare(changed(), raw(), { fromA: 'vhd', fromB: 'raw' })).toMatchObject({ equal: true });
        }
        if (whyMissing('7z') === undefined && agree.some((key) => ['7z', '7z(info)'].includes(key))) {
          if (expected.size < EXTRACT_LIMIT) await expectSevenZipHolds(changed(), expected);
          else expect(await sevenZipSize(changed())).toBe(expected.size);
        }
      });
    }
  });
});

/** Writes the sector; returns where, and what the disk must hold now, by what it held before. */
async function writeInTheMiddle(path: string): Promise<{ contents: Contents; middle: number }> {
  const disk = await openVhd(path, { writable: true });
  const places = [];
  for await (const place of chunksOf(disk)) places.push(place);
  const position = Math.floor(disk.size / 1024) * 512;
  const sector = pattern(512, 77);
  await disk.write(sector, position);
  await disk.close();
  return { contents: new Contents(disk.size, places).with(position, sector), middle: position };
}
