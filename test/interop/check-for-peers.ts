// What the installed programs make of an image: whether they take it, the size they see, the bytes they give.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runPeer } from '../support/peers.ts';
import { qemuSize, sevenZipSize, vhdiSize, withVhdiMount } from './readers.ts';

/** The programs of `check --for` that are run here. */
export const INSTALLED = ['qemu', '7zip', 'libvhdi'] as const;
/** One of them. */
export type Installed = (typeof INSTALLED)[number];

/** What a program makes of an image. */
export interface Seen {
  /** Virtual size in bytes; undefined if it refuses the image. */
  readonly size: number | undefined;
  /** Digest of the bytes it gives; undefined if it refuses or fails, or if only the size was asked for. */
  readonly sha256: string | undefined;
  /** What it complains of; empty if it does not. */
  readonly complaint: string;
}

/** A disk larger than this is not read. */
export const MAX_READ_BYTES = 256 * 1024 * 1024;

const readers: Record<Installed, (image: string, folder: string) => Promise<Seen>> = {
  qemu: async (image, folder) => {
    const raw = join(folder, 'raw');
    const size = await qemuSize(image);
    if (size > MAX_READ_BYTES) return { size, sha256: undefined, complaint: '' };
    await runPeer('qemu-img', ['convert', '-f', 'vpc', '-O', 'raw', image, raw]);
    return { size: (await stat(raw)).size, sha256: await sha256Of(raw), complaint: '' };
  },
  '7zip': async (image) => {
    const size = await sevenZipSize(image, true);
    if (size > MAX_READ_BYTES) return { size, sha256: undefined, complaint: '' };
    const hash = createHash('sha256');
    let done = 0;
    const onOutput = (chunk: Buffer): boolean => {
      hash.update(chunk);
      done += chunk.length;
      return true;
    };
    const { code, stderr } = await runPeer('7z', ['x', '-so', '-tvhd', image], { onOutput, anyCode: true });
    if (code !== 0 && done < size) return { size, sha256: undefined, complaint: stderr.trim() };
    return { size: done, sha256: hash.digest('hex'), complaint: code === 0 ? '' : stderr.trim() };
  },
  libvhdi: async (image, folder) => {
    const size = await vhdiSize(image);
    if (size > MAX_READ_BYTES) return { size, sha256: undefined, complaint: '' };
    let sha256: string | undefined;
    await withVhdiMount(image, join(folder, 'mount'), async (mounted) => {
      sha256 = await sha256Of(mounted);
    });
    return { size, sha256, complaint: '' };
  },
};

/** Lets a program read an image. */
export async function seenBy(program: Installed, image: string): Promise<Seen> {
  const folder = await mkdtemp(join(tmpdir(), 'vhdkit-seen-'));
  try {
    return await readers[program](image, folder);
  } catch (error) {
    return { size: undefined, sha256: undefined, complaint: error instanceof Error ? error.message : String(error) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
