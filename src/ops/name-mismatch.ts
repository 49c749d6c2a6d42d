import type { FileKind } from './identification.ts';

const RAW: readonly FileKind[] = ['raw-mbr', 'raw-gpt', 'filesystem', 'unknown'];
const VHD: readonly FileKind[] = ['vhd-fixed', 'vhd-dynamic', 'vhd-differencing', 'vhd-displaced-footer'];

/** What a file of a name is expected to be. Names of flat extents and of raw disks fit whatever nothing is known of. */
const EXPECTED: Readonly<Record<string, readonly FileKind[]>> = {
  vhd: VHD,
  avhd: VHD,
  vpc: VHD,
  vud: VHD,
  vhdx: ['vhdx'],
  avhdx: ['vhdx'],
  vhds: ['vhdx'],
  qcow: ['qcow', 'qcow2'],
  qcow2: ['qcow2'],
  qed: ['qed'],
  vmdk: ['vmdk', ...RAW],
  vdi: ['vdi'],
  iso: ['iso', 'udf'],
  raw: RAW,
  img: [...RAW, 'iso', 'udf'],
  dd: [...RAW, 'iso', 'udf'],
  zip: ['zip'],
  '7z': ['7z'],
  gz: ['gzip'],
  zst: ['zstd'],
  xz: ['xz'],
  bz2: ['bzip2'],
  lz4: ['lz4'],
  tar: ['tar'],
  wim: ['wim'],
  dmg: ['dmg', ...RAW],
};

/**
 * What a name says against what the file is, one sentence; undefined where it says nothing against it.
 * @param path its last part counts
 * @param title what people call what it is
 */
export function mismatchOf(path: string, kind: FileKind, title: string): string | undefined {
  const ending = /\.(\w{1,5})$/.exec(path)?.[1];
  const expected = ending === undefined ? undefined : EXPECTED[ending.toLowerCase()];
  if (expected === undefined || expected.includes(kind)) return undefined;
  if (kind === 'unknown' && expected === VHD) return `named .${ending}, but it has no footer of a VHD`;
  return `named .${ending}, but found: ${kind === 'unknown' ? 'nothing of the kind' : title}`;
}
