import type { Patch } from '../disk/overlay.ts';
import { VhdError } from '../errors.ts';
import { copyOf } from '../format/bytes.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { isPrimaryHeader } from './gpt.ts';
import { type GptCopy, usedEntries } from './gpt-entries.ts';
import {
  decodeGptHeader,
  entriesByteLength,
  entriesProblem,
  type GptHeader,
  type GptProblem,
  hasGptSignature,
  LARGE_SECTOR_BYTES,
  sealHeader,
} from './gpt-header.ts';
import { decodeMbr, type Mbr, protectiveEntry, sectorCountOffset } from './mbr.ts';

/** Fills `target` with the bytes of a disk from `position` on. */
export type ReadBytes = (target: Uint8Array, position: number) => Promise<void>;

/** How a move is planned. */
export interface GptMoveOptions {
  /**
   * Read the end of the disk too, and plan to write the backup anew where it lies in the right place but is missing or
   * differs from the primary. Needs a source with random access. Default false.
   */
  readonly checkBackup?: boolean | undefined;
}

/** Nothing above this is read to plan a move, so that the front of a pipe is enough. */
export const GPT_FRONT_BYTES: number = 1024 * 1024;
/** Bytes from the start of a disk that tell whether it has a GPT: enough to see a header at 4096 too. */
export const GPT_SIGN_BYTES = 8192;
/** What UEFI keeps free for the entries at the least: 16 KiB. */
const MIN_ENTRY_SECTORS = 32;
const MAX_MBR_SECTORS = 0xffff_ffff;
const ALTERNATE_OFFSET = 32;
const OWN_OFFSET = 24;
const LAST_USABLE_OFFSET = 48;
const ENTRIES_OFFSET = 72;

/**
 * Plans what to write so that the GPT of a disk is right for another size: the backup at the new end, both headers, the
 * size in the protective MBR, and zeros where the old backup was. Partitions stay where they are. Reads only the first
 * MiB of the disk, unless `checkBackup` is set.
 * @param read reads the disk as it is
 * @param oldSize its size in bytes
 * @param newSize the size it gets or has already, in bytes; a multiple of 512
 * @returns patches by position, none overlapping; none if all is as it should be; undefined if the disk has no GPT
 * @throws VhdError `ERR_VHD_CORRUPT` if the primary GPT is broken, `ERR_VHD_TRUNCATED` if the disk ends in a partition, `ERR_VHD_SIZE` if the partitions or the backup do
 * not fit into `newSize`, `ERR_VHD_LIMIT` if the entries do not lie in the first MiB
 */
export async function planGptMove(
  read: ReadBytes,
  oldSize: number,
  newSize: number,
  options: GptMoveOptions = {},
): Promise<readonly Patch[] | undefined> {
  if (oldSize < SECTOR_BYTES * 2) return undefined;
  const front = await readBytes(read, 0, Math.min(GPT_SIGN_BYTES, oldSize));
  const mbr = decodeMbr(front.subarray(0, SECTOR_BYTES));
  if (!isGpt(mbr, front.subarray(SECTOR_BYTES))) return undefined;
  const primary = await readPrimary(read, front, oldSize);
  checkWhole(primary, oldSize);
  const place = placeFor(primary, newSize);
  const protective = protectivePatch(front.subarray(0, SECTOR_BYTES), mbr, primary.header, place);
  if (primary.header.alternateLba === place.lastLba) {
    // A disk that was cut short and grows to what it was has lost its backup.
    const isInside = place.lastLba < Math.floor(oldSize / SECTOR_BYTES);
    const isThere = isInside && (options.checkBackup !== true || (await isBackupSound(read, primary)));
    return [...fits(protective, mbr), ...(isThere ? [] : backupAnew(primary, keptPlace(primary, place)))];
  }
  const parts = [
    ...protective,
    { position: SECTOR_BYTES, bytes: inSector(primaryHeader(primary.header, place)) },
    ...wipePatches(primary, place),
    backupPatch(primary, place),
  ];
  return parts.sort((first, second) => first.position - second.position);
}

