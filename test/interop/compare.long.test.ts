// Two images, held against each other by us and by qemu-img: the same verdict, and where ours says they begin to differ.
import { copyFile, truncate, writeFile } from 'node:fs/promises';
import { beforeAll, expect, it } from 'vitest';
import { openVhd } from '../../src/open.ts';
import { compare } from '../../src/ops/compare.ts';
import { convert } from '../../src/ops/convert.ts';
import { pattern } from '../support/bytes.ts';
import { describeWithPeers, runPeer } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';

const MiB = 1024 * 1024;
const SIZE = 12 * MiB;

describeWithPeers(['qemu-img'], 'our verdict and that of qemu-img', () => {
  const folder = useTempFolder('interop-compare');
  const NAMES = ['disk.raw', 'fixed.vhd', 'dynamic.vhd', 'changed.vhd', 'longer.raw', 'tail.raw'] as const;

  beforeAll(async () => {
    const bytes = new Uint8Array(SIZE);
    bytes.set(pattern(3 * MiB), 2 * MiB);
    const raw = folder.file('disk.raw');
    await writeFile(raw, bytes);
    await convert(raw, folder.file('fixed.vhd'), { to: 'fixed' });
    await convert(raw, folder.file('dynamic.vhd'), { to: 'dynamic' });
    const options = ['-o', 'subformat=dynamic,force_size=on'];
    await runPeer('qemu-img', ['convert', '-f', 'raw', '-O', 'vpc', ...options, raw, folder.file('changed.vhd')]);
    const disk = await openVhd(folder.file('changed.vhd'), { writable: true });
    await disk.write(Uint8Array.of(1), 7 * MiB + 1000);
    await disk.close();
    await copyFile(raw, folder.file('longer.raw'));
    await truncate(folder.file('longer.raw'), SIZE + 5 * MiB);
    await writeFile(
      folder.file('tail.raw'),
      Buffer.concat([bytes, new Uint8Array(MiB), Uint8Array.of(1), new Uint8Array(511)]),
    );
  });

  const pairs = NAMES.flatMap((a, index) => NAMES.slice(index + 1).map((b) => [a, b] as const));

  it.each(pairs)('is the same of %s and %s', async (a, b) => {
    const formats = [a, b].map((name) => (name.endsWith('.vhd') ? 'vpc' : 'raw'));
    const words = ['compare', '-f', formats[0] ?? '', '-F', formats[1] ?? '', folder.file(a), folder.file(b)];
    const isOtherSize = (await compare(folder.file(a), folder.file(b))).tail !== null;
    // Strict, qemu-img finds fault with holes as well.
    for (const ignoreTail of isOtherSize ? [true, false] : [true]) {
      const strict = ignoreTail ? [] : ['-s'];
      const { code, stdout } = await runPeer('qemu-img', [...words, ...strict], { anyCode: true });
      const found = await compare(folder.file(a), folder.file(b), { ignoreTail });
      expect(found.equal).toBe(code === 0);
      // Of different sizes it says so first, and of others where the first sector is that differs.
      const offset = /mismatch at offset (\d+)/.exec(stdout)?.[1];
      const ours = found.firstDifference ?? found.tail?.firstData;
      if (offset !== undefined) expect(Number(offset)).toBe((ours ?? 0) - ((ours ?? 0) % 512));
    }
  });
});
