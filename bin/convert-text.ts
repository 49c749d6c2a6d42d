import type { ConvertResult } from '../src/ops/convert-options.ts';
import { deviceRows } from './device-target.ts';
import { type Row, summaryText } from './report.ts';
import { formatBytes, formatExactly, formatRate } from './sizes.ts';

/** What the result does not say itself. */
export interface Told {
  /** The source as people know it. */
  readonly sourceName: string;
  /** True if it is raw because nothing said otherwise. */
  readonly isAssumed: boolean;
  readonly isDryRun: boolean;
  readonly isInPlace: boolean;
}

/** What was converted, for people. */
export function convertText(result: ConvertResult, told: Told): string {
  const { path, type, sourceType, virtualSize, fileSize, uploadSize, changes, device } = result;
  const kind = told.isAssumed ? 'read as raw: no footer found' : sourceType;
  const readAs = result.sourceCompression === undefined ? kind : `${result.sourceCompression}, ${kind}`;
  const rows: Row[] = [
    ['source', `${told.sourceName} (${readAs})`],
    ['type', type],
    ['virtual size', formatExactly(virtualSize)],
    ['file size', device === undefined ? formatExactly(fileSize) : undefined],
    ...deviceRows(device, path),
    ['parent', result.parent],
    ['upload size', uploadSize === undefined ? undefined : `${uploadSize} (az disk create --upload-size-bytes)`],
    ...changes.map((change): Row => ['changed', change]),
    ...(told.isInPlace ? [] : movedRows(result, told.isDryRun)),
  ];
  return summaryText(headingOf(result, told), rows);
}

function movedRows(
  { copiedBytes, clonedBytes, skippedBytes, seconds, device, parent }: ConvertResult,
  isDryRun: boolean,
): Row[] {
  return [
    [isDryRun ? 'to copy' : 'copied', formatBytes(copiedBytes)],
    ['shared', clonedBytes === undefined ? undefined : `${formatBytes(clonedBytes)} of it with the source, not moved`],
    [
      parent === undefined ? 'empty' : 'as parent',
      device === undefined ? `${formatBytes(skippedBytes)}, ${isDryRun ? 'to be skipped' : 'skipped'}` : undefined,
    ],
    ['time', `${seconds.toFixed(2)} s${isDryRun ? '' : formatRate(copiedBytes, seconds)}`],
  ];
}

function headingOf({ path, changes }: ConvertResult, { sourceName, isDryRun, isInPlace }: Told): string {
  if (!isInPlace) return `${isDryRun ? 'would write' : 'wrote'} ${path === '-' ? 'to standard output' : path}`;
  const isRenamed = path !== sourceName;
  if (changes.length === 0 && !isRenamed) return `nothing to change in ${sourceName}`;
  const renamed = isRenamed ? `, now ${path}` : '';
  return `${isDryRun ? 'would change' : 'changed'} ${sourceName} in place${renamed}`;
}
