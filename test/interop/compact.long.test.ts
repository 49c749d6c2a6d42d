// What was compacted is read in full by the other programs, with the same bytes.
import { copyFile, rm } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';
import { openVhd } from '../../src/open.ts';
import { check } from '../../src/ops/check.ts';
import { compact } from '../../src/ops/compact.ts';
import { corpusImages, describeWithCorpus, unpackCorpus } from '../support/corpus.ts';
import { describeWithPeers, type PeerName, runPeer, testWithPeers } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';
import { Contents } from './contents.ts';
import { chunksOf } from './digests.ts';
import { expectDiskHolds } from './ours.ts';
import { expectFileHolds, expectQemuSame, expectSevenZipHolds, withVhdiMount } from './readers.ts';

const MIB = 1024 * 1024;
const PEERS: readonly PeerName[] = ['qemu-img', 'qemu-io', '7z', 'vhdimount'];
const temp = useTempFolder('compact-interop');

async function contentsOf(path: string): Promise<Contents> {
  await using disk = await openVhd(path);
  const places = [];
  for await (const place of chunksOf(disk)) places.push(place);
  return new Contents(disk.size, places);
}

/** Zeros over the first block that the file has: it goes, and the last one in the file takes its place. */
async function zeroFirstBlock(path: string): Promise<void> {
  await using disk = await openVhd(path, { writable: true });
  const blockSize = disk.blockSize ?? MIB;
  for await (const { start, kind } of disk.extents({ coarse: true })) {
    if (kind !== 'data') continue;
    const position = start - (start % blockSize);
    await disk.write(new Uint8Array(Math.min(blockSize, disk.size - position)), position);
    return;
  }
}

describeWithPeers(PEERS, 'a compacted image', () => {
  testWithPeers(PEERS, 'that qemu made is read by qemu, 7-Zip and libvhdi', async () => {
    const [path, output, raw] = ['disk.vhd', 'out.vhd', 'disk.raw'].map((name) => temp.file(name)) as [
      string,
      string,
      string,
    ];
    await runPeer('qemu-img', ['create', '-q', '-f', 'vpc', '-o', 'subformat=dynamic,force_size=on', path, '30M']);
    const writes = [12, 2, 20, 6, 28].flatMap((at, index) => ['-c', `write -P ${index + 1} ${at}M 1M`]);
    await runPeer('qemu-io', ['-f', 'vpc', ...writes, '-c', 'write -P 0 2M 2M', '-c', 'write -P 0 20M 1M', path]);
    const expected = await contentsOf(path);
    await expected.writeRaw(raw);
    await compact(path, { output });
    expect(await compact(path)).toMatchObject({ droppedBlocks: 2 });
    for (const image of [path, output]) {
      await expectQemuSame(image, raw);
      await expectSevenZipHolds(image, expected);
      await withVhdiMount(image, `${image}.mount`, (mounted) => expectFileHolds(mounted, expected));
    }
  });
});

/** Merged into its child by blktap, which marked it so and is going to delete it. */
const HIDDEN = 'gen-blktap/bt-hidden.vhd';
/** One or two of every program. */
const subjects = [
  ...new Map(
    corpusImages
      .filter(
        ({ name, diskType, isDamaged, raw }) =>
          diskType === 3 && !isDamaged && raw !== undefined && raw.size > 0 && name !== HIDDEN,
      )
      .map((image) => [`${image.name.split('/')[0]}${image.name.includes('/') ? '' : image.name}`, image] as const),
  ).values(),
];

describeWithCorpus('an image of the corpus, of every program one', () => {
  beforeAll(() => unpackCorpus(temp.path));

  test('reads the same after it is compacted, as it is and with a block of zeros', async () => {
    expect(subjects.length).toBeGreaterThan(15);
    const path = temp.file('changed.vhd');
    for (const { name } of subjects) {
      await copyFile(temp.file(name), path);
      for (const change of [() => Promise.resolve(), zeroFirstBlock]) {
        await change(path);
        const expected = await contentsOf(path);
        await compact(path);
        await using disk = await openVhd(path);
        await expectDiskHolds(disk, expected);
        const { findings } = await check(path, { deep: true });
        const bad = findings.filter(({ rule, severity }) => severity === 'error' || rule === 'file.leaked');
        expect({ name, bad }).toEqual({ name, bad: [] });
      }
      await rm(path);
    }
  }, 60_000);
});
