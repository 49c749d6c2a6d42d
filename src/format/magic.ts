import { readLatin1, viewOf } from './bytes.ts';

/** A file format other than VHD. */
export interface KnownFormat {
  /** Short name, such as `qcow2`. */
  readonly kind: FormatKind;
  /** Name for messages. */
  readonly title: string;
  /** Media type: registered with IANA where there is such a one, else what shared-mime-info or `file` call it. */
  readonly mime: string;
}

/** A file format that is certainly not a raw disk, and how to get at what is in it. */
export interface ForeignFormat extends KnownFormat {
  /** A command that makes something vhdkit takes out of it; `FILE` stands for its path. */
  readonly remedy: string;
}

/** Bytes from the start of a file that {@link detectForeign} wants to see. */
export const MAGIC_BYTES = 32_774;

/** Bytes from the start of a file that {@link detectFormat} wants to see. */
export const FORMAT_BYTES = 65_536;

const ascii = (text: string): number[] => Array.from(text, (character) => character.charCodeAt(0));
const qemuImg = (format: string): string =>
  `qemu-img convert -f ${format} -O raw FILE FILE.raw && vhd convert FILE.raw FILE.vhd`;
const unpack = (program: string): string => `${program} -dc FILE | vhd convert - FILE.vhd`;
const convertFirst = 'vhd convert FILE FILE.vhd';

/** Short names of the formats known beside VHD. */
export type FormatKind =
  | 'vhdx'
  | 'qcow'
  | 'qcow2'
  | 'qed'
  | 'vmdk'
  | 'vdi'
  | 'parallels'
  | 'ewf'
  | 'iso'
  | 'udf'
  | 'zip'
  | '7z'
  | 'gzip'
  | 'zstd'
  | 'xz'
  | 'bzip2'
  | 'lz4'
  | 'lzip'
  | 'lzma'
  | 'tar'
  | 'rar'
  | 'cab'
  | 'wim'
  | 'dmg';

/** Title, media type, and for what is never to be taken for a raw disk the command that converts it. */
const FORMATS: Readonly<Record<FormatKind, readonly [title: string, mime: string, remedy: string | undefined]>> = {
  vhdx: ['VHDX', 'application/x-virtualbox-vhdx', qemuImg('vhdx')],
  qcow: ['QCOW', 'application/x-qemu-disk', qemuImg('qcow')],
  qcow2: ['QCOW2', 'application/x-qemu-disk', qemuImg('qcow2')],
  qed: ['QED', 'application/x-qed-disk', qemuImg('qed')],
  vmdk: ['VMDK', 'application/x-virtualbox-vmdk', qemuImg('vmdk')],
  vdi: ['VDI', 'application/x-virtualbox-vdi', qemuImg('vdi')],
  parallels: ['Parallels', 'application/x-virtualbox-hdd', qemuImg('parallels')],
  ewf: ['EWF (EnCase)', 'application/x-encase', 'ewfexport -u -f raw -t FILE FILE && vhd convert FILE.raw FILE.vhd'],
  iso: ['ISO 9660', 'application/vnd.efi.iso', 'vhd convert --from raw FILE FILE.vhd'],
  udf: ['UDF', 'application/vnd.efi.iso', undefined],
  zip: ['zip', 'application/zip', 'unzip -p FILE | vhd convert - FILE.vhd'],
  '7z': ['7z', 'application/x-7z-compressed', '7z x -so FILE | vhd convert - FILE.vhd'],
  gzip: ['gzip', 'application/gzip', convertFirst],
  zstd: ['zstd', 'application/zstd', convertFirst],
  xz: ['xz', 'application/x-xz', convertFirst],
  bzip2: ['bzip2', 'application/x-bzip2', unpack('bzip2')],
  lz4: ['lz4', 'application/x-lz4', unpack('lz4')],
  lzip: ['lzip', 'application/x-lzip', undefined],
  lzma: ['lzma', 'application/x-lzma', undefined],
  tar: ['tar', 'application/x-tar', 'tar -xOf FILE | vhd convert - FILE.vhd'],
  rar: ['rar', 'application/vnd.rar', undefined],
  cab: ['cabinet', 'application/vnd.ms-cab-compressed', undefined],
  wim: ['WIM', 'application/x-ms-wim', undefined],
  dmg: ['Apple disk', 'application/x-apple-diskimage', undefined],
};

interface Magic {
  readonly kind: FormatKind;
  readonly offset: number;
  readonly bytes: readonly number[];
  /** What else must hold where the bytes alone say too little. */
  readonly holds?: (head: Uint8Array) => boolean;
}

