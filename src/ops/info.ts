import { openVhdStorage } from '../disk/open-storage.ts';
import { type Examination, type ExamineOptions, examine } from '../disk/recognise.ts';
import { checkBooleans, checkOptionNames } from '../errors.ts';
import { decodeParentName } from '../format/dynamic-header.ts';
import type { Footer } from '../format/footer.ts';
import { type Geometry, geometryByteLength, isMaximumGeometry } from '../format/geometry.ts';
import { unixMilliseconds } from '../format/new-footer.ts';
import { type Finding, finding } from '../format/rules.ts';
import type { VhdType } from '../format/spec.ts';
import { formatUuid, formatUuidMixedEndian } from '../format/uuid.ts';
import type { MeasuredDisk } from '../inspect/minimum-size.ts';
import type { DiskContents, Partition } from '../inspect/partition-table.ts';
import type { ChainStart } from '../open-chain.ts';
import { journalFindings } from '../open-journal.ts';
import { checkParentOptions, PARENT_OPTIONS, type ParentOptions } from '../open-parent-options.ts';
import { borrowed } from '../storage/borrowed.ts';
import { FileStorage } from '../storage/file.ts';
import type { Storage } from '../storage/storage.ts';
import type { ChainLink, ChainProblem, LookedUpChain } from './info-chain.ts';

/** A program that sees another virtual size than the footer's, and which. */
export interface OtherSize {
  /** The program, with versions. */
  readonly program: string;
  /** What it sees, in bytes. */
  readonly size: number;
}

/** The parent that a differencing image names. */
export interface NamedParent {
  /** Its name as the header gives it, often a full path. */
  readonly name: string;
  /** Its identifier, the 16 bytes in file order. */
  readonly uuid: string;
}

/** What a disk has by way of a partition table, the partitions themselves aside. */
export type PartitionTable = Omit<DiskContents, 'partitions'>;

/** Everything about an image. What cannot be known is null. */
export interface InfoReport {
  /** Path or name of the image. */
  readonly path: string;
  /** Type; null if there is no valid footer or it names no known type. */
  readonly type: VhdType | null;
  /** Virtual size in bytes. */
  readonly virtualSize: number | null;
  /** Size that the CHS geometry gives, in bytes. */
  readonly chsSize: number | null;
  /** The geometry. */
  readonly geometry: Geometry | null;
  /** Programs that see another size than `virtualSize`. */
  readonly otherSizes: readonly OtherSize[];
  /** Bytes of the file, holes included. */
  readonly fileSize: number;
  /** Bytes the file takes on its medium; null where the system does not tell, and for block devices. */
  readonly fileAllocatedBytes: number | null;
  /** Bytes of the virtual disk that have a place in the file. */
  readonly allocatedBytes: number | null;
  /** Blocks that have a place in the file; null for fixed images. */
  readonly allocatedBlocks: number | null;
  /**
   * The smallest virtual size, in bytes, that the disk can be shrunk to without losing data; see `minimumSize`. Null if it
   * cannot be read.
   */
  readonly minimumSize: number | null;
  /** Bytes of a block; null for fixed images. */
  readonly blockSize: number | null;
  /** Largest power of two, up to 1 MiB, that the data of every block lies on; null without blocks. */
  readonly dataAlignment: number | null;
  /** Creator application, as text. */
  readonly creator: string | null;
  /** Creator version, such as `10.0`. */
  readonly creatorVersion: string | null;
  /** Creator host system, as text. */
  readonly creatorHostOs: string | null;
  /** Time stamp, ISO 8601 UTC. */
  readonly created: string | null;
  /** Identifier, the 16 bytes in file order. */
  readonly uuid: string | null;
  /** Identifier as Windows shows it. */
  readonly uuidMixedEndian: string | null;
  /** The parent a differencing image names; null for the others. */
  readonly parent: NamedParent | null;
  /** The images of its chain that were found, child first; null for what has no parent. */
  readonly chain: readonly ChainLink[] | null;
  /** Why its chain could not be opened; null if it could, and for what has no parent. */
  readonly chainProblem: ChainProblem | null;
  /** True if a virtual machine is saved with the image. */
  readonly savedState: boolean | null;
  /** True if the image can be opened and read. */
  readonly readable: boolean;
  /** Why it cannot, one sentence; null if it can. */
  readonly refusal: string | null;
  /** The partition table of the virtual disk, or the file system on a disk without one; null if it cannot be read. */
  readonly partitionTable: PartitionTable | null;
  /** The partitions, by number; null if the disk cannot be read. */
  readonly partitions: readonly Partition[] | null;
  /** Everything that is odd or wrong about the image; what is about its table is in `partitionTable`. */
  readonly findings: readonly Finding[];
}

