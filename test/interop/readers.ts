// The peers as readers: what size they say a disk has, and what they read from it.
import { mkdir, open, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { findProgram, runPeer } from '../support/peers.ts';
import type { Contents, PartitionedContents, Range } from './contents.ts';

/** The size that qemu sees; always told that it is a VHD, it would take a fixed one for raw. */
export async function qemuSize(image: string): Promise<number> {
  const { stdout } = await runPeer('qemu-img', ['info', '-f', 'vpc', '--output', 'json', image]);
  const info = JSON.parse(stdout) as { 'virtual-size': number };
  return info['virtual-size'];
}

/** Compares an image with a raw one, all of it and the sizes too (a warning would be in the text). */
export async function expectQemuSame(image: string, raw: string): Promise<void> {
  const args = ['compare', '-f', 'vpc', '-F', 'raw', image, raw];
  const { code, stdout, stderr } = await runPeer('qemu-img', args, { anyCode: true });
  expect({ code, text: `${stdout}${stderr}`.trim() }).toEqual({ code: 0, text: 'Images are identical.' });
}

/** The size that libvhdi sees. */
export async function vhdiSize(image: string): Promise<number> {
  const { stdout } = await runPeer('vhdiinfo', [image]);
  const line = /^\s*Media size\s*:(.*)$/m.exec(stdout)?.[1] ?? '';
  // "40 MiB (41943040 bytes)", and "512 bytes" where there is no unit to round to.
  const digits = /(\d+) bytes/.exec(line)?.[1];
  if (digits === undefined) throw new Error(`vhdiinfo says no size:\n${stdout}`);
  return Number(digits);
}

/** Lets `use` read what libvhdi mounts an image as. */
export async function withVhdiMount(
  image: string,
  folder: string,
  use: (path: string) => Promise<void>,
): Promise<void> {
  await mkdir(folder);
  await runPeer('vhdimount', [image, folder]);
  try {
    await use(join(folder, 'vhdi1'));
  } finally {
    await unmount(folder);
    await rmdir(folder);
  }
}

async function unmount(folder: string): Promise<void> {
  const program = findProgram('fusermount3') === undefined ? 'fusermount' : 'fusermount3';
  // Busy for a moment after the last close, now and then.
  for (let attempt = 0; ; attempt++) {
    const { code, stderr } = await runPeer(program, ['-u', folder], { anyCode: true });
    if (code === 0) return;
    if (attempt === 20) throw new Error(`${program} -u ${folder}: ${stderr}`);
    await delay(50);
  }
}

/** Compares a file, as a mounted image is one, with what it is to hold: all of it, or what `ranges` says. */
export async function expectFileHolds(
  path: string,
  contents: Contents,
  ranges: readonly Range[] = [{ position: 0, length: contents.size }],
): Promise<void> {
  const file = await open(path);
  try {
    expect((await file.stat()).size).toBe(contents.size);
    const buffer = Buffer.alloc(1024 * 1024);
    for (const { position, length } of ranges) {
      for (let done = 0; done < length; ) {
        const wanted = Math.min(buffer.length, length - done);
        const { bytesRead } = await file.read(buffer, 0, wanted, position + done);
        if (bytesRead === 0) throw new Error(`the file ends at byte ${position + done}`);
        expect(contents.difference(buffer.subarray(0, bytesRead), position + done)).toBeUndefined();
        done += bytesRead;
      }
    }
  } finally {
    await file.close();
  }
}

/** The size that 7-Zip sees; of an image that it finds fault with only if `anyCode`. */
export async function sevenZipSize(image: string, anyCode = false): Promise<number> {
  const { stdout } = await runPeer('7z', ['l', '-slt', '-tvhd', image], { anyCode });
  const digits = /^-{10}\n(?:.*\n)*?Size = (\d+)$/m.exec(stdout)?.[1];
  if (digits === undefined) throw new Error(`7z says no size:\n${stdout}`);
  return Number(digits);
}

/** Compares what 7-Zip extracts of an image with what it is to be. */
export async function expectSevenZipHolds(image: string, contents: Contents): Promise<void> {
  await expectExtracts(['-tvhd', image], contents, { position: 0, length: contents.size });
}

/** The same, of each partition on it. */
export async function expectSevenZipPartitions(
  image: string,
  { contents, partitions }: PartitionedContents,
): Promise<void> {
  for (const [index, range] of partitions.entries()) await expectExtracts([image, `${index}.img`], contents, range);
}

async function expectExtracts(args: readonly string[], contents: Contents, range: Range): Promise<void> {
  let done = 0;
  let difference: string | undefined;
  const onOutput = (chunk: Buffer): boolean => {
    difference = contents.difference(chunk, range.position + done);
    done += chunk.length;
    return difference === undefined;
  };
  await runPeer('7z', ['x', '-so', ...args], { onOutput });
  expect({ difference, done }).toEqual({ difference: undefined, done: range.length });
}
