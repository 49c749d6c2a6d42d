// A process to be killed: merges a child into the ancestor that is given, and says on its standard output when it begins.
// Arguments: path of the child, path of the ancestor, directories of parents.
import { writeSync } from 'node:fs';
import { merge } from '../../src/ops/merge.ts';

const [child = '', into = '', ...parentDirs] = process.argv.slice(2);
await merge(child, { into, parentDirs, onPlan: () => void writeSync(1, 'begins\n') });
writeSync(1, 'done\n');
