/** A file format other than VHD, told by its first bytes. */
export interface ForeignFormat {
  /** Short name, such as `qcow2`. */
  readonly kind: string;
  /** Name for messages. */
  readonly title: string;
  /** A command that makes something vhdkit takes out of it; `FILE` stands for its path. */
  readonly remedy: string;
}

/** Bytes from the start of a file that {@link detectForeign} wants to see. */
export const MAGIC_BYTES = 32_774;

interface Magic extends ForeignFormat {
  readonly offset: number;
  readonly bytes: readonly number[];
}

const ascii = (text: string): number[] => Array.from(text, (character) => character.charCodeAt(0));
const qemuImg = (format: string): string =>
  `qemu-img convert -f ${format} -O raw FILE FILE.raw && vhd convert FILE.raw FILE.vhd`;
const convertFirst = 'vhd convert FILE FILE.vhd';

const MAGICS: readonly Magic[] = [
  { kind: 'vhdx', title: 'VHDX', offset: 0, bytes: ascii('vhdxfile'), remedy: qemuImg('vhdx') },
  { kind: 'qcow2', title: 'QCOW2', offset: 0, bytes: [...ascii('QFI'), 0xfb], remedy: qemuImg('qcow2') },
  { kind: 'vmdk', title: 'VMDK', offset: 0, bytes: ascii('KDMV'), remedy: qemuImg('vmdk') },
  { kind: 'vmdk', title: 'VMDK', offset: 0, bytes: ascii('# Disk DescriptorFile'), remedy: qemuImg('vmdk') },
  { kind: 'vdi', title: 'VDI', offset: 0x40, bytes: [0x7f, 0x10, 0xda, 0xbe], remedy: qemuImg('vdi') },
  {
    kind: 'iso',
    title: 'ISO 9660',
    offset: 32_769,
    bytes: ascii('CD001'),
    remedy: 'vhd convert --from raw FILE FILE.vhd',
  },
  {
    kind: 'zip',
    title: 'zip',
    offset: 0,
    bytes: [0x50, 0x4b, 0x03, 0x04],
    remedy: 'unzip -p FILE | vhd convert - FILE.vhd',
  },
  {
    kind: '7z',
    title: '7z',
    offset: 0,
    bytes: [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c],
    remedy: '7z x -so FILE | vhd convert - FILE.vhd',
  },
  {
    kind: 'tar',
    title: 'tar',
    offset: 257,
    bytes: ascii('ustar'),
    remedy: 'tar -xOf FILE | vhd convert - FILE.vhd',
  },
  { kind: 'gzip', title: 'gzip', offset: 0, bytes: [0x1f, 0x8b, 0x08], remedy: convertFirst },
  { kind: 'zstd', title: 'zstd', offset: 0, bytes: [0x28, 0xb5, 0x2f, 0xfd], remedy: convertFirst },
  { kind: 'xz', title: 'xz', offset: 0, bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], remedy: convertFirst },
];

/** Tells formats that are certainly not a raw disk by their first bytes; undefined for everything else. */
export function detectForeign(head: Uint8Array): ForeignFormat | undefined {
  return MAGICS.find((magic) => magic.bytes.every((byte, index) => head[magic.offset + index] === byte));
}
