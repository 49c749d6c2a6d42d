// Images that nobody on this project wrote. They lie beside the repository, not in it: tests that want them are skipped
// where they are not, and their names say so.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, test } from 'vitest';

const folder = fileURLToPath(new URL('../../../shared/corpus/', import.meta.url));
const isThere = existsSync(join(folder, 'index.json')) && existsSync(join(folder, 'unpack.sh'));

/** What a whole image holds: its size, and the digest of all its bytes. */
export interface RawDigest {
  readonly size: number;
  readonly sha256: string;
}

/** What an image too large to read holds: a digest over its 64 KiB chunks that are not zeros. */
export interface ChunkDigest {
  readonly size: number;
  readonly chunkCount: number;
  readonly sha256: string;
}

/** An image of the corpus, and what it is known to hold. */
export interface CorpusImage {
  /** Path in the corpus. */
  readonly name: string;
  /** Bytes of the file. */
  readonly fileSize: number;
  /** Disk type of its footer; undefined if it is no image with a readable footer. */
  readonly diskType: number | undefined;
  /** Paths in the corpus of the images of its chain, child first; of what has no parent only its own. */
  readonly chain: readonly string[];
  /** True: a reader may refuse it. */
  readonly isDamaged: boolean;
  /** True: a lone footer or header. */
  readonly isFragment: boolean;
  readonly raw: RawDigest | undefined;
  readonly chunks: ChunkDigest | undefined;
  /** What `mmls` says of its partition table; undefined if it was not asked. */
  readonly partitionText: string | undefined;
  /** Keys of the readers that get exactly these bytes. */
  readonly agree: readonly string[];
  /** Keys of the readers that refuse it, or get others. */
  readonly disagree: readonly string[];
}

/** One entry of the index as it is written; null or absent where it does not apply. */
interface IndexEntry {
  readonly size: number;
  readonly damaged?: boolean;
  readonly fragment?: boolean;
  readonly footer?: { readonly type: number } | null;
  readonly chain?: readonly string[] | null;
  readonly raw?: readonly [number, string] | null;
  readonly big?: { readonly spec?: readonly [number, number, string] } | null;
  readonly agree?: readonly string[];
  readonly refuses?: readonly (readonly [string, string])[];
  readonly differs?: readonly (readonly [string, ...unknown[]])[];
  readonly mmls?: string | null;
}

/** The images of the corpus, those of other formats left out; none where it is not there. */
export const corpusImages: readonly CorpusImage[] = readIndex().filter((image) => !image.name.startsWith('vhdx/'));
/** The VHDX images of the corpus: another format. */
export const corpusForeignImages: readonly CorpusImage[] = readIndex().filter((image) =>
  image.name.startsWith('vhdx/'),
);

/** `describe`, if the corpus is there. */
export function describeWithCorpus(title: string, body: () => void): void {
  if (isThere) describe(title, body);
  else describe(title, () => test.skip('skipped: there is no corpus beside the repository (../shared/corpus)'));
}

/** Unpacks the corpus into a folder, sparse: 165 MB, 290 MB with VHDX. */
export async function unpackCorpus(target: string, withVhdx = false): Promise<void> {
  await promisify(execFile)('bash', [join(folder, 'unpack.sh'), target, ...(withVhdx ? ['vhdx'] : [])]);
}

function readIndex(): CorpusImage[] {
  if (!isThere) return [];
  const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as Record<string, IndexEntry>;
  return Object.entries(index).map(([name, entry]) => {
    const { raw, big, footer } = entry;
    const chunks = big?.spec;
    return {
      name,
      fileSize: entry.size,
      diskType: footer?.type,
      chain: entry.chain ?? [name],
      isDamaged: entry.damaged === true,
      isFragment: entry.fragment === true,
      raw: raw === null || raw === undefined ? undefined : { size: raw[0], sha256: raw[1] },
      chunks: chunks === undefined ? undefined : { size: chunks[0], chunkCount: chunks[1], sha256: chunks[2] },
      partitionText: entry.mmls ?? undefined,
      agree: entry.agree ?? [],
      disagree: [...(entry.refuses ?? []), ...(entry.differs ?? [])].map(([reader]) => reader),
    };
  });
}
