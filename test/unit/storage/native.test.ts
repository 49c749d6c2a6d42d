// The calls themselves, with the constants of this system.
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { arch, platform } from 'node:process';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { loadNative, type NativeFiles, nativeSupport } from '../../../src/storage/native.ts';
import { pattern } from '../../support/bytes.ts';
import { sparseFolders, whyNoHoles, writeSparse } from '../../support/sparse-files.ts';

const GiB = 1024 ** 3;
const folders = sparseFolders('native');

afterEach(() => {
  vi.unstubAllEnvs();
});

async function native(): Promise<NativeFiles> {
  const { files } = await loadNative();
  if (files === undefined) throw new Error('the native helper is not loaded');
  return files;
}

describe('the native helper', () => {
  it('tells its version, or why it is not there', async () => {
    const support = await nativeSupport();
    expect(support.isActive).toBe(support.version !== undefined);
    expect(support.isActive).toBe(support.reason === undefined);
    expect(support.features.map(({ name, isActive }) => [name, isActive])).toEqual([
      ['holes', support.isActive],
      ['clone', support.isActive],
      ['locks', support.isActive],
      ['batches', support.isActive && arch === 'x64'],
      ['punch', support.isActive],
    ]);
    const isKnown = platform === 'linux' && (arch === 'x64' || arch === 'arm64');
    if (!isKnown) expect(support.reason).toBe(`not used on ${platform} ${arch}`);
  });

  // Else what needs it, locks and batches among them, would be skipped where everything has to be there.
  it.runIf(process.env['VHDKIT_REQUIRE_PEERS'] === '1')('is there where every peer is required', async () => {
    const { features, reason } = await nativeSupport();
    expect(reason).toBeUndefined();
    const missing = features.filter(({ name, isActive }) => !isActive && (name !== 'batches' || arch === 'x64'));
    expect(missing).toEqual([]);
  });

  it('is turned off by VHDKIT_NATIVE=0, and by nothing else', async () => {
    const before = await nativeSupport();
    vi.stubEnv('VHDKIT_NATIVE', '0');
    expect(await loadNative()).toEqual({ files: undefined, reason: 'turned off by VHDKIT_NATIVE=0' });
    expect(await nativeSupport()).toMatchObject({ isActive: false, version: undefined });
    vi.stubEnv('VHDKIT_NATIVE', '1');
    expect(await nativeSupport()).toEqual(before);
  });
});

for (const folder of folders) {
  const reason = await whyNoHoles(folder);
  describe.skipIf(reason !== undefined)(`in ${folder}${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
    it('finds data and holes on both sides of 4 GiB', async () => {
      const path = join(folder, 'large');
      writeSparse(path, 9 * GiB, [
        [64 * 1024, pattern(8192)],
        [5 * GiB + 8192, pattern(1)],
      ]);
      const file = openSync(path, 'r');
      const files = await native();
      expect(files.seekData(file, 0)).toBe(64 * 1024);
      expect(files.seekHole(file, 64 * 1024)).toBe(72 * 1024);
      expect(files.seekData(file, 64 * 1024 + 1)).toBe(64 * 1024 + 1);
      expect(files.seekHole(file, 0)).toBe(0);
      expect(files.seekData(file, 72 * 1024)).toBe(5 * GiB + 8192);
      expect(files.seekHole(file, 5 * GiB + 8192)).toBe(5 * GiB + 12288);
      expect(files.seekData(file, 5 * GiB + 12288)).toBeUndefined();
      expect(files.seekData(file, 9 * GiB)).toBeUndefined();
      closeSync(file);
    });

    it('takes the end of a file for a hole', async () => {
      const path = join(folder, 'full');
      writeFileSync(path, pattern(5000));
      const file = openSync(path, 'r');
      expect((await native()).seekHole(file, 10)).toBe(5000);
      closeSync(file);
    });

    it('throws where the system cannot tell', async () => {
      const files = await native();
      expect(() => files.seekData(-1, 0)).toThrow('lseek(0, 3) gave -1, errno 9');
      expect(() => files.seekHole(-1, 0)).toThrow('lseek(0, 4) gave -1, errno 9');
      writeFileSync(join(folder, 'short'), pattern(10));
      const file = openSync(join(folder, 'short'), 'r');
      expect(() => files.seekHole(file, 11)).toThrow('the file ends before 11');
      closeSync(file);
    });

    it('clones a file, or says that it cannot', async () => {
      const [source, target] = [join(folder, 'source'), join(folder, 'target')];
      writeFileSync(source, pattern(8192));
      const [from, to] = [openSync(source, 'r'), openSync(target, 'w')];
      const isCloned = await (await native()).cloneFile(from, to);
      closeSync(from);
      closeSync(to);
      expect(Buffer.compare(readFileSync(target), isCloned ? pattern(8192) : new Uint8Array(0))).toBe(0);
      expect(await (await native()).cloneFile(-1, -1)).toBe(false);
    });
  });
}
