// What a disk holds, as one digest.
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { expect } from 'vitest';
import type { Disk } from '../../src/disk/disk.ts';
import type { MapRun } from '../../src/ops/map.ts';
import type { ChunkDigest, RawDigest } from '../support/corpus.ts';
import { isZero } from './contents.ts';

const MIB = 1024 * 1024;
const CHUNK = 64 * 1024;

/** Digest of all bytes. Reads what the extents call zeros too, and holds them to it. */
export async function rawDigest(disk: Disk): Promise<RawDigest> {
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(MIB);
  let position = 0;
  for await (const { start, length, kind } of disk.extents()) {
    expect(start).toBe(position);
    for (const end = start + length; position < end; ) {
      const piece = buffer.subarray(0, Math.min(MIB, end - position));
      await disk.read(piece, position);
      if (kind === 'zero' && !isZero(piece)) throw new Error(`not zeros, as extents says, from byte ${position} on`);
      hash.update(piece);
      position += piece.length;
    }
  }
  return { size: position, sha256: hash.digest('hex') };
}

/** The chunks that are not all zeros, in order; reads only what the extents call data. */
export async function* chunksOf(disk: Disk): AsyncGenerator<{ position: number; bytes: Uint8Array }> {
  let done = 0;
  for await (const { start, length, kind } of disk.extents({ coarse: true })) {
    if (kind === 'zero') continue;
    const first = Math.max(done, start - (start % CHUNK));
    for (let position = first; position < start + length; position += CHUNK) {
      const bytes = new Uint8Array(Math.min(CHUNK, disk.size - position));
      await disk.read(bytes, position);
      if (!isZero(bytes)) yield { position, bytes };
      done = position + CHUNK;
    }
  }
}

/** Digest over the chunks that are not zeros: the offset of each in 64 bits, and the digest of its bytes. */
export async function chunkDigest(disk: Disk): Promise<ChunkDigest> {
  const hash = createHash('sha256');
  const offset = Buffer.alloc(8);
  let chunkCount = 0;
  for await (const { position, bytes } of chunksOf(disk)) {
    offset.writeBigUInt64BE(BigInt(position));
    hash.update(offset).update(createHash('sha256').update(bytes).digest());
    chunkCount++;
  }
  return { size: disk.size, chunkCount, sha256: hash.digest('hex') };
}

/** Digest of the bytes that a map says a disk has, taken from its files, by their depth in the chain, without the disk. */
export async function mappedDigest(paths: readonly string[], runs: AsyncIterable<MapRun>): Promise<RawDigest> {
  const hash = createHash('sha256');
  const files = await Promise.all(paths.map((path) => open(path)));
  const buffer = Buffer.alloc(MIB);
  let position = 0;
  for await (const { start, length, kind, fileOffset, depth } of runs) {
    expect(start).toBe(position);
    expect(kind === 'data').toBe(fileOffset !== null);
    for (const end = start + length; position < end; ) {
      const piece = buffer.subarray(0, Math.min(MIB, end - position));
      if (fileOffset === null) piece.fill(0);
      else {
        const read = await files[depth]?.read(piece, 0, piece.length, fileOffset + position - start);
        expect(read?.bytesRead).toBe(piece.length);
      }
      hash.update(piece);
      position += piece.length;
    }
  }
  for (const file of files) await file.close();
  return { size: position, sha256: hash.digest('hex') };
}
