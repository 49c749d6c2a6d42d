import { escapeControls } from '../src/format/bytes.ts';
import type { FreeSpace } from '../src/inspect/free-space.ts';
import type { CompactResult } from '../src/ops/compact-options.ts';
import { formatBytes } from './sizes.ts';

/** How it was called. */
export interface CompactCall {
  /** Nothing was written. */
  readonly isDryRun: boolean;
  /** A new file was to be written. */
  readonly isCopy: boolean;
}

/** What was compacted, for people. */
export function compactText(result: CompactResult, call: CompactCall): string {
  const lines = [heading(result, call), ...sizeLines(result), ...workLines(result), ...unseenLines(result)];
  return lines.map((line) => `${escapeControls(line)}\n`).join('');
}

function heading({ path, changed, warnings }: CompactResult, { isDryRun, isCopy }: CompactCall): string {
  if (isCopy) return `${isDryRun ? 'would write' : 'wrote'} ${path}`;
  if (!changed) return `${path}: ${warnings.length === 0 ? 'nothing to give back' : 'nothing was given back'}`;
  return `${isDryRun ? 'would compact' : 'compacted'} ${path}`;
}

function sizeLines(result: CompactResult): string[] {
  const { fileSizeBefore, fileSize, storedBytesBefore, storedBytes } = result;
  const file = beforeAndAfter(fileSizeBefore, fileSize === fileSizeBefore ? undefined : fileSize);
  const isToldApart = isOther(storedBytesBefore, fileSizeBefore) || isOther(storedBytes, fileSize);
  if (storedBytesBefore === null || !isToldApart) return [`  file    ${file}`];
  return [`  file    ${file}`, `  stored  ${beforeAndAfter(storedBytesBefore, storedBytes ?? undefined)}`];
}

/** What file systems keep for themselves, and the rest of a last page, is not worth a word. */
function isOther(storedBytes: number | null, fileSize: number): boolean {
  return storedBytes !== null && Math.abs(storedBytes - fileSize) >= 64 * 1024;
}

function beforeAndAfter(before: number, after: number | undefined): string {
  return after === undefined ? formatBytes(before) : `${formatBytes(before)} before, ${formatBytes(after)} after`;
}

function workLines({ type, droppedBlocks, droppedBytes, movedBlocks, copiedBytes }: CompactResult): string[] {
  if (type === 'fixed' || type === 'raw') {
    return droppedBytes === 0 ? [] : [`  zeros   ${formatBytes(droppedBytes)} need no room`];
  }
  return [
    ...(droppedBlocks === 0 ? [] : [`  dropped ${blocks(droppedBlocks)}, ${formatBytes(droppedBytes)}`]),
    ...(movedBlocks === 0 ? [] : [`  moved   ${blocks(movedBlocks)}; ${formatBytes(copiedBytes)} copied`]),
  ];
}

function blocks(count: number): string {
  return count === 1 ? '1 block' : `${count} blocks`;
}

/** What is free inside the file systems holds what was deleted: only the guest can make zeros of it. */
function unseenLines({ freeSpace }: CompactResult): string[] {
  if (freeSpace.length === 0) return [];
  return ['  not seen, because it is free only to the file system in it:', ...freeSpace.flatMap(freeLines)];
}

function freeLines({ partition, fileSystem, length, freeBytes, unknown, command }: FreeSpace): string[] {
  const where = partition === null ? 'whole disk' : `partition ${partition}`;
  const free =
    freeBytes === null
      ? `unknown: ${unknown ?? ''}`
      : `${formatBytes(freeBytes)} of ${formatBytes(length)} free, zeros or not`;
  return [
    `    ${where}, ${fileSystem}: ${free}`,
    ...(command === null ? [] : [`      in the guest: ${command}; then vhd compact again`]),
  ];
}
