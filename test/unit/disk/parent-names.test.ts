import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readParentNames } from '../../../src/disk/parent-names.ts';
import { examine } from '../../../src/disk/recognise.ts';
import { encodeLocatorName } from '../../../src/format/parent-reference.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage, IMAGE_UUID, type LocatorShape, type ParentShape } from '../../support/build-image.ts';

const MiB = 1024 * 1024;

async function namesIn(parent: Partial<ParentShape>, patch?: { offset: number; bytes: Uint8Array }) {
  const patches = patch === undefined ? [] : [patch];
  const image = buildImage({ size: MiB, parent: { uniqueId: IMAGE_UUID, ...parent }, patches });
  const storage = new MemoryStorage(image);
  return readParentNames(storage, await examine(storage));
}

const locator = (platformCode: string, name: string): LocatorShape => {
  const isKnown = ['W2ru', 'W2ku', 'MacX'].includes(platformCode);
  return { platformCode, bytes: isKnown ? encodeLocatorName(platformCode, name) : Buffer.from(name, 'latin1') };
};

describe('the names of a parent', () => {
  it('come in the order to be tried, whatever the order of the entries', async () => {
    const locators = [
      locator('Wi2k', 'C:\\k.vhd'),
      locator('Wi2r', '.\\r.vhd'),
      locator('MacX', './mac.vhd'),
      locator('W2ku', 'C:\\ku.vhd'),
      locator('W2ru', '.\\ru.vhd'),
      locator('W2ru', '.\\second.vhd'),
    ];
    expect(await namesIn({ name: 'C:\\field.vhd', locators })).toEqual({
      names: [
        { source: 'W2ru', text: '.\\ru.vhd' },
        { source: 'W2ru', text: '.\\second.vhd' },
        { source: 'W2ku', text: 'C:\\ku.vhd' },
        { source: 'MacX', text: 'file://./mac.vhd' },
        { source: 'Wi2r', text: '.\\r.vhd' },
        { source: 'Wi2k', text: 'C:\\k.vhd' },
        { source: 'name', text: 'C:\\field.vhd' },
      ],
      findings: [],
    });
  });

  it('may be none', async () => {
    expect(await namesIn({})).toEqual({ names: [], findings: [] });
  });

  it.each([
    ['sectors', 1],
    ['bytes', 512],
  ])('have their room in %s', async (_unit, dataSpace) => {
    const locators = [{ ...locator('W2ru', '.\\ru.vhd'), dataSpace }];
    expect(await namesIn({ locators })).toEqual({ names: [{ source: 'W2ru', text: '.\\ru.vhd' }], findings: [] });
  });

  it('may be longer than their room, and of no room', async () => {
    const name = '.\\'.padEnd(300, 'x');
    for (const dataSpace of [512, 1, 0]) {
      const { names, findings } = await namesIn({ locators: [{ ...locator('W2ru', name), dataSpace }] });
      expect(names).toEqual([{ source: 'W2ru', text: name }]);
      expect(findings).toMatchObject([{ rule: 'locator.space', severity: 'note', found: '600' }]);
    }
  });

  it('may be zeros, as vhd-tool leaves them, with the name field to go by', async () => {
    const locators = [{ platformCode: 'MacX', bytes: new Uint8Array(25) }];
    const { names, findings } = await namesIn({ name: '/disks/a.vhd', locators });
    expect(names).toEqual([{ source: 'name', text: '/disks/a.vhd' }]);
    expect(findings).toMatchObject([{ rule: 'locator.name', severity: 'note', found: 'zeros only in MacX' }]);
  });

  it('are no aliases of the old Mac OS', async () => {
    const { names, findings } = await namesIn({ locators: [{ platformCode: 'Mac ', bytes: new Uint8Array(100) }] });
    expect(names).toEqual([]);
    expect(findings).toMatchObject([{ rule: 'locator.name', severity: 'note' }]);
  });

  it('are none where the platform code is unknown, which the header tells', async () => {
    const locators = [{ platformCode: 'What', bytes: Buffer.from('a.vhd') }];
    expect(await namesIn({ locators })).toEqual({ names: [], findings: [] });
  });

  it('may be no valid UTF-16: they are told, and tried', async () => {
    const half = Buffer.from([0xd8, 0, 0, 0x61]);
    const { names, findings } = await namesIn({ name: half });
    expect(names).toEqual([{ source: 'name', text: '\ud800a' }]);
    expect(findings).toMatchObject([{ rule: 'parent.name', offset: 512 + 64, found: String.raw`'\u{d800}a'` }]);
  });

  it.each([
    ['behind the end', 40_000, 20, 'locator.range'],
    ['over the end', 512, 40_000, 'locator.range'],
    ['of 4 GiB', 0, 0xffff_ffff, 'locator.range'],
    ['at an offset past any file', Number.MAX_SAFE_INTEGER, 20, 'locator.range'],
  ])('%s are not read', async (_what, dataOffset, dataByteLength, rule) => {
    const plain = buildImage({ size: MiB, parent: { uniqueId: IMAGE_UUID, locators: [locator('W2ru', '.\\a.vhd')] } });
    const view = new DataView(plain.buffer);
    const entry = 512 + 576;
    view.setUint32(entry + 8, dataByteLength);
    view.setBigUint64(entry + 16, BigInt(dataOffset));
    const storage = new MemoryStorage(plain);
    const { names, findings } = await readParentNames(storage, await examine(storage));
    expect(names).toEqual([]);
    expect(findings).toMatchObject([{ rule, severity: 'warning' }]);
  });

  it('longer than any path are not read, though the file has them', async () => {
    const locators = [{ platformCode: 'W2ru', bytes: new Uint8Array(65_536).fill(0x61) }];
    const { names, findings } = await namesIn({ locators });
    expect(names).toEqual([]);
    expect(findings).toMatchObject([{ rule: 'locator.length', severity: 'warning', found: '65536 bytes' }]);
  });

  it('whatever stands there, are read or told of', async () => {
    const bytes = fc.uint8Array({ maxLength: 600 });
    const code = fc.constantFrom('W2ru', 'W2ku', 'MacX', 'Wi2r', 'Wi2k', 'Mac ');
    const locators = fc.array(fc.record({ platformCode: code, bytes, dataSpace: fc.nat(2000) }), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(locators, fc.uint8Array({ maxLength: 512 }), async (entries, name) => {
        const read = await namesIn({ name, locators: entries });
        for (const { text } of read.names) {
          expect(text).not.toBe('');
          expect(text).not.toContain('\0');
        }
      }),
      { numRuns: 100 },
    );
  });
});
