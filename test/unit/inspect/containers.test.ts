import { describe, expect, it } from 'vitest';
import { FORMAT_BYTES, type FormatKind } from '../../../src/format/magic.ts';
import type { ContainerFacts } from '../../../src/inspect/container-facts.ts';
import { readContainerFacts, readEnds, recogniseContainer } from '../../../src/inspect/containers.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { fromHex } from '../../support/bytes.ts';
import { Random } from '../../support/seed.ts';

type Piece = readonly [offset: number, bytes: Uint8Array | string];
const MIB = 1024 ** 2;

const u16 = (value: number): Uint8Array => new Uint8Array(Uint16Array.of(value).buffer);
const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
const u64 = (value: bigint): Uint8Array => new Uint8Array(BigUint64Array.of(value).buffer);
const big = (bytes: Uint8Array): Uint8Array => bytes.toReversed();

/** A file with some bytes in it, recognised and looked into. */
async function look(byteLength: number, pieces: readonly Piece[]): Promise<[FormatKind | undefined, ContainerFacts]> {
  const bytes = new Uint8Array(byteLength);
  for (const [offset, piece] of pieces) {
    bytes.set(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece, offset);
  }
  const storage = new MemoryStorage(bytes);
  const file = { size: byteLength, read: storage.read.bind(storage) };
  const ends = await readEnds(file);
  const kind = await recogniseContainer(ends, file);
  return [kind, await readContainerFacts(kind ?? 'tar', ends, file)];
}

describe('QCOW2', () => {
  const head: readonly Piece[] = [
    [0, fromHex('514649fb00000003')],
    [24, big(u64(10n * BigInt(MIB)))],
  ];

  it('tells its backing file, its snapshots and what is wrong', async () => {
    const more: readonly Piece[] = [
      [8, big(u64(512n))],
      [16, big(u32(8))],
      [512, 'base.img'],
      [32, big(u32(2))],
      [60, big(u32(3))],
      [72, big(u64(7n))],
    ];
    const [, facts] = await look(4096, [...head, ...more]);
    expect(facts).toMatchObject({ virtualSize: 10 * MIB, version: '3' });
    expect(facts.remarks).toEqual([
      "backing file 'base.img'",
      'encrypted',
      '3 snapshots',
      'not closed cleanly',
      'marked corrupt',
      'data in a file of its own',
    ]);
  });

  it.each([
    [2n ** 64n - 1n, 8],
    [512n, 0xffff_ffff],
    [BigInt(FORMAT_BYTES) - 4n, 8],
  ])('does not follow a name at %d of %d bytes', async (offset, length) => {
    const [, facts] = await look(4096, [...head, [8, big(u64(offset))], [16, big(u32(length))]]);
    expect(facts.remarks).toEqual(['has a backing file']);
  });

  it('has no size that a number cannot hold', async () => {
    const [, facts] = await look(4096, [...head, [24, big(u64(2n ** 63n))]]);
    expect(facts.virtualSize).toBeNull();
  });
});

describe('VMDK', () => {
  it('sums up the extents of a descriptor', async () => {
    const text = [
      '# Disk DescriptorFile',
      'version=1',
      'createType="twoGbMaxExtentFlat"',
      'parentFileNameHint="base.vmdk"',
      'RW 2048 FLAT "disk-f001.vmdk" 0',
      'RW 4096 FLAT "disk-f002.vmdk" 0',
    ].join('\n');
    const [kind, facts] = await look(text.length, [[0, text]]);
    expect(kind).toBe('vmdk');
    expect(facts).toEqual({
      virtualSize: 6144 * 512,
      version: '1',
      remarks: ['twoGbMaxExtentFlat', 'descriptor of 2 extents', "parent 'base.vmdk'"],
    });
  });

  it('reads extents of ESX', async () => {
    const [, cowd] = await look(4096, [
      [0, 'COWD\x01\0\0\0'],
      [12, u32(2048)],
    ]);
    expect(cowd).toMatchObject({ virtualSize: MIB, remarks: ['COWD extent'] });
    const magic = fromHex('bebafeca00000000 0100000002000000');
    const [, sparse] = await look(4096, [
      [0, magic],
      [16, u64(2048n)],
    ]);
    expect(sparse).toMatchObject({ virtualSize: MIB, remarks: ['seSparse extent'] });
  });

  it('does not look for a descriptor outside', async () => {
    const far: readonly Piece[] = [
      [28, u64(2n ** 60n)],
      [36, u64(2n ** 60n)],
    ];
    const [, facts] = await look(4096, [[0, 'KDMV\x01\0\0\0'], [12, u64(2048n)], ...far]);
    expect(facts).toMatchObject({ virtualSize: MIB, remarks: ['sparse extent'] });
  });
});

