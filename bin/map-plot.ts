import type { MapRun } from '../src/ops/map.ts';
import type { RunSink } from './map-cells.ts';

/** Where on the disk and in the file data lies: a table of counts over both, however many runs there are. */
export class PlotGrid implements RunSink {
  readonly columnCount: number;
  readonly rowCount: number;
  readonly #start: number;
  readonly #columnBytes: number;
  readonly #rowBytes: number;
  readonly #bytes: Float64Array;

  /** Columns divide the `length` bytes of the disk from `start` on, rows the `fileSize` bytes of the file. */
  constructor(
    range: { readonly start: number; readonly length: number; readonly fileSize: number },
    size: { readonly columnCount: number; readonly rowCount: number },
  ) {
    this.columnCount = size.columnCount;
    this.rowCount = size.rowCount;
    this.#start = range.start;
    this.#columnBytes = Math.max(1, Math.ceil(range.length / size.columnCount));
    this.#rowBytes = Math.max(1, Math.ceil(range.fileSize / size.rowCount));
    this.#bytes = new Float64Array(size.columnCount * size.rowCount);
  }

  add(run: MapRun): void {
    if (run.kind !== 'data' || run.fileOffset === null || run.depth > 0) return;
    let done = 0;
    while (done < run.length) {
      const position = run.start + done - this.#start;
      const place = run.fileOffset + done;
      const column = Math.floor(position / this.#columnBytes);
      const row = Math.floor(place / this.#rowBytes);
      const toColumn = (column + 1) * this.#columnBytes - position;
      const toRow = (row + 1) * this.#rowBytes - place;
      const length = Math.min(run.length - done, toColumn, toRow);
      // Places behind the end of the file would go on for ever, and there are no dots for them.
      if (row >= this.rowCount || column >= this.columnCount) return;
      const index = row * this.columnCount + column;
      this.#bytes[index] = (this.#bytes[index] ?? 0) + length;
      done += length;
    }
  }

  /** What part of a column's bytes lies in a row, from 0 to 1. */
  density(column: number, row: number): number {
    return Math.min(1, (this.#bytes[row * this.columnCount + column] ?? 0) / this.#columnBytes);
  }
}
