// Chains that we make are read by 7-Zip, which follows parents beside their children, and are those of libvhdi's report.
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { createVhd, openVhd } from '../../src/open.ts';
import { convert } from '../../src/ops/convert.ts';
import { createImage } from '../../src/ops/create.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { runPeer, testWithPeers } from '../support/peers.ts';
import { contentOfFile } from '../support/streams-disks.ts';
import { useTempFolder } from '../support/temp.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const temp = useTempFolder('children');

/** What 7-Zip takes out of an image, in the directory of the image: it looks for parents from there. */
async function sevenZipContent(image: string): Promise<Uint8Array> {
  const out = `${image}.out`;
  await runPeer('7z', ['e', '-tvhd', '-y', `-o${out}`, image]);
  const name = (await runPeer('ls', [out])).stdout.trim();
  return readFile(join(out, name));
}

async function expectBothRead(image: string, content: Uint8Array): Promise<void> {
  expect(firstDifference(await contentOfFile(image), content), 'read here').toBe(-1);
  expect(firstDifference(await sevenZipContent(image), content), 'read by 7-Zip').toBe(-1);
}

/** 512-byte differences all over, a stretch of zeros over data, and the first and the last sector. */
function changedIn(content: Uint8Array, seed: number): Uint8Array {
  const changed = content.slice();
  for (let count = 0; count < 200; count++) {
    const sector = (count * 7919 * seed) % (content.length / 512);
    changed.set(pattern(512, seed + count), sector * 512);
  }
  changed.fill(0, 100 * KIB, 100 * KIB + 1536);
  changed.set(pattern(512, seed), content.length - 512);
  return changed;
}

const BASES = [
  ['fixed', 2 * MIB],
  ['dynamic', 2 * MIB],
  ['dynamic', 512 * KIB],
] as const;
const SIZES = [9 * MIB, 5 * MIB + 512];

for (const [index, [type, blockSize]] of BASES.entries()) {
  for (const [turn, size] of SIZES.entries()) {
    const childBlockSize = (index + turn) % 2 === 0 ? 512 * KIB : 2 * MIB;
    const shape = `${type}-${blockSize / KIB}-${size}-${childBlockSize / KIB}`;
    testWithPeers(['7z'], `7-Zip reads children by convert, two deep, over ${shape}`, async () => {
      const base = pattern(size, 3);
      base.fill(0, 2 * MIB, 4 * MIB + 512);
      const [first, second] = [changedIn(base, 5), changedIn(changedIn(base, 5), 11)];
      const file = (name: string): string => temp.file(`${shape}-${name}`);
      for (const [name, bytes] of [
        ['base', base],
        ['first', first],
        ['second', second],
      ] as const) {
        await writeFile(file(`${name}.raw`), bytes);
      }
      const ofBase = type === 'dynamic' ? { blockSize } : {};
      await convert(file('base.raw'), file('base.vhd'), { to: type, ...ofBase });
      const to = 'differencing';
      await convert(file('first.raw'), file('a.vhd'), { to, parent: file('base.vhd'), blockSize: childBlockSize });
      await convert(file('second.raw'), file('b.vhd'), { to, parent: file('a.vhd') });
      await expectBothRead(file('a.vhd'), first);
      await expectBothRead(file('b.vhd'), second);
    });
  }
}

testWithPeers(['7z'], '7-Zip reads children that were created and written to, three deep', async () => {
  const content = pattern(7 * MIB, 1);
  await writeFile(temp.file('grown.raw'), content);
  await convert(temp.file('grown.raw'), temp.file('grown-0.vhd'), { to: 'dynamic' });
  for (let depth = 1; depth <= 3; depth++) {
    const [child, parent] = [temp.file(`grown-${depth}.vhd`), temp.file(`grown-${depth - 1}.vhd`)];
    await createImage(child, { parent });
    await expectBothRead(child, content);
    const disk = await openVhd(child, { writable: true });
    for (const [position, length] of [
      [depth * 1000, 3],
      [depth * MIB, 700],
      [6 * MIB + depth * 512, 512],
    ] as const) {
      const bytes = pattern(length, depth + 7);
      await disk.write(bytes, position);
      content.set(bytes, position);
    }
    await disk.discard(4 * MIB, depth * 4096);
    content.fill(0, 4 * MIB, 4 * MIB + depth * 4096);
    await disk.close();
    await expectBothRead(child, content);
  }
});

testWithPeers(['7z'], '7-Zip reads a child that is smaller than its parent', async () => {
  const content = pattern(3 * MIB, 2);
  await writeFile(temp.file('large.raw'), pattern(6 * MIB, 2));
  await convert(temp.file('large.raw'), temp.file('large.vhd'), { to: 'fixed' });
  content.set(pattern(600, 9), MIB);
  await writeFile(temp.file('small.raw'), content);
  await convert(temp.file('small.raw'), temp.file('small.vhd'), { to: 'differencing', parent: temp.file('large.vhd') });
  await expectBothRead(temp.file('small.vhd'), content);
});

testWithPeers(['7z'], '7-Zip reads a child of odd names', async () => {
  const content = pattern(MIB, 2);
  const base = temp.file('bä se 50% 😀.vhd');
  const disk = await createVhd(base, { size: MIB });
  await disk.write(content, 0);
  await disk.close();
  await createImage(temp.file('odd child.vhd'), { parent: base });
  await expectBothRead(temp.file('odd child.vhd'), content);
});

testWithPeers(['vhdiinfo'], 'libvhdi shows who the parent is', async () => {
  const uuid = '00112233-4455-6677-8899-aabbccddeeff';
  const base = temp.file('told.vhd');
  await (await createVhd(base, { size: 5 * MIB, uuid })).close();
  await createImage(temp.file('told-child.vhd'), { parent: base });
  const { stdout } = await runPeer('vhdiinfo', [temp.file('told-child.vhd')]);
  expect(stdout).toMatch(/Disk type\s*: Differential/);
  expect(stdout).toMatch(new RegExp(`Parent identifier\\s*: ${uuid}`));
  expect(stdout).toContain(`: ${base}`);
  expect(stdout).toMatch(/Media size\s*: .*5242880 bytes/);
});

testWithPeers(
  ['7z'],
  'two children of one parent by convert have in common what the pipe and the file have',
  async () => {
    const base = temp.file('pipe-base.vhd');
    await writeFile(temp.file('pipe.raw'), pattern(4 * MIB, 4));
    await convert(temp.file('pipe.raw'), base, { to: 'dynamic' });
    await writeFile(temp.file('pipe2.raw'), changedIn(pattern(4 * MIB, 4), 3));
    const options = { to: 'differencing', parent: base, reproducible: true } as const;
    await convert(temp.file('pipe2.raw'), temp.file('pipe-file.vhd'), options);
    const target = await open(temp.file('pipe-stream.vhd'), 'w');
    await convert(temp.file('pipe2.raw'), target.createWriteStream({ autoClose: false }), options);
    await target.close();
    // They lie in different directories as far as their names go: 7-Zip finds the parent of the file only.
    await expectBothRead(temp.file('pipe-file.vhd'), changedIn(pattern(4 * MIB, 4), 3));
    const [first, second] = await Promise.all(
      ['pipe-file.vhd', 'pipe-stream.vhd'].map((name) => readFile(temp.file(name))),
    );
    expect(firstDifference(first?.subarray(-4 * MIB) ?? Buffer.of(), second?.subarray(-4 * MIB) ?? Buffer.of(1))).toBe(
      -1,
    );
  },
);