describe('VHDX', () => {
  const METADATA = fromHex('06a27c8b90479a4bb8fe575f050f886e');
  const PARAMETERS = fromHex('3767a1ca36fa434db3b633f0aa44e76b');
  const SIZE = fromHex('2442a52f1bcd7648b2115dbed83bf4b8');
  const at = 3 * MIB - 128 * 1024;
  const structures: readonly Piece[] = [
    [65_536, 'head'],
    [196_608, 'regi'],
    [196_608 + 8, u32(1)],
    [196_608 + 16, METADATA],
    [196_608 + 32, u64(BigInt(at))],
    [at, 'metadata'],
    [at + 10, u16(2)],
    [at + 32, PARAMETERS],
    [at + 48, u32(65_536)],
    [at + 64, SIZE],
    [at + 80, u32(65_544)],
    [at + 65_536 + 4, u32(3)],
    [at + 65_544, u64(40n * BigInt(MIB))],
  ];

  it('tells its size, its type and its creator', async () => {
    const [kind, facts] = await look(3 * MIB, [[0, 'vhdxfile'], [8, 'm\0e\0'], ...structures]);
    expect(kind).toBe('vhdx');
    expect(facts).toEqual({
      virtualSize: 40 * MIB,
      version: null,
      remarks: ['differencing', "creator 'me'"],
      problems: [],
    });
  });

  it('is known by its headers when its first bytes are lost', async () => {
    const [kind, facts] = await look(3 * MIB, structures);
    expect(kind).toBe('vhdx');
    expect(facts.virtualSize).toBe(40 * MIB);
    expect(facts.problems).toEqual([expect.stringContaining("'vhdxfile'")]);
  });

  it.each([
    ['cut', 200_000, []],
    ['without a region table', 3 * MIB, [[196_608, 'none']]],
    ['with a region far outside', 3 * MIB, [[196_608 + 32, u64(2n ** 63n)]]],
    ['with a region just outside', 3 * MIB, [[196_608 + 32, u64(BigInt(3 * MIB - 4095))]]],
    ['with an item outside', 3 * MIB, [[at + 80, u32(0xffff_ffff)]]],
    [
      'with far too many entries and none that fits',
      3 * MIB,
      [
        [196_608 + 8, u32(2 ** 31)],
        [196_608 + 16, 'x'],
      ],
    ],
  ] as const)('tells no size where it is %s', async (_what, byteLength, changes) => {
    const kept = structures.filter(([offset, bytes]) => offset + bytes.length <= byteLength);
    const [kind, facts] = await look(byteLength, [[0, 'vhdxfile'], ...kept, ...changes]);
    expect([kind, facts.virtualSize]).toEqual(['vhdx', null]);
    expect(facts.problems).toEqual([expect.stringContaining('its metadata are missing')]);
  });
});