/** Windows says that it covers as much as can be said, of disks of any size: nothing to mend where all else fits. */
function fits(protective: Patch[], mbr: Mbr | undefined): Patch[] {
  return protectiveEntry(mbr)?.sectorCount === MAX_MBR_SECTORS ? [] : protective;
}

/** Where the backup goes. */
interface BackupPlace {
  readonly lastUsableLba: number;
  readonly entriesLba: number;
  readonly lastLba: number;
}

async function readBytes(read: ReadBytes, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await read(bytes, position);
  return bytes;
}

/** Partitions past the end of the disk were there once: it was cut short, and zeros would pass for what they held. */
function checkWhole(primary: GptCopy, byteLength: number): void {
  const least = (lastPartitionLba(primary) + 1) * SECTOR_BYTES;
  if (least <= byteLength) return;
  const madeFor = (primary.header.alternateLba + 1) * SECTOR_BYTES;
  throw new VhdError(
    'ERR_VHD_TRUNCATED',
    `the disk ends inside a partition: expected ${least} bytes or more, found ${byteLength}`,
    {
      offset: byteLength,
      expected: `${least} bytes or more`,
      found: `${byteLength} bytes`,
      remedy: `get the whole disk: its GPT was made for ${madeFor} bytes`,
    },
  );
}

/**
 * What the first {@link GPT_SIGN_BYTES} of a disk say of a GPT: the size it was made for, as far as that can be read;
 * undefined if there is no GPT. Of sectors of 512 or 4096 bytes.
 */
export function gptSignIn(front: Uint8Array): { readonly madeForBytes: number | undefined } | undefined {
  if (front.length < SECTOR_BYTES * 2) return undefined;
  const mbr = decodeMbr(front.subarray(0, SECTOR_BYTES));
  const isLarge = isPrimaryHeader(front, LARGE_SECTOR_BYTES);
  if (!isGpt(mbr, front.subarray(SECTOR_BYTES)) && !isLarge) return undefined;
  const { header } = decodeGptHeader(front.subarray(SECTOR_BYTES, SECTOR_BYTES * 2), 1);
  return { madeForBytes: header === undefined ? undefined : (header.alternateLba + 1) * SECTOR_BYTES };
}

/** A GPT that an MBR with partitions of its own does not declare is a left-over. */
function isGpt(mbr: Mbr | undefined, sector: Uint8Array): boolean {
  if (protectiveEntry(mbr) !== undefined) return true;
  const hasPartitions = mbr?.hasSoundFlags === true && mbr.entries.length > 0;
  return hasGptSignature(sector) && !hasPartitions;
}

async function readPrimary(read: ReadBytes, front: Uint8Array, oldSize: number): Promise<GptCopy> {
  const { header, problem } = decodeGptHeader(front.subarray(SECTOR_BYTES, SECTOR_BYTES * 2), 1);
  if (header === undefined) {
    throw isPrimaryHeader(front, LARGE_SECTOR_BYTES) ? largeSectorError() : brokenError(problem, SECTOR_BYTES);
  }
  const position = header.entriesLba * SECTOR_BYTES;
  const byteLength = entriesByteLength(header);
  if (header.entriesLba < 2 || position + byteLength > Math.min(GPT_FRONT_BYTES, oldSize)) {
    throw new VhdError('ERR_VHD_LIMIT', 'the entries of the GPT are too far from the start of the disk to be moved', {
      offset: SECTOR_BYTES + ENTRIES_OFFSET,
      expected: `sectors 2 to ${Math.floor(Math.min(GPT_FRONT_BYTES, oldSize) / SECTOR_BYTES) - 1}`,
      found: `sectors ${header.entriesLba} to ${header.entriesLba + sectorsFor(byteLength) - 1}`,
      remedy: 'move the main table with gdisk (x, j) first',
    });
  }
  const entries = await readBytes(read, position, byteLength);
  const broken = entriesProblem(header, entries);
  if (broken !== undefined) throw brokenError(broken, position);
  return { header, entries };
}

