import { TextDecoder } from 'node:util';
import { VhdError } from '../errors.ts';
import { quote } from '../format/bytes.ts';
import { type DiskHash, HASH_BLOCK_BYTES, HASH_SCHEMA, RootDigest } from './hash.ts';
import { BlockChecker, type BlockList, isByteCount, isObject, ZeroHashes } from './manifest-blocks.ts';
import { ManifestText } from './manifest-text.ts';

/** Larger manifests are refused: those of the largest dynamic disks have 110 MB. */
export const MAX_MANIFEST_BYTES: number = 128 * 1024 * 1024;

/** What the content hash of a disk is held against: as {@link DiskHash}, but the blocks need not be an array. */
export interface ListedHash extends Omit<DiskHash, 'blocks'> {
  /** The blocks that are not all zeros, in ascending order. */
  readonly blocks: BlockList;
}

/** The content hash of a disk as a manifest tells it. */
export interface BlockManifest extends ListedHash {
  /** Path of the image it was made of; null if the manifest does not say. */
  readonly path: string | null;
}

/** The SHA-256 of all bytes of a disk in a row, as in a line of sha256sum. */
export interface PlainManifest {
  /** Path of what it was made of. */
  readonly path: string;
  /** 64 lower-case hex digits. */
  readonly sha256: string;
}

/** What a disk is held against. */
export type Manifest = BlockManifest | PlainManifest;

/** True for what has hashes of blocks. */
export function hasBlocks(manifest: ListedHash | Pick<PlainManifest, 'sha256'>): manifest is ListedHash {
  return 'blocks' in manifest;
}

/**
 * Reads the manifests in a file: objects of JSON, or lines of sha256sum. In UTF-8, or in the UTF-16 that a Windows shell makes
 * of it. Checks everything, the root too.
 * @param bytes the file
 * @param name what to call it in errors
 * @throws VhdError `ERR_VHD_MANIFEST` for anything else, `ERR_VHD_LIMIT` above 128 MiB
 */
export function decodeManifests(bytes: Uint8Array, name = 'the manifest'): Manifest[] {
  const found: Manifest[] = [];
  const reader = new ManifestReader(name, (manifest) => found.push(manifest));
  reader.push(bytes);
  reader.end();
  return found;
}

/** Where the bytes of manifests come from: a stream, or pieces in memory. */
export type ManifestSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * The same for a file that comes in pieces, a stream for instance. What is held of it are the manifests: 36 bytes for each
 * block, and some hundred bytes for each object or line. `readManifestFor` holds those alone that may be the one.
 * @param source its bytes
 * @param name what to call it in errors
 * @throws VhdError as {@link decodeManifests}; what the source throws
 */
export async function readManifests(source: ManifestSource, name = 'the manifest'): Promise<Manifest[]> {
  const found: Manifest[] = [];
  await readEachManifest(source, name, (manifest) => found.push(manifest));
  return found;
}

/**
 * The same, handing on each manifest when it is read and checked: those behind it may still be damaged.
 * @throws VhdError as {@link decodeManifests}; what the source throws
 */
export async function readEachManifest(
  source: ManifestSource,
  name: string,
  take: (manifest: Manifest) => void,
): Promise<void> {
  const reader = new ManifestReader(name, take);
  for await (const bytes of source) reader.push(bytes);
  reader.end();
}

/** So much of a file that is in memory becomes text at once. */
const PIECE_BYTES = 64 * 1024;

/** Reads manifests out of the bytes of a file as they come. */
class ManifestReader {
  readonly #name: string;
  readonly #text: ManifestText;
  readonly #take: (manifest: Manifest) => void;
  readonly #zeroHashes = new ZeroHashes();
  #count = 0;
  #decoder: TextDecoder | undefined;
  #head: Uint8Array = new Uint8Array(0);
  #byteLength = 0;
  #blocks = new BlockChecker();

