// What a user gets: the packed tarball, installed into an empty folder.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SAMPLE, SAMPLES } from '../support/compressed.ts';

interface Manifest {
  readonly version: string;
  readonly files: readonly string[];
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** What `vhd --version --json` tells of the native helper. */
interface About {
  readonly native: { readonly isActive: boolean; readonly reason?: string };
}

const root = join(import.meta.dirname, '../..');
const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Manifest;
const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'];
let scratch = '';
let app = '';

async function run(cwd: string, command: string, ...args: string[]): Promise<string> {
  const settings = { npm_config_update_notifier: 'false', npm_config_loglevel: 'error', VHDKIT_TYPES_CHECKED: '1' };
  const env = { ...process.env, ...settings };
  const { stdout } = await promisify(execFile)(command, args, { cwd, env }).catch((error: unknown) => {
    const { stdout: out, stderr: err } = error as { stdout: string; stderr: string };
    throw new Error(`${command} ${args.join(' ')} failed:\n${out}${err}`, { cause: error });
  });
  return stdout.trim();
}

/** Packs a copy of the sources, so that the build under test disturbs no other. */
async function pack(): Promise<string> {
  const copy = join(scratch, 'sources');
  await mkdir(copy);
  for (const name of ['package.json', 'tsconfig.json', '.config', 'src', 'bin', ...manifest.files]) {
    if (name !== 'dist') await cp(join(root, name), join(copy, name), { recursive: true });
  }
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
  const packed = await run(copy, 'npm', 'pack', '--json', '--pack-destination', scratch);
  const [report] = JSON.parse(packed.slice(packed.indexOf('['))) as [{ filename: string }];
  return join(scratch, report.filename);
}

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'vhdkit-package-'));
  const tarball = await pack();
  app = join(scratch, 'app');
  await mkdir(app);
  await writeFile(join(app, 'package.json'), '{ "name": "app", "version": "1.0.0", "private": true }\n');
  await run(app, 'npm', 'install', ...quiet, tarball);
}, 180_000);

afterAll(async () => {
  await rm(scratch, { recursive: true, force: true });
});

describe('the installed command', () => {
  it.each(['vhd', 'vhdkit'])('answers npx %s --version', async (name) => {
    expect(await run(app, 'npx', '--offline', name, '--version')).toBe(manifest.version);
  });

  it('is an executable file', async () => {
    const { mode } = await stat(join(app, 'node_modules/vhdkit/dist/bin/vhd.cjs'));
    expect(mode & 0o111).toBe(0o111);
  });

  it('needs no installed dependency', async () => {
    const alone = join(scratch, 'alone');
    await cp(join(app, 'node_modules/vhdkit/dist/bin'), alone, { recursive: true });
    await writeFile(join(scratch, 'package.json'), '{ "type": "module" }\n');
    expect(await run(scratch, process.execPath, join(alone, 'vhd.cjs'), '--version')).toBe(manifest.version);
    expect(await run(scratch, process.execPath, join(alone, 'vhd.cjs'), '--help')).toContain('convert');
    const about = JSON.parse(
      await run(scratch, process.execPath, join(alone, 'vhd.cjs'), '--version', '--json'),
    ) as About;
    expect(about.native.isActive).toBe(false);
    const isKnown = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);
    if (isKnown) expect(about.native.reason).toBe('koffi is not installed');
  });

  it('uses the native helper that was installed with it', async () => {
    const about = JSON.parse(await run(app, join(app, 'node_modules/.bin/vhd'), '--version', '--json')) as About;
    const isThere = existsSync(join(app, `node_modules/@koromix/koffi-${process.platform}-${process.arch}`));
    const isKnown = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);
    expect(about.native.isActive).toBe(isThere && isKnown);
    const code = `import('vhdkit').then(({ nativeSupport }) => nativeSupport()).then((it) => console.log(it.isActive))`;
    expect(await run(app, process.execPath, '-e', code)).toBe(String(isThere && isKnown));
  });
});

describe.each(['zstd', 'xz'] as const)('what %s needs is there', (format) => {
  it('for the command, without any dependency', async () => {
    const alone = join(scratch, `alone-${format}`);
    await cp(join(app, 'node_modules/vhdkit/dist/bin'), alone, { recursive: true });
    await writeFile(join(alone, 'package.json'), '{ "type": "module" }\n');
    await writeFile(join(alone, `disk.raw.${format}`), SAMPLES[format]);
    const args = ['convert', `disk.raw.${format}`, 'disk.raw', '--compression', format, '-q'];
    await run(alone, process.execPath, join(alone, 'vhd.cjs'), ...args);
    expect(Buffer.compare(await readFile(join(alone, 'disk.raw')), SAMPLE)).toBe(0);
  });

  it.each(['import', 'require'])('for the library, by %s', async (way) => {
    const bytes = `Buffer.from('${Buffer.from(SAMPLES[format]).toString('base64')}', 'base64')`;
    const code = `(async () => {
      const { decompress } = await ${way}('vhdkit');
      let byteLength = 0;
      for await (const chunk of decompress((async function* () { yield ${bytes}; })())) byteLength += chunk.length;
      console.log(byteLength);
    })()`;
    expect(await run(app, process.execPath, '--no-warnings', '-e', code)).toBe(String(SAMPLE.length));
  });
});

