import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';

/** A folder that lives as long as the tests around it. */
export interface TempFolder {
  /** Its path; there from `beforeAll` on. */
  readonly path: string;
  /** The path of something in it. */
  file(name: string): string;
}

/** A folder of its own for the tests of this file or `describe`, removed after the last of them. */
export function useTempFolder(label: string): TempFolder {
  let path: string | undefined;
  const folder: TempFolder = {
    get path(): string {
      if (path === undefined) throw new Error('the folder is there from beforeAll on, not before');
      return path;
    },
    file: (name) => join(folder.path, name),
  };
  beforeAll(async () => {
    path = await mkdtemp(join(tmpdir(), `vhdkit-${label}-`));
  });
  afterAll(async () => {
    if (path !== undefined) await rm(path, { recursive: true, force: true });
  });
  return folder;
}
