import { readdir, readFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  exportViolations,
  globalViolations,
  layerViolations,
  lengthViolations,
  nodeReachableFrom,
  type SourceText,
} from '../support/architecture.ts';

const root = join(import.meta.dirname, '../..');

async function readTree(folders: readonly string[]): Promise<SourceText[]> {
  const files: SourceText[] = [];
  for (const folder of folders) {
    for (const name of await readdir(join(root, folder), { recursive: true })) {
      if (!name.endsWith('.ts')) continue;
      const path = join(folder, name);
      files.push({ path: path.split(sep).join('/'), text: await readFile(join(root, path), 'utf8') });
    }
  }
  return files;
}

const file = (path: string, text = ''): SourceText => ({ path, text });

describe('the house', async () => {
  const files = await readTree(['src', 'bin', 'samples']);

  it('has its files where it says', () => {
    const paths = files.map((each) => each.path);
    expect(paths).toContain('src/index.ts');
    expect(paths).toContain('src/core.ts');
    expect(paths).toContain('src/format.ts');
    expect(paths).toContain('bin/vhd.ts');
  });

  it('lets imports point down only', () => {
    expect(layerViolations(files)).toEqual([]);
  });

  it('keeps node:* out of everything reachable from core.ts and format.ts', () => {
    expect(nodeReachableFrom('src/core.ts', files)).toEqual([]);
    expect(nodeReachableFrom('src/format.ts', files)).toEqual([]);
  });

  it('has no default exports, no barrels but the entry files, no file named utils', () => {
    expect(exportViolations(files)).toEqual([]);
  });

  it('has short files', () => {
    expect(lengthViolations(files.filter((each) => !each.path.startsWith('samples/')))).toEqual([]);
  });

  it('has no console in src and no globals of Node in the portable part', () => {
    expect(globalViolations(files)).toEqual([]);
  });
});

describe('the check of the layers finds', () => {
  const targets = [
    file('src/errors.ts'),
    file('src/format/a.ts'),
    file('src/storage/a.ts'),
    file('src/disk/a.ts'),
    file('src/stream/a.ts'),
    file('src/inspect/a.ts'),
    file('src/open.ts'),
    file('src/ops/a.ts'),
    file('src/index.ts'),
    file('bin/vhd.ts'),
  ];
  const bad: readonly (readonly [string, string])[] = [
    ['src/errors.ts', "import { a } from './format/a.ts';"],
    ['src/format/b.ts', "import { a } from '../storage/a.ts';"],
    ['src/format/b.ts', "import type { A } from '../storage/a.ts';"],
    ['src/format/b.ts', "export { a } from '../disk/a.ts';"],
    ['src/storage/b.ts', "import { a } from '../format/a.ts';"],
    ['src/disk/b.ts', "const a = await import('../stream/a.ts');"],
    ['src/disk/b.ts', "type A = import('../open.ts').A;"],
    ['src/stream/b.ts', "import { a } from '../inspect/a.ts';"],
    ['src/inspect/b.ts', "import { a } from '../stream/a.ts';"],
    ['src/open.ts', "import { a } from './ops/a.ts';"],
    ['src/ops/b.ts', "import { a } from '../index.ts';"],
    ['src/index.ts', "import { a } from '../bin/vhd.ts';"],
    ['samples/a.ts', "import { a } from '../bin/vhd.ts';"],
    ['src/format/b.ts', "import fs from 'node:fs';"],
    ['src/storage/http.ts', "import type { Readable } from 'node:stream';"],
    ['src/disk/b.ts', "import fs from 'node:fs';"],
    ['src/inspect/b.ts', "import fs from 'node:fs';"],
    ['src/ops/b.ts', "import { Command } from 'commander';"],
    ['src/disk/b.ts', "import { a } from './missing.ts';"],
    ['src/disk/b.ts', "import { a } from './a.js';"],
    ['src/disk/b.ts', "import { a } from '../disk/a';"],
    ['bin/b.ts', 'await import(`./commands/${name}.ts`);'],
    ['src/elsewhere/b.ts', ''],
    ['src/lonely.ts', ''],
  ];

  it.each(bad)('%s: %s', (path, text) => {
    expect(layerViolations([...targets.filter((each) => each.path !== path), file(path, text)])).toHaveLength(1);
  });

  const good: readonly (readonly [string, string])[] = [
    ['src/format/b.ts', "import { a } from './a.ts'; import { e } from '../errors.ts'; import CRC32 from 'crc-32';"],
    ['src/disk/b.ts', "import { a } from '../format/a.ts'; import { b } from '../storage/a.ts';"],
    ['src/storage/file.ts', "import fs from 'node:fs/promises';"],
    ['src/storage/file-lock.ts', "import fs from 'node:fs/promises';"],
    ['src/storage/native.ts', "import { createRequire } from 'node:module';"],
    ['src/stream/b.ts', "import { Readable } from 'node:stream'; import { a } from '../disk/a.ts';"],
    ['src/ops/b.ts', "import { a } from '../open.ts'; import { b } from '../inspect/a.ts'; import 'node:crypto';"],
    ['src/core.ts', "export { a } from './disk/a.ts'; export { b } from './index.ts';"],
    ['bin/b.ts', "import { Command } from 'commander'; await import('../src/ops/a.ts');"],
    ['samples/a.ts', "import { a } from 'vhdkit';"],
  ];

  it.each(good)('nothing in %s: %s', (path, text) => {
    expect(layerViolations([...targets.filter((each) => each.path !== path), file(path, text)])).toEqual([]);
  });
});

