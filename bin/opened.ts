import { UsageError } from './errors.ts';
import type { Session } from './session.ts';

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
