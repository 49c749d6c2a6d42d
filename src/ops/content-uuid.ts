import { createHash, type Hash } from 'node:crypto';
import type { Disk } from '../disk/disk.ts';
import { FlatDisk } from '../disk/flat.ts';
import { openVhdStorage } from '../disk/open-storage.ts';
import { decodeFooter, encodeFooter } from '../format/footer.ts';
import { FOOTER_BYTES } from '../format/spec.ts';
import { isAllZeros } from '../format/zeros.ts';
import { borrowed } from '../storage/borrowed.ts';
import type { Storage } from '../storage/storage.ts';
import { piecesOf, readAhead, storedPieces } from '../stream/read-ahead.ts';

/** Grain of the digest: grains of zeros do not count, so that a hole and stored zeros give the same. */
const GRAIN_BYTES = 64 * 1024;

/**
 * Makes an identifier out of what a disk holds: the same content and size give the same one, whatever the container.
 * SHA-256 over position and bytes of every 64 KiB that are not all zeros (the last filled up with zeros), then the size,
 * as a UUID of version 8.
 */
export class ContentDigest {
  readonly #hash: Hash = createHash('sha256');
  readonly #grain = new Uint8Array(GRAIN_BYTES);
  #grainStart = 0;

  /** Takes bytes of the disk, in ascending order; what is left out between them is zero. */
  update(bytes: Uint8Array, position: number): void {
    for (const piece of piecesOf(position, position + bytes.length, GRAIN_BYTES)) {
      const inGrain = piece.start % GRAIN_BYTES;
      if (piece.start - inGrain !== this.#grainStart) this.#finishGrain();
      this.#grainStart = piece.start - inGrain;
      const from = piece.start - position;
      this.#grain.set(bytes.subarray(from, from + piece.length), inGrain);
    }
  }

  /** The identifier of a disk of `size` bytes that holds what was taken: 16 bytes in file order. */
  uuid(size: number): Uint8Array {
    this.#finishGrain();
    return uuidOf(this.#hash.update(positionBytes(size)));
  }

  #finishGrain(): void {
    if (isAllZeros(this.#grain)) return;
    this.#hash.update(positionBytes(this.#grainStart)).update(this.#grain);
    this.#grain.fill(0);
  }
}

function uuidOf(hash: Hash): Uint8Array {
  const bytes = new Uint8Array(hash.digest().subarray(0, 16));
  // Version and variant where Windows looks for them, as in identifiers made at random.
  bytes[7] = ((bytes[7] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes;
}

/**
 * The identifier of a child that holds what a disk holds: another one than that of a full image of the same content, which
 * may well be its parent.
 */
export async function childUuidOf(disk: Disk, parentUuid: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
  return uuidOf(
    createHash('sha256')
      .update(await contentUuidOf(disk, signal))
      .update(parentUuid),
  );
}

function positionBytes(position: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(position));
  return bytes;
}

/** The identifier that the content of a disk gives; reads everything it stores. */
export async function contentUuidOf(disk: Disk, signal?: AbortSignal): Promise<Uint8Array> {
  const digest = new ContentDigest();
  for await (const { bytes, start, release } of readAhead(disk, storedPieces(disk), { signal })) {
    digest.update(bytes, start);
    release();
  }
  return digest.uuid(disk.size);
}

/** Gives a new image, complete but for that, the identifier that its content gives. The storage stays open. */
export async function stampContentUuid(
  storage: Storage,
  type: 'fixed' | 'dynamic',
  signal?: AbortSignal,
): Promise<void> {
  const footerOffset = (await storage.size()) - FOOTER_BYTES;
  const disk =
    type === 'fixed' ? new FlatDisk(borrowed(storage), footerOffset, true) : await openVhdStorage(borrowed(storage));
  const uniqueId = await contentUuidOf(disk, signal);
  const bytes = new Uint8Array(FOOTER_BYTES);
  await storage.read(bytes, footerOffset);
  const footer = encodeFooter({ ...decodeFooter(bytes, footerOffset).value, uniqueId });
  await storage.write(footer, footerOffset);
  if (type === 'dynamic') await storage.write(footer, 0);
}
