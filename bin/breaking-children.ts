import type { Command } from 'commander';

/** The flag of verbs that change an image others may have as their parent. */
export interface BreakingFlags {
  readonly allowBreakingChildren?: boolean | undefined;
}

/** Declares `--allow-breaking-children`. */
export function addBreakingFlag(command: Command): Command {
  return command.option(
    '--allow-breaking-children',
    'change an image even if others beside it have it as their parent',
  );
}

/**
 * Refuses to change or replace images that others have as their parent, or that an operation in place was begun on.
 * @param paths the images, none of which need exist
 * @throws VhdError `ERR_VHD_HAS_CHILDREN`, `ERR_VHD_JOURNAL`
 */
export async function guardChildren(
  paths: readonly string[],
  { allowBreakingChildren: allow }: BreakingFlags,
  signal: AbortSignal,
): Promise<void> {
  if (paths.length === 0) return;
  const { checkJournal } = await import('../src/open-journal.ts');
  for (const path of paths) await checkJournal(path, { writable: true });
  if (allow === true) return;
  const { refuseBreakingChildren } = await import('../src/ops/children.ts');
  for (const path of paths) await refuseBreakingChildren(path, { signal });
}