describe('the installed library', () => {
  it('decompresses where the program used zstddec before', async () => {
    const code = `(async () => {
      const { ZSTDDecoder } = await import('zstddec/stream');
      await new ZSTDDecoder().init();
      const { decompress } = await import('vhdkit');
      const bytes = Buffer.from('${Buffer.from(SAMPLES.zstd).toString('base64')}', 'base64');
      let byteLength = 0;
      for await (const chunk of decompress((async function* () { yield bytes; })())) byteLength += chunk.length;
      console.log(byteLength);
    })()`;
    expect(await run(app, process.execPath, '-e', code)).toBe(String(SAMPLE.length));
  });

  const names = [
    ['vhdkit', 'openVhd'],
    ['vhdkit/core', 'MemoryStorage'],
    ['vhdkit/format', 'decodeFooter'],
  ] as const;

  it.each(names)('import(%j) has %s', async (specifier, name) => {
    const code = `import(${JSON.stringify(specifier)}).then((it) => console.log(typeof it.${name}))`;
    expect(await run(app, process.execPath, '-e', code)).toBe('function');
  });

  it.each(names)('require(%j) has %s', async (specifier, name) => {
    const code = `console.log(typeof require(${JSON.stringify(specifier)}).${name})`;
    expect(await run(app, process.execPath, '--no-warnings', '-e', code)).toBe('function');
  });

  it('shares one VhdError between its entries', async () => {
    const code = `Promise.all([import('vhdkit'), import('vhdkit/core')]).then(([a, b]) => console.log(a.VhdError === b.VhdError))`;
    expect(await run(app, process.execPath, '-e', code)).toBe('true');
  });

  it('shows nothing but its entries', async () => {
    const code = `import('vhdkit/dist/index.js').catch((error) => console.log(error.code))`;
    expect(await run(app, process.execPath, '-e', code)).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED');
  });

  it('has exact versions of everything', () => {
    const versions = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
    expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
  });
});

describe('the installed types', () => {
  // The libraries that come with TypeScript are not looked into: that is half of the time.
  const ours = { strict: true, exactOptionalPropertyTypes: true, noEmit: true, skipDefaultLibCheck: true };
  const strict = { ...ours, target: 'es2023', module: 'nodenext' };

  const parsed = new Map<string, ts.SourceFile | undefined>();

  /** Compiles a program beside the installed package as `tsc --project` does; what it says. */
  async function typeCheck(name: string, text: string, compilerOptions: object): Promise<string> {
    const folder = join(app, name);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }\n');
    await writeFile(join(folder, 'main.ts'), text);
    const config = { compilerOptions, files: ['main.ts'] };
    const { errors, fileNames, options } = ts.parseJsonConfigFileContent(config, ts.sys, folder);
    const host = ts.createCompilerHost(options);
    const parse = host.getSourceFile.bind(host);
    // The libraries and our declarations are the same in both programs, and as long to parse as all the rest.
    host.getSourceFile = (path, how, ...rest) => {
      const key = `${path} ${JSON.stringify(how)}`;
      if (!parsed.has(key)) parsed.set(key, parse(path, how, ...rest));
      return parsed.get(key);
    };
    const program = ts.createProgram(fileNames, options, host);
    return ts.formatDiagnostics([...errors, ...ts.getPreEmitDiagnostics(program)], host);
  }

  it('compile in a program for Node', async () => {
    const text = `
      import { type VhdDisk, VhdError, openVhd } from 'vhdkit';
      export async function first(path: string): Promise<Uint8Array> {
        const disk: VhdDisk = await openVhd(path, { writable: false });
        try {
          return await disk.readBytes(0, 512);
        } catch (error) {
          throw error instanceof VhdError ? new Error(error.code) : error;
        } finally {
          await disk.close();
        }
      }
      // @ts-expect-error an unknown option
      void openVhd('a.vhd', { writeable: true });
    `;
    const typeRoots = [join(root, 'node_modules/@types')];
    const options = { ...strict, lib: ['es2023', 'esnext.disposable'], types: ['node'], typeRoots };
    expect(await typeCheck('node-types', text, options)).toBe('');
  });

  it('compile in a program for a browser, without the types of Node', async () => {
    const text = `
      import { BlobStorage, MemoryStorage, VhdError, createVhdStorage, openVhdStorage } from 'vhdkit/core';
      import { decodeFooter } from 'vhdkit/format';
      export async function first(blob: Blob): Promise<Uint8Array> {
        const disk = await openVhdStorage(new BlobStorage(blob), {});
        const size: number = disk.size;
        return disk.readBytes(0, Math.min(512, size));
      }
      void [MemoryStorage, VhdError, createVhdStorage, decodeFooter];
    `;
    const options = { ...strict, lib: ['es2023', 'dom', 'esnext.disposable'], types: [] };
    expect(await typeCheck('browser-types', text, options)).toBe('');
  });
});