/** What is on a disk, as {@link InfoReport} has it. */
export type ContentFacts = Pick<InfoReport, 'partitionTable' | 'partitions' | 'minimumSize'>;

/** Looks at what is on a disk. */
export async function contentFacts(disk: MeasuredDisk): Promise<ContentFacts> {
  const { listPartitions } = await import('../inspect/partitions.ts');
  const { minimumSize } = await import('../inspect/minimum-size.ts');
  const contents = await listPartitions(disk);
  const { partitions, ...partitionTable } = contents;
  return { partitionTable, partitions, minimumSize: await minimumSize(disk, contents) };
}

/** How an image is looked at, and where its parents are. */
export interface InfoOptions extends ExamineOptions, ParentOptions {
  /** Find out whether another program has the file locked for writing, and tell so (`file.in-use`). Default true. */
  readonly lock?: boolean | undefined;
}

/**
 * Tells everything about a VHD, also about one that cannot be opened. Rejects only if the file cannot be read.
 * @param source path, or a storage, which stays open
 */
export async function readInfo(source: string | Storage, options: InfoOptions = {}): Promise<InfoReport> {
  checkOptionNames('readInfo', options, ['footer', 'sizeFrom', 'lock', ...PARENT_OPTIONS]);
  checkBooleans(options, ['lock']);
  checkParentOptions(options);
  const { lock = true, ...reading } = options;
  if (typeof source !== 'string') {
    return infoOf({ storage: source, path: undefined, fileAllocatedBytes: null }, reading);
  }
  const file = await FileStorage.open(source);
  try {
    const stats = await file.stat();
    // A device is as large as it is: what its name takes in the file system is nothing to the purpose.
    const isKnown = Number.isFinite(stats.blocks) && !stats.isBlockDevice();
    const subject = { storage: file, path: source, fileAllocatedBytes: isKnown ? stats.blocks * 512 : null };
    const [report, isInUse, ofJournal] = await Promise.all([
      infoOf(subject, reading),
      lock && file.isLockedForWriting(),
      journalFindings(source, 'warning'),
    ]);
    return { ...report, findings: [...(isInUse ? [finding('file.in-use')] : []), ...ofJournal, ...report.findings] };
  } finally {
    await file.close();
  }
}

interface InfoSubject {
  readonly storage: Storage;
  /** Undefined for what is no file with a name. */
  readonly path: string | undefined;
  readonly fileAllocatedBytes: number | null;
}

type ReadingOptions = Omit<InfoOptions, 'lock'>;

async function infoOf(
  { storage, path, fileAllocatedBytes }: InfoSubject,
  options: ReadingOptions,
): Promise<InfoReport> {
  const { footer, sizeFrom, ...where } = options;
  const examination = await examine(storage, { footer, sizeFrom });
  const { header, virtualSize = null, type = null, fileSize } = examination;
  const chain = await chainOf({ storage, path, examination }, where);
  return {
    path: storage.name,
    type,
    virtualSize,
    ...(examination.footer === undefined ? NO_FOOTER : footerFacts(examination.footer)),
    otherSizes: otherSizes(examination),
    fileSize,
    fileAllocatedBytes,
    ...(await openedFacts(storage, examination, { footer, sizeFrom }, chain)),
    blockSize: header?.blockSize ?? null,
    parent: parentOf(examination),
    chain: chain?.chain ?? null,
    chainProblem: chain?.chainProblem ?? null,
  };
}

type FooterFacts = Pick<
  InfoReport,
  | 'chsSize'
  | 'geometry'
  | 'creator'
  | 'creatorVersion'
  | 'creatorHostOs'
  | 'created'
  | 'uuid'
  | 'uuidMixedEndian'
  | 'savedState'
>;

const NO_FOOTER: FooterFacts = {
  chsSize: null,
  geometry: null,
  creator: null,
  creatorVersion: null,
  creatorHostOs: null,
  created: null,
  uuid: null,
  uuidMixedEndian: null,
  savedState: null,
};

