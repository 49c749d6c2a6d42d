import type { Disk } from '../disk/disk.ts';
import { openVhdStorage } from '../disk/open-storage.ts';
import { applyPatches, OverlayDisk, type Patch } from '../disk/overlay.ts';
import { examine } from '../disk/recognise.ts';
import type { VhdDisk } from '../disk/vhd-disk.ts';
import { VhdError } from '../errors.ts';
import { decodeFooter, encodeFooter, isFooter } from '../format/footer.ts';
import { geometryFor } from '../format/geometry.ts';
import { warningsOf } from '../format/rules.ts';
import { FOOTER_BYTES, FOOTER_COOKIE, SECTOR_BYTES } from '../format/spec.ts';
import { formatUuid } from '../format/uuid.ts';
import { isAllZeros } from '../format/zeros.ts';
import { GPT_FRONT_BYTES, type ReadBytes } from '../inspect/gpt-move.ts';
import { type OpenedDisk, openDisk } from '../open.ts';
import { forgetUndo } from '../open-journal.ts';
import { openWritableFile } from '../open-source.ts';
import { borrowed } from '../storage/borrowed.ts';
import { FileStorage } from '../storage/file.ts';
import type { Storage } from '../storage/storage.ts';
import { piecesOf, readAhead } from '../stream/read-ahead.ts';
import { type AzureShape, planAzure } from './azure.ts';
import { contentUuidOf } from './content-uuid.ts';
import { type FullConvertOptions, type Outcome, wantsContentUuid } from './convert-options.ts';
import { checkExpectedSize } from './expected-size.ts';
import { fixedFooter } from './fixed-footer.ts';
import { checkInPlaceName, giveName, holdLosing } from './in-place-name.ts';
import { paddedWarnings } from './padding.ts';

const COOKIE_BYTE = FOOTER_COOKIE.charCodeAt(0);

/**
 * Makes a raw file a fixed image, or the other way round, by its footer alone, and renames it if `target` is another
 * name. Nothing is copied. A process killed while it makes a fixed image leaves a file that the same call finishes.
 * @throws VhdError `ERR_VHD_UNSUPPORTED` for images with blocks, for what is no regular file or has several names, and for
 *   a new identity of an image that has one; `ERR_VHD_EXISTS`; `ERR_VHD_IN_USE`; and what `openDisk` throws
 */
export async function convertInPlace(path: string, target: string, options: FullConvertOptions): Promise<Outcome> {
  checkInPlaceOptions(options);
  const name = await checkInPlaceName(path, target, options.force === true);
  const losing = await holdLosing(name, options);
  try {
    const outcome = await convertFileInPlace(path, options);
    if (options.dryRun !== true) await giveName(name);
    return outcome;
  } finally {
    await losing?.close();
  }
}

async function convertFileInPlace(path: string, options: FullConvertOptions): Promise<Outcome> {
  const storage = await openWritableFile(path, options);
  try {
    return await convertStorageInPlace(storage, options);
  } finally {
    await storage.close();
  }
}

/** What copies honour and a footer alone cannot. */
function checkInPlaceOptions({ to, sizeFrom, preallocate }: FullConvertOptions): void {
  if (to === 'dynamic') throw new TypeError('inPlace: expected to: raw or fixed, found dynamic');
  if (sizeFrom === 'chs') throw new TypeError("inPlace: sizeFrom 'chs' is for copies only");
  if (preallocate === true) throw new TypeError('inPlace: preallocate is for copies only');
}

/**
 * The same for what lies in a storage, which stays open. The disk is not touched before the footer is durable; of a loss
 * of power until then the file may be left longer, with zeros in place of the footer.
 */
export async function convertStorageInPlace(storage: Storage, options: FullConvertOptions): Promise<Outcome> {
  const { footer, pad } = options;
  const byteLength = await storage.size();
  const from = await finishedKind(storage, options);
  const { type } = await examine(storage, { footer });
  // Before its parents are looked for, which nobody needs here.
  if (type === 'differencing' && from !== 'raw') throw blocksError(type, storage.name);
  const opened = await openDisk(borrowed(storage), { from, footer, pad });
  checkFlat(opened, storage.name);
  if (opened.vhd !== undefined) await checkFixed(opened, storage, options);
  checkExpectedSize(opened.disk.size, options.inputSize, storage.name);
  const plan = await planChange(opened, options);
  if (options.dryRun !== true) {
    if (storage instanceof FileStorage) await forgetUndo(storage.name);
    await perform(plan, storage, options);
  }
  const padded = opened.type === 'raw' ? paddedWarnings(byteLength, opened.disk.size) : [];
  const warnings = [...warningsOf(opened.vhd?.findings ?? []), ...padded, ...keptWarnings(opened, options)];
  const { size: virtualSize, fileSize, changes } = plan;
  return { sourceType: opened.type, virtualSize, fileSize, copiedBytes: 0, skippedBytes: 0, warnings, changes };
}

