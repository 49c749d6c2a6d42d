import { readLatin1, viewOf } from '../format/bytes.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { byteSizeOf, type ContainerFacts, remarksOf, textAt, textUpToNul } from './container-facts.ts';

/** QCOW version 1 (qemu, block/qcow): magic, version, backing file at 8, time, size at 24. Big-endian. */
export function qcowFacts(head: Uint8Array): ContainerFacts {
  const view = viewOf(head);
  const remarks = remarksOf(backingFile(head), view.getUint32(36) !== 0 && 'encrypted');
  return { virtualSize: byteSizeOf(view.getBigUint64(24)), version: '1', remarks };
}

/** QCOW2 versions 2 and 3 (qemu, docs/interop/qcow2). Big-endian. */
export function qcow2Facts(head: Uint8Array): ContainerFacts {
  const view = viewOf(head);
  const version = view.getUint32(4);
  const snapshots = view.getUint32(60);
  // Before version 3 there are no feature bits.
  const features = version >= 3 ? view.getUint32(76) : 0;
  const remarks = remarksOf(
    backingFile(head),
    view.getUint32(32) !== 0 && 'encrypted',
    snapshots > 0 && (snapshots === 1 ? '1 snapshot' : `${snapshots} snapshots`),
    (features & 1) !== 0 && 'not closed cleanly',
    (features & 2) !== 0 && 'marked corrupt',
    (features & 4) !== 0 && 'data in a file of its own',
  );
  return { virtualSize: byteSizeOf(view.getBigUint64(24)), version: String(version), remarks };
}

/** The backing file that QCOW and QCOW2 name. */
function backingFile(head: Uint8Array): string | undefined {
  const view = viewOf(head);
  const offset = view.getBigUint64(8);
  if (offset === 0n) return undefined;
  const name = textAt(head, offset, view.getUint32(16));
  return name === '' ? 'has a backing file' : `backing file '${name}'`;
}

/** QED (qemu, docs/interop/qed_spec): features at 16, image size at 48. Little-endian. */
export function qedFacts(head: Uint8Array): ContainerFacts {
  const view = viewOf(head);
  const features = view.getUint32(16, true);
  const remarks = remarksOf((features & 1) !== 0 && 'has a backing file', (features & 2) !== 0 && 'not closed cleanly');
  return { virtualSize: byteSizeOf(view.getBigUint64(48, true)), version: null, remarks };
}

const VDI_TYPES = ['', 'dynamic', 'fixed', 'undo', 'differencing'] as const;

/**
 * VDI (the header of VirtualBox): version at 0x44, type at 0x4c, description at 0x54, size at 0x170. Little-endian.
 * Version 0 has its size elsewhere.
 */
export function vdiFacts(head: Uint8Array): ContainerFacts {
  const view = viewOf(head);
  const version = view.getUint32(0x44, true);
  const description = textUpToNul(head, 0x54, 256).trim();
  const remarks = remarksOf(VDI_TYPES[view.getUint32(0x4c, true)], description !== '' && `'${description}'`);
  const virtualSize = version >>> 16 === 1 ? byteSizeOf(view.getBigUint64(0x170, true)) : null;
  return { virtualSize, version: `${version >>> 16}.${version & 0xffff}`, remarks };
}

/** Parallels (qemu, docs/interop/parallels): sectors at 36, 32 bits of them in the older form. Little-endian. */
export function parallelsFacts(head: Uint8Array): ContainerFacts {
  const view = viewOf(head);
  const isExtended = readLatin1(head, 0, 16) === 'WithouFreSpacExt';
  const sectors = isExtended ? view.getBigUint64(36, true) : BigInt(view.getUint32(36, true));
  const isOpen = view.getUint32(44, true) === 0x746f_6e59;
  return {
    virtualSize: byteSizeOf(sectors, SECTOR_BYTES),
    version: String(view.getUint32(16, true)),
    remarks: remarksOf(isOpen && 'not closed cleanly'),
  };
}