describe('others', () => {
  it('ISO 9660 tells label, size and what else it is', async () => {
    const [kind, facts] = await look(90_000, [
      [510, fromHex('55aa')],
      [32_768, '\x01CD001\x01'],
      [32_768 + 40, 'MY LABEL'.padEnd(32)],
      [32_768 + 80, u32(45)],
      [32_768 + 128, u16(2048)],
      [34_816, '\0CD001\x01EL TORITO SPECIFICATION'],
      [38_912, '\0NSR03'],
    ]);
    expect(kind).toBe('iso');
    expect(facts.virtualSize).toBe(45 * 2048);
    expect(facts.remarks).toEqual(["label 'MY LABEL'", 'bootable', 'also UDF', 'with a boot sector for disks']);
  });

  it('VDI tells version, type and description; the size only where it knows its place', async () => {
    const pieces: readonly Piece[] = [
      [0x40, fromHex('7f10dabe')],
      [0x44, u32(0x1_0001)],
      [0x4c, u32(2)],
      [0x54, 'mine\0'],
      [0x170, u64(4096n)],
    ];
    expect(await look(1024, pieces)).toEqual([
      'vdi',
      { virtualSize: 4096, version: '1.1', remarks: ['fixed', "'mine'"] },
    ]);
    const [, old] = await look(1024, [...pieces, [0x44, u32(1)], [0x4c, u32(77)], [0x54, '\0']]);
    expect(old).toEqual({ virtualSize: null, version: '0.1', remarks: [] });
  });

  it('an Apple disk image is known by its end', async () => {
    const trailer: readonly Piece[] = [
      [1024, 'koly'],
      [1028, big(u32(4))],
      [1032, big(u32(512))],
      [1516, big(u64(8n))],
    ];
    expect(await look(1536, trailer)).toEqual(['dmg', { virtualSize: 4096, version: '4', remarks: [] }]);
    expect((await look(1536, trailer.slice(0, 2)))[0]).toBeUndefined();
  });

  it('Parallels tells if it is open', async () => {
    const [, facts] = await look(1024, [
      [0, 'WithouFreSpacExt'],
      [16, u32(2)],
      [36, u64(8n)],
      [44, u32(0x746f_6e59)],
    ]);
    expect(facts).toEqual({ virtualSize: 4096, version: '2', remarks: ['not closed cleanly'] });
  });

  it('gzip and zip tell a name', async () => {
    const gzip = await look(64, [
      [0, fromHex('1f8b080c')],
      [10, u16(3)],
      [15, 'disk.vhd\0'],
    ]);
    expect(gzip).toEqual(['gzip', expect.objectContaining({ remarks: ["of 'disk.vhd'"] })]);
    const zip = await look(64, [
      [0, fromHex('504b0304')],
      [26, u16(5)],
      [30, 'a.vhd'],
    ]);
    expect(zip).toEqual(['zip', expect.objectContaining({ remarks: ["first file 'a.vhd'"] })]);
    const long = await look(64, [
      [0, fromHex('504b0304')],
      [26, u16(65_535)],
    ]);
    expect(long[1].remarks).toEqual([]);
  });

  it('no header makes looking into it fail', async () => {
    const random = new Random(7);
    const kinds: readonly FormatKind[] = [
      'qcow',
      'qcow2',
      'qed',
      'vmdk',
      'vdi',
      'parallels',
      'iso',
      'zip',
      'gzip',
      'tar',
    ];
    const bytes = new Uint8Array(FORMAT_BYTES);
    for (let round = 0; round < 20; round++) {
      for (let index = 0; index < bytes.length; index++) bytes[index] = random.oneIn(3) ? random.below(256) : 255;
      const storage = new MemoryStorage(bytes);
      const file = { size: bytes.length, read: storage.read.bind(storage) };
      for (const kind of [...kinds, 'vhdx', 'dmg', 'wim'] as const) {
        for (const magic of ['', 'KDMV', 'COWD', '#']) {
          bytes.set(Buffer.from(magic), 0);
          const facts = await readContainerFacts(kind, { head: bytes, tail: bytes.subarray(-512) }, file);
          expect(facts.virtualSize === null || Number.isSafeInteger(facts.virtualSize)).toBe(true);
        }
      }
    }
  });
});
