import { SECTOR_BYTES } from '../format/spec.ts';
import { Fields } from './fields.ts';
import { probeFileSystem } from './file-systems.ts';
import { isPrimaryHeader, readGpt } from './gpt.ts';
import { LARGE_SECTOR_BYTES } from './gpt-header.ts';
import { decodeMbr, type Mbr, PROTECTIVE_TYPE, protectiveEntry } from './mbr.ts';
import { listMbr } from './mbr-partitions.ts';
import { limitFindings, type TableContents, type TableEntry } from './partition-checks.ts';
import type { DiskContents, Partition, ReadableDisk, TableFinding } from './partition-table.ts';
import { PieceReader } from './piece-reader.ts';
import { isFatBootSector } from './superblocks-fat.ts';

/** Reaches behind the header of a GPT made for sectors of 4096 bytes. */
const FRONT_BYTES = 8192;
const MAX_PROBED_PARTITIONS = 256;

/**
 * Tells what is on a disk: its partition table, what is in each partition, and what is wrong with the table. Content
 * never makes it throw: where bytes of the disk are damaged, a finding says what they hide. Reads some 200 KiB a partition.
 * Errors of the system pass.
 */
export async function listPartitions(disk: ReadableDisk): Promise<DiskContents> {
  const reader = new PieceReader(disk);
  const front =
    (await reader.readUpTo(0, FRONT_BYTES)) ?? (await reader.readUpTo(0, SECTOR_BYTES)) ?? new Uint8Array(0);
  const mbr = decodeMbr(front.subarray(0, SECTOR_BYTES));
  const contents =
    (await declaredGpt(reader, mbr)) ??
    (await plainMbr(reader, mbr, front)) ??
    (await undeclaredGpt(reader, front)) ??
    (await withoutTable(reader)) ??
    (await emptyMbr(reader, mbr));
  return { ...contents, findings: limitFindings([...damageFindings(reader), ...contents.findings]) };
}

/** The MBR says that there is a GPT. */
async function declaredGpt(reader: PieceReader, mbr: Mbr | undefined): Promise<DiskContents | undefined> {
  if (mbr === undefined || protectiveEntry(mbr) === undefined) return undefined;
  const table = (await readGpt(reader, SECTOR_BYTES)) ?? (await largeSectorGpt(reader)) ?? missingGpt(reader);
  return withFileSystems('gpt', reader, { ...table, findings: [...hybridFindings(mbr), ...table.findings] });
}

async function largeSectorGpt(reader: PieceReader): Promise<TableContents | undefined> {
  const table = await readGpt(reader, LARGE_SECTOR_BYTES);
  if (table === undefined) return undefined;
  const message =
    'the GPT is made for sectors of 4096 bytes and is not seen where the disk has sectors of 512: ' +
    'expected a header at 512, found one at 4096';
  return {
    ...table,
    findings: [{ rule: 'partition.table', severity: 'error', message, offset: LARGE_SECTOR_BYTES }, ...table.findings],
  };
}

function missingGpt(reader: PieceReader): TableContents {
  const message =
    `the MBR says that there is a GPT, but there is none: expected 'EFI PART' at ${SECTOR_BYTES} ` +
    `or at ${reader.length - SECTOR_BYTES}, found neither`;
  return {
    diskId: null,
    entries: [],
    findings: [{ rule: 'partition.gpt', severity: 'error', message, offset: SECTOR_BYTES }],
  };
}

function hybridFindings(mbr: Mbr): TableFinding[] {
  const others = mbr.entries.filter((entry) => entry.type !== PROTECTIVE_TYPE).map((entry) => entry.slot + 1);
  if (others.length === 0) return [];
  const message =
    'the MBR is a hybrid: expected the protective entry alone, ' +
    `found entries of its own in slot ${others.join(', ')}; some systems see those instead of the GPT`;
  return [{ rule: 'partition.table', severity: 'warning', message, offset: 0 }];
}

/** An MBR with partitions that can be, which is not the boot sector of a file system. */
async function plainMbr(
  reader: PieceReader,
  mbr: Mbr | undefined,
  front: Uint8Array,
): Promise<DiskContents | undefined> {
  if (mbr === undefined || !mbr.hasSoundFlags || !hasPossibleEntries(mbr, reader.length)) return undefined;
  const table = await listMbr(reader, mbr);
  const findings = [...table.findings];
  if (isPrimaryHeader(front, SECTOR_BYTES)) {
    const message =
      'there is a GPT that the MBR does not declare: expected a protective entry, ' +
      'found other partitions; the MBR is used, and the GPT may be a left-over';
    findings.push({ rule: 'partition.table', severity: 'warning', message, offset: SECTOR_BYTES });
  }
  if (isFatBootSector(new Fields(front))) {
    const message =
      'the first sector is the boot sector of a FAT file system too: expected one of both, found a table as well';
    findings.push({ rule: 'partition.table', severity: 'note', message, offset: 0 });
  }
  return withFileSystems('mbr', reader, { ...table, findings });
}

