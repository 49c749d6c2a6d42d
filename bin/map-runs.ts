import { escapeControls } from '../src/format/bytes.ts';
import type { MapRun } from '../src/ops/map.ts';
import type { MapFigures } from '../src/ops/map-figures.ts';
import { JsonListing, TextWriter } from './json-listing.ts';

/** A list of runs as text, written while it is made: the largest disks have a million of them. */
export interface RunListing {
  /** Adds a run; resolves when there is room for the next. */
  add(run: MapRun): Promise<void>;
  /** Ends the list. */
  finish(figures: MapFigures): Promise<void>;
}

/** The runs as one object of JSON, a run a line, between the fields known before and the figures known behind. */
export function jsonListing(head: object, tail: object, write: (text: string) => Promise<void>): RunListing {
  const listing = new JsonListing<MapRun>({ verb: 'map', list: 'runs', head }, write);
  return {
    add: (run) => listing.add(run),
    finish: (figures) => listing.finish({ ...figures, ...tail }),
  };
}

/** The runs as a table, as wide as the largest numbers there can be. */
export function tableListing(
  range: { readonly virtualSize: number; readonly fileSize: number },
  write: (text: string) => Promise<void>,
): RunListing {
  const writer = new TextWriter(write);
  const digits = String(range.virtualSize).length;
  const widths = [Math.max(digits, 5), Math.max(digits, 6), 7, Math.max(String(range.fileSize).length, 11), 5];
  const line = (cells: readonly string[]): string =>
    `${cells
      .map((cell, index) => (index === 2 ? cell.padEnd(7) : cell.padStart(widths[index] ?? 0)))
      .join('  ')
      .trimEnd()}\n`;
  let head = line(['start', 'length', 'kind', 'file offset', 'depth']);
  return {
    add: async ({ start, length, kind, fileOffset, depth, problem }) => {
      const place = fileOffset === null ? '-' : String(fileOffset);
      const why = problem === undefined ? [] : [escapeControls(problem.message)];
      await writer.add(head + line([String(start), String(length), kind, place, String(depth), ...why]));
      head = '';
    },
    finish: async () => {
      await writer.add(head);
      await writer.flush();
    },
  };
}
