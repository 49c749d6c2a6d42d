import { escapeControls } from '../src/format/bytes.ts';
import type { FreeSpace } from '../src/inspect/free-space.ts';
import type { CompactResult } from '../src/ops/compact-options.ts';
import { formatBytes } from './sizes.ts';

/** What was compacted, for people. */
export function compactText(result: CompactResult, isDryRun: boolean): string {
  const lines = [heading(result, isDryRun), sizeLine(result), ...workLines(result), ...unseenLines(result)];
  return lines.map((line) => `${escapeControls(line)}\n`).join('');
}

function heading({ path, changed, warnings }: CompactResult, isDryRun: boolean): string {
  if (!changed) return `${path}: ${warnings.length === 0 ? 'nothing to give back' : 'nothing was given back'}`;
  return `${isDryRun ? 'would compact' : 'compacted'} ${path}`;
}

function sizeLine({ fileSizeBefore, fileSize, storedBytesBefore, storedBytes }: CompactResult): string {
  const before = formatBytes(fileSizeBefore);
  if (fileSize !== fileSizeBefore) return `  file    ${before} before, ${formatBytes(fileSize)} after`;
  if (storedBytes === null || storedBytesBefore === null) return `  file    ${before}`;
  const stored = `${formatBytes(storedBytesBefore)} before, ${formatBytes(storedBytes)} after`;
  return `  file    ${before}, of which the file system stores ${stored}`;
}

function workLines({ type, droppedBlocks, droppedBytes, movedBlocks, copiedBytes }: CompactResult): string[] {
  if (type === 'fixed' || type === 'raw') {
    return droppedBytes === 0 ? [] : [`  zeros   ${formatBytes(droppedBytes)} need no room`];
  }
  const dropped = `${blocks(droppedBlocks)}, ${formatBytes(droppedBytes)}`;
  const moved = movedBlocks === 0 ? [] : [`  moved   ${blocks(movedBlocks)}; ${formatBytes(copiedBytes)} copied`];
  return [`  dropped ${dropped}`, ...moved];
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
