import { readLatin1, viewOf } from '../format/bytes.ts';
import { hasUdfDescriptor } from '../format/magic.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { byteSizeOf, type ContainerFacts, remarksOf, textAt, textUpToNul } from './container-facts.ts';

const ISO_DESCRIPTOR_OFFSET = 32_768;
const CD_SECTOR_BYTES = 2048;
const EL_TORITO = 'EL TORITO SPECIFICATION';

/** ISO 9660 (ECMA-119): of the primary descriptor the label at 40, the number of blocks at 80, their size at 128. */
export function isoFacts(head: Uint8Array): ContainerFacts {
  const view = viewOf(head);
  const isPrimary = head[ISO_DESCRIPTOR_OFFSET] === 1;
  const label = isPrimary
    ? readLatin1(head, ISO_DESCRIPTOR_OFFSET + 40, 32)
        .replaceAll('\0', ' ')
        .trim()
    : '';
  const bootRecord = readLatin1(head, ISO_DESCRIPTOR_OFFSET + CD_SECTOR_BYTES + 7, EL_TORITO.length);
  const remarks = remarksOf(
    label !== '' && `label '${label}'`,
    bootRecord === EL_TORITO && 'bootable',
    hasUdfDescriptor(head) && 'also UDF',
    view.getUint16(510) === 0x55aa && 'with a boot sector for disks',
  );
  const size = view.getUint32(ISO_DESCRIPTOR_OFFSET + 80, true) * view.getUint16(ISO_DESCRIPTOR_OFFSET + 128, true);
  return { virtualSize: isPrimary && size > 0 ? size : null, version: null, remarks };
}

/** zip (PKWARE APPNOTE): the name of the first file, behind a header of 30 bytes. */
export function zipFacts(head: Uint8Array): ContainerFacts {
  return firstFile(textAt(head, 30n, viewOf(head).getUint16(26, true)));
}

/** gzip (RFC 1952): flag 8 says that the name of the file follows, behind an extra field where flag 4 says so. */
export function gzipFacts(head: Uint8Array): ContainerFacts {
  const flags = head[3] ?? 0;
  const nameOffset = (flags & 4) === 0 ? 10 : 12 + viewOf(head).getUint16(10, true);
  const name = (flags & 8) === 0 ? '' : textUpToNul(head, nameOffset, 256);
  return { virtualSize: null, version: null, remarks: remarksOf(name !== '' && `of '${name}'`) };
}

/** tar (POSIX ustar): the name of the first file. */
export function tarFacts(head: Uint8Array): ContainerFacts {
  return firstFile(textUpToNul(head, 0, 100));
}

/** Apple disk image (its trailer "koly"): sectors of the disk at 492. Big-endian. */
export function dmgFacts(tail: Uint8Array): ContainerFacts {
  const virtualSize = byteSizeOf(viewOf(tail).getBigUint64(492), SECTOR_BYTES);
  return { virtualSize, version: String(viewOf(tail).getUint32(4)), remarks: [] };
}

/** True if the last 512 bytes of a file are the trailer of an Apple disk image, which tells its own length. */
export function isDmgTrailer(tail: Uint8Array): boolean {
  return readLatin1(tail, 0, 4) === 'koly' && viewOf(tail).getUint32(8) === tail.length;
}

function firstFile(name: string): ContainerFacts {
  return { virtualSize: null, version: null, remarks: remarksOf(name !== '' && `first file '${name}'`) };
}
