import { HERE } from './open-parent-paths.ts';

/** A path as it is said best from here: from the current directory where that is shorter. */
export function shortest(path: string): string {
  const relative = HERE.relative(process.cwd(), path);
  if (relative === '') return '.';
  return relative.length < path.length && !HERE.isAbsolute(relative) ? relative : path;
}
