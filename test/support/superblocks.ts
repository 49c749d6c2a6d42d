// Superblocks made by hand, from the public descriptions of their layouts: for what no program here makes without a
// device of its own or without Windows. Only the fields that identify them are there.
import { crc32 } from 'node:zlib';
import { guidBytes } from './tables.ts';

/** A file system, or what else fills a partition, as an image. */
export interface SuperblockImage {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Where the superblock is. */
  readonly offset: number;
  /** What it is. */
  readonly expected: {
    readonly type: string;
    readonly version?: string;
    readonly label?: string;
    readonly uuid?: string;
  };
  /** True if blkid has to say the same. */
  readonly isKnownToBlkid: boolean;
}

const UUID = '00112233-4455-6677-8899-aabbccddeeff';
const ID = Uint8Array.from({ length: 16 }, (_, index) => index * 0x11);
const KIB = 1024;
/** blkid looks for no RAID and no LVM on what is as small as a floppy disk. */
const IMAGE_BYTES = 1536 * KIB;

type Field = readonly [offset: number, value: string | Uint8Array | number | bigint];

/** An image with fields at offsets from `offset`: text, bytes, 32 bits, or 64 bits. */
function image(offset: number, fields: readonly Field[], isBig = false): Uint8Array {
  const bytes = new Uint8Array(IMAGE_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [at, value] of fields) {
    if (typeof value === 'string') bytes.set(Buffer.from(value, 'latin1'), offset + at);
    else if (typeof value === 'number') view.setUint32(offset + at, value, !isBig);
    else if (typeof value === 'bigint') view.setBigUint64(offset + at, value, !isBig);
    else bytes.set(value, offset + at);
  }
  return bytes;
}

/** A member of an array, version 1.x (Linux kernel documentation, "RAID superblock formats"). */
function raid1(version: string, offset: number): SuperblockImage {
  const bytes = image(offset, [
    ...([
      [0, 0xa92b_4efc],
      [4, 1],
      [16, ID],
      [32, 'host:array'],
    ] satisfies Field[]),
    ...([
      [72, 1],
      [80, 100n],
      [92, 2],
      [128, 2048n],
      [136, 100n],
      [144, BigInt(offset / 512)],
      [168, ID],
    ] satisfies Field[]),
    // max_dev, then the checksum over 256 bytes and two per device, summed as 32-bit numbers and folded.
    [220, 0],
  ]);
  const view = new DataView(bytes.buffer);
  let sum = 0n;
  for (let at = 0; at < 256; at += 4) sum += BigInt(view.getUint32(offset + at, true));
  view.setUint32(offset + 216, Number(((sum & 0xffff_ffffn) + (sum >> 32n)) & 0xffff_ffffn), true);
  const expected = { type: 'linux_raid_member', version, label: 'host:array', uuid: UUID };
  return { name: `mdraid ${version}`, bytes, offset, expected, isKnownToBlkid: true };
}

/** A member of an array, version 0.90: in the last whole 64 KiB. */
function raid0(isBig: boolean): SuperblockImage {
  const offset = IMAGE_BYTES - 64 * KIB;
  const fields: Field[] = [
    [0, 0xa92b_4efc],
    [4, 0],
    [8, 90],
    [12, 3],
    [20, 0x0011_2233],
    [52, 0x4455_6677],
    [56, 0x8899_aabb],
    [60, 0xccdd_eeff],
  ];
  const bytes = image(offset, fields, isBig);
  const expected = { type: 'linux_raid_member', version: '0.90.3', uuid: UUID };
  return { name: `mdraid 0.90, ${isBig ? 'big' : 'little'}-endian`, bytes, offset, expected, isKnownToBlkid: true };
}

/** A physical volume (LVM2 on-disk format): label in the second sector, its checksum begun with 0xf597a6cf. */
function lvm(): SuperblockImage {
  const bytes = image(512, [
    [0, 'LABELONE'],
    [8, 1n],
    [20, 32],
    [24, 'LVM2 001'],
    [32, 'abcdefghijklmnopqrstuvwxyzABCDEF'],
  ]);
  const crc = ~crc32(bytes.subarray(532, 1024), ~0xf597_a6cf >>> 0) >>> 0;
  new DataView(bytes.buffer).setUint32(528, crc, true);
  const expected = { type: 'LVM2_member', version: 'LVM2 001', uuid: 'abcdef-ghij-klmn-opqr-stuv-wxyz-ABCDEF' };
  return { name: 'LVM2', bytes, offset: 512, expected, isKnownToBlkid: true };
}

