import type { WarningListener } from '../errors.ts';

/** What has to be known of a disk when it is gone. */
export interface Abandonable {
  /** True from a write to the flush that makes it durable. */
  isUnflushed: boolean;
}

interface Watched extends Abandonable {
  readonly name: string;
  readonly onWarning: WarningListener;
}

const registry = new FinalizationRegistry<Watched>(({ isUnflushed, name, onWarning }) => {
  if (!isUnflushed) return;
  onWarning({
    code: 'WARN_VHD_UNFLUSHED',
    message: 'the disk was dropped without being closed: what was written since its last flush is lost or may be',
    storage: name,
  });
});

/**
 * Warns if a disk is garbage-collected with writes that were not flushed: nobody can close it any more. Returns what
 * the disk keeps up to date; it does not keep the disk alive.
 */
export function watchAbandoned(disk: object, name: string, onWarning: WarningListener | undefined): Abandonable {
  if (onWarning === undefined) return { isUnflushed: false };
  const watched: Watched = { isUnflushed: false, name, onWarning };
  registry.register(disk, watched);
  return watched;
}
