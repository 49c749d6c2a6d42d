// Builds dist/: the library (ESM, shared chunks), the command (a minified split bundle, CommonJS) and the declarations.
import { execFile } from 'node:child_process';
import { chmod, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import process, { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type BuildOptions, build, type Plugin } from 'esbuild';

const root: string = fileURLToPath(new URL('..', import.meta.url));

/** Library entries as ESM with shared chunks; dependencies stay imports. */
export async function buildLibrary(outdir: string): Promise<void> {
  await build({
    ...(await commonOptions()),
    entryPoints: ['src/index.ts', 'src/core.ts', 'src/format.ts'],
    outdir,
    packages: 'external',
    plugins: [ownCopy],
  });
}

/**
 * zstddec shows its module to the first who asks only: the library has a copy that nobody else asks.
 */
const ownCopy: Plugin = {
  name: 'own-copy',
  setup(bundle) {
    bundle.onResolve({ filter: /^zstddec\/stream$/ }, ({ path }) => ({
      path: fileURLToPath(import.meta.resolve(path)),
    }));
  },
};

/**
 * The command with everything it needs, split in four: `vhd.cjs` answers `--version` and loads `main.cjs` for the rest,
 * where a verb is evaluated when it is called, and that `wasm-decoders.cjs` where there is something to decompress and
 * `bench-chart.cjs`, with the notices of what it is made of, where there is something to draw. CommonJS in few files,
 * because Node starts it a fifth faster than modules in many; esbuild cannot split CommonJS, so the seam is made here.
 */
export async function buildCommand(outdir: string): Promise<void> {
  const common = await commonOptions();
  const commonJs: BuildOptions = {
    ...common,
    splitting: false,
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
    minify: true,
    supported: { 'dynamic-import': false },
    // Optional and native: found at run time beside the installed package, or not.
    external: ['koffi'],
    define: { ...common.define, 'import.meta.url': '""' },
    outdir,
  };
  const seam: Plugin = {
    name: 'seam',
    setup(bundle) {
      bundle.onResolve({ filter: /\/(main|wasm-decoders|bench-chart)\.ts$/ }, ({ kind, path }) => {
        const name = basename(path, '.ts');
        return kind === 'dynamic-import' ? { path: `./${name}.cjs`, external: true } : undefined;
      });
    },
  };
  // commander loads it for subcommands that are programs of their own; vhd has none, and it takes long to load.
  const withoutChildProcess: Plugin = {
    name: 'without-child-process',
    setup(bundle) {
      bundle.onResolve({ filter: /^node:child_process$/ }, ({ importer }) =>
        /[\\/]commander[\\/]/.test(importer) ? { path: 'child_process', namespace: 'nothing' } : undefined,
      );
      bundle.onLoad({ filter: /.*/, namespace: 'nothing' }, () => ({ contents: 'module.exports = {};' }));
    },
  };
  await Promise.all([
    build({ ...commonJs, entryPoints: ['bin/vhd.ts'], plugins: [seam] }),
    build({ ...commonJs, entryPoints: ['bin/main.ts'], plugins: [seam, withoutChildProcess] }),
    build({ ...commonJs, entryPoints: ['src/stream/wasm-decoders.ts'] }),
    build({ ...commonJs, entryPoints: ['bin/bench-chart.ts'], legalComments: 'inline', banner: { js: CHART_BANNER } }),
  ]);
  await writeFile(join(outdir, CHART_LICENSE), await chartLicenses());
  await chmod(join(outdir, 'vhd.cjs'), 0o755);
}

const CHART_LICENSE = 'bench-chart.LICENSE.txt';
const CHART_BANNER = `/*! Contains Apache ECharts (Apache-2.0), zrender (BSD-3-Clause), tslib (0BSD): see ${CHART_LICENSE} */`;

/** What the licences of the drawing library ask to be given along with it. */
async function chartLicenses(): Promise<string> {
  const names = ['echarts/NOTICE', 'echarts/LICENSE', 'echarts/licenses/LICENSE-d3', 'zrender/LICENSE'];
  const texts = names.map(async (name) => {
    return `${name}\n\n${(await readFile(join(root, 'node_modules', name), 'utf8')).trim()}\n`;
  });
  return (await Promise.all(texts)).join(`\n${'-'.repeat(80)}\n\n`);
}

/**
 * Declarations of src/, one file per module, importing each other as `.js` so that every TypeScript reads them. With
 * VHDKIT_TYPES_CHECKED=1 they are written without looking for errors, which `npm run types` has found already or will.
 */
export async function buildDeclarations(outdir: string): Promise<void> {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const project = join(root, '.config/tsconfig.declarations.json');
  const words = process.env['VHDKIT_TYPES_CHECKED'] === '1' ? ['--noCheck'] : [];
  await promisify(execFile)(process.execPath, [tsc, '--project', project, '--outDir', outdir, ...words]);
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
