// Images with one defect each, as the programs were tried on before (and a few more): checksums are right unless they are
// the defect.
import { NO_OFFSET } from '../../src/format/bytes.ts';
import { checksumOf } from '../../src/format/checksum.ts';
import { encodeFooter } from '../../src/format/footer.ts';
import { buildImage, footerOf, type ImageShape } from './build-image.ts';
import { pattern } from './bytes.ts';

const BLOCK = 128 * 1024;
const SIZE = 8 * BLOCK;

/** A sound image of eight blocks, two of which are there. */
export const SOUND_SHAPE: ImageShape = {
  size: SIZE,
  blockSize: BLOCK,
  blocks: [
    { index: 0, data: pattern(BLOCK, 1) },
    { index: 2, data: pattern(BLOCK, 2) },
  ],
};

type Edit = (bytes: Buffer) => void;

/** An edit of footers and header; checksums are made right again. */
function sealed(edit: Edit): Edit {
  return (bytes) => {
    edit(bytes);
    reseal(bytes, 0, 512, 64);
    reseal(bytes, 512, 1024, 36);
    reseal(bytes, bytes.length - 512, 512, 64);
  };
}

function reseal(bytes: Buffer, offset: number, length: number, at: number): void {
  bytes.writeUInt32BE(checksumOf(bytes.subarray(offset, offset + length), at), offset + at);
}

function inFooters(edit: (footer: Buffer) => void, which: 'both' | 'start' | 'end' = 'both'): Edit {
  return sealed((bytes) => {
    if (which !== 'end') edit(bytes.subarray(0, 512));
    if (which !== 'start') edit(bytes.subarray(-512));
  });
}

function inHeader(edit: (header: Buffer) => void): Edit {
  return sealed((bytes) => edit(bytes.subarray(512, 1536)));
}

const footer32 = (offset: number, value: number): Edit => inFooters((footer) => footer.writeUInt32BE(value, offset));
const header32 = (offset: number, value: number): Edit => inHeader((header) => header.writeUInt32BE(value, offset));
const currentSize = (size: number | bigint): Edit => inFooters((footer) => footer.writeBigUInt64BE(BigInt(size), 48));
const entry =
  (index: number, value: number): Edit =>
  (bytes) =>
    bytes.writeUInt32BE(value, 1536 + 4 * index);
const creator = (code: string): Edit => inFooters((footer) => footer.write(code, 28, 'latin1'));

