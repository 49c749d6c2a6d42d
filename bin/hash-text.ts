import { escapeControls } from '../src/format/bytes.ts';
import type { ChangedPartition, ChangedRange, Verification } from '../src/ops/verify.ts';
import { MAX_LISTED, partitionsTable, rangesTable } from './ranges-text.ts';
import { keyValueTable, paint, type Row } from './report.ts';
import { formatBytes, formatExactly } from './sizes.ts';

/** A hash and a name as sha256sum prints them: what does not fit in a line is escaped, and the line begins with a backslash. */
export function sumLine(sha256: string, name: string): string {
  const escaped = name.replace(/[\\\n\r]/g, (character) => ESCAPES[character] ?? '');
  return `${escaped === name ? '' : '\\'}${sha256}  ${escaped}\n`;
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r' };

/** What was hashed, for a summary. */
export interface HashedImage {
  readonly path: string;
  readonly type: string;
  readonly virtualSize: number;
  readonly blockSize: number;
  /** How many of its blocks are not all zeros. */
  readonly dataBlocks: number;
  readonly root: string;
}

/** The summary of a hash. */
export function hashRows({ type, virtualSize, blockSize, dataBlocks, root }: HashedImage): Row[] {
  const blockCount = Math.ceil(virtualSize / blockSize);
  return [
    ['type', type],
    ['virtual size', formatExactly(virtualSize)],
    ['with data', `${dataBlocks} of ${blockCount} blocks of ${formatBytes(blockSize)}`],
    ['root', root],
  ];
}

/** A verification, and what was held against what. */
export interface VerifiedImage extends Verification {
  readonly path: string;
  readonly manifest: string;
}

/** The answer for people. */
export function verifyText(verified: VerifiedImage, coloured: boolean): string {
  const { path, manifest, ok, ranges, partitions } = verified;
  const names = `${escapeControls(path)}: `;
  if (ok) return `${names}${paint('green', 'unchanged', coloured)}, as in ${escapeControls(manifest)}\n`;
  const heading = `${names}${paint('red', 'changed', coloured)}, not as in ${escapeControls(manifest)}\n`;
  if (ranges === null || partitions === null) return `${heading}  a sha256 does not tell where\n`;
  return [
    heading,
    keyValueTable(differenceRows(verified), coloured),
    partitionsTable({
      title: 'partitions with changes',
      rows: partitions.map((partition) => [partition, partition.changedBytes]),
      coloured,
    }),
    rangesTable(
      {
        title: 'changed blocks: start, length',
        rows: ranges.slice(0, MAX_LISTED).map((range) => ({ ...range, partitions: placeOf(range, partitions) })),
        coloured,
      },
      ranges.length,
    ),
  ].join('');
}

function differenceRows({ virtualSize, expectedSize, blockSize, changedBytes }: VerifiedImage): Row[] {
  const isOtherSize = expectedSize !== null && virtualSize !== expectedSize;
  const blocks = Math.ceil((changedBytes ?? 0) / (blockSize ?? 1));
  return [
    ['virtual size', formatExactly(virtualSize)],
    ['expected', isOtherSize ? formatExactly(expectedSize) : undefined],
    ['changed', changesText(blocks, isOtherSize ? Math.min(virtualSize, expectedSize) : undefined)],
  ];
}

function changesText(blocks: number, sharedBytes: number | undefined): string {
  if (blocks === 0) return sharedBytes === undefined ? 'nothing' : `nothing up to ${formatBytes(sharedBytes)}`;
  return blocks === 1 ? '1 block of 2 MiB' : `${blocks} blocks of 2 MiB`;
}

function placeOf({ start, length }: ChangedRange, partitions: readonly ChangedPartition[]): number[] | undefined {
  if (partitions.length === 0) return undefined;
  return partitions
    .filter((partition) => partition.start < start + length && start < partition.start + partition.length)
    .map(({ number }) => number);
}
