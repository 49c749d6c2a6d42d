// Differencing images for tests: what they say about a parent, and how they are read over it.
import type { Disk } from '../../src/disk/disk.ts';
import { openVhdStorage } from '../../src/disk/open-storage.ts';
import type { VhdDisk } from '../../src/disk/vhd-disk.ts';
import { encodeLocatorName, type ParentReference } from '../../src/format/parent-reference.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { IDENTITY } from './streams-disks.ts';

/** A reference to a parent beside the child, as Windows 10 writes it. */
export function referenceTo(parent: Pick<VhdDisk, 'footer'>, name = 'parent.vhd'): ParentReference {
  const { uniqueId, timestamp } = parent.footer;
  const absolute = `C:\\images\\${name}`;
  return {
    uniqueId,
    timestamp,
    name: absolute,
    locators: [
      { platformCode: 'W2ku', bytes: encodeLocatorName('W2ku', absolute) },
      { platformCode: 'W2ru', bytes: encodeLocatorName('W2ru', `.\\${name}`) },
    ],
  };
}

/** The identity of children that are to be the same in every run, and not that of their parents. */
export const CHILD_IDENTITY = { ...IDENTITY, uuid: 'fedcba98-7654-3210-fedc-ba9876543210' } as const;

/** Reads the whole disk in the bytes of a child over its parent; closes both. */
export async function contentOfChild(image: Uint8Array, parent: Disk): Promise<Uint8Array> {
  const disk = await openVhdStorage(new MemoryStorage(image), { parent });
  try {
    return await disk.readBytes(0, disk.size);
  } finally {
    await disk.close();
  }
}
