// What the files of other programs are: those of qemu-img, 7-Zip, genisoimage, mkfs and sgdisk, and the whole corpus.
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Identification } from '../../src/ops/identification.ts';
import { identify } from '../../src/ops/identify.ts';
import { pattern } from '../support/bytes.ts';
import {
  type CorpusImage,
  corpusForeignImages,
  corpusImages,
  describeWithCorpus,
  unpackCorpus,
} from '../support/corpus.ts';
import { describeWithPeers, findProgram, runPeer, testWithPeers } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('identify');
const MIB = 1024 ** 2;

/** What `file` calls it; undefined where `file` is not installed. */
async function mimeByFile(path: string): Promise<string | undefined> {
  if (findProgram('file') === undefined) return undefined;
  return (await runPeer('file', ['--brief', '--mime-type', path])).stdout.trim();
}

describeWithPeers(['qemu-img'], 'images by qemu-img', () => {
  it.each([
    ['vpc', 'subformat=dynamic,force_size', 'vhd-dynamic', 'dynamic VHD, 10 MiB, '],
    ['vpc', 'subformat=fixed,force_size', 'vhd-fixed', 'fixed VHD, 10 MiB, '],
    ['vhdx', 'subformat=dynamic', 'vhdx', 'VHDX image, 10 MiB, dynamic, '],
    ['vhdx', 'subformat=fixed', 'vhdx', 'VHDX image, 10 MiB, fixed, '],
    ['qcow', 'encryption=off', 'qcow', 'QCOW image, 10 MiB, version 1'],
    ['qcow2', 'compat=0.10', 'qcow2', 'QCOW2 image, 10 MiB, version 2'],
    ['qcow2', 'compat=1.1', 'qcow2', 'QCOW2 image, 10 MiB, version 3'],
    ['qed', 'cluster_size=65536', 'qed', 'QED image, 10 MiB'],
    ['vdi', 'static=off', 'vdi', 'VDI image, 10 MiB, version 1.1, dynamic'],
    ['vdi', 'static=on', 'vdi', 'VDI image, 10 MiB, version 1.1, fixed'],
    ['parallels', 'cluster_size=1M', 'parallels', 'Parallels image, 10 MiB, version 2'],
    ['vmdk', 'subformat=monolithicSparse', 'vmdk', 'VMDK image, 10 MiB, version 1, monolithicSparse'],
    [
      'vmdk',
      'subformat=monolithicFlat',
      'vmdk',
      'VMDK image, 10 MiB, version 1, monolithicFlat, descriptor of 1 extent',
    ],
    [
      'vmdk',
      'subformat=twoGbMaxExtentSparse',
      'vmdk',
      'VMDK image, 10 MiB, version 1, twoGbMaxExtentSparse, descriptor',
    ],
    [
      'vmdk',
      'subformat=twoGbMaxExtentFlat',
      'vmdk',
      'VMDK image, 10 MiB, version 1, twoGbMaxExtentFlat, descriptor of 1 ',
    ],
    ['vmdk', 'subformat=streamOptimized', 'vmdk', 'VMDK image, 10 MiB, version 3, streamOptimized'],
  ])('%s -o %s', async (format, options, kind, detail) => {
    const path = folder.file(`${format}-${options.replaceAll(/\W/g, '-')}`);
    await runPeer('qemu-img', ['create', '-q', '-f', format, '-o', options, path, '10M']);
    const found = await identify(path);
    expect(found).toMatchObject({ kind, virtualSize: 10 * MIB, problems: [], nameMismatch: null });
    expect(found.detail.slice(0, detail.length)).toBe(detail);
    const other = await mimeByFile(path);
    // Where file knows nothing, or calls a descriptor text, there is nothing to agree with.
    if (other !== undefined && !/octet-stream|text/.test(other)) expect(found.mime).toBe(other);
  });

  it('an extent of a split image, and an image with a backing file', async () => {
    const base = folder.file('base.qcow2');
    await runPeer('qemu-img', ['create', '-q', '-f', 'qcow2', base, '10M']);
    const top = folder.file('top.vhd');
    await runPeer('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', 'base.qcow2', '-F', 'qcow2', top]);
    const found = await identify(top);
    expect(found.detail).toBe(
      "QCOW2 image, 10 MiB, version 3, backing file 'base.qcow2'; named .vhd, but found: QCOW2 image",
    );
    expect(found.remedy).toContain('qemu-img convert -f qcow2 -O raw ');
    const split = folder.file('split.vmdk');
    await runPeer('qemu-img', ['create', '-q', '-f', 'vmdk', '-o', 'subformat=twoGbMaxExtentSparse', split, '10M']);
    expect(await identify(folder.file('split-s001.vmdk'))).toMatchObject({ kind: 'vmdk', virtualSize: 10 * MIB });
  });
});

describeWithPeers(['7z'], 'archives by 7-Zip', () => {
  beforeAll(() => writeFile(folder.file('content'), pattern(3000)));

  it.each([
    ['7z', '7z'],
    ['zip', 'zip'],
    ['gzip', 'gzip'],
    ['bzip2', 'bzip2'],
    ['xz', 'xz'],
    ['tar', 'tar'],
    ['wim', 'wim'],
  ])('%s', async (type, kind) => {
    const path = folder.file(`archive.${type}`);
    await runPeer('7z', ['a', `-t${type}`, path, folder.file('content')]);
    const found = await identify(path);
    expect(found).toMatchObject({ kind, problems: [] });
    if (['zip', 'tar', 'gzip'].includes(type)) expect(found.detail).toContain("'content'");
    expect(found.mime).toBe((await mimeByFile(path)) ?? found.mime);
  });
});