/** What was asked for and is left as it is. */
function keptWarnings({ vhd }: OpenedDisk, { to, reproducible, timestamp }: FullConvertOptions): string[] {
  const isAsked = reproducible === true || timestamp !== undefined;
  if (vhd === undefined || to !== 'fixed' || !isAsked) return [];
  return ['it is a fixed VHD already, and keeps its identifier and its time in place'];
}

/**
 * What to open the file as, if it is to become a fixed image: one with the footer of such an image right behind its disk
 * is one already, whatever its name is; an earlier call may have been killed before it gave the new one.
 * @throws VhdError `ERR_VHD_AMBIGUOUS` if it was said to be raw: the footer would become a part of the disk
 */
async function finishedKind(
  storage: Storage,
  { to, from, footer }: FullConvertOptions,
): Promise<'raw' | 'vhd' | undefined> {
  if (to !== 'fixed' || from === 'vhd') return from;
  const { type, virtualSize, endFooterOffset, refusal } = await examine(storage, { footer });
  if (type !== 'fixed' || refusal !== undefined || endFooterOffset !== virtualSize) return from;
  if (from === undefined) return 'vhd';
  throw new VhdError(
    'ERR_VHD_AMBIGUOUS',
    'it ends in the footer of a fixed VHD already, which would become a part of the disk',
    {
      storage: storage.name,
      offset: endFooterOffset,
      expected: 'no footer in a raw image',
      found: 'a footer',
      remedy: 'leave --from away; if it does belong to the disk, convert to a new file',
    },
  );
}

function checkFlat({ type }: OpenedDisk, name: string): void {
  if (type !== 'raw' && type !== 'fixed') throw blocksError(type, name);
}

function blocksError(type: 'dynamic' | 'differencing', name: string): VhdError {
  return new VhdError(
    'ERR_VHD_UNSUPPORTED',
    `a ${type} image keeps its disk in blocks: expected a raw or fixed image to change in place, found a ${type} one`,
    {
      storage: name,
      expected: 'a raw or fixed image',
      found: type,
      remedy: 'leave --in-place away, and write a new image',
    },
  );
}

/** A fixed image that may be written to, and whose footer stands right behind its disk. */
async function checkFixed(opened: OpenedDisk, storage: Storage, options: FullConvertOptions): Promise<void> {
  const { footer, uuid, creator, geometry } = options;
  if (options.to === 'fixed' && [uuid, creator, geometry].some((given) => given !== undefined)) {
    throw new VhdError('ERR_VHD_UNSUPPORTED', 'it is a fixed VHD already, which keeps its identity in place', {
      storage: storage.name,
      remedy: 'leave --uuid, --creator and --chs away, or convert to a new file',
    });
  }
  await (await openVhdStorage(borrowed(storage), { writable: true, footer })).close();
  const dataEnd = opened.vhd?.findings.find((item) => item.rule === 'fixed.long')?.found;
  if (dataEnd === undefined) return;
  throw new VhdError(
    'ERR_VHD_CORRUPT',
    `the file holds more bytes than the virtual disk: expected the footer at ${opened.disk.size}, found it at ${dataEnd}`,
    {
      storage: storage.name,
      offset: opened.disk.size,
      expected: String(opened.disk.size),
      found: dataEnd,
      remedy: 'leave --in-place away: what lies between would be lost',
    },
  );
}

/** What is to be done to the file. */
interface Change extends AzureShape {
  /** The footer to be put behind the disk; undefined where there is to be none, or the one that is there is right. */
  readonly footer: Uint8Array | undefined;
  /** Where a footer lies that becomes a part of the disk, as zeros. */
  readonly oldFooterOffset: number | undefined;
  /** Bytes of the file afterwards. */
  readonly fileSize: number;
}

