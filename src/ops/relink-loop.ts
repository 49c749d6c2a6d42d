import { stat } from 'node:fs/promises';
import { VhdError } from '../errors.ts';

/**
 * Refuses a parent that would have itself among its parents.
 * @throws VhdError `ERR_VHD_PARENT_LOOP`
 */
export async function refuseLoop(child: string, parent: string): Promise<void> {
  const [first, second] = await Promise.all([stat(child), stat(parent)]);
  if (first.ino !== second.ino || first.dev !== second.dev) return;
  throw new VhdError('ERR_VHD_PARENT_LOOP', 'an image cannot be its own parent', { storage: parent });
}