describe('discs and disks', () => {
  testWithPeers(['genisoimage'], 'an ISO 9660 by genisoimage, also with UDF', async () => {
    const path = folder.file('disc.iso');
    await writeFile(folder.file('readme'), 'hello');
    await runPeer('genisoimage', ['-quiet', '-udf', '-V', 'MY DISC', '-o', path, folder.file('readme')]);
    const found = await identify(path);
    expect(found).toMatchObject({ kind: 'iso', mime: 'application/vnd.efi.iso', nameMismatch: null });
    expect(found.detail).toMatch(/^ISO 9660 image, .*, label 'MY DISC', also UDF/);
  });

  testWithPeers(['mkfs.ext4', 'qemu-img'], 'a bare file system, raw and in a VHD', async () => {
    const raw = folder.file('bare.img');
    await writeFile(raw, '');
    await truncate(raw, 8 * MIB);
    await runPeer('mkfs.ext4', ['-q', '-L', 'root', raw]);
    expect(await identify(raw)).toMatchObject({ kind: 'filesystem', detail: 'bare file system, 8 MiB, ext4 "root"' });
    const image = folder.file('bare.vhd');
    await runPeer('qemu-img', ['convert', '-f', 'raw', '-O', 'vpc', '-o', 'force_size', raw, image]);
    expect((await identify(image)).detail).toMatch(/^dynamic VHD, 8 MiB, .*, ext4 "root"$/);
  });

  testWithPeers(['sgdisk', 'qemu-img'], 'a GPT, raw, in a VHD, and in one that has grown', async () => {
    const raw = folder.file('gpt.img');
    await writeFile(raw, '');
    await truncate(raw, 8 * MIB);
    await runPeer('sgdisk', ['-n', '1:2048:0', '-t', '1:0700', raw]);
    const found = await identify(raw);
    expect(found).toMatchObject({ kind: 'raw-gpt', mime: 'application/vnd.efi.img', virtualSize: 8 * MIB });
    expect(found.detail).toBe('raw disk, 8 MiB, GPT with 1 partition: Microsoft basic data');
    const image = folder.file('gpt.vhd');
    await runPeer('qemu-img', ['convert', '-f', 'raw', '-O', 'vpc', '-o', 'subformat=fixed,force_size', raw, image]);
    expect((await identify(image)).detail).toMatch(
      /^fixed VHD, 8 MiB, .*, GPT with 1 partition: Microsoft basic data$/,
    );
    await truncate(image, 64 * MIB);
    expect(await identify(image)).toMatchObject({
      kind: 'vhd-displaced-footer',
      footerOffset: 8 * MIB,
      excessBytes: 56 * MIB - 512,
      remedy: `truncate -s ${8 * MIB + 512} ${image}`,
    });
  });
});

describeWithCorpus('the corpus', () => {
  const corpus = useTempFolder('identify-corpus');
  beforeAll(() => unpackCorpus(corpus.path, true), 60_000);

  const TYPES: Readonly<Record<number, string>> = { 2: 'vhd-fixed', 3: 'vhd-dynamic', 4: 'vhd-differencing' };
  const known = new Map<string, Promise<Identification>>();
  const look = (image: CorpusImage): Promise<Identification> => {
    const found = known.get(image.name) ?? identify(join(corpus.path, image.name));
    known.set(image.name, found);
    return found;
  };

  it('has the type that the index gives for every image with a footer', async () => {
    const images = corpusImages.filter((image) => image.diskType !== undefined);
    expect(images.length).toBeGreaterThan(100);
    const wrong: string[] = [];
    for (const image of images) {
      const { kind, detail } = await look(image);
      if (kind !== TYPES[image.diskType ?? 0]) wrong.push(`${image.name}: ${kind} — ${detail}`);
    }
    expect(wrong).toEqual([]);
  });

  it('has its size, and no problem that is not of its disk, for every whole image', async () => {
    const wrong: string[] = [];
    for (const image of corpusImages.filter((candidate) => candidate.raw !== undefined && !candidate.isDamaged)) {
      const { kind, virtualSize, problems } = await look(image);
      const own = problems.filter((problem) => !problem.startsWith('on its disk'));
      const isRight = virtualSize === image.raw?.size && own.length === 0;
      if (kind.startsWith('vhd') && !isRight) wrong.push(`${image.name}: ${virtualSize}, ${problems.join('; ')}`);
    }
    expect(wrong).toEqual([]);
  });

  it('calls no malformed file a sound VHD, and none makes it fail', async () => {
    for (const image of corpusImages.filter(({ name }) => /^(malformed|negative)\//.test(name))) {
      const { kind, problems, nameMismatch } = await look(image);
      if (kind.startsWith('vhd')) expect([image.name, ...problems].length).toBeGreaterThan(1);
      else if (image.name.endsWith('.vhd')) expect(nameMismatch).toMatch(/^named \.vhd, but /);
    }
  });

  it('knows every VHDX with its size', async () => {
    for (const image of corpusForeignImages) {
      const { kind, virtualSize, problems } = await look(image);
      expect([image.name, kind, problems]).toEqual([image.name, 'vhdx', []]);
      expect(virtualSize).toBeGreaterThanOrEqual(4 * MIB);
    }
  });
});
