// Files for tests of what works on paths.
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** A folder of its own for a test file, removed in the end. */
export class WorkFolder {
  readonly path: string = mkdtempSync(join(tmpdir(), 'vhdkit-streams-'));
  #count = 0;

  constructor() {
    afterAll(() => rmSync(this.path, { recursive: true, force: true }));
  }

  /** A name in the folder that nothing has yet. */
  fresh(name: string): string {
    return join(this.path, `${String(this.#count++)}-${name}`);
  }

  /** Writes a file under a name that nothing has yet. */
  file(name: string, bytes: Uint8Array): string {
    const path = this.fresh(name);
    writeFileSync(path, bytes);
    return path;
  }

  /** Names in the folder that contain a word; temporary files carry the name they will get. */
  namesWith(word: string): string[] {
    return readdirSync(this.path).filter((name) => name.includes(word));
  }

  /** Paths in the folder that this process has open. Linux only. */
  openPaths(): string[] {
    return readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        const target = readlinkSync(join('/proc/self/fd', fd));
        return target.startsWith(this.path) ? [target] : [];
      } catch {
        // The descriptor that listed the folder is gone by now.
        return [];
      }
    });
  }
}
