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

/**
 * Refuses to write over a parent of what is being read.
 * @throws VhdError `ERR_VHD_SAME_FILE`
 */
export async function refuseParents(parentPaths: readonly string[], target: string): Promise<void> {
  for (const path of parentPaths) {
    await refuseSameFile(path, target).catch((error: unknown) => {
      if (!(error instanceof VhdError)) throw error;
      const message = 'the target is a parent of the source, which would be lost with it';
      throw new VhdError(error.code, message, { storage: target, remedy: error.remedy });
    });
  }
}
