import { realpath, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { identityFields } from '../disk/create-storage.ts';
import { openVhdStorage } from '../disk/open-storage.ts';
import { applyPatches, OverlayDisk, type Patch } from '../disk/overlay.ts';
import { VhdError } from '../errors.ts';
import { encodeFooter } from '../format/footer.ts';
import { geometryFor } from '../format/geometry.ts';
import { newFooter } from '../format/new-footer.ts';
import { warningsOf } from '../format/rules.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { isAllZeros } from '../format/zeros.ts';
import { GPT_FRONT_BYTES } from '../inspect/gpt-move.ts';
import { type OpenedDisk, openDisk } from '../open.ts';
import { borrowed } from '../storage/borrowed.ts';
import { FileStorage } from '../storage/file.ts';
import type { Storage } from '../storage/storage.ts';
import { type AzureShape, planAzure } from './azure.ts';
import { contentUuidOf } from './content-uuid.ts';
import { type FullConvertOptions, identityOf, type Outcome, wantsContentUuid } from './convert-options.ts';
import { checkExpectedSize } from './expected-size.ts';
import { checkTarget, codeOf, renameFile, syncDirectory } from './output-file.ts';
import { paddedWarnings } from './padding.ts';

/**
 * Makes a raw file a fixed image, or the other way round, by its footer alone, and renames it if `target` is another
 * name. Nothing is copied. A process killed in the middle leaves a file that the same call finishes.
 * @throws VhdError `ERR_VHD_UNSUPPORTED` for images with blocks and for what is no regular file, `ERR_VHD_EXISTS`, and
 *   what `openDisk` throws
 */
export async function convertInPlace(path: string, target: string, options: FullConvertOptions): Promise<Outcome> {
  if (options.to === 'dynamic') throw new TypeError('inPlace: expected to: raw or fixed, found dynamic');
  await checkRegular(path);
  const isRenamed = !(await isSameName(path, target));
  if (isRenamed) await checkTarget(target, options.force === true);
  const storage = await FileStorage.open(path, { writable: true });
  let outcome: Outcome;
  try {
    outcome = await convertStorageInPlace(storage, options);
  } finally {
    await storage.close();
  }
  if (isRenamed && options.dryRun !== true) {
    await renameFile(path, target, options.force === true).catch((error: unknown) => {
      throw codeOf(error) === 'EXDEV' ? otherFileSystemError(target, error) : error;
    });
    await syncDirectory(dirname(target));
  }
  return outcome;
}

async function checkRegular(path: string): Promise<void> {
  if ((await stat(path)).isFile()) return;
  throw new VhdError('ERR_VHD_UNSUPPORTED', 'only a regular file can be changed in place', {
    storage: path,
    remedy: 'leave --in-place away, and write a new image',
  });
}

async function isSameName(path: string, target: string): Promise<boolean> {
  if (resolve(path) === resolve(target)) return true;
  const real = await realpath(target).catch(() => undefined);
  return real !== undefined && real === (await realpath(path));
}

function otherFileSystemError(target: string, cause: unknown): VhdError {
  return new VhdError(
    'ERR_VHD_UNSUPPORTED',
    'the new name lies on another file system, so the file keeps its old one',
    {
      storage: target,
      remedy: 'everything else is done: move it with mv',
      cause,
    },
  );
}

/**
 * The same for what lies in a storage, which stays open. The disk is not touched before the footer is durable; of a loss
 * of power until then the file may be left longer, with zeros in place of the footer.
 */
export async function convertStorageInPlace(storage: Storage, options: FullConvertOptions): Promise<Outcome> {
  const { from, footer, pad } = options;
  const byteLength = await storage.size();
  const opened = await openDisk(borrowed(storage), { from, footer, pad });
  checkFlat(opened, storage.name);
  if (opened.vhd !== undefined) await checkFixed(opened, storage, options);
  checkExpectedSize(opened.disk.size, options.inputSize, storage.name);
  const plan = await planChange(opened, options);
  if (options.dryRun !== true) await perform(plan, storage, options);
  const padded = opened.type === 'raw' ? paddedWarnings(byteLength, opened.disk.size) : [];
  const warnings = [...warningsOf(opened.vhd?.findings ?? []), ...padded];
  const { size: virtualSize, fileSize, changes } = plan;
  return { sourceType: opened.type, virtualSize, fileSize, copiedBytes: 0, skippedBytes: 0, warnings, changes };
}

function checkFlat({ type }: OpenedDisk, name: string): void {
  if (type === 'raw' || type === 'fixed') return;
  throw new VhdError(
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
async function checkFixed(opened: OpenedDisk, storage: Storage, { footer }: FullConvertOptions): Promise<void> {
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
  /** Bytes of the disk before. */
  readonly sizeBefore: number;
  /** The footer to be put behind the disk; undefined where there is to be none. */
  readonly footer: Uint8Array | undefined;
  /** True if there is a footer now. */
  readonly hasFooter: boolean;
  /** Bytes of the file afterwards. */
  readonly fileSize: number;
}

async function planChange(opened: OpenedDisk, options: FullConvertOptions): Promise<Change> {
  const { disk, vhd } = opened;
  const sizeBefore = disk.size;
  const read = (bytes: Uint8Array, position: number): Promise<void> => disk.read(bytes, position);
  const shape =
    options.azure === true ? await planAzure(read, sizeBefore, true) : { size: sizeBefore, patches: [], changes: [] };
  const hasFooter = vhd !== undefined;
  const isNew = options.to === 'fixed' && (!hasFooter || shape.changes.length > 0);
  const footer = isNew ? await footerFor(opened, shape, options) : undefined;
  const fileSize = options.to === 'raw' ? shape.size : shape.size + SECTOR_BYTES;
  const told = [];
  if (isNew && !hasFooter) told.push('a footer was put behind the disk');
  if (options.to === 'raw' && hasFooter) told.push('the footer behind the disk was taken off');
  return { ...shape, changes: [...shape.changes, ...told], sizeBefore, footer, hasFooter, fileSize };
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
  const identity = identityOf(options);
  const uuid = wantsContentUuid(options)
    ? await contentUuidOf(new OverlayDisk(disk, size, patches), options.signal)
    : identity.uuid;
  return encodeFooter(newFooter({ type: 'fixed', size, ...identityFields({ ...identity, uuid }) }));
}

async function perform(change: Change, storage: Storage, options: FullConvertOptions): Promise<void> {
  options.signal?.throwIfAborted();
  if (options.to === 'raw') {
    if ((await storage.size()) !== change.size) await storage.truncate(change.size);
    await storage.flush();
    return;
  }
  if (change.footer === undefined) return;
  await putFooter(storage, change.footer, change.size);
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

/** One table of a GPT is good at any moment: the new backup is durable before the primary names it, and that before the old one goes. */
async function putPatches(storage: Storage, { patches, hasFooter, sizeBefore, size }: Change): Promise<void> {
  const zeros = patches.filter((patch) => isAllZeros(patch.bytes));
  const tables = patches.filter((patch) => !zeros.includes(patch));
  const steps = [
    tables.filter((patch) => patch.position >= GPT_FRONT_BYTES),
    tables.filter((patch) => patch.position < GPT_FRONT_BYTES),
    [...zeros, ...(hasFooter && size > sizeBefore ? [oldFooterPatch(sizeBefore, patches)] : [])],
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
