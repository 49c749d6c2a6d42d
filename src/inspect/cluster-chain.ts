import { Fields } from './fields.ts';
import type { PieceReader } from './piece-reader.ts';

/** Where the clusters of a FAT32 or exFAT lie; bytes from the start of the file system. */
export interface ClusterLayout {
  /** The allocation table, four bytes a cluster. */
  readonly fatOffset: number;
  /** Cluster 2. */
  readonly heapOffset: number;
  /** Bytes of a cluster. */
  readonly clusterBytes: number;
  /** Bits of an entry that count. */
  readonly entryMask: number;
}

/** Bytes of a directory entry. */
export const DIRECTORY_ENTRY_BYTES = 32;
const MAX_CLUSTERS = 32;
const MAX_DIRECTORY_BYTES = 256 * 1024;
const FIRST_CLUSTER = 2;
/** Marks of a bad cluster and of the end of a chain. */
const FIRST_MARK = 0x0fff_fff7;

/** The entries of a directory that follows a chain of clusters: its first 256 KiB, or 32 clusters. */
export async function* chainedEntries(
  reader: PieceReader,
  layout: ClusterLayout,
  firstCluster: number,
): AsyncGenerator<Fields> {
  let cluster = firstCluster;
  let left = MAX_DIRECTORY_BYTES;
  for (let count = 0; count < MAX_CLUSTERS && left > 0; count++) {
    if (cluster < FIRST_CLUSTER || cluster >= FIRST_MARK) return;
    const length = Math.min(layout.clusterBytes, left);
    const bytes = await reader.read(layout.heapOffset + (cluster - FIRST_CLUSTER) * layout.clusterBytes, length);
    if (bytes === undefined) return;
    yield* directoryEntries(bytes);
    left -= length;
    const next = await reader.read(layout.fatOffset + cluster * 4, 4);
    if (next === undefined) return;
    cluster = (new Fields(next).u32(0) & layout.entryMask) >>> 0;
  }
}

/** The entries in a piece of a directory. */
export function* directoryEntries(bytes: Uint8Array): Generator<Fields> {
  for (let offset = 0; offset + DIRECTORY_ENTRY_BYTES <= bytes.length; offset += DIRECTORY_ENTRY_BYTES) {
    yield new Fields(bytes.subarray(offset, offset + DIRECTORY_ENTRY_BYTES));
  }
}
