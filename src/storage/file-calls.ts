import * as fs from 'node:fs';

/** The largest single call: Linux moves at most 2^31 - 4096 bytes, Node refuses more than 2^31 - 1. */
export const MAX_CALL_BYTES = 0x7fff_f000;

/** Reads once at a position; resolves to how many bytes came. */
export function readOnce(fd: number, target: Uint8Array, offset: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const length = Math.min(target.length - offset, MAX_CALL_BYTES);
    fs.read(fd, target, offset, length, position, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}

/** Writes once at a position; resolves to how many bytes went. */
export function writeOnce(fd: number, source: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(fd, source, 0, source.length, position, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}

/** Reads adjacent targets by one call; resolves to how many bytes came. */
export function readVector(fd: number, targets: readonly Uint8Array[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.readv(fd, targets, position, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}

/** Writes adjacent sources by one call; resolves to how many bytes went. */
export function writeVector(fd: number, sources: readonly Uint8Array[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.writev(fd, sources, position, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}

/** Bytes of all pieces together. */
export function totalLength(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}

/** What a call that moved only `count` bytes left over: the pieces, and where each lies from the start. */
export function* remainder(
  pieces: readonly Uint8Array[],
  count: number,
): Generator<{ piece: Uint8Array; offset: number }> {
  let offset = 0;
  for (const piece of pieces) {
    const done = Math.min(Math.max(count - offset, 0), piece.length);
    if (done < piece.length) yield { piece: piece.subarray(done), offset: offset + done };
    offset += piece.length;
  }
}
