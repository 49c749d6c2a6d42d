// A folder for what is made once and used by several files of tests; it lives as long as the run.
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** Path of the folder. */
    sharedFolder: string;
  }
}

let folder: string | undefined;

/** Called by vitest before the first file. */
export async function setup({ provide }: TestProject): Promise<void> {
  folder = await mkdtemp(join(tmpdir(), 'vhdkit-tests-'));
  // Some tests run the command as another user.
  await chmod(folder, 0o755);
  provide('sharedFolder', folder);
}

/** Called after the last. */
export async function teardown(): Promise<void> {
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
}
