// The files that the examples of the help are run on, each by itself in a folder that has all of these. An example that
// makes a file of the same name gets it out of the way first. Another file than these: add it here.
import { copyFile, mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openDisk } from '../../src/open.ts';
import { convert } from '../../src/ops/convert.ts';
import { hashDisk } from '../../src/ops/hash.ts';
import { relink } from '../../src/ops/relink.ts';
import { childImage, parentImage } from './child-images.ts';
import { findProgram, runPeer } from './peers.ts';

interface ExampleFile {
  readonly what: string;
  readonly make: (path: string, folder: string) => Promise<unknown>;
  /** Damaged, or no file: there only where an example names it, so that what takes `*` finds nothing wrong. */
  readonly isStrange?: boolean;
}

const MIB = 1024 ** 2;

function diskBytes(): Buffer {
  const disk = Buffer.alloc(4 * MIB);
  disk.write('a boot sector');
  disk.writeUInt16LE(0xaa55, 510);
  disk.fill('data ', MIB, 2 * MIB);
  return disk;
}

/** Made from `disk.raw`, which is made first. */
const image = (to: 'fixed' | 'dynamic') => (path: string, folder: string) =>
  convert(join(folder, 'disk.raw'), path, { to });

/** Skipped where the program is missing: so is the example, which names it. */
const packed = (program: string) => async (path: string, folder: string) => {
  if (findProgram(program) === undefined) return;
  const plain = join(folder, 'disk.raw');
  await runPeer('bash', ['-c', '"$1" -c < "$2" > "$3"', '-', program, plain, path]);
};

/** Every file there is, by name. */
export const EXAMPLE_FILES: Readonly<Record<string, ExampleFile>> = {
  'disk.raw': { what: '4 MiB, a boot sector and 1 MiB of data', make: (path) => writeFile(path, diskBytes()) },
  'part.raw': { what: '1 MiB of data', make: (path) => writeFile(path, diskBytes().subarray(MIB, 2 * MIB)) },
  'boot.bin': { what: 'a boot sector, 512 bytes', make: (path) => writeFile(path, diskBytes().subarray(0, 512)) },
  'disk.vhd': { what: 'disk.raw as a dynamic image', make: image('dynamic') },
  'other.vhd': { what: 'the same, with an identifier of its own', make: image('dynamic') },
  'fixed.vhd': { what: 'disk.raw as a fixed image', make: image('fixed') },
  'disk.raw.gz': { what: 'disk.raw, compressed', make: packed('gzip') },
  'disk.raw.xz': { what: 'disk.raw, compressed', make: packed('xz') },
  'disk.raw.zst': { what: 'disk.raw, compressed', make: packed('zstd') },
  'disk.json': { what: 'the manifest of disk.vhd', make: makeManifest },
  images: { what: 'a directory with a copy of disk.vhd', make: copyInto, isStrange: true },
  'base.vhd': { what: 'a dynamic image, the parent of child.vhd', make: (path) => writeFile(path, parentImage()) },
  'child.vhd': { what: 'a child of base.vhd', make: makeChild },
  'grown.vhd': {
    what: 'fixed.vhd with a MiB behind its footer',
    make: async (path, folder) => {
      await writeFile(path, await readFile(join(folder, 'fixed.vhd')));
      await truncate(path, 5 * MIB + 512);
    },
    isStrange: true,
  },
  'cut.vhd': {
    what: 'disk.vhd without its last 100 KiB',
    make: async (path, folder) => {
      const bytes = await readFile(join(folder, 'disk.vhd'));
      await writeFile(path, bytes.subarray(0, -100 * 1024));
    },
    isStrange: true,
  },
};

async function makeManifest(path: string, folder: string): Promise<void> {
  const { disk } = await openDisk(join(folder, 'disk.vhd'));
  await using _ = disk;
  await writeFile(path, JSON.stringify({ schema: 'vhdkit/hash/1', ...(await hashDisk(disk)) }));
}

async function makeChild(path: string, folder: string): Promise<void> {
  await writeFile(path, childImage());
  await relink(path, { parent: join(folder, 'base.vhd') });
}

async function copyInto(path: string, folder: string): Promise<void> {
  await mkdir(path);
  await copyFile(join(folder, 'disk.vhd'), join(path, 'disk.vhd'));
}

/** Makes all of them in a folder, in their order. */
export async function makeExampleFiles(folder: string): Promise<void> {
  for (const [name, { make }] of Object.entries(EXAMPLE_FILES)) await make(join(folder, name), folder);
}

/** The names that an example finds in its folder: those that it names, and all where it has a pattern or a directory. */
export function filesFor(line: string): string[] {
  const words = wordsOf(line);
  const takesAll = words.some((word) => /[*?[]|^\.{1,2}\/?$/.test(word));
  return Object.entries(EXAMPLE_FILES).flatMap(([name, { isStrange = false }]) =>
    words.includes(name) || (takesAll && !isStrange) ? [name] : [],
  );
}

/** What looks like a file in an example and is none of these. */
export function strangersIn(line: string): string[] {
  const names = wordsOf(line).filter((word) => /^[\w-]+(\.\w+)+$/.test(word));
  return names.filter((name) => !Object.hasOwn(EXAMPLE_FILES, name));
}

function wordsOf(line: string): string[] {
  return line.split(/[\s|;&()<>=]+/);
}
