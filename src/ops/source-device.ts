import type { FileState } from '../storage/file-device.ts';

/** What the user is told of a source that is a device in use, or with sectors of another size; nothing of a file. */
export async function deviceWarnings(path: string, { isDevice }: FileState): Promise<string[]> {
  if (!isDevice) return [];
  const { sectorNotes, usersOf } = await import('../storage/file-device-use.ts');
  const notes = await sectorNotes(path);
  const users = await usersOf(path);
  if (users.length === 0) return notes;
  const uses = users.map((user) => user.what).join(', ');
  return [
    `the device is in use (${uses}): what is written to it while it is read makes a copy that never was`,
    ...notes,
  ];
}