const edits: Record<string, Edit> = {
  none: () => undefined,
  grown: (bytes) => {
    header32(28, 12)(bytes);
    currentSize(12 * BLOCK)(bytes);
  },
  shrunk: currentSize(4 * BLOCK),
  'bat +1': header32(28, 9),
  'bat -1': header32(28, 7),
  'header checksum': (bytes) => bytes.writeUInt8(1, 512 + 36),
  'end checksum': (bytes) => bytes.writeUInt8(1, bytes.length - 512 + 64),
  'start checksum': (bytes) => bytes.writeUInt8(1, 64),
  'both checksums': (bytes) => {
    bytes.writeUInt8(1, 64);
    bytes.writeUInt8(1, bytes.length - 512 + 64);
  },
  'front zeroed': (bytes) => bytes.fill(0, 0, 512),
  'end 0xC7': (bytes) => bytes.fill(0xc7, bytes.length - 512),
  'end zeroed': (bytes) => bytes.fill(0, bytes.length - 512),
  v_poison: (bytes) => bytes.write('v_poison', bytes.length - 512),
  hidden: inFooters((footer) => footer.writeUInt8(1, 85)),
  'reserved of the start': inFooters((footer) => footer.writeUInt8(1, 300), 'start'),
  'reserved of the end': inFooters((footer) => footer.writeUInt8(1, 300), 'end'),
  'header reserved': header32(60, 1),
  'header tail': header32(900, 1),
  'locator reserved': header32(576 + 12, 1),
  'header data offset': inHeader((header) => header.writeBigUInt64BE(0n, 8)),
  'header version': header32(24, 0x0002_0000),
  'header cookie': inHeader((header) => header.write('cxspars_')),
  'features 0': footer32(8, 0),
  'features 0xffff': footer32(8, 0xffff),
  'features 0x80000000': footer32(8, 0x8000_0000),
  temporary: footer32(8, 3),
  'saved state': inFooters((footer) => footer.writeUInt8(1, 84)),
  'saved state 2': inFooters((footer) => footer.writeUInt8(2, 84)),
  'time 2040': footer32(24, 1_262_304_000),
  'null uuid': inFooters((footer) => footer.fill(0, 68, 84)),
  'geometry 0': footer32(56, 0),
  'geometry 0 vbox': (bytes) => {
    creator('vbox')(bytes);
    footer32(56, 0)(bytes);
  },
  'geometry max vbox': (bytes) => {
    creator('vbox')(bytes);
    footer32(56, 0xffff_10ff)(bytes);
  },
  'geometry max vpc': (bytes) => {
    creator('vpc ')(bytes);
    footer32(56, 0xffff_10ff)(bytes);
  },
  'geometry large vbox': (bytes) => {
    creator('vbox')(bytes);
    footer32(56, 0x01f4_0411)(bytes);
  },
  'version 2.0': footer32(12, 0x0002_0000),
  'version 1.1': footer32(12, 0x0001_0001),
  'type 2': footer32(60, 2),
  'type 4': footer32(60, 4),
  'type 4 at the start': inFooters((footer) => footer.writeUInt32BE(4, 60), 'start'),
  'type 9': footer32(60, 9),
  'type 0': footer32(60, 0),
  'size differs at the end': inFooters((footer) => footer.writeBigUInt64BE(BigInt(7 * BLOCK), 48), 'end'),
  'uuid differs at the end': inFooters((footer) => footer.fill(9, 68, 84), 'end'),
  'time differs at the end': inFooters((footer) => footer.writeUInt32BE(9, 24), 'end'),
  'entry beyond the end': entry(4, 0x0010_0000),
  'entry at the footer': (bytes) => entry(4, bytes.length / 512 - 1)(bytes),
  'entry short by 3 KiB': (bytes) => entry(4, (bytes.length - 512 - 512 - BLOCK) / 512 + 6)(bytes),
  'entries equal': (bytes) => entry(4, bytes.readUInt32BE(1536))(bytes),
  'entry 0': entry(4, 0),
  'entry 1': entry(4, 1),
  'block size 3 MiB': header32(32, 3 * 1024 * 1024),
  'block size 0': header32(32, 0),
  'max entries 2^32-1': header32(28, 0xffff_ffff),
  'table at 1 TiB': inHeader((header) => header.writeBigUInt64BE(1n << 40n, 16)),
  'table unaligned': inHeader((header) => header.writeBigUInt64BE(1540n, 16)),
  'bits clear': (bytes) => bytes.fill(0, bytes.readUInt32BE(1536) * 512, bytes.readUInt32BE(1536) * 512 + 512),
  'one bit clear': (bytes) => bytes.writeUInt8(0xfe, bytes.readUInt32BE(1536) * 512),
  'unknown locator': inHeader((header) => header.write('abcd', 576)),
  'data offset 1024': inFooters((footer) => footer.writeBigUInt64BE(1024n, 16)),
  'size 0': currentSize(0),
  'size 2^63': currentSize(1n << 63n),
  'size 2^63-1': currentSize((1n << 63n) - 1n),
  'size -100': currentSize(SIZE - 100),
  'original size': inFooters((footer) => footer.writeBigUInt64BE(BigInt(4 * BLOCK), 40)),
  'original size 0': inFooters((footer) => footer.writeBigUInt64BE(0n, 40)),
  'parent named': inHeader((header) => header.write('\0p', 64, 'latin1')),
  ...Object.fromEntries(
    [
      'vpc ',
      'vs  ',
      'win ',
      'wa\0\0',
      'd2v\0',
      'd2v ',
      'vbox',
      'qemu',
      'qem2',
      'tap\0',
      'tap ',
      'CTXS',
      'xo  ',
      '\0\0\0\0',
    ].map((code) => [`creator ${JSON.stringify(code)}`, creator(code)]),
  ),
};

const reshapes: Record<string, (bytes: Buffer) => Buffer> = {
  'end missing': (bytes) => bytes.subarray(0, -512),
  'legacy end': (bytes) => bytes.subarray(0, -1),
  'end cut by 100': (bytes) => bytes.subarray(0, -100),
  'cut by 1 KiB': (bytes) => bytes.subarray(0, -1024),
  'cut by 700': (bytes) => bytes.subarray(0, -700),
  'cut by half a block': (bytes) => bytes.subarray(0, -BLOCK / 2),
  '512 behind': (bytes) => Buffer.concat([bytes, Buffer.alloc(512, 7)]),
  '512 zeros behind': (bytes) => Buffer.concat([bytes, Buffer.alloc(512)]),
  '100 behind': (bytes) => Buffer.concat([bytes, Buffer.alloc(100, 7)]),
  '3 blocks behind': (bytes) => Buffer.concat([bytes, Buffer.alloc(3 * BLOCK, 7)]),
  slack: (bytes) => Buffer.concat([bytes.subarray(0, -512), Buffer.alloc(7 * 512), bytes.subarray(-512)]),
  'slack 100': (bytes) => Buffer.concat([bytes.subarray(0, -512), Buffer.alloc(100), bytes.subarray(-512)]),
  'slack of junk': (bytes) => Buffer.concat([bytes.subarray(0, -512), Buffer.alloc(7 * 512, 7), bytes.subarray(-512)]),
  'slack of 3 blocks': (bytes) =>
    Buffer.concat([bytes.subarray(0, -512), Buffer.alloc(3 * BLOCK), bytes.subarray(-512)]),
};

