// The order of the files of tests: where nobody knows yet how long they take, the longest of each project go first, so
// that none of them is left to run alone in the end.
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Those that take more than four seconds, the longest first; of the long files the longest only. */
const LONGEST = [
  ...['package/package.long', 'cli/pipes.long', 'interop/merge-killed.long', 'interop/theirs-to-ours.long'],
  ...['interop/resize-killed.long', 'unit/ops/sparse-source.long', 'cli/system.long', 'interop/repaired.long'],
  ...[
    'crash/crash',
    'cli/examples',
    'conformance/disk',
    'unit/ops/convert-streams',
    'cli/review.long',
    'unit/ops/identify-displaced',
  ],
  ...['unit/ops/in-place', 'model/chain', 'interop/children.long', 'model/model', 'interop/whole-life.long'],
  ...['unit/disk/chain-table', 'cli/source-changed.long', 'interop/check-for', 'hostile/fuzz'],
  ...[
    'crash/faults',
    'crash/merge',
    'hostile/remedies',
    'hostile/defects',
    'interop/corpus',
    'interop/corpus-write.long',
  ],
  ...['unit/stream/write-stream', 'unit/stream/decompress', 'cli/merge', 'cli/readme', 'unit/ops/convert-files'],
];

function rankOf({ moduleId }: TestSpecification): number {
  const found = LONGEST.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
  return found === -1 ? LONGEST.length : found;
}

/** The order of Vitest, which keeps projects together, but with the longest in front where it knows only their sizes. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    if (files.some(({ project, moduleId }) => this.#isKnown(project.name, moduleId))) return sorted;
    const projects = [...new Set(sorted.map(({ project }) => project.name))];
    return projects.flatMap((name) => {
      const own = sorted.filter(({ project }) => project.name === name);
      return own.toSorted((first, second) => rankOf(first) - rankOf(second));
    });
  }

  /** Whether an earlier run has measured it. */
  #isKnown(project: string, moduleId: string): boolean {
    const path = moduleId.slice(this.ctx.config.root.length).replace(/^\//, '');
    return this.ctx.cache.getFileTestResults(`${project}:${path}`) !== undefined;
  }
}
