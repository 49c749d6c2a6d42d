import type { WrittenDevice } from '../src/ops/convert-options.ts';
import type { ProgressListener } from '../src/ops/progress.ts';
import { UsageError } from './errors.ts';
import type { Row } from './report.ts';
import type { Session } from './session.ts';
import { formatExactly } from './sizes.ts';

/**
 * Refuses a block device as target without `--to`: neither its name nor that of a link to it says what to write.
 * @throws UsageError
 */
export function refuseUntyped(target: string): never {
  throw new UsageError(
    'it is a block device, whose name does not say what to write',
    'say --to raw, which writes the disk itself',
    target,
  );
}

/** A listener that notes when a device begins to be overwritten, so that a failure from then on says what is left of it. */
export function watchDevice(session: Session, target: string, listener?: ProgressListener): ProgressListener {
  return (progress) => {
    session.aftermath = `${target} is overwritten in part: it holds neither what was on it nor all of the image`;
    listener?.(progress);
  };
}

/** What a summary says of a block device. */
export function deviceRows(device: WrittenDevice | undefined, target: string): Row[] {
  if (device === undefined) return [];
  const name = device.path === target ? '' : `${device.path}, `;
  const rest = device.untouchedBytes === 0 ? undefined : `${formatExactly(device.untouchedBytes)}, left as it was`;
  return [
    ['device', `${name}${formatExactly(device.size)}`],
    ['behind it', rest],
  ];
}