/** The dynamic images with one defect each, by name. */
export function defectiveImages(): Map<string, Buffer> {
  const sound = buildImage(SOUND_SHAPE);
  const images = new Map<string, Buffer>();
  for (const [name, edit] of Object.entries(edits)) {
    const bytes = Buffer.from(sound);
    edit(bytes);
    images.set(name, bytes);
  }
  for (const [name, reshape] of Object.entries(reshapes)) images.set(name, reshape(Buffer.from(sound)));
  for (const size of [512, 1024, 2048, 4096, 65_536, 524_288]) {
    images.set(`blocks of ${size}`, withBlocks(size));
  }
  return images;
}

function withBlocks(blockSize: number): Buffer {
  const size = Math.max(4 * blockSize, 17 * 4 * 512 * 8);
  return Buffer.from(buildImage({ size, blockSize, blocks: [{ index: 1, data: pattern(blockSize, 1) }] }));
}

const FIXED_SIZE = 256 * 1024;
const FIXED = { dataOffset: NO_OFFSET, diskType: 2 };

const fixedEdits: Record<string, (bytes: Buffer) => Buffer | undefined> = {
  none: () => undefined,
  checksum: (bytes) => void bytes.writeUInt8(1, bytes.length - 512 + 64),
  'no footer': (bytes) => bytes.subarray(0, -512),
  'legacy end': (bytes) => bytes.subarray(0, -1),
  '512 behind': (bytes) => Buffer.concat([bytes, Buffer.alloc(512, 7)]),
  '512 zeros behind': (bytes) => Buffer.concat([bytes, Buffer.alloc(512)]),
  'slack 4096': (bytes) => Buffer.concat([bytes.subarray(0, -512), Buffer.alloc(4096), bytes.subarray(-512)]),
  'slack 100': (bytes) => Buffer.concat([bytes.subarray(0, -512), Buffer.alloc(100), bytes.subarray(-512)]),
  short: (bytes) => Buffer.concat([bytes.subarray(0, -4096 - 512), bytes.subarray(-512)]),
  'short by 100': (bytes) => Buffer.concat([bytes.subarray(0, -612), bytes.subarray(-512)]),
  'cut at the front': (bytes) => bytes.subarray(4096),
  ...Object.fromEntries(
    Object.entries({
      'data offset 0': (footer: Buffer) => footer.writeBigUInt64BE(0n, 16),
      'data offset 32 bits': (footer: Buffer) => footer.writeBigUInt64BE(0xffff_ffffn, 16),
      'data offset 512': (footer: Buffer) => footer.writeBigUInt64BE(512n, 16),
      hidden: (footer: Buffer) => footer.writeUInt8(1, 85),
      reserved: (footer: Buffer) => footer.writeUInt8(1, 500),
      features: (footer: Buffer) => footer.writeUInt32BE(0, 8),
      'features 0xff0000': (footer: Buffer) => footer.writeUInt32BE(0xff_0000, 8),
      temporary: (footer: Buffer) => footer.writeUInt32BE(3, 8),
      'type 3': (footer: Buffer) => footer.writeUInt32BE(3, 60),
      'type 9': (footer: Buffer) => footer.writeUInt32BE(9, 60),
      'size -100': (footer: Buffer) => footer.writeBigUInt64BE(BigInt(FIXED_SIZE - 100), 48),
      'size -512': (footer: Buffer) => footer.writeBigUInt64BE(BigInt(FIXED_SIZE - 512), 48),
      'size +512': (footer: Buffer) => footer.writeBigUInt64BE(BigInt(FIXED_SIZE + 512), 48),
      'original size': (footer: Buffer) => footer.writeBigUInt64BE(BigInt(FIXED_SIZE / 2), 40),
      'original size +': (footer: Buffer) => footer.writeBigUInt64BE(BigInt(2 * FIXED_SIZE), 40),
      'version 2.0': (footer: Buffer) => footer.writeUInt32BE(0x0002_0000, 12),
      'saved state': (footer: Buffer) => footer.writeUInt8(1, 84),
      'creator vbox': (footer: Buffer) => footer.write('vbox', 28),
      'creator qemu': (footer: Buffer) => footer.write('qemu', 28),
      'geometry 0 vbox': (footer: Buffer) => footer.write('vbox', 28) + footer.writeUInt32BE(0, 56),
      'geometry large vbox': (footer: Buffer) => footer.write('vbox', 28) + footer.writeUInt32BE(0x01f4_0411, 56),
    }).map(([name, edit]) => [name, ofFooter(edit)]),
  ),
};

