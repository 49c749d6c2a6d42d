import type { Partition, ReadableDisk } from '../inspect/partition-table.ts';
import type { ReadRange } from '../stream/read-ahead.ts';
import type { CompareDisksOptions, DifferingPartition, DifferingRange, DiskComparison } from './compare-report.ts';

/** Ranges that are listed where nobody says otherwise: some 10 MB. */
const MAX_RANGES = 100_000;

/** What was found of two disks that differ. */
type Found = Pick<DiskComparison, 'differingBytes' | 'rangeCount' | 'ranges' | 'partitionsOf' | 'partitions'>;

/** A partition, and how much of it differs. */
interface TableRow {
  readonly partition: Partition;
  /** Its place in the table, from 0. */
  readonly index: number;
  differingBytes: number;
}

/** The partitions of two disks, in the order of their table. */
interface Table {
  readonly of: 'a' | 'b' | null;
  readonly rows: readonly TableRow[];
}

/** Takes the ranges in which two disks differ, names the partitions they lie in, and keeps as many as it may. */
export class DifferenceList {
  rangeCount = 0;
  readonly #disks: readonly [a: ReadableDisk, b: ReadableDisk];
  readonly #maxRanges: number;
  readonly #onRange: CompareDisksOptions['onRange'];
  readonly #ranges: DifferingRange[] = [];
  #differingBytes = 0;
  #table: Table | undefined;
  #finder: PartitionFinder | undefined;

  /** For two disks, whose partition tables are read when the first range comes. */
  constructor(
    disks: readonly [a: ReadableDisk, b: ReadableDisk],
    { maxRanges = MAX_RANGES, onRange }: CompareDisksOptions,
  ) {
    this.#disks = disks;
    this.#maxRanges = maxRanges;
    this.#onRange = onRange;
  }

  /** Takes the next range, which lies behind those before; resolves when whoever listens is ready for another. */
  async add({ start, length }: ReadRange): Promise<void> {
    this.#finder ??= new PartitionFinder((await this.#readTable()).rows);
    const range = { start, length, partitions: this.#finder.add(start, start + length) };
    this.rangeCount++;
    this.#differingBytes += length;
    if (this.#ranges.length < this.#maxRanges) this.#ranges.push(range);
    await this.#onRange?.(range);
  }

  async #readTable(): Promise<Table> {
    this.#table = await readTable(this.#disks);
    return this.#table;
  }

  /** What was found so far. */
  get found(): Found {
    const partitions = (this.#table?.rows ?? []).flatMap(({ partition, differingBytes }): DifferingPartition[] =>
      differingBytes === 0 ? [] : [{ ...partition, differingBytes }],
    );
    return {
      ...{ differingBytes: this.#differingBytes, rangeCount: this.rangeCount, ranges: this.#ranges },
      ...{ partitionsOf: this.#table?.of ?? null, partitions },
    };
  }
}

/**
 * Finds the partitions that ranges lie in, which come in order: each is looked at where it begins and where it ends, and
 * not again for every range, as there may be thousands of both.
 */
class PartitionFinder {
  readonly #byStart: readonly TableRow[];
  #nextIndex = 0;
  /** Those that the last range lies in, in the order of the table. */
  #active: readonly TableRow[] = [];
  #numbers: readonly number[] = [];
  /** Where the first of them ends. */
  #nextEnd = Infinity;

  /** For the partitions of a table, which may overlap. */
  constructor(rows: readonly TableRow[]) {
    const withBytes = rows.filter(({ partition }) => partition.length > 0);
    this.#byStart = withBytes.sort((first, second) => first.partition.start - second.partition.start);
  }

  /** Counts a range, `end` exclusive, for every partition it lies in, and gives their numbers. */
  add(start: number, end: number): readonly number[] {
    this.#moveTo(start, end);
    for (const row of this.#active) {
      row.differingBytes += Math.min(endOf(row), end) - Math.max(row.partition.start, start);
    }
    return this.#numbers;
  }

  #moveTo(start: number, end: number): void {
    const begun = [...this.#begunBefore(end)];
    if (begun.length === 0 && start < this.#nextEnd) return;
    const active = [...this.#active, ...begun].filter((row) => endOf(row) > start);
    this.#active = active.sort((first, second) => first.index - second.index);
    this.#numbers = this.#active.map(({ partition }) => partition.number);
    this.#nextEnd = this.#active.reduce((least, row) => Math.min(least, endOf(row)), Infinity);
  }

  *#begunBefore(end: number): Generator<TableRow> {
    for (let row = this.#byStart[this.#nextIndex]; row !== undefined; row = this.#byStart[this.#nextIndex]) {
      if (row.partition.start >= end) return;
      this.#nextIndex++;
      yield row;
    }
  }
}

function endOf({ partition }: TableRow): number {
  return partition.start + partition.length;
}

/** The first table that names a partition. */
async function readTable(disks: readonly [a: ReadableDisk, b: ReadableDisk]): Promise<Table> {
  // Loaded when it is needed: most disks are the same.
  const { listPartitions } = await import('../inspect/partitions.ts');
  for (const [index, disk] of disks.entries()) {
    const { partitions } = await listPartitions(disk);
    if (partitions.length === 0) continue;
    const rows = partitions.map((partition, row) => ({ partition, index: row, differingBytes: 0 }));
    return { of: index === 0 ? 'a' : 'b', rows };
  }
  return { of: null, rows: [] };
}