const MAGICS: readonly Magic[] = [
  { kind: 'vhdx', offset: 0, bytes: ascii('vhdxfile') },
  { kind: 'qcow', offset: 0, bytes: [...ascii('QFI'), 0xfb, 0, 0, 0, 1] },
  { kind: 'qcow2', offset: 0, bytes: [...ascii('QFI'), 0xfb] },
  { kind: 'qed', offset: 0, bytes: [...ascii('QED'), 0], holds: hasQedClusters },
  { kind: 'vmdk', offset: 0, bytes: ascii('KDMV') },
  { kind: 'vmdk', offset: 0, bytes: ascii('# Disk DescriptorFile') },
  { kind: 'vmdk', offset: 0, bytes: [...ascii('COWD'), 1, 0, 0, 0] },
  { kind: 'vmdk', offset: 0, bytes: [0xbe, 0xba, 0xfe, 0xca, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0] },
  { kind: 'vdi', offset: 0x40, bytes: [0x7f, 0x10, 0xda, 0xbe] },
  { kind: 'parallels', offset: 0, bytes: ascii('WithoutFreeSpace') },
  { kind: 'parallels', offset: 0, bytes: ascii('WithouFreSpacExt') },
  { kind: 'ewf', offset: 0, bytes: [0x45, 0x56, 0x46, 0x09, 0x0d, 0x0a, 0xff, 0x00] },
  { kind: 'ewf', offset: 0, bytes: [0x45, 0x56, 0x46, 0x32, 0x0d, 0x0a, 0x81, 0x00] },
  { kind: 'iso', offset: 32_769, bytes: ascii('CD001') },
  { kind: 'zip', offset: 0, bytes: [0x50, 0x4b, 0x03, 0x04] },
  { kind: '7z', offset: 0, bytes: [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c] },
  { kind: 'gzip', offset: 0, bytes: [0x1f, 0x8b, 0x08] },
  { kind: 'zstd', offset: 0, bytes: [0x28, 0xb5, 0x2f, 0xfd] },
  { kind: 'xz', offset: 0, bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] },
  { kind: 'bzip2', offset: 0, bytes: ascii('BZh'), holds: hasBzip2Block },
  { kind: 'lz4', offset: 0, bytes: [0x04, 0x22, 0x4d, 0x18], holds: (head) => ((head[4] ?? 0) & 0xc0) === 0x40 },
  { kind: 'lzip', offset: 0, bytes: [...ascii('LZIP'), 1] },
  { kind: 'rar', offset: 0, bytes: [...ascii('Rar!'), 0x1a, 0x07] },
  { kind: 'cab', offset: 0, bytes: [...ascii('MSCF'), 0, 0, 0, 0] },
  { kind: 'wim', offset: 0, bytes: [...ascii('MSWIM'), 0, 0, 0] },
  { kind: 'udf', offset: 32_769, bytes: ascii('BEA01'), holds: hasUdfDescriptor },
  { kind: 'tar', offset: 257, bytes: ascii('ustar'), holds: hasTarChecksum },
  { kind: 'lzma', offset: 0, bytes: [0x5d, 0, 0], holds: hasLzmaHeader },
];

/** Tells formats that are certainly not a raw disk by their first bytes; undefined for everything else. */
export function detectForeign(head: Uint8Array): ForeignFormat | undefined {
  const kind = MAGICS.find((magic) => FORMATS[magic.kind][2] !== undefined && fits(magic, head))?.kind;
  const remedy = kind === undefined ? undefined : FORMATS[kind][2];
  return kind === undefined || remedy === undefined ? undefined : { ...formatOf(kind), remedy };
}

/**
 * Tells every format of the table by the first {@link FORMAT_BYTES} bytes of a file. It knows more than
 * {@link detectForeign}: also what files of people look like that nobody would take for a disk.
 */
export function detectFormat(head: Uint8Array): KnownFormat | undefined {
  const kind = MAGICS.find((magic) => fits(magic, head))?.kind;
  return kind === undefined ? undefined : formatOf(kind);
}

/** Title and media type of a format. */
export function formatOf(kind: FormatKind): KnownFormat {
  const [title, mime] = FORMATS[kind];
  return { kind, title, mime };
}

/** The command that converts a format, with `FILE` for its path; undefined where there is none to name. */
export function conversionOf(kind: FormatKind): string | undefined {
  return FORMATS[kind][2];
}

/** True if the UDF descriptors (ECMA-167, 2/8 and 3/9) follow the first volume descriptor, as on a bridge disc. */
export function hasUdfDescriptor(head: Uint8Array): boolean {
  for (let sector = 17; (sector + 1) * 2048 <= Math.min(head.length, FORMAT_BYTES); sector++) {
    const name = readLatin1(head, sector * 2048 + 1, 5);
    if (name === 'NSR02' || name === 'NSR03') return true;
  }
  return false;
}

function fits(magic: Magic, head: Uint8Array): boolean {
  return magic.bytes.every((byte, index) => head[magic.offset + index] === byte) && (magic.holds?.(head) ?? true);
}

/** Cluster size, a power of two from 4 KiB to 64 MiB (qemu, docs/interop/qed_spec). */
function hasQedClusters(head: Uint8Array): boolean {
  if (head.length < 8) return false;
  const clusterSize = viewOf(head).getUint32(4, true);
  return clusterSize >= 4096 && clusterSize <= 2 ** 26 && Number.isInteger(Math.log2(clusterSize));
}

/** Level 1 to 9, then the first block (or the end of an empty file) with its six digits of pi (of its root). */
function hasBzip2Block(head: Uint8Array): boolean {
  const start = readLatin1(head, 3, 7);
  return /^[1-9](1AY&SY|\x17\x72\x45\x38\x50\x90)$/.test(start);
}

/** The sum of the header's bytes, its own field taken as blanks, stands in it in octal (POSIX ustar). */
function hasTarChecksum(head: Uint8Array): boolean {
  if (head.length < 512) return false;
  const stored = Number.parseInt(readLatin1(head, 148, 8).replaceAll(/[\0 ]/g, ' ').trim(), 8);
  let sum = 0;
  for (let index = 0; index < 512; index++) sum += index >= 148 && index < 156 ? 0x20 : (head[index] ?? 0);
  return sum === stored;
}

/** No magic: the usual properties byte, a dictionary of a power of two, a size that is unknown or possible. */
function hasLzmaHeader(head: Uint8Array): boolean {
  if (head.length < 14) return false;
  const view = viewOf(head);
  const dictionary = view.getUint32(1, true);
  const size = view.getBigUint64(5, true);
  const isUsual = dictionary >= 2 ** 16 && Number.isInteger(Math.log2(dictionary));
  // The first byte of the range coder is always zero.
  return isUsual && head[13] === 0 && (size === 0xffff_ffff_ffff_ffffn || (size > 0n && size < 2n ** 38n));
}