function ofFooter(edit: (footer: Buffer) => unknown): (bytes: Buffer) => Buffer | undefined {
  return (bytes) => {
    edit(bytes.subarray(-512));
    reseal(bytes, bytes.length - 512, 512, 64);
    return undefined;
  };
}

/** Fixed images with one defect each. */
export function defectiveFixedImages(): Map<string, Buffer> {
  const sound = Buffer.concat([pattern(FIXED_SIZE, 5), encodeFooter(footerOf({ size: FIXED_SIZE, footer: FIXED }))]);
  const images = new Map<string, Buffer>();
  for (const [name, edit] of Object.entries(fixedEdits)) {
    const bytes = Buffer.from(sound);
    images.set(`fixed: ${name}`, edit(bytes) ?? bytes);
  }
  return images;
}

/** Defects of the copy at offset 0 alone, in an image whose end is not looked at too closely. */
const startEdits: Record<string, Edit> = {
  'size -512': inFooters((footer) => footer.writeBigUInt64BE(BigInt(SIZE - 512), 48), 'start'),
  'half the size': inFooters((footer) => footer.writeBigUInt64BE(BigInt(SIZE / 2), 48), 'start'),
  'size 2^41': inFooters((footer) => footer.writeBigUInt64BE(1n << 41n, 48), 'start'),
  reserved: inFooters((footer) => footer.writeUInt8(1, 300), 'start'),
  'features 0x10000': inFooters((footer) => footer.writeUInt32BE(0x1_0000, 8), 'start'),
};

function edited(image: Buffer, edit: Edit): Buffer {
  const bytes = Buffer.from(image);
  edit(bytes);
  return bytes;
}

/** Images of other layouts, cut and lengthened. */
export function otherImages(): Map<string, Buffer> {
  const build = (shape: Partial<ImageShape>): Buffer => Buffer.from(buildImage({ ...SOUND_SHAPE, ...shape }));
  const behind = Buffer.alloc(512, 7);
  const aligned = build({ alignment: 'aligned' });
  const zeroed = Buffer.from(aligned).fill(0, aligned.length - 512);
  return new Map([
    ['aligned', aligned],
    ['aligned, 512 behind', Buffer.concat([aligned, behind])],
    ['aligned, end missing', aligned.subarray(0, -512)],
    ['aligned, legacy end', aligned.subarray(0, -1)],
    ['aligned, end zeroed', zeroed],
    ...Object.entries(startEdits).map(
      ([name, edit]) => [`aligned, ${name} at the start`, edited(aligned, edit)] as const,
    ),
    ['slack, 512 behind', Buffer.concat([build({ slackBytes: 512 }), behind])],
    ['slack, end missing', build({ slackBytes: 4096 }).subarray(0, -512)],
    ['empty', build({ blocks: [] })],
    ['empty, end missing', build({ blocks: [] }).subarray(0, -512)],
    ['empty and aligned, end missing', build({ blocks: [], alignment: 'aligned' }).subarray(0, -512)],
    ['511 behind', Buffer.concat([build({}), Buffer.alloc(511, 7)])],
    ['table behind the blocks', build({ tableOffset: 'behind-blocks' })],
    ['last block short', build({ size: SIZE - BLOCK + 5120, blocks: [{ index: 7, data: 0, storedBytes: 5120 }] })],
    ['entry behind the needed ones', withEntryBehind(build({ maxTableEntries: 9 }))],
    ['bits clear over zeros', build({ blocks: [{ index: 1, data: 0, sectors: [] }] })],
  ]);
}

/** One entry more than needed, which leads out of the file. */
function withEntryBehind(bytes: Buffer): Buffer {
  bytes.writeUInt32BE(0x0010_0000, 1536 + 4 * 8);
  return bytes;
}
