import { readLatin1, viewOf } from '../format/bytes.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { byteSizeOf, type ContainerFacts, remarksOf, textUpToNul } from './container-facts.ts';

/** Longest descriptor that is read; those of VMware are 20 sectors. */
const MAX_DESCRIPTOR_BYTES = 20 * SECTOR_BYTES;

/**
 * VMDK (VMware, "Virtual Disk Format"): a text descriptor, or an extent that is sparse, with a descriptor of its own
 * or without. Little-endian.
 * @param head the first bytes of the file
 */
export function vmdkFacts(head: Uint8Array): ContainerFacts {
  const magic = readLatin1(head, 0, 4);
  if (magic === 'KDMV') return sparseFacts(head);
  if (magic === 'COWD') return cowdFacts(head);
  if (magic.startsWith('#')) return descriptorFacts(textUpToNul(head, 0, MAX_DESCRIPTOR_BYTES));
  return seSparseFacts(head);
}

/** Sparse extent: version at 4, flags at 8, sectors at 12, descriptor at 28 and 36 (both in sectors). */
function sparseFacts(head: Uint8Array): ContainerFacts {
  const view = viewOf(head);
  const virtualSize = byteSizeOf(view.getBigUint64(12, true), SECTOR_BYTES);
  const version = String(view.getUint32(4, true));
  const start = Number(view.getBigUint64(28, true)) * SECTOR_BYTES;
  const length = Math.min(Number(view.getBigUint64(36, true)) * SECTOR_BYTES, MAX_DESCRIPTOR_BYTES);
  const hasDescriptor = start > 0 && length > 0 && start + length <= head.length;
  const text = hasDescriptor ? textUpToNul(head, start, length) : '';
  const isCompressed = (view.getUint32(8, true) & 0x1_0000) !== 0;
  const variant = fieldOf(text, 'createType') ?? (isCompressed ? 'compressed extent' : 'sparse extent');
  return { virtualSize, version, remarks: remarksOf(variant, parentIn(text)) };
}

/** Extent of ESX: version at 4, sectors at 12. */
function cowdFacts(head: Uint8Array): ContainerFacts {
  const view = viewOf(head);
  const virtualSize = view.getUint32(12, true) * SECTOR_BYTES;
  return { virtualSize, version: String(view.getUint32(4, true)), remarks: ['COWD extent'] };
}

/** Space-efficient sparse extent of ESX (seSparse): sectors at 16. */
function seSparseFacts(head: Uint8Array): ContainerFacts {
  const virtualSize = byteSizeOf(viewOf(head).getBigUint64(16, true), SECTOR_BYTES);
  return { virtualSize, version: '2.1', remarks: ['seSparse extent'] };
}

function descriptorFacts(text: string): ContainerFacts {
  let [sectors, count] = [0n, 0];
  for (const [, digits = ''] of text.matchAll(/^(?:RW|RDONLY|NOACCESS)\s+(\d{1,19})\s+\w+/gm)) {
    sectors += BigInt(digits);
    count += 1;
  }
  const extents = count === 1 ? 'descriptor of 1 extent' : `descriptor of ${count} extents`;
  return {
    virtualSize: count === 0 ? null : byteSizeOf(sectors, SECTOR_BYTES),
    version: /^version=(\d{1,9})\s*$/m.exec(text)?.[1] ?? null,
    remarks: remarksOf(fieldOf(text, 'createType'), count > 0 ? extents : 'descriptor', parentIn(text)),
  };
}

function parentIn(descriptor: string): string | undefined {
  const parent = fieldOf(descriptor, 'parentFileNameHint');
  return parent === undefined ? undefined : `parent '${parent}'`;
}

/** The value of `name="value"` in a descriptor. */
function fieldOf(descriptor: string, name: 'createType' | 'parentFileNameHint'): string | undefined {
  const value = new RegExp(`^${name}\\s*=\\s*"([^"\\r\\n]{1,300})"`, 'm').exec(descriptor)?.[1];
  return value;
}
