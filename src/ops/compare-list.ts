import type { Partition, ReadableDisk } from '../inspect/partition-table.ts';
import type { ReadRange } from '../stream/read-ahead.ts';
import type { CompareDisksOptions, DifferingPartition, DifferingRange, DiskComparison } from './compare-report.ts';

/** Ranges that are listed where nobody says otherwise: some 10 MB. */
const MAX_RANGES = 100_000;

/** What was found of two disks that differ. */
type Found = Pick<DiskComparison, 'differingBytes' | 'rangeCount' | 'ranges' | 'partitionsOf' | 'partitions'>;

/** The partitions of two disks, and how much of each differs. */
interface Table {
  readonly of: 'a' | 'b' | null;
  readonly partitions: readonly { readonly partition: Partition; differingBytes: number }[];
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

  /** For two disks, whose partition tables are read when the first range comes. */
  constructor(
    disks: readonly [a: ReadableDisk, b: ReadableDisk],
    { maxRanges = MAX_RANGES, onRange }: CompareDisksOptions,
  ) {
    this.#disks = disks;
    this.#maxRanges = maxRanges;
    this.#onRange = onRange;
  }

  /** Takes the next range; resolves when whoever listens is ready for another. */
  async add({ start, length }: ReadRange): Promise<void> {
    this.#table ??= await readTable(this.#disks);
    const numbers: number[] = [];
    for (const entry of this.#table.partitions) {
      const { partition } = entry;
      const end = Math.min(partition.start + partition.length, start + length);
      const overlap = end - Math.max(partition.start, start);
      if (overlap <= 0) continue;
      entry.differingBytes += overlap;
      numbers.push(partition.number);
    }
    const range = { start, length, partitions: numbers };
    this.rangeCount++;
    this.#differingBytes += length;
    if (this.#ranges.length < this.#maxRanges) this.#ranges.push(range);
    await this.#onRange?.(range);
  }

  /** What was found so far. */
  get found(): Found {
    const partitions = (this.#table?.partitions ?? []).flatMap(({ partition, differingBytes }): DifferingPartition[] =>
      differingBytes === 0 ? [] : [{ ...partition, differingBytes }],
    );
    return {
      ...{ differingBytes: this.#differingBytes, rangeCount: this.rangeCount, ranges: this.#ranges },
      ...{ partitionsOf: this.#table?.of ?? null, partitions },
    };
  }
}

/** The first table that names a partition. */
async function readTable(disks: readonly [a: ReadableDisk, b: ReadableDisk]): Promise<Table> {
  // Loaded when it is needed: most disks are the same.
  const { listPartitions } = await import('../inspect/partitions.ts');
  for (const [index, disk] of disks.entries()) {
    const { partitions } = await listPartitions(disk);
    if (partitions.length === 0) continue;
    const entries = partitions.map((partition) => ({ partition, differingBytes: 0 }));
    return { of: index === 0 ? 'a' : 'b', partitions: entries };
  }
  return { of: null, partitions: [] };
}
