import { examine } from '../disk/recognise.ts';
import { checkOptionNames } from '../errors.ts';
import { formatBytes } from '../format/byte-count.ts';
import { decodeFooter, isFooter } from '../format/footer.ts';
import { conversionOf, type FormatKind, formatOf } from '../format/magic.ts';
import { finding } from '../format/rules.ts';
import { remedyFor } from '../format/shell.ts';
import { FOOTER_BYTES, SECTOR_BYTES } from '../format/spec.ts';
import { isAllZeros } from '../format/zeros.ts';
import { readContainerFacts, readEnds, recogniseContainer } from '../inspect/containers.ts';
import { DEFAULT_SEARCH_BYTES } from '../inspect/displaced-footer.ts';
import { FileStorage } from '../storage/file.ts';
import type { Storage } from '../storage/storage.ts';
import { type Identification, identificationOf, type Verdict } from './identification.ts';
import { identifyDisplaced } from './identify-displaced.ts';
import { endsInFooter, identifyDamaged, identifySound, type Subject } from './identify-vhd.ts';
import { contentsOf } from './look-inside.ts';

/** How a file is looked at. */
export interface IdentifyOptions {
  /** How far back from the end of the file a footer is looked for where none is at its place; bytes. Default 1 MiB. */
  readonly searchBytes?: number | undefined;
}

/** Media types of what has no container: registered with IANA the first, as `file` has them the others. */
const RAW_MIME = 'application/vnd.efi.img';
const UNKNOWN_MIME = 'application/octet-stream';
const EMPTY_MIME = 'inode/x-empty';

const CHARACTER_DEVICE: Verdict = { kind: 'unknown', mime: 'inode/chardevice', title: 'a device without an end' };

/** What is no disk itself, though one may be in it. */
const HOLDS_FILES: readonly FormatKind[] = [
  'zip',
  '7z',
  'gzip',
  'zstd',
  'xz',
  'bzip2',
  'lz4',
  'lzip',
  'lzma',
  'tar',
  'rar',
  'cab',
  'wim',
];

/**
 * Tells what a file is, from both of its ends: a VHD (also a damaged one, and one with its footer in the wrong place),
 * another format for disks or archives, a raw disk, a bare file system. It reads little of it whatever its size
 * (behind a footer in the wrong place, up to 64 MiB), and nothing a file holds makes it fail.
 * @param source path, or a storage, which stays open
 * @throws errors of the system, unwrapped, if the file cannot be read
 * @throws TypeError on an unknown option
 * @throws RangeError if `searchBytes` is no whole number from 0 on
 */
export async function identify(source: string | Storage, options: IdentifyOptions = {}): Promise<Identification> {
  checkOptionNames('identify', options, ['searchBytes']);
  const { searchBytes = DEFAULT_SEARCH_BYTES } = options;
  if (!Number.isSafeInteger(searchBytes) || searchBytes < 0) {
    throw new RangeError(`identify: searchBytes must be a whole number of bytes from 0 on, found ${searchBytes}`);
  }
  if (typeof source !== 'string') return identifyStorage(source, searchBytes);
  const file = await FileStorage.open(source);
  try {
    const stats = await file.stat();
    // Some systems know the size of a disk behind one; a terminal or a source of zeros has none.
    if (stats.isCharacterDevice() && (await file.size()) === 0) return identificationOf(source, 0, CHARACTER_DEVICE);
    return await identifyStorage(file, searchBytes, file.isLockedForWriting());
  } finally {
    await file.close();
  }
}

async function identifyStorage(
  storage: Storage,
  searchBytes: number,
  lockedForWriting = Promise.resolve(false),
): Promise<Identification> {
  const size = await storage.size();
  if (size === 0) return identificationOf(storage.name, 0, { kind: 'unknown', mime: EMPTY_MIME, title: 'empty file' });
  const file = { size, read: (target: Uint8Array, position: number) => storage.read(target, position) };
  const subject: Subject = { storage, file, ends: await readEnds(file), searchBytes };
  const [verdict, isInUse] = await Promise.all([verdictOn(subject), lockedForWriting]);
  const told = isInUse ? [finding('file.in-use').message] : [];
  return identificationOf(storage.name, size, { ...verdict, problems: [...told, ...(verdict.problems ?? [])] });
}

/** VHD comes first, as everywhere: its footer at the end says what the file is, whatever its disk begins with. */
async function verdictOn(subject: Subject): Promise<Verdict> {
  const examination = await examine(subject.storage);
  const { footer, endFooterOffset } = examination;
  const isEndSpoilt = endsInFooter(subject.ends);
  if (footer !== undefined) {
    const isEndLost = endFooterOffset === undefined && !isEndSpoilt;
    const displaced = isEndLost ? await identifyDisplaced(subject, footer) : undefined;
    return displaced ?? identifySound(subject, examination, footer);
  }
  const damaged = identifyDamaged(subject);
  return damaged !== undefined && isEndSpoilt ? damaged : identifyOther(subject, damaged);
}

/** Nothing of a footer at the end. */
async function identifyOther(subject: Subject, damaged: Verdict | undefined): Promise<Verdict> {
  const format = await recogniseContainer(subject.ends, subject.file);
  // An optical disc may be what is on a fixed disk; all others would not stand at the beginning of one.
  const mayBeOnDisk = format === undefined || format === 'iso' || format === 'udf';
  const displaced = mayBeOnDisk ? await identifyDisplaced(subject) : undefined;
  if (displaced !== undefined) return displaced;
  return format === undefined ? (damaged ?? identifyRaw(subject)) : identifyContainer(subject, format);
}

async function identifyContainer({ storage, file, ends }: Subject, kind: FormatKind): Promise<Verdict> {
  const { title, mime } = formatOf(kind);
  const facts = await readContainerFacts(kind, ends, file);
  const conversion = conversionOf(kind);
  return {
    kind,
    mime,
    title: `${title} ${HOLDS_FILES.includes(kind) ? 'file' : 'image'}`,
    virtualSize: facts.virtualSize,
    version: facts.version,
    remarks: facts.version === null ? facts.remarks : [`version ${facts.version}`, ...facts.remarks],
    problems: facts.problems ?? [],
    remedy: conversion === undefined ? null : remedyFor(conversion, storage.name),
  };
}

/** Without any container: the file is the disk, or nothing that is known. */
async function identifyRaw(subject: Subject): Promise<Verdict> {
  const { contents, problems } = await contentsOf(subject.file);
  const found = { contents, problems, mime: RAW_MIME, virtualSize: subject.file.size };
  if (contents !== null && contents.scheme !== 'none') {
    return { ...found, kind: `raw-${contents.scheme}`, title: 'raw disk' };
  }
  if (contents !== null && contents.fileSystem !== null) {
    return { ...found, kind: 'filesystem', title: 'bare file system' };
  }
  return { kind: 'unknown', mime: UNKNOWN_MIME, title: whyUnknown(subject), problems };
}

function whyUnknown({ ends, file }: Subject): string {
  const { head, tail } = ends;
  if (isAllZeros(head) && isAllZeros(tail)) return 'all zeros at both ends';
  if (file.size >= FOOTER_BYTES && isFooter(decodeFooter(head.subarray(0, FOOTER_BYTES)))) {
    return 'begins with the footer of a fixed VHD, whose place is the end: raw, or the rest of it is missing';
  }
  return file.size < SECTOR_BYTES
    ? `too short for a disk: ${formatBytes(file.size)}`
    : 'no footer of a VHD, no magic that is known, no partition table and no file system';
}