function brokenError({ what, expected, found, fieldOffset }: GptProblem, position: number): VhdError {
  return new VhdError(
    'ERR_VHD_CORRUPT',
    `the primary GPT of the disk is broken: ${what}: expected ${expected}, found ${found}`,
    {
      offset: position + fieldOffset,
      expected,
      found,
      remedy: 'mend it first on a raw copy of the disk: gdisk (r, b, w) takes the backup, if that is whole',
    },
  );
}

function largeSectorError(): VhdError {
  return new VhdError(
    'ERR_VHD_UNSUPPORTED',
    'the GPT of the disk is made for sectors of 4096 bytes and cannot be moved',
    {
      offset: LARGE_SECTOR_BYTES,
      expected: 'a header at 512',
      found: 'one at 4096',
      remedy: 'move it with a program that has the disk with sectors of 4096 bytes',
    },
  );
}

function sectorsFor(byteLength: number): number {
  return Math.ceil(byteLength / SECTOR_BYTES);
}

function lastPartitionLba(primary: GptCopy): number {
  return usedEntries(primary).reduce((last, entry) => Math.max(last, entry.lastLba), 0);
}

/** As much room as UEFI wants for the entries, or as much as they need where partitions leave no more. */
function placeFor(primary: GptCopy, newSize: number): BackupPlace {
  const needed = sectorsFor(entriesByteLength(primary.header));
  const lastLba = Math.floor(newSize / SECTOR_BYTES) - 1;
  const lastTaken = Math.max(lastPartitionLba(primary), primary.header.firstUsableLba - 1);
  const wanted = Math.max(needed, MIN_ENTRY_SECTORS);
  const room = lastLba - wanted > lastTaken ? wanted : needed;
  if (lastLba - room <= lastTaken) {
    const least = (lastTaken + needed + 2) * SECTOR_BYTES;
    throw new VhdError('ERR_VHD_SIZE', 'the disk is too small for its partitions and the backup of the GPT', {
      expected: `${least} bytes or more`,
      found: `${newSize} bytes`,
      remedy: 'choose a larger size, or make the last partition smaller first',
    });
  }
  return { lastUsableLba: lastLba - room - 1, entriesLba: lastLba - room, lastLba };
}

/** For a backup that is only written anew: what the primary says of usable sectors stays true where it can be. */
function keptPlace({ header }: GptCopy, place: BackupPlace): BackupPlace {
  const { lastUsableLba } = header;
  const entriesLba = Math.max(place.entriesLba, lastUsableLba + 1);
  const isRoom = entriesLba + sectorsFor(entriesByteLength(header)) <= place.lastLba;
  return isRoom ? { ...place, lastUsableLba, entriesLba } : place;
}

/** The entry that stands for the GPT goes on to cover the disk, if it covers all of what the GPT knows as the disk. */
function protectivePatch(sector: Uint8Array, mbr: Mbr | undefined, header: GptHeader, place: BackupPlace): Patch[] {
  const entry = protectiveEntry(mbr);
  if (entry === undefined || entry.firstSector > 1) return [];
  const isWhole = entry.firstSector + entry.sectorCount > Math.min(header.alternateLba, MAX_MBR_SECTORS);
  const sectorCount = Math.min(place.lastLba + 1 - entry.firstSector, MAX_MBR_SECTORS);
  if (!isWhole || sectorCount === entry.sectorCount) return [];
  const bytes = copyOf(sector);
  const offset = sectorCountOffset(entry.slot);
  new DataView(bytes.buffer).setUint32(offset, sectorCount, true);
  // The last sector in cylinders, heads and sectors, in the three bytes before the first: as "beyond what CHS can say".
  bytes.set([0xff, 0xff, 0xff], offset - 7);
  return [{ position: 0, bytes }];
}