/** What a footer says, as `info` and `id` tell it. */
export function footerFacts(footer: Footer): FooterFacts {
  return {
    chsSize: geometryByteLength(footer.geometry),
    geometry: footer.geometry,
    creator: footer.creatorApplication,
    creatorVersion: `${footer.creatorVersion >>> 16}.${footer.creatorVersion & 0xffff}`,
    creatorHostOs: footer.creatorHostOs,
    created: new Date(unixMilliseconds(footer.timestamp)).toISOString().replace('.000Z', 'Z'),
    uuid: formatUuid(footer.uniqueId),
    uuidMixedEndian: formatUuidMixedEndian(footer.uniqueId),
    savedState: footer.savedState !== 0,
  };
}

type OpenedFacts = Pick<
  InfoReport,
  | 'allocatedBytes'
  | 'allocatedBlocks'
  | 'dataAlignment'
  | 'partitionTable'
  | 'partitions'
  | 'minimumSize'
  | 'readable'
  | 'refusal'
  | 'findings'
>;

const UNREADABLE = {
  ...{ allocatedBytes: null, allocatedBlocks: null, dataAlignment: null },
  ...{ partitionTable: null, partitions: null, minimumSize: null, readable: false },
} as const;

/** What only the table tells, and whether the image opens at all. */
async function openedFacts(
  storage: Storage,
  examination: Examination,
  options: ExamineOptions,
  chain: LookedUpChain | undefined,
): Promise<OpenedFacts> {
  // The disk closes its storage; this one is the caller's.
  try {
    const disk = await openVhdStorage(borrowed(storage), { ...options, parent: chain?.parent });
    const { allocatedBytes, dataAlignment = null } = disk;
    const allocatedBlocks = disk.allocatedBlockCount ?? null;
    const findings = [...disk.findings, ...(chain?.findings ?? [])];
    const ofTable = { allocatedBytes, allocatedBlocks, dataAlignment };
    if (chain !== undefined && chain.chainProblem !== null) {
      await disk.close();
      return { ...UNREADABLE, ...ofTable, refusal: chain.chainProblem.message, findings };
    }
    const contents = await contentFacts(disk).finally(() => disk.close());
    return { ...ofTable, ...contents, readable: true, refusal: null, findings };
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || !String(error.code).startsWith('ERR_VHD_')) throw error;
    return { ...UNREADABLE, refusal: error.message, findings: examination.findings };
  }
}

/** The chain of an image that has a parent, and could be opened with it. */
async function chainOf(start: ChainStart, options: ParentOptions): Promise<LookedUpChain | undefined> {
  const { type, refusal } = start.examination;
  if (type !== 'differencing' || refusal !== undefined) return undefined;
  // Loaded when it is needed: most images have no parent.
  const { lookUpChain } = await import('./info-chain.ts');
  return lookUpChain(start, options);
}

function parentOf({ type, header }: Examination): NamedParent | null {
  if (type !== 'differencing' || header === undefined) return null;
  return { name: decodeParentName(header), uuid: formatUuid(header.parentUniqueId) };
}

/** Creators whose images qemu before version 10 takes the size field of; all others' it takes the geometry of. */
const OLD_QEMU_TRUSTS: readonly string[] = ['win ', 'qem2', 'd2v ', 'CTXS', 'tap\0'];
/** Creators whose images qemu from version 10 on takes the geometry of. */
const NEW_QEMU_DISTRUSTS: readonly string[] = ['vpc ', 'qemu'];

function otherSizes(examination: Examination): OtherSize[] {
  const { footer, virtualSize } = examination;
  if (footer === undefined || virtualSize === undefined) return [];
  const chsSize = geometryByteLength(footer.geometry);
  const isMaximum = isMaximumGeometry(footer.geometry);
  const creator = footer.creatorApplication;
  const seen: OtherSize[] = [
    { program: 'qemu before 10', size: OLD_QEMU_TRUSTS.includes(creator) || isMaximum ? footer.currentSize : chsSize },
    {
      program: 'qemu 10 and later',
      size: NEW_QEMU_DISTRUSTS.includes(creator) && !isMaximum ? chsSize : footer.currentSize,
    },
    { program: 'libvhdi', size: footer.originalSize },
    { program: 'Virtual PC', size: chsSize },
  ];
  return seen.filter((other) => other.size !== virtualSize);
}
