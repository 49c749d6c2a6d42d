import { describe, expect, it } from 'vitest';
import { conversionOf, detectForeign, detectFormat, FORMAT_BYTES, formatOf } from '../../../src/format/magic.ts';
import { fromHex } from '../../support/bytes.ts';

/** A head with some bytes in it. */
function headWith(...pieces: readonly (readonly [offset: number, bytes: Uint8Array | string])[]): Uint8Array {
  const head = new Uint8Array(FORMAT_BYTES);
  for (const [offset, bytes] of pieces) {
    head.set(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes, offset);
  }
  return head;
}

/** The header of a tar with a file of a name, as GNU tar writes it. */
function tarHead(): Uint8Array {
  const head = headWith([0, 'disk.vhd'], [257, 'ustar  \0'], [124, '00000001000\0'], [148, '        ']);
  const sum = head.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  head.set(Buffer.from(`${sum.toString(8).padStart(6, '0')}\0 `), 148);
  return head;
}

const LZMA = '5d000080 00ffffffffffffffff 0061';

describe('detectFormat', () => {
  it.each([
    ['vhdx', headWith([0, 'vhdxfile'])],
    ['qcow', headWith([0, fromHex('514649fb00000001')])],
    ['qcow2', headWith([0, fromHex('514649fb00000002')])],
    ['qcow2', headWith([0, fromHex('514649fb00000003')])],
    ['qed', headWith([0, fromHex('51454400 00000100')])],
    ['vmdk', headWith([0, 'KDMV'])],
    ['vmdk', headWith([0, '# Disk DescriptorFile\nversion=1'])],
    ['vmdk', headWith([0, 'COWD\x01\0\0\0'])],
    ['vmdk', headWith([0, fromHex('bebafeca00000000 0100000002000000')])],
    ['vdi', headWith([0x40, fromHex('7f10dabe')])],
    ['parallels', headWith([0, 'WithoutFreeSpace'])],
    ['parallels', headWith([0, 'WithouFreSpacExt'])],
    ['ewf', headWith([0, fromHex('455646090d0aff00')])],
    ['ewf', headWith([0, fromHex('455646320d0a8100')])],
    ['iso', headWith([32_768, '\x01CD001'])],
    ['udf', headWith([32_768, '\0BEA01'], [34_816, '\0NSR02'], [36_864, '\0TEA01'])],
    ['zip', headWith([0, fromHex('504b0304')])],
    ['7z', headWith([0, fromHex('377abcaf271c')])],
    ['gzip', headWith([0, fromHex('1f8b08')])],
    ['zstd', headWith([0, fromHex('28b52ffd')])],
    ['xz', headWith([0, fromHex('fd377a585a00')])],
    ['bzip2', headWith([0, fromHex('425a6839314159265359')])],
    ['bzip2', headWith([0, fromHex('425a683917724538509000000000')])],
    ['lz4', headWith([0, fromHex('04224d1864')])],
    ['lzip', headWith([0, 'LZIP\x01'])],
    ['lzma', headWith([0, fromHex(LZMA)])],
    ['tar', tarHead()],
    ['rar', headWith([0, 'Rar!\x1a\x07\x01\0'])],
    ['cab', headWith([0, 'MSCF\0\0\0\0'])],
    ['wim', headWith([0, 'MSWIM\0\0\0'])],
  ] as const)('knows %s', (kind, head) => {
    expect(detectFormat(head)).toEqual(formatOf(kind));
    expect(formatOf(kind).mime).toMatch(/^application\/[\w.-]+$/);
  });

  it.each([
    ['zeros', headWith()],
    ['nothing', new Uint8Array(0)],
    ['the boot sector of a disk', headWith([0, fromHex('eb3c904d53444f53352e30')], [510, fromHex('55aa')])],
    ['a magic that is cut', Buffer.from('vhdxfil')],
    ['a QED without possible clusters', headWith([0, fromHex('51454400 03000000')])],
    ['a QED that is cut', fromHex('51454400')],
    ['BZh and something else', headWith([0, 'BZh9hello'])],
    ['an LZ4 of another version', headWith([0, fromHex('04224d1800')])],
    ['ustar with a wrong sum', headWith([257, 'ustar'])],
    ['an LZMA properties byte and an odd dictionary', headWith([0, fromHex('5d000001 0100000000000000 0061')])],
    ['an LZMA properties byte and an impossible size', headWith([0, fromHex('5d000080 00ffffffffffffff7f 0061')])],
    ['BEA01 without UDF', headWith([32_768, '\0BEA01'])],
  ])('takes %s for nothing', (_what, head) => {
    expect(detectFormat(head)).toBeUndefined();
  });
});

describe('detectForeign', () => {
  it('refuses no raw disk for a weak magic, nor what may be a disk', () => {
    for (const head of [
      headWith([0, fromHex(LZMA)]),
      headWith([0, 'MSCF\0\0\0\0']),
      headWith([32_768, '\0BEA01'], [34_816, '\0NSR02']),
    ]) {
      expect(detectFormat(head)).toBeDefined();
      expect(detectForeign(head)).toBeUndefined();
    }
  });

  it('names the command that converts what it refuses', () => {
    expect(detectForeign(headWith([0, fromHex('514649fb00000001')]))).toMatchObject({
      kind: 'qcow',
      remedy: 'qemu-img convert -f qcow -O raw FILE FILE.raw && vhd convert FILE.raw FILE.vhd',
    });
    expect(detectForeign(tarHead())).toMatchObject({ kind: 'tar', remedy: 'tar -xOf FILE | vhd convert - FILE.vhd' });
    expect(conversionOf('lzma')).toBeUndefined();
  });
});
