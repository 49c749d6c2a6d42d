import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { VhdError } from '../errors.ts';
import { quote } from '../format/bytes.ts';
import { type BlockHash, type DiskHash, HASH_BLOCK_BYTES, HASH_SCHEMA, RootDigest } from './hash.ts';

/** Larger manifests are refused: those of the largest dynamic disks have 110 MB. */
export const MAX_MANIFEST_BYTES: number = 128 * 1024 * 1024;

/** The content hash of a disk as a manifest tells it. */
export interface BlockManifest extends DiskHash {
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
export function hasBlocks(manifest: DiskHash | Pick<PlainManifest, 'sha256'>): manifest is DiskHash {
  return 'blocks' in manifest;
}

/**
 * Reads the manifests in a file: one object of JSON, several on a line each, or lines of sha256sum. In UTF-8, or in the
 * UTF-16 that a Windows shell makes of it. Checks everything, the root too.
 * @param bytes the file
 * @param name what to call it in errors
 * @throws VhdError `ERR_VHD_MANIFEST` for anything else, `ERR_VHD_LIMIT` above 128 MiB
 */
export function decodeManifests(bytes: Uint8Array, name = 'the manifest'): Manifest[] {
  if (bytes.length > MAX_MANIFEST_BYTES) throw tooLargeError(name);
  const text = textOf(bytes, name).trim();
  const whole = text.startsWith('{') ? parsed(text) : undefined;
  if (whole !== undefined) return [manifestOf(whole.value, name)];
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  if (lines.length === 0) throw manifestError(name, 'a manifest', 'an empty file');
  return lines.map((line, index) => {
    const where = `line ${index + 1}`;
    const object = line.startsWith('{') ? parsed(line) : undefined;
    if (object !== undefined) return manifestOf(object.value, name, `${where}: `);
    const plain = plainManifestOf(line);
    if (plain !== undefined) return plain;
    throw manifestError(name, 'JSON of vhd hash, or lines of sha256sum', `something else in ${where}`);
  });
}

/**
 * The manifest that is about an image: the only one there is; of several the one with its path, or else its name.
 * @throws VhdError `ERR_VHD_MANIFEST` if there is none, or more than one
 */
export function manifestFor(manifests: readonly Manifest[], image: string, name = 'the manifest'): Manifest {
  const isNamed = ({ path }: Manifest): boolean => path !== null && basename(path) === basename(image);
  const candidates = [
    manifests,
    manifests.filter(({ path }) => path === image),
    manifests.filter((manifest) => isNamed(manifest)),
  ];
  const [found] = candidates.find((some) => some.length === 1) ?? [];
  if (found !== undefined) return found;
  const count = manifests.filter((manifest) => isNamed(manifest)).length;
  throw manifestError(name, `one entry for ${quote(basename(image))}`, `${count} among ${manifests.length}`);
}

/** The error of a manifest that is larger than any can be. */
export function tooLargeError(name: string): VhdError {
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

function textOf(bytes: Uint8Array, name: string): string {
  const isWide = bytes[0] === 0xff && bytes[1] === 0xfe;
  try {
    return new TextDecoder(isWide ? 'utf-16le' : 'utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw manifestError(name, 'text', 'other bytes');
  }
}

/** A value of JSON in an object, so that null is one; undefined if it is none. */
function parsed(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** `HEX  NAME`, or `HEX *NAME`; a name with what does not fit in a line is escaped, and the line begins with a backslash. */
function plainManifestOf(line: string): PlainManifest | undefined {
  const [, escape, sha256, name] = /^(\\?)([0-9a-fA-F]{64}) [ *](.+)$/.exec(line) ?? [];
  if (sha256 === undefined || name === undefined) return undefined;
  const path = escape === '' ? name : name.replace(/\\([\\nr])/g, (_, letter: string) => UNESCAPED[letter] ?? '');
  return { path, sha256: sha256.toLowerCase() };
}

const UNESCAPED: Readonly<Record<string, string>> = { '\\': '\\', n: '\n', r: '\r' };

/** Checks one object of JSON. */
function manifestOf(value: unknown, name: string, where = ''): BlockManifest {
  const fail = (expected: string, found: unknown): never => {
    throw manifestError(name, expected, described(found), where);
  };
  const fields: Readonly<Record<string, unknown>> = isObject(value) ? value : fail('an object', value);
  const { schema, path = null, virtualSize, blockSize, root, blocks } = fields;
  if (schema !== HASH_SCHEMA) fail(`schema '${HASH_SCHEMA}'`, schema);
  if (blockSize !== HASH_BLOCK_BYTES) fail(`blockSize ${HASH_BLOCK_BYTES}`, blockSize);
  if (!isByteCount(virtualSize)) return fail('virtualSize to be a number of bytes', virtualSize);
  if (path !== null && typeof path !== 'string') return fail('path to be a text', path);
  if (!Array.isArray(blocks)) return fail('blocks to be a list', blocks);
  const checked = checkedBlocks(blocks, virtualSize, fail);
  const digest = new RootDigest(virtualSize);
  for (const block of checked) digest.add(block);
  const hex = digest.hex();
  if (root !== hex) fail(`root ${hex}, which its blocks give`, root);
  refuseZeros(checked, virtualSize, fail);
  return { path, virtualSize, blockSize: HASH_BLOCK_BYTES, root: hex, blocks: checked };
}

type Fail = (expected: string, found: unknown) => never;

/** The blocks, in ascending order on the disk, none of them twice. */
function checkedBlocks(blocks: readonly unknown[], virtualSize: number, fail: Fail): BlockHash[] {
  let end = 0;
  return blocks.map((block, index) => {
    const { start, sha256 } = isObject(block) ? block : fail(`block ${index} to be an object`, block);
    if (!isByteCount(start) || start % HASH_BLOCK_BYTES !== 0 || start < end || start >= virtualSize) {
      return fail(`start of block ${index} to be a multiple of ${HASH_BLOCK_BYTES} from ${end} on`, start);
    }
    if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) {
      return fail(`sha256 of block ${index} to be 64 hex digits`, sha256);
    }
    end = start + HASH_BLOCK_BYTES;
    return { start, sha256 };
  });
}

/** A block of zeros is left out: only so there is one list, and one root, for what is on a disk. */
function refuseZeros(blocks: readonly BlockHash[], virtualSize: number, fail: Fail): void {
  const [whole, last] = [zeroHash(HASH_BLOCK_BYTES), zeroHash(virtualSize % HASH_BLOCK_BYTES)];
  for (const [index, { start, sha256 }] of blocks.entries()) {
    const zeros = start + HASH_BLOCK_BYTES <= virtualSize ? whole : last;
    if (sha256 === zeros) fail(`block ${index} not to be all zeros`, sha256);
  }
}

function zeroHash(byteLength: number): string {
  return createHash('sha256').update(new Uint8Array(byteLength)).digest('hex');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isByteCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** A value out of a file, short enough to be told. */
function described(value: unknown): string {
  if (value === undefined) return 'none';
  if (typeof value === 'string') return value.length <= 80 ? quote(value) : `a text of ${value.length} characters`;
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  return JSON.stringify(value);
}
