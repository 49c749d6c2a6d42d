// vhdkit/core, bundled for a browser, in a world with nothing of Node in it.
import { join } from 'node:path';
import { createContext, runInContext } from 'node:vm';
import { build } from 'esbuild';
import { beforeAll, describe, expect, it } from 'vitest';
import type * as Core from '../../src/core.ts';

const root = join(import.meta.dirname, '../..');
const SIZE = 8 * 1024 * 1024;

async function bundleForBrowser(contents: string): Promise<string> {
  const result = await build({
    absWorkingDir: root,
    stdin: { contents, resolveDir: root, loader: 'ts' },
    bundle: true,
    write: false,
    platform: 'browser',
    format: 'iife',
    globalName: 'bundle',
    target: 'es2022',
    logLevel: 'silent',
  });
  return result.outputFiles[0]!.text;
}

/** Runs a bundle where only what every browser has can be named. */
function runInBrowser(code: string): unknown {
  const web = {
    AbortController,
    AbortSignal,
    ArrayBuffer,
    Blob,
    DataView,
    ReadableStream,
    TextDecoder,
    TextEncoder,
    Uint8Array,
    crypto,
    performance,
    queueMicrotask,
    setTimeout,
  };
  return runInContext(`${code}\nbundle;`, createContext({ ...web }));
}

describe('vhdkit/core in a browser', () => {
  let core: typeof Core;

  beforeAll(async () => {
    core = runInBrowser(await bundleForBrowser("export * from './src/core.ts';")) as typeof Core;
  });

  async function imageOf(type: 'dynamic' | 'fixed', bytes: Uint8Array, position: number): Promise<Blob> {
    const storage = new core.MemoryStorage();
    const disk = await core.createVhdStorage(storage, { size: SIZE, type });
    await disk.write(bytes, position);
    await disk.flush();
    const image = new Uint8Array(await storage.size());
    await storage.read(image, 0);
    await disk.close();
    return new Blob([image]);
  }

  it.each(['dynamic', 'fixed'] as const)('reads a %s VHD out of a Blob', async (type) => {
    const bytes = Uint8Array.from({ length: 5000 }, (_, index) => (index * 7 + 1) % 251);
    const blob = await imageOf(type, bytes, 3_000_000);
    const disk = await core.openVhdStorage(new core.BlobStorage(blob, 'picked.vhd'), {});
    expect(disk.size).toBe(SIZE);
    expect(Array.from(await disk.readBytes(3_000_000, 5000))).toEqual(Array.from(bytes));
    expect(Array.from(await disk.readBytes(2_999_999, 2))).toEqual([0, bytes[0]]);
    expect(Array.from(await disk.readBytes(SIZE - 1, 1))).toEqual([0]);
    await disk.close();
  });

  it('says what is wrong with a Blob that is no VHD', async () => {
    const storage = new core.BlobStorage(new Blob([new Uint8Array(4096)]), 'empty.vhd');
    await expect(core.openVhdStorage(storage, {})).rejects.toMatchObject({
      name: 'VhdError',
      code: expect.stringMatching(/^ERR_VHD_/) as string,
    });
  });
});

describe('the browser of this test', () => {
  it('cannot bundle node:*', async () => {
    await expect(bundleForBrowser("import 'node:fs';")).rejects.toThrow(/node:fs/);
  });

  it('has no Buffer, no process and no require', () => {
    const types = '[typeof Buffer, typeof process, typeof require, typeof globalThis.Buffer].join()';
    expect(runInBrowser(`var bundle = ${types};`)).toBe('undefined,undefined,undefined,undefined');
  });
});
