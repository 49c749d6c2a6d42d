import { checkOneOf, checkOptionNames, VhdError } from '../errors.ts';
import { encodeFooter, type Footer } from '../format/footer.ts';
import { blockLayout, entryCountFor, footerOffsetFor } from '../format/layout.ts';
import { describeFinding, type Finding, finding } from '../format/rules.ts';
import { alignUp, FOOTER_BYTES, SECTOR_BYTES, type VhdType } from '../format/spec.ts';
import { readOnlyError, type Storage } from '../storage/storage.ts';
import { BITMAP_POLICIES, type BitmapPolicy } from './bitmap-rule.ts';
import { BlockStore } from './block-store.ts';
import { BlockTable } from './block-table.ts';
import type { Disk } from './disk.ts';
import { FlatDisk } from './flat.ts';
import { ImageEnd } from './image-end.ts';
import { metadataRanges } from './metadata-ranges.ts';
import {
  findPlacement,
  misplacedFinding,
  type Placement,
  type PlacementContext,
  placementFindings,
} from './placement.ts';
import { type Examination, type ExamineOptions, examine } from './recognise.ts';
import { BlockSpace } from './space.ts';
import { SparseDisk } from './sparse.ts';
import { VhdDisk } from './vhd-disk.ts';
import {
  type BackingDisk,
  checkWriteOptions,
  GATHER_LIMITS,
  type GatherLimits,
  WRITE_OPTIONS,
  WriteBackDisk,
  type WriteOptions,
} from './write-back.ts';

/** How an image in a storage is opened. */
export interface OpenStorageOptions extends ExamineOptions, WriteOptions {
  /** Open for reading and writing; default false. */
  readonly writable?: boolean | undefined;
  /**
   * What a clear bitmap bit over bytes that are not zero means; default `strict`, an error, or `honour` for images by
   * blktap, which leaves old contents of the volume there.
   */
  readonly bitmap?: BitmapPolicy | undefined;
  /**
   * What a differencing image is a child of, open for reading (or for writing, by somebody who knows what the child owns).
   * Held against the identifier that the child names if it is a VHD. The child closes it with itself; so does a failure
   * to open.
   */
  readonly parent?: Disk | undefined;
}

/** The option names of {@link OpenStorageOptions}. */
export const OPEN_STORAGE_OPTIONS: readonly string[] = [
  'writable',
  'footer',
  'sizeFrom',
  'bitmap',
  'parent',
  ...WRITE_OPTIONS,
];

/**
 * Checks options before anything is opened.
 * @throws TypeError on an unknown option or an unknown word
 */
export function checkOpenOptions(where: string, options: OpenStorageOptions, moreNames: readonly string[] = []): void {
  checkOptionNames(where, options, [...OPEN_STORAGE_OPTIONS, ...moreNames]);
  checkOneOf('footer', options.footer, ['start', 'end']);
  checkOneOf('sizeFrom', options.sizeFrom, ['footer', 'chs']);
  checkOneOf('bitmap', options.bitmap, BITMAP_POLICIES);
  checkWriteOptions(options);
  // What lies behind the CHS size would count as free space.
  if (options.writable === true && options.sizeFrom === 'chs') {
    throw new TypeError(`${where}: sizeFrom 'chs' is for reading only`);
  }
}

/** An examination of an image that can be opened. */
type Sound = Examination & { readonly footer: Footer; readonly type: VhdType; readonly virtualSize: number };

/**
 * Opens the VHD in a storage; the disk closes the storage with itself, and so does a failure to open.
 * @throws VhdError with the code that says what is wrong with the image
 * @throws TypeError on an unknown option
 */
export async function openVhdStorage(storage: Storage, options: OpenStorageOptions = {}): Promise<VhdDisk> {
  return openGathering(storage, options, GATHER_LIMITS);
}

/** The same with other limits of what is gathered. */
export async function openGathering(
  storage: Storage,
  options: OpenStorageOptions,
  limits: GatherLimits,
): Promise<VhdDisk> {
  try {
    checkOpenOptions('openVhdStorage', options);
    const examination = await examine(storage, options);
    checkOpenable(examination);
    if (options.writable === true) checkWritable(examination, storage);
    const { type, virtualSize } = examination;
    if (type === 'fixed') {
      const disk = new FlatDisk(storage, virtualSize, options.writable !== true);
      return new VhdDisk({ ...examination, type }, gathering(disk, options, limits));
    }
    const { findings, disk, blockSize } = await openDynamic(storage, examination, options);
    // A whole block gains nothing by waiting: it leaves with its bitmap in one write.
    const gatherBelow = Math.min(limits.gatherBelow, blockSize);
    return new VhdDisk({ ...examination, findings }, gathering(disk, options, { ...limits, gatherBelow }), disk);
  } catch (error) {
    await storage.close();
    throw error;
  }
}

function checkOpenable(examination: Examination): asserts examination is Sound {
  if (examination.refusal !== undefined) throw examination.refusal;
  if (examination.type !== 'differencing') return;
  throw new VhdError(
    'ERR_VHD_DIFFERENCING',
    'this is a differencing disk: what it does not hold is in its parent, and parents cannot be opened yet',
    {
      storage: examination.name,
      expected: 'a fixed or dynamic disk',
      found: 'a differencing disk',
      remedy: 'flatten it with a program that reads chains: 7z x, VBoxManage clonemedium, Convert-VHD',
    },
  );
}