async function planChange(opened: OpenedDisk, options: FullConvertOptions): Promise<Change> {
  const { disk, vhd } = opened;
  const read: ReadBytes = (bytes, position) => disk.read(bytes, position);
  const shape =
    options.azure === true ? await planAzure(read, disk.size, true) : { size: disk.size, patches: [], changes: [] };
  if (options.to === 'raw') {
    const told = vhd === undefined ? [] : ['the footer behind the disk was taken off'];
    return { ...shape, changes: told, footer: undefined, oldFooterOffset: undefined, fileSize: shape.size };
  }
  const isLegacy = vhd?.findings.some((item) => item.rule === 'footer.legacy') === true;
  const told = [
    ...(vhd === undefined ? ['a footer was put behind the disk'] : []),
    ...(isLegacy ? ['its footer of 511 bytes became one of 512'] : []),
  ];
  const isNew = vhd === undefined || isLegacy || shape.size !== disk.size;
  const footer = isNew ? await footerFor(opened, shape, options) : undefined;
  const oldFooterOffset = vhd === undefined ? undefined : await oldFooterOf(disk, vhd, shape.size);
  const changes = [...shape.changes, ...told];
  return { ...shape, changes, footer, oldFooterOffset, fileSize: shape.size + FOOTER_BYTES };
}

/** How far from the end a footer can lie that a call left which was killed while it made an image fit for Azure. */
const MAX_AZURE_GROWTH_BYTES = 21 * 1024 * 1024;

/** Where the footer lies that is no longer the last: that of the size before, or one that a killed call left. */
async function oldFooterOf(disk: Disk, { footer }: VhdDisk, newSize: number): Promise<number | undefined> {
  if (newSize !== disk.size) return disk.size;
  const start = Math.max(0, disk.size - MAX_AZURE_GROWTH_BYTES);
  for await (const piece of readAhead(disk, piecesOf(start, disk.size))) {
    for (let offset = 0; offset + FOOTER_BYTES <= piece.length; offset += SECTOR_BYTES) {
      if (piece.bytes[offset] !== COOKIE_BYTE) continue;
      const decoded = decodeFooter(piece.bytes.subarray(offset, offset + FOOTER_BYTES));
      const { currentSize, uniqueId } = decoded.value;
      const isOwn = formatUuid(uniqueId) === formatUuid(footer.uniqueId);
      if (isFooter(decoded) && isOwn && currentSize === piece.start + offset) return currentSize;
    }
    piece.release();
  }
  return undefined;
}

/** The footer of the image to come; one that is there keeps its identity. */
async function footerFor(
  { disk, vhd }: OpenedDisk,
  shape: AzureShape,
  options: FullConvertOptions,
): Promise<Uint8Array> {
  const { size, patches } = shape;
  if (vhd !== undefined) {
    return encodeFooter({ ...vhd.footer, originalSize: size, currentSize: size, geometry: geometryFor(size) });
  }
  const contentUuid = wantsContentUuid(options)
    ? await contentUuidOf(new OverlayDisk(disk, size, patches), options.signal)
    : undefined;
  return fixedFooter(size, options, contentUuid);
}

async function perform(change: Change, storage: Storage, options: FullConvertOptions): Promise<void> {
  options.signal?.throwIfAborted();
  if (options.to === 'raw') {
    if ((await storage.size()) !== change.size) await storage.truncate(change.size);
    await storage.flush();
    return;
  }
  if (change.footer !== undefined) await putFooter(storage, change.footer, change.size);
  await putPatches(storage, change);
}

/** The new footer first and durably: from then on the file is an image of its new size. */
async function putFooter(storage: Storage, footer: Uint8Array, position: number): Promise<void> {
  const byteLength = await storage.size();
  try {
    await storage.write(footer, position);
    await storage.flush();
  } catch (error) {
    // As when the disk is full: the file is to be what it was.
    if (byteLength <= position) await storage.truncate(byteLength).catch(() => undefined);
    throw error;
  }
}

/**
 * The primary GPT is good at any moment, and names its new backup last: until then a call that was killed is made good by
 * the next one.
 */
async function putPatches(storage: Storage, { patches, oldFooterOffset }: Change): Promise<void> {
  const zeros = patches.filter((patch) => isAllZeros(patch.bytes));
  const tables = patches.filter((patch) => !zeros.includes(patch));
  const steps = [
    tables.filter((patch) => patch.position >= GPT_FRONT_BYTES),
    [...zeros, ...(oldFooterOffset === undefined ? [] : [oldFooterPatch(oldFooterOffset, patches)])],
    tables.filter((patch) => patch.position < GPT_FRONT_BYTES),
  ];
  for (const step of steps.filter((some) => some.length > 0)) {
    for (const { bytes, position } of step) await storage.write(bytes, position);
    await storage.flush();
  }
}

/** What the place of the footer before becomes: a part of the disk. */
function oldFooterPatch(position: number, patches: readonly Patch[]): Patch {
  const bytes = new Uint8Array(SECTOR_BYTES);
  applyPatches(bytes, position, patches);
  return { position, bytes };
}
