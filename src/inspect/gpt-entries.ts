import { Fields } from './fields.ts';
import type { GptHeader } from './gpt-header.ts';
import { alignmentOf, placeFindings, type TableEntry } from './partition-checks.ts';
import type { TableFinding } from './partition-table.ts';
import { gptTypeName } from './partition-types.ts';

/** One of the two copies of a GPT, with its entries, whole. */
export interface GptCopy {
  /** The header, its checksum right. */
  readonly header: GptHeader;
  /** The entry array, its checksum right. */
  readonly entries: Uint8Array;
}

/** An entry that is in use; LBAs are inclusive. */
export interface GptEntry {
  /** From 0 on. */
  readonly index: number;
  /** First sector; `Infinity` above 2^53 - 1. */
  readonly firstLba: number;
  /** Last sector; `Infinity` above 2^53 - 1. */
  readonly lastLba: number;
  /** The entry itself. */
  readonly fields: Fields;
}

const UNUSED_TYPE = '00000000-0000-0000-0000-000000000000';
const BASIC_DATA_TYPE = 'EBD0A0A2-B9E5-4433-87C0-68B6B72699C7';
const NAME_OFFSET = 56;
const NAME_BYTES = 72;

/** Attribute bits of every partition (UEFI specification, 5.3.3). */
const COMMON_FLAGS: readonly (readonly [bit: bigint, name: string])[] = [
  [0n, 'required'],
  [1n, 'no-block-io'],
  [2n, 'legacy-boot'],
];
/** Attribute bits of Microsoft basic data (Microsoft, PARTITION_INFORMATION_GPT). */
const BASIC_DATA_FLAGS: readonly (readonly [bit: bigint, name: string])[] = [
  [60n, 'read-only'],
  [61n, 'shadow-copy'],
  [62n, 'hidden'],
  [63n, 'no-automount'],
];

/** The entries in use. */
export function usedEntries({ header, entries }: GptCopy): GptEntry[] {
  const used: GptEntry[] = [];
  for (let index = 0; index < header.entryCount; index++) {
    const fields = new Fields(entries.subarray(index * header.entryBytes, (index + 1) * header.entryBytes));
    if (fields.guid(0) === UNUSED_TYPE) continue;
    used.push({ index, firstLba: fields.u64(32), lastLba: fields.u64(40), fields });
  }
  return used;
}

/** The partitions of a whole copy, and what is odd about them. */
export function gptEntries(
  copy: GptCopy,
  sectorBytes: number,
  diskSize: number,
): { entries: TableEntry[]; findings: TableFinding[] } {
  const { header } = copy;
  const entries: TableEntry[] = [];
  const findings: TableFinding[] = [];
  for (const entry of usedEntries(copy)) {
    const number = entry.index + 1;
    const offset = header.entriesLba * sectorBytes + entry.index * header.entryBytes;
    if (entry.lastLba < entry.firstLba || !Number.isSafeInteger((entry.lastLba + 1) * sectorBytes)) {
      const message =
        `partition ${number} has no possible place: ` +
        `expected a first sector before the last, found ${entry.firstLba} and ${entry.lastLba}`;
      findings.push({ rule: 'partition.table', severity: 'error', message, offset: offset + 32 });
      continue;
    }
    entries.push(tableEntry(entry, sectorBytes));
    if (entry.firstLba < header.firstUsableLba || entry.lastLba > header.lastUsableLba) {
      const message =
        `partition ${number} leaves the space for partitions: expected sectors ` +
        `${header.firstUsableLba} to ${header.lastUsableLba}, found ${entry.firstLba} to ${entry.lastLba}`;
      findings.push({ rule: 'partition.table', severity: 'error', message, offset: offset + 32 });
    }
  }
  return { entries, findings: [...findings, ...placeFindings(entries, diskSize)] };
}

function tableEntry({ index, firstLba, lastLba, fields }: GptEntry, sectorBytes: number): TableEntry {
  const type = fields.guid(0);
  const start = firstLba * sectorBytes;
  return {
    number: index + 1,
    start,
    length: (lastLba - firstLba + 1) * sectorBytes,
    type,
    typeName: gptTypeName(type),
    name: fields.utf16(NAME_OFFSET, NAME_BYTES),
    uuid: fields.guid(16),
    flags: flagNames(fields.bigU64(48), type === BASIC_DATA_TYPE),
    alignment: alignmentOf(start),
    isContainer: false,
  };
}

function flagNames(attributes: bigint, isBasicData: boolean): string[] {
  const known = isBasicData ? [...COMMON_FLAGS, ...BASIC_DATA_FLAGS] : COMMON_FLAGS;
  return known.filter(([bit]) => ((attributes >> bit) & 1n) === 1n).map(([, name]) => name);
}
