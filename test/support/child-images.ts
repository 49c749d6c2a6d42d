// Differencing images of any layout, with names of their parent that lead nowhere: as if the parent had been moved.

import type { ParentLocator } from '../../src/format/parent-locator.ts';
import { LOCATOR_COUNT, NO_PLATFORM } from '../../src/format/parent-locator.ts';
import { encodeLocatorName, encodeParentName } from '../../src/format/parent-reference.ts';
import { DISK_TYPE } from '../../src/format/spec.ts';
import { buildImage, type ImageShape } from './build-image.ts';
import { pattern } from './bytes.ts';

const KiB = 1024;

/** Bytes of the disks. */
export const CHAIN_SIZE = 40 * 4 * KiB;
/** The identifier of the parent. */
export const PARENT_UUID: Uint8Array = Uint8Array.from({ length: 16 }, (_, index) => 0xa0 + index);
/** The identifier of the child. */
export const CHILD_UUID: Uint8Array = Uint8Array.from({ length: 16 }, (_, index) => 0xc0 + index);
/** Seconds since 2000 in the parent's footer. */
export const PARENT_TIMESTAMP = 700_000_123;

/** A dynamic image with two blocks. */
export function parentImage(shape: Partial<ImageShape> = {}): Uint8Array {
  const blocks = [
    { index: 0, data: pattern(4 * KiB, 5) },
    { index: 5, data: pattern(4 * KiB, 6) },
  ];
  const footer = { uniqueId: PARENT_UUID, timestamp: PARENT_TIMESTAMP, ...shape.footer };
  return buildImage({ size: CHAIN_SIZE, blockSize: 4 * KiB, blocks, ...shape, footer });
}

/** A locator, and where it says that its name stands. */
export interface LocatorShape {
  readonly offset: number;
  readonly space: number;
  readonly platformCode?: string;
  readonly name?: string;
}

/** What is special about a child. */
export interface ChildShape extends Partial<ImageShape> {
  readonly locators?: readonly LocatorShape[];
}

/** A child of the image above that owns some sectors of three blocks. */
export function childImage({ locators = [], ...shape }: ChildShape = {}): Uint8Array {
  const blocks = [
    { index: 3, data: pattern(4 * KiB, 1), sectors: [0, 2, 7] },
    { index: 0, data: pattern(4 * KiB, 2), sectors: [1] },
    { index: 30, data: pattern(4 * KiB, 3) },
  ];
  const footer = { diskType: DISK_TYPE.differencing, uniqueId: CHILD_UUID, ...shape.footer };
  const names = locators.map(({ offset, platformCode = 'W2ru', name = '.\\gone.vhd' }) => ({
    offset,
    platformCode,
    bytes: encodeLocatorName(platformCode, name),
  }));
  const entries = locators.map(({ offset, space }, index): ParentLocator => {
    const { platformCode = 'W2ru', bytes = new Uint8Array(0) } = names[index] ?? {};
    return { platformCode, dataSpace: space, dataByteLength: bytes.length, dataOffset: offset };
  });
  const unused: ParentLocator = { platformCode: NO_PLATFORM, dataSpace: 0, dataByteLength: 0, dataOffset: 0 };
  const header = {
    parentUniqueId: PARENT_UUID,
    parentTimestamp: 1,
    parentNameBytes: encodeParentName('C:\\gone.vhd'),
    parentLocators: [...entries, ...Array.from({ length: LOCATOR_COUNT - entries.length }, () => unused)],
    ...shape.header,
  };
  const image: ImageShape = { size: CHAIN_SIZE, blockSize: 4 * KiB, blocks, ...shape, footer, header };
  const patches = names.filter(({ bytes }) => bytes.length > 0);
  return buildImage({ ...image, patches: [...patches, ...(shape.patches ?? [])] });
}

function batmapBytes(): Uint8Array {
  const bytes = new Uint8Array(512);
  bytes.set(new TextEncoder().encode('tdbatmap'));
  const view = new DataView(bytes.buffer);
  view.setBigUint64(8, 2560n);
  view.setUint32(16, 1);
  return bytes;
}

const FRONT = [{ offset: 2048, space: 1024 }];

/** Children as programs lay them out, and as nobody does. */
export const CHILD_LAYOUTS: Readonly<Record<string, ChildShape>> = {
  'without any room for names': {},
  'with room in front of the blocks': { locators: FRONT, blocksFrom: 3072 },
  'with room in sectors': { locators: [{ offset: 2048, space: 2 }], blocksFrom: 3072 },
  'with names behind the blocks': { locators: [{ offset: 16_384, space: 512 }], slackBytes: 8192 },
  'with an aligned layout': { alignment: 'aligned', locators: [{ offset: 4096, space: 4096 }], blocksFrom: 12_288 },
  'with an aligned layout without room': { alignment: 'aligned' },
  'empty and aligned': { alignment: 'aligned', blocks: [] },
  'empty and packed': { blocks: [] },
  'with its table behind the blocks': { tableOffset: 'behind-blocks', blocksFrom: 2560 },
  'with a batmap': {
    locators: [{ offset: 3072, space: 512 }],
    blocksFrom: 4096,
    patches: [
      { offset: 2048, bytes: batmapBytes() },
      { offset: 2560, bytes: pattern(512, 9) },
    ],
  },
  'with bytes nobody knows in its gap': {
    blocksFrom: 4096,
    patches: [{ offset: 2048, bytes: pattern(2048, 9) }],
  },
  'with bytes nobody knows in the room of its locator': {
    locators: [{ offset: 2048, space: 65_536, name: '.\\x' }],
    blocksFrom: 4096,
    patches: [{ offset: 2060, bytes: pattern(1000, 9) }],
  },
  'with a locator over its blocks': { locators: [{ offset: 2048, space: 65_536, name: '' }] },
  'with a locator over its table': { locators: [{ offset: 1536, space: 4096, name: '' }], blocksFrom: 4096 },
  'with a locator over its header': { locators: [{ offset: 1000, space: 512, name: '' }] },
  'with a locator over its footer': { locators: [{ offset: 0, space: 65_536, name: '' }] },
  'with a locator behind its end': { locators: [{ offset: 2 ** 40, space: 512, name: '' }] },
  'with locators in one place': {
    locators: [...FRONT, { ...FRONT[0], platformCode: 'W2ku' } as LocatorShape],
    blocksFrom: 3072,
  },
  'without a footer at its end': { endFooter: 'none' },
  'without a footer at its start': { startFooter: 'none' },
  'with a footer of 511 bytes': { isLegacyEnd: true },
  'with a table longer than it needs': { maxTableEntries: 400 },
};
