// Every remedy that is printed for another program, run: the finding is gone from what it makes.
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { NO_OFFSET } from '../../../src/format/bytes.ts';
import { encodeFooter } from '../../../src/format/footer.ts';
import type { ReaderName } from '../../../src/format/reader-facts.ts';
import { READER_RULES, type ReaderRuleId } from '../../../src/format/rules-readers.ts';
import { check } from '../../../src/ops/check.ts';
import { buildImage, footerOf, type ImageShape, type ParentShape } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { defectiveFixedImages, defectiveImages, otherImages } from '../../support/check-for-defects.ts';
import { vhd } from '../../support/cli.ts';
import { useTempFolder } from '../../support/temp.ts';

const MIB = 1024 * 1024;
const PARENT_UUID = Uint8Array.from({ length: 16 }, (_, index) => 0x50 + index);
const SMALL: ImageShape = { size: MIB, blockSize: 128 * 1024, blocks: [{ index: 1, data: pattern(1024, 1) }] };

const defects = new Map([...defectiveImages(), ...defectiveFixedImages(), ...otherImages()]);

function defect(name: string): Uint8Array {
  const bytes = defects.get(name);
  if (bytes === undefined) throw new Error(`there is no image '${name}'`);
  return bytes;
}

function fixed(size: number): Uint8Array {
  const footer = { ...footerOf({ size }), dataOffset: NO_OFFSET, diskType: 2 };
  return Buffer.concat([Buffer.alloc(size), encodeFooter(footer)]);
}

/** A child of what lies beside it as `parent.vhd`. */
function child(parent: Partial<ParentShape> = {}, footer: ImageShape['footer'] = {}): Uint8Array {
  const locators = [{ platformCode: 'W2ru', bytes: Buffer.from('.\\parent.vhd', 'utf16le') }];
  const shape = { ...SMALL, footer, blocks: [{ index: 1, data: pattern(1024, 1), sectors: [1, 2, 7] }] };
  return buildImage({ ...shape, parent: { uniqueId: PARENT_UUID, name: 'parent.vhd', locators, ...parent } });
}

/** A child of the bytes of a disk, as blktap makes it. */
function childOfRaw(): Uint8Array {
  const locators = [{ platformCode: 'W2ru', bytes: Buffer.from('.\\parent.raw', 'utf16le') }];
  return child({ uniqueId: new Uint8Array(16), timestamp: 0, name: 'parent.raw', locators });
}

/** A disk whose size is no whole number of sectors, with data up to its end. */
function oddSize(): Uint8Array {
  return buildImage({ ...SMALL, size: MIB - 100, blocks: [{ index: 7, data: pattern(1024, 1) }] });
}

function oddFixed(): Uint8Array {
  const footer = { ...footerOf({ size: MIB + 100 }), dataOffset: NO_OFFSET, diskType: 2 };
  return Buffer.concat([Buffer.alloc(MIB + 100, 7), encodeFooter(footer)]);
}

/** What is to be mended: an image for each rule; several where the remedy depends on it. */
const cases: Partial<Record<ReaderRuleId, readonly (() => Uint8Array)[]>> = {
  'for.azure.type': [() => defect('none'), () => child()],
  'for.azure.size': [() => fixed(MIB + 512)],
  'for.azure.small': [() => fixed(MIB)],
  'for.azure.length': [() => defect('fixed: slack 4096')],
  'for.hyperv.footer': [() => defect('end missing'), () => defect('legacy end')],
  'for.hyperv.length': [() => defect('fixed: slack 4096'), () => defect('fixed: legacy end')],
  'for.hyperv.sparse': [() => fixed(MIB)],
  'for.hyperv.size': [() => oddSize(), () => oddFixed()],
  'for.hyperv.block-size': [() => defect('blocks of 65536')],
  'for.hyperv.parent': [() => child({ locators: [] }), childOfRaw],
  'for.xenserver.footer': [() => defect('end missing')],
  'for.xenserver.features': [() => defect('temporary'), () => defect('fixed: features')],
  'for.xenserver.geometry': [() => defect('geometry max vbox')],
  'for.xenserver.timestamp': [() => defect('time 2040')],
  'for.xenserver.hidden': [() => defect('hidden')],
  'for.xenserver.data-offset': [() => defect('header data offset')],
  'for.xenserver.locator': [() => defect('unknown locator')],
  'for.xenserver.block-size': [() => defect('none')],
  'for.xenserver.fixed': [() => defect('fixed: none')],
  'for.xenserver.parent': [() => child({ name: 'fixed.vhd', locators: [] })],
  'for.xenserver.parent-name': [() => child({ name: 'C:\\in\\parent.vhd' })],
  'for.virtualbox.footer': [() => defect('end 0xC7')],
  'for.virtualbox.block-size': [() => defect('blocks of 4096')],
  'for.virtualbox.uuid': [() => child({}, { uniqueId: PARENT_UUID })],
  'for.virtualbox.parent': [childOfRaw],
  'for.qemu.footer': [() => defect('front zeroed'), () => defect('start checksum')],
  'for.qemu.size': [
    () => defect('creator "vbox"'),
    () => defect('creator "vpc "'),
    () => defect('fixed: creator qemu'),
  ],
  'for.qemu.differencing': [() => child()],
  'for.qemu.table': [() => defect('last block short'), () => defect('entry behind the needed ones')],
  'for.qemu.block-size': [() => defect('blocks of 512')],
  'for.qemu.bitmap': [() => defect('one bit clear')],
  'for.qemu.probe': [() => defect('fixed: none')],
  'for.7zip.footer': [
    () => defect('end zeroed'),
    () => defect('reserved of the end'),
    () => defect('fixed: legacy end'),
  ],
  'for.7zip.end': [() => defect('512 behind'), () => defect('end missing')],
  'for.7zip.reserved': [
    () => defect('fixed: hidden'),
    () => defect('header tail'),
    () => defect('aligned, reserved at the start'),
  ],
  'for.7zip.features': [
    () => defect('features 0x80000000'),
    () => defect('fixed: features 0xff0000'),
    () => defect('aligned, features 0x10000 at the start'),
  ],
  'for.7zip.size': [() => defect('aligned, size -512 at the start')],
  'for.7zip.entries': [() => defect('bat +1'), () => defect('aligned, half the size at the start')],
  'for.7zip.fixed-long': [() => defect('fixed: slack 4096')],
  'for.7zip.bitmap': [() => defect('bits clear')],
  'for.7zip.parent': [() => child({ locators: [], name: 'C:\\in\\parent.vhd' }), childOfRaw],
  'for.libvhdi.footer': [() => defect('v_poison')],
  'for.libvhdi.size': [() => defect('original size'), () => defect('fixed: original size')],
  'for.libvhdi.data-offset': [() => defect('fixed: data offset 0')],
  'for.libvhdi.block-size': [() => defect('blocks of 1024')],
  'for.libvhdi.bitmap': [() => defect('one bit clear')],
  'for.libvhdi.differencing': [() => child()],
  'for.libvhdi.parent': [childOfRaw],
  'for.libvhdi.parent-name': [() => child({ name: '' })],
};

