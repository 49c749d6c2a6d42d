import { formatBytes } from '../format/byte-count.ts';
import { escapeControls } from '../format/bytes.ts';
import type { FormatKind } from '../format/magic.ts';
import type { VhdType } from '../format/spec.ts';
import { contentsText } from '../inspect/contents-text.ts';
import type { DiskContents } from '../inspect/partition-table.ts';
import { mismatchOf } from './name-mismatch.ts';

/**
 * What a file can be: a VHD by its type, or one whose footer is not at the end; a file of another format; a raw disk
 * by its partition table; a bare file system; or nothing that is known.
 */
export type FileKind =
  | `vhd-${VhdType}`
  | 'vhd-displaced-footer'
  | FormatKind
  | 'raw-mbr'
  | 'raw-gpt'
  | 'filesystem'
  | 'unknown';

/** What a file is. What cannot be known, or does not apply, is null. */
export interface Identification {
  /** Path or name of the file. */
  readonly path: string;
  /** What it is, in one word for programs. */
  readonly kind: FileKind;
  /** Media type; `application/octet-stream` where there is none. */
  readonly mime: string;
  /** What it is, in one line for people; control characters out of the file are escaped. */
  readonly detail: string;
  /** Bytes of the file. */
  readonly fileSize: number;
  /** Bytes of the disk in it. */
  readonly virtualSize: number | null;
  /** Type of a VHD. */
  readonly type: VhdType | null;
  /** Version of the format, where there are several. */
  readonly version: string | null;
  /** Creator application of a VHD, four characters. */
  readonly creator: string | null;
  /** Creator version of a VHD, such as `10.0`. */
  readonly creatorVersion: string | null;
  /** Time stamp of a VHD, ISO 8601 UTC. */
  readonly created: string | null;
  /** Identifier of a VHD, the 16 bytes in file order. */
  readonly uuid: string | null;
  /** Name of the parent of a differencing VHD, as the header gives it. */
  readonly parent: string | null;
  /** Byte offset of the footer of a VHD; null if it has none that is valid, other than the copy at 0. */
  readonly footerOffset: number | null;
  /** Bytes behind the footer of a VHD that do not belong to it; negative: so many of its own are missing. */
  readonly excessBytes: number | null;
  /** Partitions and file systems of a VHD or a raw disk; null for all others and where they cannot be read. */
  readonly contents: DiskContents | null;
  /** What its name says against what it is, one sentence. */
  readonly nameMismatch: string | null;
  /** What is wrong with it, one sentence each. */
  readonly problems: readonly string[];
  /** What to do about it, usually a command. */
  readonly remedy: string | null;
}

/** What is found out about a file; what is not given is null. */
export interface Verdict extends Partial<Omit<Identification, 'path' | 'detail' | 'fileSize' | 'nameMismatch'>> {
  readonly kind: FileKind;
  readonly mime: string;
  /** What people call it: `fixed VHD`. */
  readonly title: string;
  /** What else the line for people says, in this order. */
  readonly remarks?: readonly string[];
}

const NOTHING = {
  virtualSize: null,
  type: null,
  version: null,
  creator: null,
  creatorVersion: null,
  created: null,
  uuid: null,
  parent: null,
  footerOffset: null,
  excessBytes: null,
  contents: null,
  problems: [],
  remedy: null,
};

/** Puts together what is said of a file. */
export function identificationOf(path: string, fileSize: number, verdict: Verdict): Identification {
  const { title, remarks: _told, kind, mime, ...known } = verdict;
  const nameMismatch = mismatchOf(path, kind, title) ?? null;
  const detail = detailOf(verdict, nameMismatch);
  return { path, kind, mime, detail, fileSize, ...NOTHING, ...known, nameMismatch };
}

/** Problems that the line for people tells; the others are counted. */
const MAX_TOLD = 2;

function detailOf(verdict: Verdict, nameMismatch: string | null): string {
  const { title, virtualSize = null, remarks = [], contents = null, problems = [] } = verdict;
  const facts = [title, ...(virtualSize === null ? [] : [formatBytes(virtualSize)]), ...remarks];
  if (contents !== null) facts.push(contentsText(contents));
  const told = problems.slice(0, MAX_TOLD);
  if (problems.length > told.length) told.push(`${problems.length - told.length} more problems`);
  const notes = [...told, ...(nameMismatch === null ? [] : [nameMismatch])];
  return escapeControls([facts.join(', '), ...notes].join('; '));
}