/** Refuses to write to an image that another program has open, or that must not change. */
function checkWritable(examination: Sound, storage: Storage): void {
  if (!storage.capabilities.writable) throw readOnlyError(storage.name);
  if (examination.type !== 'fixed' && storage.capabilities.growable === false) throw cannotGrowError(storage.name);
  const isPoisoned = examination.findings.some((item) => item.rule === 'footer.poisoned');
  const isHidden = examination.footer.reserved[0] === 1;
  const isSaved = examination.footer.savedState !== 0;
  if (!isPoisoned && !isHidden && !isSaved) return;
  const why = isPoisoned
    ? 'another program has it open, or crashed while it had (its end footer is overwritten)'
    : isHidden
      ? 'it is marked hidden: another program has merged it into a child and waits to delete it'
      : 'a virtual machine is saved with it';
  throw new VhdError('ERR_VHD_IN_USE', `it must not be written to: ${why}`, {
    storage: storage.name,
    remedy: 'convert it into a new image and write to that',
  });
}

/** A block device: opening for writing may have to move the footer, and new blocks want room behind it. */
function cannotGrowError(name: string): VhdError {
  return new VhdError(
    'ERR_VHD_UNSUPPORTED',
    'a dynamic image on a block device can be read, but not written to: it could not grow',
    { storage: name, remedy: 'convert it into a file, write to that, and put it back' },
  );
}

function gathering(disk: BackingDisk, options: OpenStorageOptions, limits: GatherLimits): Disk {
  return disk.readOnly ? disk : new WriteBackDisk(disk, options, limits);
}

async function openDynamic(
  storage: Storage,
  examination: Sound,
  options: OpenStorageOptions,
): Promise<{ disk: SparseDisk; findings: Finding[]; blockSize: number }> {
  const { header, virtualSize, footer } = examination;
  if (header === undefined) throw new Error('a sound dynamic image has a header');
  const entryCount = entryCountFor(virtualSize, header.blockSize);
  const table = await BlockTable.load(storage, header.tableOffset, entryCount);
  const metadata = await metadataRanges(storage, examination, header, entryCount);
  const context: PlacementContext = {
    table,
    layout: blockLayout(header.blockSize, 'packed'),
    virtualSize,
    dataLimit: examination.endFooterOffset ?? examination.fileSize,
    metadata: metadata.needed,
    tableOffset: header.tableOffset,
  };
  const placement = findPlacement(context);
  const findings = [...examination.findings, ...placementFindings(placement, context)];
  const writable = options.writable === true;
  if (writable && !placement.bad.isEmpty) throw misplacedError(storage.name, context, placement);
  const layout = blockLayout(header.blockSize, isAligned(examination, table, placement) ? 'aligned' : 'packed');
  const usedEnd = Math.max(metadata.end, placement.dataEnd);
  const growth = writable ? await prepareGrowth(storage, examination, layout, usedEnd) : undefined;
  const refuse = refuser(storage.name, context, placement);
  const store = new BlockStore({ storage, layout, table, metadataEnd: metadata.end, growth, refuse });
  const policy = options.bitmap ?? (footer.creatorApplication.startsWith('tap') ? 'honour' : 'strict');
  const disk = new SparseDisk(store, virtualSize, { readOnly: !writable, policy });
  return { disk, findings, blockSize: header.blockSize };
}

/** Windows decides the same way: by the blocks there are, by the place of the footer where there are none. */
function isAligned(examination: Sound, table: BlockTable, placement: Placement): boolean {
  if (table.allocatedCount > 0) return placement.isAligned;
  const end = examination.endFooterOffset;
  return end !== undefined && (end + FOOTER_BYTES) % 4096 === 0;
}

/** Restores what a crash may have taken, a footer at either end, and sets up where blocks go. */
async function prepareGrowth(
  storage: Storage,
  examination: Sound,
  layout: ReturnType<typeof blockLayout>,
  usedEnd: number,
): Promise<{ space: BlockSpace; end: ImageEnd }> {
  const footer = encodeFooter(examination.footer);
  let footerOffset = examination.endFooterOffset;
  const isWholeFooter = footerOffset !== undefined && examination.fileSize - footerOffset === FOOTER_BYTES;
  if (footerOffset === undefined || !isWholeFooter || !examination.isCopyCurrent) {
    footerOffset = Math.max(
      footerOffsetFor(layout, usedEnd),
      alignUp(footerOffset ?? examination.fileSize, SECTOR_BYTES),
    );
    await storage.write(footer, footerOffset);
    await storage.flush();
    if (!examination.isCopyCurrent) {
      await storage.write(footer, 0);
      await storage.flush();
    }
  }
  const space = new BlockSpace(layout, usedEnd, footerOffset + FOOTER_BYTES, storage.name);
  return { space, end: new ImageEnd(storage, layout, footer, footerOffset) };
}

function misplacedError(name: string, context: PlacementContext, placement: Placement): VhdError {
  const [found = finding('bat.overlap')] = placementFindings(placement, context);
  return new VhdError('ERR_VHD_CORRUPT', `it cannot be written to: ${describeFinding(found)}`, {
    ...found,
    storage: name,
    remedy: 'it can be read: take what is there with vhd read --start and --length',
  });
}

function refuser(name: string, context: PlacementContext, placement: Placement): BlockStoreRefuse {
  return (blockIndex) => {
    const rule = placement.bad.ruleOf(blockIndex);
    if (rule === undefined) return undefined;
    const found = misplacedFinding(rule, blockIndex, context);
    return new VhdError('ERR_VHD_CORRUPT', describeFinding(found), {
      ...found,
      storage: name,
      remedy: 'every other block can be read: take what is there with vhd read --start and --length',
    });
  };
}

type BlockStoreRefuse = (blockIndex: number) => VhdError | undefined;