/** Rules without a command; what they are broken by is in check-for.test.ts. */
const unmendable = Object.entries(READER_RULES).flatMap(([id, rule]) => ('unmendable' in rule ? [id] : []));

describe('a remedy for another program', () => {
  const temp = useTempFolder('for-remedies');

  test('is run for every rule that has one', () => {
    const run = new Set([...Object.keys(cases), ...unmendable]);
    expect(Object.keys(READER_RULES).filter((id) => !run.has(id))).toEqual([]);
  });

  for (const [id, makers] of Object.entries(cases)) {
    for (const [index, make] of makers.entries()) {
      test.concurrent(`${id} ${index + 1}`, async () => {
        const folder = temp.file(`${id}-${index}`);
        await writeImages(folder, make());
        await expectMended(`${folder}/disk.vhd`, id);
      });
    }
  }

  test('is to find the parent, where there is none', async () => {
    const folder = temp.file('moved');
    await mkdir(folder);
    await writeFile(`${folder}/disk.vhd`, child({ name: 'gone.vhd', locators: [] }));
    await writeFile(temp.file('elsewhere.vhd'), buildImage({ ...SMALL, footer: { uniqueId: PARENT_UUID } }));
    await expectMended(`${folder}/disk.vhd`, 'for.hyperv.parent', ['--parent-dir', temp.path]);
  });

  async function expectMended(path: string, id: string, parentDirs: readonly string[] = []): Promise<void> {
    const program = id.split('.')[1] as ReaderName;
    if (id === 'for.hyperv.sparse') await truncate(path, 0).then(() => truncateFixed(path));
    const before = await check(path, { for: [program], allowRawParent: true });
    const found = before.findings.find(({ rule }) => rule === id);
    expect(before.findings.map(({ rule }) => rule)).toContain(id);
    const words = (found?.remedy ?? '').replace('PARENT', temp.file('elsewhere.vhd')).split(' ');
    expect(words[0]).toBe('vhd');
    const { code, stderr } = await vhd(words.slice(1));
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    const made = words[1] === 'convert' ? (words[3] ?? '') : path;
    const after = await check(made, { for: [program], allowRawParent: true, parentDirs: parentDirs.slice(1) });
    expect(after.findings.map(({ rule }) => rule)).not.toContain(id);
    if (before.findings.every(({ rule }) => !rule.startsWith(`for.${program}.`) || rule === id)) {
      expect(after.findings.filter(({ rule, severity }) => severity === 'error' && rule.startsWith('for.'))).toEqual(
        [],
      );
    }
  }
});

/** The image, and everything that may be its parent beside it. */
async function writeImages(folder: string, image: Uint8Array): Promise<void> {
  await mkdir(folder);
  await writeFile(`${folder}/disk.vhd`, image);
  await writeFile(`${folder}/parent.vhd`, buildImage({ ...SMALL, footer: { uniqueId: PARENT_UUID } }));
  await writeFile(`${folder}/parent.raw`, Buffer.alloc(MIB, 3));
  const footer = { ...footerOf(SMALL), dataOffset: NO_OFFSET, diskType: 2, uniqueId: PARENT_UUID };
  await writeFile(`${folder}/fixed.vhd`, Buffer.concat([Buffer.alloc(MIB), encodeFooter(footer)]));
}

/** The same fixed image with a hole for its data. */
async function truncateFixed(path: string): Promise<void> {
  await truncate(path, MIB);
  const footer = { ...footerOf({ size: MIB }), dataOffset: NO_OFFSET, diskType: 2 };
  await writeFile(path, encodeFooter(footer), { flag: 'a' });
}
