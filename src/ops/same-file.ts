import { stat } from 'node:fs/promises';
import { VhdError } from '../errors.ts';

/** True if a path leads to a block device. */
export async function leadsToDevice(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isBlockDevice(),
    () => false,
  );
}

/**
 * Refuses to write over what is being read: the same file, or a device that the source is on or that is on the source.
 * @throws VhdError `ERR_VHD_SAME_FILE`
 */
export async function refuseSameFile(source: string, target: string): Promise<void> {
  const [first, second] = await Promise.all([source, target].map((path) => stat(path).catch(() => undefined)));
  if (first === undefined || second === undefined) return;
  const isSame = first.ino === second.ino && first.dev === second.dev;
  if (!isSame && !first.isBlockDevice() && !second.isBlockDevice()) return;
  // Loaded when it is needed: most people never name a device.
  const isShared = isSame || (await (await import('../storage/file-device-bytes.ts')).holdSameBytes(first, second));
  if (!isShared) return;
  const message = isSame ? 'source and target are the same file' : 'source and target are the same bytes of one disk';
  throw new VhdError('ERR_VHD_SAME_FILE', message, { storage: target, remedy: 'give the target another name' });
}
