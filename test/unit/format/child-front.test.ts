import { describe, expect, it } from 'vitest';
import { childLayout, encodeChildFront } from '../../../src/format/child-front.ts';
import { decodeDynamicHeader, decodeParentName } from '../../../src/format/dynamic-header.ts';
import { encodeFooter } from '../../../src/format/footer.ts';
import { newFooter } from '../../../src/format/new-footer.ts';
import { encodeLocatorName, type ParentReference } from '../../../src/format/parent-reference.ts';

const MiB = 2 ** 20;
const parent: ParentReference = {
  uniqueId: Uint8Array.from({ length: 16 }, (_, index) => index),
  timestamp: 1234,
  name: 'C:\\vm\\win8.vhd',
  locators: [
    { platformCode: 'W2ku', bytes: encodeLocatorName('W2ku', 'C:\\vm\\win8.vhd') },
    { platformCode: 'W2ru', bytes: encodeLocatorName('W2ru', '.\\win8.vhd') },
    { platformCode: 'MacX', bytes: encodeLocatorName('MacX', './win8.vhd') },
  ],
};
const named = (length: number, platformCode = 'W2ku'): ParentReference => {
  return { ...parent, locators: [{ platformCode, bytes: new Uint8Array(length) }] };
};

describe('childLayout', () => {
  it('is that of Windows 10: a name, the table, the other names, all on 4 KiB', () => {
    const { tableOffset, tableBytes, locators, byteLength } = childLayout(40 * MiB, 2 * MiB, parent);
    expect([tableOffset, tableBytes, byteLength]).toEqual([12_288, 4096, 98_304]);
    expect(locators).toHaveLength(8);
    expect(locators.slice(0, 4)).toMatchObject([
      { platformCode: 'W2ku', dataOffset: 4096, dataSpace: 8192, dataByteLength: 28 },
      { platformCode: 'W2ru', dataOffset: 16_384, dataSpace: 65_536, dataByteLength: 20 },
      { platformCode: 'MacX', dataOffset: 81_920, dataSpace: 16_384, dataByteLength: 17 },
      { platformCode: '\0\0\0\0', dataOffset: 0, dataSpace: 0, dataByteLength: 0 },
    ]);
  });

  it('has room for every path that Linux takes, and makes more for longer ones', () => {
    expect(childLayout(MiB, 2 * MiB, named(2 * 4095)).locators[0]).toMatchObject({ dataSpace: 8192 });
    expect(childLayout(MiB, 2 * MiB, named(8193)).locators[0]).toMatchObject({ dataSpace: 20_480 });
    expect(childLayout(MiB, 2 * MiB, named(3 * 4095 + 17, 'MacX')).locators[0]).toMatchObject({ dataSpace: 16_384 });
    expect(childLayout(MiB, 2 * MiB, named(16_385, 'MacX')).locators[0]).toMatchObject({ dataSpace: 36_864 });
  });

  it('puts the table on 4 KiB where there is no name, and takes at most eight', () => {
    expect(childLayout(MiB, 2 * MiB, { ...parent, locators: [] })).toMatchObject({ tableOffset: 4096, byteLength: 8192 });
    const nine = Array.from({ length: 9 }, () => ({ platformCode: 'W2ru', bytes: new Uint8Array(2) }));
    expect(() => childLayout(MiB, 2 * MiB, { ...parent, locators: nine })).toThrow(RangeError);
  });
});

describe('encodeChildFront', () => {
  it('says who the parent is and where its names are', () => {
    const footer = encodeFooter(newFooter({ type: 'differencing', size: 5 * MiB, uniqueId: new Uint8Array(16), timestamp: 1 }));
    const parts = encodeChildFront({ footer, size: 5 * MiB, blockSize: 2 * MiB, parent }, [[1, 77]]);
    expect(parts.map(({ position }) => position)).toEqual([0, 512, 4096, 12_288, 16_384, 81_920]);
    const header = decodeDynamicHeader(parts[1]?.bytes ?? new Uint8Array());
    expect(header.findings).toEqual([]);
    expect(header.value).toMatchObject({ tableOffset: 12_288, maxTableEntries: 3, parentTimestamp: 1234 });
    expect(header.value.parentUniqueId).toEqual(parent.uniqueId);
    expect(decodeParentName(header.value)).toBe('C:\\vm\\win8.vhd');
    expect(parts[2]?.bytes).toEqual(parent.locators[0]?.bytes);
    const table = parts[3]?.bytes ?? new Uint8Array();
    expect(table).toHaveLength(4096);
    expect([...table.subarray(0, 12)]).toEqual([255, 255, 255, 255, 0, 0, 0, 77, 255, 255, 255, 255]);
  });
});
