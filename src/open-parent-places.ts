import type { BigIntStats } from 'node:fs';
import { lstat, readlink, realpath, stat } from 'node:fs/promises';
import { HERE } from './open-parent-paths.ts';

/** Symbolic links that are followed on the way to one file, as many as Linux follows. */
const MAX_LINKS = 40;

/** A file that may be opened. */
export interface LocatedFile {
  /** Its path, behind all symbolic links. */
  readonly file: string;
  /** What tells it from every other file. */
  readonly identity: string;
}

/** Why there is no file that may be opened. */
export interface NotLocated {
  /** One half of a sentence. */
  readonly problem: string;
  /** Where it leads out of every directory that may be looked into, which is not looked at. */
  readonly outside?: string | undefined;
  /** The error of the system, where there is something that cannot be looked at. */
  readonly error?: unknown;
}

interface Root {
  /** As it was named, absolute. */
  readonly named: string;
  /** The same directory behind all symbolic links. */
  readonly real: string;
}

/**
 * The directories that parents may lie in, with everything below them. Of a path that leads elsewhere nothing is asked of
 * the system, not even whether it is there: to ask can mount a share or log in to a server. Symbolic links are therefore
 * followed one by one.
 */
export class ParentPlaces {
  readonly #isAnywhere: boolean;
  readonly #roots: Root[] = [];

  /** With no directory yet; with `isAnywhere` none is needed. */
  constructor(isAnywhere: boolean) {
    this.#isAnywhere = isAnywhere;
  }

  /** Allows a directory and what is below it; returns where it really is. */
  async allow(directory: string): Promise<string> {
    const named = HERE.resolve(directory);
    const real = await realpath(named);
    if (this.#roots.every((root) => root.named !== named)) this.#roots.push({ named, real });
    if (this.#roots.every((root) => root.real !== real)) this.#roots.push({ named: real, real });
    return real;
  }

  /** Finds the regular file at an absolute path, if it lies where it may. */
  async locate(path: string): Promise<LocatedFile | NotLocated> {
    try {
      return this.#isAnywhere ? await locateAnywhere(path) : await this.#locateInside(path);
    } catch (error) {
      return absence(error);
    }
  }

  async #locateInside(path: string): Promise<LocatedFile | NotLocated> {
    let next = path;
    for (let count = 0; count <= MAX_LINKS; count++) {
      const inside = this.#inside(next);
      if (inside === undefined) return { problem: outsideProblem(path, next), outside: next };
      const found = await follow(inside.real, inside.parts);
      if (typeof found !== 'string') return found;
      next = found;
    }
    return { problem: 'too many symbolic links' };
  }

  /** The way to a path from a directory that may be looked into; undefined if there is none. */
  #inside(path: string): { readonly real: string; readonly parts: readonly string[] } | undefined {
    for (const { named, real } of this.#roots) {
      const relative = HERE.relative(named, path);
      const [first] = relative.split(HERE.sep);
      if (first !== '..' && !HERE.isAbsolute(relative)) {
        return { real, parts: relative.split(HERE.sep).filter((part) => part !== '') };
      }
    }
    return undefined;
  }
}

/** Goes down from a real directory. A symbolic link ends the way: where it leads, with what is left to go, is told. */
async function follow(real: string, parts: readonly string[]): Promise<LocatedFile | NotLocated | string> {
  let current = real;
  for (const [index, part] of parts.entries()) {
    const directory = current;
    current = HERE.join(directory, part);
    const stats = await lstat(current, { bigint: true });
    if (stats.isSymbolicLink()) {
      return HERE.resolve(directory, await readlink(current), ...parts.slice(index + 1));
    }
    if (index === parts.length - 1) return regularFile(current, stats);
    if (!stats.isDirectory()) return { problem: 'no such file' };
  }
  return { problem: 'a directory' };
}

async function locateAnywhere(path: string): Promise<LocatedFile | NotLocated> {
  const found = regularFile(path, await stat(path, { bigint: true }));
  return 'file' in found ? { ...found, file: await realpath(path) } : found;
}

/** Opening a pipe or a device does something; it is no parent of anything. */
function regularFile(file: string, stats: BigIntStats): LocatedFile | NotLocated {
  if (stats.isFile()) return { file, identity: identityOf(stats) };
  return { problem: stats.isDirectory() ? 'a directory' : 'a pipe or a device' };
}

/** What tells a file from every other one. */
export function identityOf({ dev, ino }: Pick<BigIntStats, 'dev' | 'ino'>): string {
  return `${dev}:${ino}`;
}

function outsideProblem(path: string, next: string): string {
  const outside = 'outside the directories that may be looked into, so it was not looked at';
  return next === path ? outside : `a symbolic link to ${next}, ${outside}`;
}

/** What a failure to look at a path says: that nothing is there, or that something is which cannot be looked at. */
function absence(error: unknown): NotLocated {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const isAbsent = ['ENOENT', 'ENOTDIR', 'ELOOP', 'EINVAL', 'ERR_INVALID_ARG_VALUE'].includes(code);
  if (isAbsent) return { problem: 'no such file' };
  if (code === 'ENAMETOOLONG') return { problem: 'the name is too long' };
  if (code === '') throw error;
  return { problem: `it cannot be looked at (${code})`, error };
}
