import { basename, extname } from 'node:path';
import { VhdError } from '../errors.ts';
import { COMPRESSIONS, type Compression } from '../format/compression.ts';
import { decodeFooter, isFooter } from '../format/footer.ts';
import { detectForeign, type ForeignFormat } from '../format/magic.ts';
import { remedyFor, shellPath } from '../format/shell.ts';
import { FOOTER_BYTES } from '../format/spec.ts';
import { join } from '../stream/byte-reader.ts';
import { compressedEnding } from './source-compression.ts';

/** The name of what a compressed file holds: its own without the ending that says how it is compressed. */
export function nameInside(path: string): string {
  const ending = compressedEnding(path);
  return ending === undefined ? `${path}.unpacked` : path.slice(0, -ending.length);
}

/** The ending of that name; empty where the file's own name does not promise anything compressed. */
export function endingInside(path: string): string {
  return compressedEnding(path) === undefined ? '' : extname(basename(nameInside(path))).toLowerCase();
}

/** The command that decompresses a file to standard output. */
export function unpackCommand(path: string, format: Compression): string {
  return `${format} -dc ${path === '-' ? 'FILE' : shellPath(path)}`;
}

/**
 * Refuses what a compressed file holds if its first bytes are those of another format.
 * @throws VhdError `ERR_VHD_FOREIGN_FORMAT`, with the commands that convert it as remedy
 */
export function checkInside(head: Uint8Array, path: string, format: Compression): void {
  const foreign = detectForeign(head);
  if (foreign === undefined) return;
  const message = `the ${format} data holds a ${foreign.title} file: expected a VHD or a raw disk`;
  throw new VhdError('ERR_VHD_FOREIGN_FORMAT', message, {
    storage: path,
    expected: 'a VHD or a raw disk',
    found: foreign.title,
    remedy: remedyInside(foreign, path, format),
  });
}

function remedyInside(foreign: ForeignFormat, path: string, format: Compression): string {
  const unpack = unpackCommand(path, format);
  const inside = path === '-' ? 'DISK' : nameInside(path);
  const target = shellPath(`${inside}.vhd`);
  if (COMPRESSIONS.some((compression) => compression === foreign.kind)) return `${unpack} | vhd convert - ${target}`;
  if (foreign.kind === 'iso') return `${unpack} | vhd convert --from raw - ${target}`;
  return `${unpack} > ${shellPath(inside)} && ${remedyFor(foreign.remedy, inside)}`;
}

/**
 * Passes the bytes of a disk on, unless they end in a footer though the name promises a raw image.
 * @throws VhdError `ERR_VHD_AMBIGUOUS`
 */
export async function* refusingFooter(bytes: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
  let tail: Uint8Array = new Uint8Array(0);
  for await (const chunk of bytes) {
    tail = chunk.length >= FOOTER_BYTES ? chunk.slice(-FOOTER_BYTES) : join([tail, chunk]).slice(-FOOTER_BYTES);
    yield chunk;
  }
  if (tail.length < FOOTER_BYTES || !isFooter(decodeFooter(tail))) return;
  throw new VhdError('ERR_VHD_AMBIGUOUS', `it is named ${endingInside(path)} inside but has the footer of a VHD`, {
    storage: path,
    expected: 'no footer in a raw image',
    found: 'a footer',
    remedy: 'say --from raw or --from vhd',
  });
}