  constructor(name: string, take: (manifest: Manifest) => void) {
    this.#name = name;
    this.#take = take;
    this.#text = new ManifestText({
      line: (text, line) => this.#handOn(plainManifestOf(text) ?? this.#fault(line)),
      blocks: (items) => {
        for (const item of items) this.#blocks.add(item);
      },
      object: (value, line) => this.#takeObject(value, line),
      fault: (line, found) => this.#fault(line, found),
    });
  }

  push(bytes: Uint8Array): void {
    this.#byteLength += bytes.length;
    if (this.#byteLength > MAX_MANIFEST_BYTES) throw tooLargeError(this.#name);
    for (let offset = 0; offset < bytes.length; offset += PIECE_BYTES) {
      this.#push(bytes.subarray(offset, offset + PIECE_BYTES), false);
    }
  }

  end(): void {
    this.#push(new Uint8Array(0), true);
    this.#text.end();
    if (this.#count === 0) throw manifestError(this.#name, 'a manifest', 'an empty file');
  }

  /** The first two bytes tell the encoding. */
  #push(piece: Uint8Array, isEnd: boolean): void {
    const bytes = this.#head.length === 0 ? piece : Buffer.concat([this.#head, piece]);
    if (this.#decoder === undefined) {
      this.#head = bytes.length < 2 && !isEnd ? Uint8Array.from(bytes) : new Uint8Array(0);
      if (this.#head.length > 0) return;
      this.#decoder = new TextDecoder(bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : 'utf-8', { fatal: true });
    }
    this.#text.push(this.#textOf(this.#decoder, bytes, isEnd));
  }

  #textOf(decoder: TextDecoder, bytes: Uint8Array, isEnd: boolean): string {
    try {
      return decoder.decode(bytes, { stream: !isEnd });
    } catch (cause) {
      if (!(cause instanceof TypeError)) throw cause;
      throw manifestError(this.#name, 'text', 'other bytes');
    }
  }

  #takeObject(value: unknown, line: number): void {
    // Where it is the first, nobody counts lines.
    const where = this.#count === 0 ? '' : `line ${line}: `;
    const fail = (expected: string, found: unknown): never => {
      throw manifestError(this.#name, expected, described(found), where);
    };
    const manifest = manifestOf(value, this.#blocks, fail);
    const zeros = firstBlockOfZeros(manifest, this.#zeroHashes);
    if (zeros !== undefined) fail(`block ${zeros} not to be all zeros`, 'the hash of zeros');
    this.#blocks = new BlockChecker();
    this.#handOn(manifest);
  }

  #handOn(manifest: Manifest): void {
    this.#count++;
    this.#take(manifest);
  }

  #fault(line: number, found = 'something else'): never {
    throw manifestError(this.#name, 'JSON of vhd hash, or lines of sha256sum', `${found} in line ${line}`);
  }
}

function tooLargeError(name: string): VhdError {
  const expected = `at most ${MAX_MANIFEST_BYTES} bytes`;
  return new VhdError('ERR_VHD_LIMIT', `no manifest: expected ${expected}, found more`, {
    storage: name,
    expected,
    remedy: 'vhd verify wants the image first, then the manifest',
  });
}

function manifestError(name: string, expected: string, found: string, where = ''): VhdError {
  return new VhdError('ERR_VHD_MANIFEST', `${where}not an intact manifest: expected ${expected}, found ${found}`, {
    storage: name,
    expected,
    found,
    remedy: 'vhd hash IMAGE -o FILE makes one',
  });
}

/** `HEX  NAME`, or `HEX *NAME`; a name with what does not fit in a line is escaped, and the line begins with a backslash. */
function plainManifestOf(line: string): PlainManifest | undefined {
  const [, escape, sha256, name] = /^(\\?)([0-9a-fA-F]{64}) [ *](.+)$/.exec(line) ?? [];
  if (sha256 === undefined || name === undefined) return undefined;
  const path = escape === '' ? name : name.replace(/\\([\\nr])/g, (_, letter: string) => UNESCAPED[letter] ?? '');
  return { path, sha256: sha256.toLowerCase() };
}

const UNESCAPED: Readonly<Record<string, string>> = { '\\': '\\', n: '\n', r: '\r' };

type Fail = (expected: string, found: unknown) => never;

/** Checks one object of JSON; the blocks in it were taken out of it unless its list is written in another way. */
function manifestOf(value: unknown, checker: BlockChecker, fail: Fail): BlockManifest {
  const fields: Readonly<Record<string, unknown>> = isObject(value) ? value : fail('an object', value);
  const { schema, path = null, virtualSize, blockSize, root, blocks: others } = fields;
  if (schema !== HASH_SCHEMA) fail(`schema '${HASH_SCHEMA}'`, schema);
  if (blockSize !== HASH_BLOCK_BYTES) fail(`blockSize ${HASH_BLOCK_BYTES}`, blockSize);
  if (!isByteCount(virtualSize)) return fail('virtualSize to be a number of bytes', virtualSize);
  if (path !== null && typeof path !== 'string') return fail('path to be a text', path);
  if (!Array.isArray(others)) return fail('blocks to be a list', others);
  for (const item of others) checker.add(item);
  const { blocks } = checker;
  const mismatch = checker.mismatchFor(virtualSize);
  if (mismatch !== undefined) fail(mismatch.expected, mismatch.found);
  const hex = rootOf(blocks, virtualSize);
  if (root !== hex) fail(`root ${hex}, which its blocks give`, root);
  return { path, virtualSize, blockSize: HASH_BLOCK_BYTES, root: hex, blocks };
}

function rootOf(blocks: BlockList, virtualSize: number): string {
  const digest = new RootDigest(virtualSize);
  for (const block of blocks) digest.add(block);
  return digest.hex();
}

/** A block of zeros is left out: only so there is one list, and one root, for what is on a disk. */
function firstBlockOfZeros({ blocks, virtualSize }: BlockManifest, hashes: ZeroHashes): number | undefined {
  const zeros = hashes.of(HASH_BLOCK_BYTES);
  let index = 0;
  for (const { start, sha256 } of blocks) {
    const byteLength = virtualSize - start;
    if (sha256 === (byteLength < HASH_BLOCK_BYTES ? hashes.of(byteLength) : zeros)) return index;
    index++;
  }
  return undefined;
}

/** A value out of a file, short enough to be told. */
function described(value: unknown): string {
  if (value === undefined) return 'none';
  if (typeof value === 'string') return value.length <= 80 ? quote(value) : `a text of ${value.length} characters`;
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  return JSON.stringify(value);
}
