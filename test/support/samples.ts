// Runs the programs of samples/: as they stand in the checkout, or against a built library in a folder of their own.
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFile, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { beforeAll } from 'vitest';
import { buildLibrary } from '../../.config/build.ts';
import type { TempFolder } from './temp.ts';

const root = join(import.meta.dirname, '../..');

/** Starts a sample with arguments. */
export type StartSample = (name: string, ...args: string[]) => ChildProcess;

/** Starts the file itself by tsx, as the documentation tells to. */
export const startInCheckout: StartSample = (name, ...args) =>
  start(root, ['--import', 'tsx', join('samples', `${name}.ts`), ...args]);

/** From `beforeAll` on, starts a sample as JavaScript in a project that has the built library as its dependency. */
export function useBuiltLibrary(folder: TempFolder): StartSample {
  beforeAll(async () => {
    const library = folder.file('app/node_modules/vhdkit');
    await mkdir(library, { recursive: true });
    await copyFile(join(root, 'package.json'), join(library, 'package.json'));
    await linkDependencies(folder.file('app/node_modules'));
    await buildLibrary(join(library, 'dist'));
    await writeFile(folder.file('app/package.json'), '{ "type": "module" }\n');
    await build({
      absWorkingDir: root,
      entryPoints: (await sampleNames()).map((name) => `samples/${name}.ts`),
      outdir: folder.file('app'),
      format: 'esm',
      platform: 'node',
      target: 'node20.19',
      logLevel: 'warning',
    });
  });
  return (name, ...args) => start(folder.file('app'), [`${name}.js`, ...args]);
}

/** The names of the samples that take arguments: all but the demo. */
export async function sampleNames(): Promise<string[]> {
  const files = await readdir(join(root, 'samples'));
  return files.filter((file) => file.endsWith('.ts') && file !== 'demo.ts').map((file) => file.slice(0, -3));
}

async function linkDependencies(modules: string): Promise<void> {
  const { dependencies, optionalDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    dependencies: object;
    optionalDependencies: object;
  };
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
    await symlink(join(root, 'node_modules', name), join(modules, name));
  }
}

function start(cwd: string, args: readonly string[]): ChildProcess {
  return spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
}
