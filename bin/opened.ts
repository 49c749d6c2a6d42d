import { describeFinding } from '../src/format/rules.ts';
import type { OpenedDisk } from '../src/open.ts';
import { UsageError } from './errors.ts';
import type { Session } from './session.ts';

/** What opening an image found that its user should know, one sentence each. */
export function warningsOf({ vhd }: OpenedDisk): string[] {
  return (vhd?.findings ?? []).filter((item) => item.severity !== 'note').map(describeFinding);
}

/** Tells the warnings about an image. */
export async function warnAbout(session: Session, image: string, warnings: readonly string[]): Promise<void> {
  for (const warning of warnings) await session.warn(`${image}: ${warning}`);
}

/**
 * Checks where on a disk a verb is to begin.
 * @throws UsageError if that is past its end
 */
export function checkStart(start: number, size: number, image: string): void {
  if (start <= size) return;
  throw new UsageError(`--start: expected at most ${size}, the size of the disk, found ${start}`, undefined, image);
}