/** There are entries, and the first bytes of all of them could be on this disk, behind the MBR. */
function hasPossibleEntries(mbr: Mbr, diskSize: number): boolean {
  const isPossible = mbr.entries.every(({ firstSector }) => firstSector > 0 && firstSector * SECTOR_BYTES < diskSize);
  return mbr.entries.length > 0 && isPossible;
}

/** No MBR says so, but a whole header is there. */
async function undeclaredGpt(reader: PieceReader, front: Uint8Array): Promise<DiskContents | undefined> {
  if (!isPrimaryHeader(front, SECTOR_BYTES)) return undefined;
  return gptWithoutMbr(reader, await readGpt(reader, SECTOR_BYTES));
}

async function gptWithoutMbr(reader: PieceReader, table: TableContents | undefined): Promise<DiskContents | undefined> {
  if (table === undefined) return undefined;
  // A first sector that cannot be read may well be a protective MBR.
  const isFrontDamaged = reader.damage.some((damage) => damage.position < SECTOR_BYTES);
  const findings = isFrontDamaged ? table.findings : [UNDECLARED, ...table.findings];
  return withFileSystems('gpt', reader, { ...table, findings });
}

const UNDECLARED: TableFinding = {
  rule: 'partition.gpt',
  severity: 'error',
  message:
    'there is a GPT without a protective MBR: expected an entry of type 0xee in the first sector, ' +
    'found none; most systems do not see the partitions',
  offset: 0,
};

/** A file system that fills the disk; else a GPT of which only the backup is left. */
async function withoutTable(reader: PieceReader): Promise<DiskContents | undefined> {
  const whole = await probeFileSystem(reader);
  if (whole !== null) return { scheme: 'none', diskId: null, partitions: [], fileSystem: whole, findings: [] };
  return gptWithoutMbr(reader, await readGpt(reader, SECTOR_BYTES));
}

/** What is left: an MBR without possible partitions, or nothing. */
async function emptyMbr(reader: PieceReader, mbr: Mbr | undefined): Promise<DiskContents> {
  if (mbr?.hasSoundFlags === true) return withFileSystems('mbr', reader, await listMbr(reader, mbr));
  return { scheme: 'none', diskId: null, partitions: [], fileSystem: null, findings: [] };
}

async function withFileSystems(
  scheme: 'gpt' | 'mbr',
  reader: PieceReader,
  table: TableContents,
): Promise<DiskContents> {
  const findings = [...table.findings];
  const partitions: Partition[] = [];
  for (const [index, entry] of table.entries.entries()) {
    partitions.push(await lookInside(reader, entry, index < MAX_PROBED_PARTITIONS, findings));
  }
  if (table.entries.length > MAX_PROBED_PARTITIONS) {
    const message = `only the first ${MAX_PROBED_PARTITIONS} partitions were looked into, of ${table.entries.length}`;
    findings.push({ rule: 'partition.table', severity: 'note', message, offset: 0 });
  }
  return { scheme, diskId: table.diskId, partitions, fileSystem: null, findings };
}

async function lookInside(
  reader: PieceReader,
  entry: TableEntry,
  isProbed: boolean,
  findings: TableFinding[],
): Promise<Partition> {
  const { isContainer, ...partition } = entry;
  if (isContainer || !isProbed) return { ...partition, fileSystem: null };
  const part = reader.part(entry.start, entry.length);
  const fileSystem = await probeFileSystem(part);
  const [damage] = part.damage;
  if (fileSystem === null && damage !== undefined) {
    const message = `what is in partition ${entry.number} cannot be told: ${damage.error.message}`;
    findings.push({ rule: 'partition.unreadable', severity: 'error', message, offset: damage.position });
  }
  return { ...partition, fileSystem };
}

/** What could not be read, one finding for each thing that is wrong with the image. */
function damageFindings({ damage }: PieceReader): TableFinding[] {
  const messages = new Set(damage.map(({ error }) => error.message));
  return [...messages].map((message) => {
    const offset = Math.min(...damage.filter(({ error }) => error.message === message).map(({ position }) => position));
    return { rule: 'partition.unreadable', severity: 'error', message: `the disk cannot be read: ${message}`, offset };
  });
}
