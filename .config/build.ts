// Builds dist/: the library (ESM, shared chunks), the command (a minified split bundle, CommonJS) and the declarations.
import { execFile } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type BuildOptions, build, transform } from 'esbuild';

const root: string = fileURLToPath(new URL('..', import.meta.url));

/** Library entries as ESM with shared chunks; dependencies stay imports. */
export async function buildLibrary(outdir: string): Promise<void> {
  await build({
    ...(await commonOptions()),
    entryPoints: ['src/index.ts', 'src/core.ts', 'src/format.ts'],
    outdir,
    packages: 'external',
  });
}

/**
 * The command with everything it needs; what it imports dynamically becomes a chunk of its own. esbuild splits ES modules
 * only, and Node starts CommonJS ones a fifth faster: so it is split first, then each chunk is turned into CommonJS.
 */
export async function buildCommand(outdir: string): Promise<void> {
  const common = await commonOptions();
  const { outputFiles } = await build({
    ...common,
    entryPoints: ['bin/vhd.ts'],
    outdir,
    outExtension: { '.js': '.cjs' },
    minify: true,
    write: false,
    define: { ...common.define, 'import.meta.url': '""' },
  });
  await mkdir(join(outdir, 'chunks'), { recursive: true });
  for (const file of outputFiles) {
    const supported = { 'dynamic-import': false };
    const { code } = await transform(file.text, { format: 'cjs', target: 'node20.19', minify: true, supported });
    await writeFile(file.path, code);
  }
  await chmod(join(outdir, 'vhd.cjs'), 0o755);
}

/** Declarations of src/, one file per module, importing each other as `.js` so that every TypeScript reads them. */
export async function buildDeclarations(outdir: string): Promise<void> {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const project = join(root, '.config/tsconfig.declarations.json');
  await promisify(execFile)(process.execPath, [tsc, '--project', project, '--outDir', outdir]);
  for (const name of await readdir(outdir, { recursive: true })) {
    if (!name.endsWith('.d.ts')) continue;
    const path = join(outdir, name);
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace(/((?:from|import)\s*\(?\s*['"]\.{1,2}\/[^'"]*)\.ts(?=['"])/g, '$1.js'));
  }
}

async function commonOptions(): Promise<BuildOptions & { outdir?: string }> {
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  return {
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    chunkNames: 'chunks/[name]-[hash]',
    define: { __VHDKIT_VERSION__: JSON.stringify(manifest.version) },
    legalComments: 'none',
    logLevel: 'warning',
  };
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const dist = join(root, 'dist');
  await rm(dist, { recursive: true, force: true });
  await Promise.all([
    buildLibrary(dist),
    buildCommand(join(dist, 'bin')),
    buildDeclarations(join(dist, 'types')).catch((error: unknown) => {
      console.error(error instanceof Error && 'stdout' in error ? error.stdout : error);
      process.exitCode = 1;
    }),
  ]);
}
