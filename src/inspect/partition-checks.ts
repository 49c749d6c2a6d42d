import type { Partition, TableFinding } from './partition-table.ts';

/** A partition as its table has it, before anybody looked into it. */
export interface TableEntry extends Omit<Partition, 'fileSystem'> {
  /** True for a container of other partitions, which may lie inside it. */
  readonly isContainer: boolean;
}

/** What a table holds. */
export interface TableContents {
  /** Identifier of the disk. */
  readonly diskId: string | null;
  /** The partitions, by number. */
  readonly entries: readonly TableEntry[];
  /** What is odd or wrong. */
  readonly findings: readonly TableFinding[];
}

const MAX_ALIGNMENT = 1024 * 1024;
const MAX_FINDINGS = 100;

/** Largest power of two, up to 1 MiB, that a position is a multiple of. */
export function alignmentOf(position: number): number {
  let alignment = 1;
  while (alignment < MAX_ALIGNMENT && position % (alignment * 2) === 0) alignment *= 2;
  return alignment;
}

/** Partitions that reach past the end of the disk or into each other. */
export function placeFindings(entries: readonly TableEntry[], diskSize: number): TableFinding[] {
  return [...pastTheEnd(entries, diskSize), ...overlaps(entries.filter((entry) => !entry.isContainer))];
}

/** At most 100 findings, the last one saying how many more there are. */
export function limitFindings(findings: readonly TableFinding[]): readonly TableFinding[] {
  const kept = findings.slice(0, MAX_FINDINGS);
  const last = findings.at(-1);
  if (kept.length === findings.length || last === undefined) return findings;
  const message = `there are ${findings.length - kept.length} more findings of this kind`;
  return [...kept, { rule: last.rule, severity: 'note', message, offset: last.offset }];
}

function pastTheEnd(entries: readonly TableEntry[], diskSize: number): TableFinding[] {
  return entries
    .filter((entry) => entry.start + entry.length > diskSize)
    .map(({ number, start, length }) => ({
      rule: 'partition.past-end',
      severity: 'error',
      message:
        `partition ${number} reaches past the end of the disk: ` +
        `expected an end at ${diskSize} or before, found ${start + length}`,
      offset: start,
    }));
}

function overlaps(entries: readonly TableEntry[]): TableFinding[] {
  const inOrder = [...entries].sort((first, second) => first.start - second.start || first.number - second.number);
  const findings: TableFinding[] = [];
  let reaching: TableEntry | undefined;
  for (const entry of inOrder) {
    const end = reaching === undefined ? 0 : reaching.start + reaching.length;
    if (reaching !== undefined && entry.start < end) {
      const message =
        `partitions ${reaching.number} and ${entry.number} overlap: ` +
        `expected a start at ${end} or after, found ${entry.start}`;
      findings.push({ rule: 'partition.overlap', severity: 'error', message, offset: entry.start });
    }
    if (entry.start + entry.length > end) reaching = entry;
  }
  return findings;
}
