// The order of the files of tests: where nobody knows yet how long they take, the longest of each project go first, so
// that none of them is left to run alone in the end.
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Those that take more than four seconds, the longest first. */
const LONGEST = [
  ...[
    'crash/crash',
    'package/package',
    'package/samples',
    'model/model',
    'cli/pipes',
    'cli/examples',
    'interop/merge-killed',
  ],
  ...['conformance/disk', 'interop/compressed', 'interop/theirs-to-ours', 'interop/corpus', 'interop/corpus-write'],
  ...['crash/faults', 'cli/system', 'cli/signals', 'interop/killed', 'hostile/fuzz', 'unit/ops/convert-streams'],
  ...['unit/ops/in-place', 'interop/azure', 'unit/ops/sparse-source', 'interop/devices-target', 'model/chain'],
  ...['unit/stream/decompress', 'interop/repaired', 'crash/merge', 'interop/relink-killed', 'unit/disk/chain-table'],
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
