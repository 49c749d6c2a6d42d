import type { VhdWarning, WarningListener } from '../src/errors.ts';
import { UsageError } from './errors.ts';
import type { Session } from './session.ts';

/** Tells the warnings about an image. */
export async function warnAbout(session: Session, image: string, warnings: readonly string[]): Promise<void> {
  for (const warning of warnings) await session.warn(`${image}: ${warning}`);
}

/** Keeps the warnings of what opens a file, to be told with the others about it. */
export class HeardWarnings {
  /** Those heard so far. */
  readonly warnings: VhdWarning[] = [];
  /** To be given to what opens the file. */
  readonly listener: WarningListener = (warning) => {
    this.warnings.push(warning);
  };
}

/** A range of the disk. */
export interface DiskRange {
  /** First byte. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
}

/**
 * The range that `--start` and `--length` mean on a disk.
 * @throws UsageError if it reaches past its end
 */
export function diskRange(
  size: number,
  image: string,
  { start, length }: { readonly start: number; readonly length?: number | undefined },
): DiskRange {
  checkStart(start, size, image);
  if (length === undefined || start + length <= size) return { start, length: length ?? size - start };
  throw new UsageError(
    `--length: expected at most ${size - start} from ${start} on, found ${length}: the disk has ${size} bytes`,
    undefined,
    image,
  );
}

/**
 * Checks where on a disk a verb is to begin.
 * @throws UsageError if that is past its end
 */
export function checkStart(start: number, size: number, image: string): void {
  if (start <= size) return;
  throw new UsageError(`--start: expected at most ${size}, the size of the disk, found ${start}`, undefined, image);
}
