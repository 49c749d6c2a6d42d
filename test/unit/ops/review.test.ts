import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { openVhd } from '../../../src/open.ts';
import { convert } from '../../../src/ops/convert.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { decodeVhd } from '../../../src/stream/decode.ts';
import { buildImage } from '../../support/build-image.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { ChunkSource } from '../../support/streams-sources.ts';

const KiB = 1024;
const folder = mkdtempSync(join(tmpdir(), 'vhdkit-review-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the CHS size', () => {
  it('is for reading only: behind it live blocks would count as free space', async () => {
    const image = buildImage({ size: 5 * 4096, blockSize: 4096, blocks: [{ index: 4, data: pattern(4096) }] });
    const options = { writable: true, sizeFrom: 'chs' } as const;
    await expect(openVhdStorage(new MemoryStorage(image), options)).rejects.toThrow(TypeError);
    await expect(openVhd(new MemoryStorage(image), options)).rejects.toThrow(TypeError);
  });
});

describe('an output behind symbolic links', () => {
  it('is where the system says it is, not where the text of the links leads', async () => {
    const at = (...names: string[]): string => join(folder, ...names);
    for (const name of ['real/sub', 'real/x', 'x']) mkdirSync(at(name), { recursive: true });
    symlinkSync(at('real/sub'), at('linkdir'));
    symlinkSync('../x/o.raw', at('real/sub/out.raw'));
    writeFileSync(at('real/x/o.raw'), 'the target');
    writeFileSync(at('x/o.raw'), 'somebody else');
    writeFileSync(at('source.raw'), pattern(1024));
    await convert(at('source.raw'), at('linkdir/out.raw'), { to: 'raw', force: true });
    expect(readFileSync(at('x/o.raw'), 'utf8')).toBe('somebody else');
    expect(firstDifference(readFileSync(at('real/x/o.raw')), pattern(1024))).toBe(-1);
  });
});

describe('a stream into a dynamic image', () => {
  it('lays the blocks in the order of the disk, also where empty ones lie between them', async () => {
    const blockSize = 512 * KiB;
    const content = new Uint8Array(40 * blockSize);
    for (let block = 0; block < 40; block += 2) content.set(pattern(blockSize, block + 1), block * blockSize);
    const identity = { uuid: new Uint8Array(16).fill(7), timestamp: new Date('2026-01-01T00:00:00Z') };
    const images: Buffer[] = [];
    for (const name of ['first.vhd', 'second.vhd']) {
      const target = join(folder, name);
      await convert(new ChunkSource(content), target, { to: 'dynamic', blockSize, ...identity });
      images.push(readFileSync(target));
    }
    const [first = Buffer.alloc(0), second = Buffer.alloc(1)] = images;
    expect(firstDifference(first, second)).toBe(-1);
    const decoded = await decodeVhd(new ChunkSource(first));
    expect(decoded.isAscending).toBe(true);
  });
});
