import type { Disk } from '../disk/disk.ts';
import { OverlayDisk, type Patch } from '../disk/overlay.ts';
import { VhdError } from '../errors.ts';
import { AZURE_MAX_BYTES, AZURE_MIN_BYTES, AZURE_STEP_BYTES } from '../format/azure-limits.ts';
import { alignUp, FOOTER_BYTES, SECTOR_BYTES } from '../format/spec.ts';
import { isAllZeros } from '../format/zeros.ts';
import { gptSignIn, planGptMove, type ReadBytes } from '../inspect/gpt-move.ts';

const GIB = 1024 ** 3;
/** Largest disk that a machine of generation 1 starts from. */
const MAX_GENERATION_1_BYTES = 2048 * GIB;
/** Largest disk with an operating system. */
const MAX_SYSTEM_DISK_BYTES = 4095 * GIB;

/** What becomes of a disk that is made fit for Azure. */
export interface AzureShape {
  /** Virtual size in bytes. */
  readonly size: number;
  /** What takes the place of the disk's own bytes. */
  readonly patches: readonly Patch[];
  /** What that changes, one sentence each. */
  readonly changes: readonly string[];
}

/**
 * The virtual size that Azure takes for a disk of `byteLength` bytes: the next whole MiB, and at least 20 MiB.
 * @throws VhdError `ERR_VHD_LIMIT` if it takes none that is large enough
 */
export function azureSizeFor(byteLength: number): number {
  const size = Math.max(alignUp(byteLength, AZURE_STEP_BYTES), AZURE_MIN_BYTES);
  if (size <= AZURE_MAX_BYTES) return size;
  const expected = `at most ${AZURE_MAX_BYTES} bytes (32767 GiB)`;
  throw new VhdError(
    'ERR_VHD_LIMIT',
    `Azure takes no disk of that size: expected ${expected}, found ${byteLength} bytes`,
    { expected, found: `${byteLength} bytes`, remedy: 'make the disk smaller first' },
  );
}

/**
 * Plans what makes a disk fit for Azure.
 * @param read reads the disk; of a disk that comes down a stream the first MiB is enough, see `isWhole`
 * @param byteLength the size it has
 * @param isWhole true if `read` reaches the end of the disk, where a GPT keeps its backup
 * @throws VhdError `ERR_VHD_LIMIT`, and `ERR_VHD_CORRUPT` if there is a GPT that cannot be trusted
 */
export async function planAzure(read: ReadBytes, byteLength: number, isWhole: boolean): Promise<AzureShape> {
  const size = azureSizeFor(byteLength);
  const patches = (await planGptMove(read, byteLength, size, { checkBackup: isWhole })) ?? [];
  const changes = [...sizeChanges(byteLength, size), ...gptChanges(patches)];
  return { size, patches, changes };
}

/** What the user is told of a GPT that followed. */
function gptChanges(patches: readonly Patch[]): string[] {
  if (patches.length === 0) return [];
  const isBackup = patches.some((patch) => patch.position > 0 && !isAllZeros(patch.bytes));
  if (!isBackup) return ['the protective MBR of its GPT was made to cover it'];
  return ['the backup of its GPT was put at its end, and what points there was made to fit'];
}

/** What the user is told of a new size. */
export function sizeChanges(before: number, after: number): string[] {
  return before === after ? [] : [`its size was rounded up from ${before} to ${after} bytes`];
}

/** A disk as Azure takes it, and what that changes. */
export async function shapeForAzure(disk: Disk): Promise<{ disk: Disk; changes: readonly string[] }> {
  const { size, patches, changes } = await planAzure(
    (target, position) => disk.read(target, position),
    disk.size,
    true,
  );
  return { disk: changes.length === 0 ? disk : new OverlayDisk(disk, size, patches), changes };
}

/** Bytes to be uploaded for a fixed disk of `size` bytes. */
export function uploadSizeFor(size: number): number {
  return size + FOOTER_BYTES;
}

/** What the user should know of a disk of that size in Azure. */
export function azureWarnings(size: number): string[] {
  if (size > MAX_SYSTEM_DISK_BYTES) return ['above 4095 GiB Azure takes it as a data disk only'];
  if (size > MAX_GENERATION_1_BYTES) return ['above 2 TiB only machines of generation 2 start from it'];
  return [];
}

/**
 * Refuses a stream whose disk has a GPT and whose size is not told: where its backup belongs is known at the end, when
 * the headers that say so are written already, and a stream that was cut short would pass for a smaller disk.
 * @param front the first {@link GPT_SIGN_BYTES} of the disk
 * @throws VhdError `ERR_VHD_STREAM`, with the size its GPT was made for as remedy
 */
export function refuseUnsizedGpt(front: Uint8Array): void {
  const sign = gptSignIn(front);
  if (sign === undefined) return;
  const { madeForBytes } = sign;
  throw new VhdError('ERR_VHD_STREAM', 'the disk in the stream has a GPT, and its size is not known before its end', {
    storage: '-',
    offset: SECTOR_BYTES,
    expected: 'its size',
    found: 'a stream of unknown length',
    remedy:
      madeForBytes === undefined
        ? 'say --input-size'
        : `say --input-size; its GPT was made for --input-size ${madeForBytes}`,
  });
}
