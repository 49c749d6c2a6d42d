import type { MapRun } from './map.ts';

/** What a map adds up to. */
export interface MapFigures {
  /** Runs in all. */
  readonly runCount: number;
  /** Bytes that are stored, in the image itself or in a parent. */
  readonly dataBytes: number;
  /** Of these, bytes that a parent holds. */
  readonly parentBytes: number;
  /** Bytes that read as zeros. */
  readonly zeroBytes: number;
  /** Of these, bytes that the file holds as zeros; only known where zeros were looked for. */
  readonly storedZeroBytes: number;
  /** Bytes nobody can tell, because the image is damaged. */
  readonly unknownBytes: number;
  /** Runs of data in the image itself. */
  readonly dataRunCount: number;
  /** Stretches of the file that reading the disk from start to end goes through one after the other. */
  readonly fragmentCount: number;
  /** Fragments that lie before their predecessor in the file. */
  readonly backwardCount: number;
}

/** What may lie between two neighbours in the file without a jump: a bitmap, and what aligns the data behind it. */
const NEIGHBOUR_GAP_BYTES = 64 * 1024;

/** Adds up runs, in the order of the disk. */
export class MapCounter {
  readonly #sums = {
    runCount: 0,
    dataBytes: 0,
    parentBytes: 0,
    zeroBytes: 0,
    storedZeroBytes: 0,
    unknownBytes: 0,
    dataRunCount: 0,
    fragmentCount: 0,
    backwardCount: 0,
  };
  #last: MapRun | undefined;

  /** Counts a run. */
  add(run: MapRun): void {
    const sums = this.#sums;
    sums.runCount++;
    if (run.kind === 'unknown') sums.unknownBytes += run.length;
    else if (run.kind === 'data') this.#addData(run);
    else {
      sums.zeroBytes += run.length;
      if (run.fileOffset !== null) sums.storedZeroBytes += run.length;
    }
  }

  #addData(run: MapRun): void {
    const sums = this.#sums;
    sums.dataBytes += run.length;
    if (run.depth > 0) sums.parentBytes += run.length;
    if (run.depth > 0 || run.fileOffset === null) return;
    sums.dataRunCount++;
    const jump = this.#jumpTo(run, run.fileOffset);
    if (jump !== 'none') sums.fragmentCount++;
    if (jump === 'back') sums.backwardCount++;
    this.#last = run;
  }

  /** Where in the file a run lies, seen from the one before it. */
  #jumpTo(run: MapRun, fileOffset: number): 'none' | 'ahead' | 'back' {
    const last = this.#last;
    if (last?.fileOffset === undefined || last.fileOffset === null) return 'ahead';
    const gap = fileOffset - (last.fileOffset + last.length);
    if (gap < 0) return 'back';
    // Zeros that the disk has between the two may take their room in the file.
    return gap <= NEIGHBOUR_GAP_BYTES || gap === run.start - (last.start + last.length) ? 'none' : 'ahead';
  }

  /** The sums so far. */
  get figures(): MapFigures {
    return { ...this.#sums };
  }
}
