import { open } from 'node:fs/promises';

/** Makes the names in a directory durable, where the system can. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r').catch(() => undefined);
  // Windows cannot open directories, some network file systems cannot sync them: the rename stands without it.
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}
