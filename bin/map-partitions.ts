import type { DiskContents, Partition } from '../src/inspect/partition-table.ts';
import type { MapRun } from '../src/ops/map.ts';
import type { RunSink } from './map-cells.ts';

/** More are counted but not shown. */
const MAX_SHOWN = 128;

/** What stands over a part of the disk: a partition, or a file system that fills the disk. */
export interface DiskPart {
  /** Number of the partition; null for a file system without one. */
  readonly number: number | null;
  /** First byte on the virtual disk. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  /** What is in it: file system, else the partition's type. Comes from the image, as `name` does: to be escaped. */
  readonly kind: string;
  /** Its name or label; empty if it has none. */
  readonly name: string;
}

/** The parts of a disk in the order of their place, and how much of each is stored. */
export class PartFill implements RunSink {
  readonly parts: readonly DiskPart[];
  /** Parts that are too many to be shown. */
  readonly hiddenCount: number;
  readonly #dataBytes: Float64Array;

  /** Counts nothing where the contents are not known. */
  constructor(contents: DiskContents | undefined, diskSize: number) {
    const parts = contents === undefined ? [] : partsOf(contents, diskSize);
    this.parts = parts.slice(0, MAX_SHOWN);
    this.hiddenCount = parts.length - this.parts.length;
    this.#dataBytes = new Float64Array(this.parts.length);
  }

  add(run: MapRun): void {
    if (run.kind !== 'data') return;
    for (const [index, part] of this.parts.entries()) {
      const overlap = Math.min(part.start + part.length, run.start + run.length) - Math.max(part.start, run.start);
      if (overlap > 0) this.#dataBytes[index] = (this.#dataBytes[index] ?? 0) + overlap;
    }
  }

  /** Bytes of a part that are stored. */
  dataBytes(index: number): number {
    return this.#dataBytes[index] ?? 0;
  }
}

function partsOf(contents: DiskContents, diskSize: number): DiskPart[] {
  if (contents.scheme !== 'none') return contents.partitions.map(partOf).sort((a, b) => a.start - b.start);
  const { fileSystem } = contents;
  if (fileSystem === null) return [];
  return [{ number: null, start: 0, length: diskSize, kind: fileSystem.type, name: fileSystem.label ?? '' }];
}

function partOf({ number, start, length, type, typeName, name, fileSystem }: Partition): DiskPart {
  return { number, start, length, kind: fileSystem?.type ?? typeName ?? type, name: fileSystem?.label ?? name ?? '' };
}

/** The few words that stand over a part: its number and what is in it. */
export function partLabel({ number, kind }: DiskPart): string {
  return number === null ? kind : `${number} ${kind}`;
}

/** The same with the name, where there is one. */
export function fullLabel(part: DiskPart): string {
  return part.name === '' ? partLabel(part) : `${partLabel(part)} "${part.name}"`;
}