describe('the other checks find', () => {
  it('node:* behind any number of imports', () => {
    const files = [
      file('src/core.ts', "export { a } from './disk/a.ts';"),
      file('src/disk/a.ts', "import { b } from '../storage/b.ts'; import { c } from './c.ts';"),
      file('src/disk/c.ts', "import { a } from './a.ts';"),
      file('src/storage/b.ts', "const fs = await import('node:fs');"),
      file('src/ops/a.ts', "import 'node:fs';"),
    ];
    expect(nodeReachableFrom('src/core.ts', files)).toEqual([
      'src/core.ts -> src/disk/a.ts -> src/storage/b.ts -> node:fs',
    ]);
    expect(nodeReachableFrom('src/core.ts', files.slice(0, 3))).toEqual([]);
  });

  it.each([
    ['src/a.ts', 'export default 3;'],
    ['src/a.ts', 'export default function a() {}'],
    ['src/a.ts', 'const a = 3; export { a as default };'],
    ['src/index.ts', "export * from './a.ts';"],
    ['src/index.ts', "export * as a from './a.ts';"],
    ['src/disk/a.ts', "export { a } from './b.ts';"],
    ['src/disk/a.ts', "export type { A } from './b.ts';"],
    ['src/disk/index.ts', 'export const a = 3;'],
    ['src/disk/utils.ts', 'export const a = 3;'],
  ])('%s: %s', (path, text) => {
    expect(exportViolations([file(path, text)])).toHaveLength(1);
  });

  it('nothing in an entry file with names', () => {
    expect(exportViolations([file('src/index.ts', "export { a, type B } from './a.ts';")])).toEqual([]);
  });

  it('long files and a long median', () => {
    const lines = (count: number): string => 'x\n'.repeat(count);
    expect(lengthViolations([file('src/a.ts', lines(400)), file('src/b.ts', lines(1)), file('src/c.ts')])).toEqual([]);
    expect(lengthViolations([file('src/a.ts', lines(401)), file('src/b.ts', lines(1)), file('src/c.ts')])).toHaveLength(
      1,
    );
    expect(lengthViolations([file('src/a.ts', lines(160))])).toEqual([]);
    expect(lengthViolations([file('src/a.ts', lines(161))])).toHaveLength(1);
  });

  it('console, process and Buffer where they do not belong', () => {
    expect(globalViolations([file('src/ops/a.ts', 'console.log(1);')])).toHaveLength(1);
    expect(globalViolations([file('src/ops/a.ts', '// console\nconst a = { console: 1 }; a.console;')])).toEqual([]);
    expect(globalViolations([file('src/disk/a.ts', 'process.nextTick(a);')])).toHaveLength(1);
    expect(globalViolations([file('src/disk/a.ts', 'Buffer.from(a);')])).toHaveLength(1);
    expect(globalViolations([file('src/disk/a.ts', "if (typeof Buffer !== 'undefined') Buffer.from(a);")])).toEqual([]);
    expect(globalViolations([file('src/storage/file.ts', 'Buffer.from(a);')])).toEqual([]);
  });
});
