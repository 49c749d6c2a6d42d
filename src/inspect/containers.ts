import { detectFormat, FORMAT_BYTES, type FormatKind } from '../format/magic.ts';
import { dmgFacts, gzipFacts, isDmgTrailer, isoFacts, tarFacts, zipFacts } from './archives.ts';
import type { ContainerFacts } from './container-facts.ts';
import { parallelsFacts, qcow2Facts, qcowFacts, qedFacts, vdiFacts } from './disk-formats.ts';
import type { ReadableDisk } from './partition-table.ts';
import { hasVhdxStructures, readVhdxFacts } from './vhdx.ts';
import { vmdkFacts } from './vmdk.ts';

/** Bytes of the end of a file that are looked at. */
export const TAIL_BYTES = 512;

/** Both ends of a file. */
export interface FileEnds {
  /** The first {@link FORMAT_BYTES} bytes; zeros follow where the file is shorter. */
  readonly head: Uint8Array;
  /** The last {@link TAIL_BYTES} bytes; zeros precede where the file is shorter. */
  readonly tail: Uint8Array;
}

/** Reads both ends of a file. */
export async function readEnds(file: ReadableDisk): Promise<FileEnds> {
  const [head, tail] = [new Uint8Array(FORMAT_BYTES), new Uint8Array(TAIL_BYTES)];
  await file.read(head.subarray(0, Math.min(FORMAT_BYTES, file.size)), 0);
  const tailLength = Math.min(TAIL_BYTES, file.size);
  await file.read(tail.subarray(TAIL_BYTES - tailLength), file.size - tailLength);
  return { head, tail };
}

/** Tells which format other than VHD a file has; undefined if it is none that is known. Rejects only if reading does. */
export async function recogniseContainer(ends: FileEnds, file: ReadableDisk): Promise<FormatKind | undefined> {
  const kind = detectFormat(ends.head.subarray(0, Math.min(FORMAT_BYTES, file.size)))?.kind;
  if (kind !== undefined) return kind;
  if (isDmgTrailer(ends.tail)) return 'dmg';
  return (await hasVhdxStructures(file)) ? 'vhdx' : undefined;
}

const BY_HEAD: Partial<Record<FormatKind, (head: Uint8Array) => ContainerFacts>> = {
  qcow: qcowFacts,
  qcow2: qcow2Facts,
  qed: qedFacts,
  vmdk: vmdkFacts,
  vdi: vdiFacts,
  parallels: parallelsFacts,
  iso: isoFacts,
  zip: zipFacts,
  gzip: gzipFacts,
  tar: tarFacts,
};

/** What the headers of a file of a known format tell. What cannot be is left out; it rejects only if reading does. */
export async function readContainerFacts(
  kind: FormatKind,
  ends: FileEnds,
  file: ReadableDisk,
): Promise<ContainerFacts> {
  if (kind === 'vhdx') return readVhdxFacts(ends.head, file);
  if (kind === 'dmg') return dmgFacts(ends.tail);
  return BY_HEAD[kind]?.(ends.head) ?? { virtualSize: null, version: null, remarks: [] };
}