/** A header that says something else in some of its fields of 64 bits, with the right checksum. */
function changedHeader(header: GptHeader, fields: Readonly<Record<number, number>>): Uint8Array {
  const bytes = copyOf(header.bytes);
  const view = new DataView(bytes.buffer);
  for (const [offset, value] of Object.entries(fields)) view.setBigUint64(Number(offset), BigInt(value), true);
  return sealHeader(bytes);
}

function primaryHeader(header: GptHeader, { lastUsableLba, lastLba }: BackupPlace): Uint8Array {
  return changedHeader(header, { [ALTERNATE_OFFSET]: lastLba, [LAST_USABLE_OFFSET]: lastUsableLba });
}

function backupHeader(header: GptHeader, { lastUsableLba, entriesLba, lastLba }: BackupPlace): Uint8Array {
  return changedHeader(header, {
    ...{ [OWN_OFFSET]: lastLba, [ALTERNATE_OFFSET]: 1 },
    ...{ [LAST_USABLE_OFFSET]: lastUsableLba, [ENTRIES_OFFSET]: entriesLba },
  });
}

function inSector(header: Uint8Array): Uint8Array {
  const sector = new Uint8Array(SECTOR_BYTES);
  sector.set(header);
  return sector;
}

/** The entries and, in the last sector, the header of the backup, with zeros between. */
function backupPatch({ header, entries }: GptCopy, place: BackupPlace): Patch {
  const bytes = new Uint8Array((place.lastLba - place.entriesLba + 1) * SECTOR_BYTES);
  bytes.set(entries);
  bytes.set(backupHeader(header, place), bytes.length - SECTOR_BYTES);
  return { position: place.entriesLba * SECTOR_BYTES, bytes };
}

/** A backup that is missing, and the primary header where that has to follow. */
function backupAnew(primary: GptCopy, place: BackupPlace): Patch[] {
  const backup = backupPatch(primary, place);
  if (place.lastUsableLba === primary.header.lastUsableLba) return [backup];
  return [{ position: SECTOR_BYTES, bytes: inSector(primaryHeader(primary.header, place)) }, backup];
}

/** Zeros over the old backup, as far as it lies before the new one and behind everything that is in use. */
function wipePatches(primary: GptCopy, place: BackupPlace): Patch[] {
  const { alternateLba, lastUsableLba } = primary.header;
  const entrySectors = Math.max(sectorsFor(entriesByteLength(primary.header)), MIN_ENTRY_SECTORS);
  const start = Math.max(alternateLba - entrySectors, lastUsableLba + 1, lastPartitionLba(primary) + 1);
  const end = Math.min(alternateLba + 1, place.entriesLba);
  if (alternateLba > place.lastLba || start < primary.header.firstUsableLba || start >= end) return [];
  return [{ position: start * SECTOR_BYTES, bytes: new Uint8Array((end - start) * SECTOR_BYTES) }];
}

/** True if the backup is whole and says what the primary says. */
async function isBackupSound(read: ReadBytes, { header, entries }: GptCopy): Promise<boolean> {
  const { alternateLba } = header;
  const sector = await readBytes(read, alternateLba * SECTOR_BYTES, SECTOR_BYTES);
  const backup = decodeGptHeader(sector, alternateLba).header;
  if (backup === undefined) return false;
  const { entriesLba } = backup;
  if (entriesLba <= lastPartitionLba({ header, entries })) return false;
  if (entriesLba + sectorsFor(entries.length) > alternateLba) return false;
  const kept = { lastUsableLba: header.lastUsableLba, entriesLba, lastLba: alternateLba };
  if (!isSame(backup.bytes, backupHeader(header, kept))) return false;
  return isSame(await readBytes(read, entriesLba * SECTOR_BYTES, entries.length), entries);
}

function isSame(first: Uint8Array, second: Uint8Array): boolean {
  return first.length === second.length && first.every((byte, index) => byte === second[index]);
}
