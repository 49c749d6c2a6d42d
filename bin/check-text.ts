import { escapeControls } from '../src/format/bytes.ts';
import { describeFinding } from '../src/format/rules.ts';
import type { CheckFinding, CheckReport } from '../src/ops/check-report.ts';
import { paint, severityMark } from './report.ts';
import { formatBytes } from './sizes.ts';

/** What stands in front of the lines below that of a finding: as wide as its severity. */
const INDENT = ' '.repeat(11);

/** What a check found, for people. */
export function checkText(report: CheckReport, coloured: boolean): string {
  const { path, type, virtualSize, findings } = report;
  const size = virtualSize === null ? '' : `, ${formatBytes(virtualSize)}`;
  const heading = `${paint('bold', escapeControls(path), coloured)}: ${type ?? 'no VHD'}${size}: ${verdict(report)}\n`;
  return heading + verdictsText(report) + findings.map((item) => findingText(item, path, coloured)).join('');
}

/** A line for each program that was asked about. */
function verdictsText({ for: readers = [], acceptedBy = [] }: CheckReport): string {
  const width = Math.max(0, ...readers.map((name) => name.length));
  return readers
    .map(
      (name) =>
        `  ${name.padEnd(width)}  ${acceptedBy.includes(name) ? 'takes it, all of it' : 'refuses or misreads it'}\n`,
    )
    .join('');
}

function verdict({ findings }: CheckReport): string {
  if (findings.length === 0) return 'nothing found';
  const counts = (['error', 'warning', 'note'] as const).map((severity) => {
    const count = findings.filter((item) => item.severity === severity).length;
    return count === 0 ? [] : [`${count} ${severity}${count === 1 ? '' : 's'}`];
  });
  return counts.flat().join(', ');
}

function findingText(item: CheckFinding, path: string, coloured: boolean): string {
  const place = item.path === path ? '' : `${item.path}: `;
  const lines = [
    `${severityMark(item.severity, coloured)}${escapeControls(place + describeFinding(item))} [${item.rule}]`,
    `${INDENT}${escapeControls(item.means)}`,
    `${INDENT}${paint('dim', 'mend:', coloured)} ${escapeControls(item.remedy)}`,
  ];
  return `${lines.join('\n')}\n`;
}
