import type { FileState } from '../storage/file-device.ts';

/** What the user is told of a source that is a device in use; nothing of a file, or of a device that nothing uses. */
export async function deviceWarnings(path: string, { mtimeMs }: FileState): Promise<string[]> {
  if (mtimeMs !== undefined) return [];
  const users = await (await import('../storage/file-device-use.ts')).usersOf(path);
  if (users.length === 0) return [];
  const uses = users.map((user) => user.what).join(', ');
  return [`the device is in use (${uses}): what is written to it while it is read makes a copy that never was`];
}