/** BitLocker of Windows 7 and later: boot sector and its GUID (libbde, "BDE format"). Not makeable without Windows. */
function bitLocker(isToGo: boolean): SuperblockImage {
  const guid = guidBytes('4967D63B-2E29-4AD8-8399-F6A339E3D001');
  const jump = Uint8Array.of(0xeb, 0x58, 0x90);
  const signature = isToGo ? 'MSWIN4.1' : '-FVE-FS-';
  const metadata = 64 * KIB;
  const block = Buffer.from('-FVE-FS-\0\0\u0002\0', 'latin1');
  const bytes = image(0, [
    [0, jump],
    [3, signature],
    [isToGo ? 424 : 160, guid],
    [isToGo ? 440 : 176, BigInt(metadata)],
  ]);
  bytes.set(block, metadata);
  bytes.set([0x55, 0xaa], 510);
  const name = `BitLocker${isToGo ? ' To Go' : ''}`;
  return { name, bytes, offset: 0, expected: { type: 'BitLocker' }, isKnownToBlkid: true };
}

/** ReFS: boot sector (libfsrefs, "ReFS format"). Not makeable without Windows. */
function refs(): SuperblockImage {
  const version = Uint8Array.of(3, 4);
  const bytes = image(0, [
    [3, 'ReFS'],
    [16, 'FSRS'],
    [24, 2048n],
    [32, 512],
    [36, 128],
    [40, version],
    [56, 0xab_cdef_0123_4567n],
  ]);
  const expected = { type: 'ReFS', version: '3.4', uuid: '00ABCDEF01234567' };
  return { name: 'ReFS', bytes, offset: 0, expected, isKnownToBlkid: false };
}

/** Everything there is. */
export function superblockImages(): SuperblockImage[] {
  const named = { label: 'a label', uuid: UUID };
  const simple = (type: string, offset: number, fields: readonly Field[], isKnownToBlkid = true): SuperblockImage => {
    return { name: type, bytes: image(offset, fields), offset, expected: { type, ...named }, isKnownToBlkid };
  };
  const endOffset = Math.floor((IMAGE_BYTES / 512 - 16) / 8) * 8 * 512;
  return [
    ...[raid1('1.1', 0), raid1('1.2', 4096), raid1('1.0', endOffset), raid0(false), raid0(true)],
    ...[lvm(), bitLocker(false), bitLocker(true), refs()],
    simple('reiserfs', 65_536, [
      [12, 18],
      [44, Uint8Array.of(0, 16)],
      [52, 'ReIsEr2Fs'],
      [84, ID],
      [100, 'a label'],
    ]),
    simple(
      'jfs',
      32_768,
      [
        [0, 'JFS1'],
        [4, 1],
        [24, Uint8Array.of(12, 0)],
        [20, 512],
        [18, 0],
        [136, ID],
        [152, 'a label'],
      ],
      false,
    ),
    simple('erofs', 1024, [
      [0, 0xe0f5_e1e2],
      [12, Uint8Array.of(12)],
      [48, ID],
      [64, 'a label'],
    ]),
    {
      ...simple('f2fs', 1024, [
        ...([
          [0, 0xf2f5_2010],
          [4, Uint8Array.of(1, 0, 15, 0)],
          [16, 12],
          [108, ID],
        ] satisfies Field[]),
        [124, Buffer.from('a label', 'utf16le')],
      ]),
      expected: { type: 'f2fs', version: '1.15', ...named },
    },
    {
      ...simple(
        'apfs',
        0,
        [
          [24, 0x8000_0001],
          [28, 0],
          [32, 'NXSB'],
          [36, 4096],
          [72, ID],
        ],
        false,
      ),
      expected: { type: 'apfs', uuid: UUID },
    },
    {
      ...simple('ufs', 65_536, [
        [48, 32_768],
        [52, 4096],
        [144, 0x0123_4567],
        [148, 0x89ab_cdef],
        [680, 'a label'],
        [1372, 0x1954_0119],
      ]),
      expected: { type: 'ufs', version: '2', label: 'a label', uuid: '0123456789abcdef' },
    },
  ];
}
