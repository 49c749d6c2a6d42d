import { hex } from '../format/bytes.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { decodeMbr, isExtended, type Mbr, type MbrEntry, PROTECTIVE_TYPE } from './mbr.ts';
import { alignmentOf, placeFindings, type TableContents, type TableEntry } from './partition-checks.ts';
import type { TableFinding } from './partition-table.ts';
import { mbrTypeName } from './partition-types.ts';
import type { PieceReader } from './piece-reader.ts';

const FIRST_LOGICAL_NUMBER = 5;
/** Linux knows no more partitions on a disk. */
const MAX_BOOT_RECORDS = 256;

/** The partitions of a master boot record, logical ones included. */
export async function listMbr(reader: PieceReader, mbr: Mbr): Promise<TableContents> {
  const primary = mbr.entries.map((entry) => tableEntry(entry, entry.slot + 1, 0));
  const logical: TableEntry[] = [];
  const findings: TableFinding[] = [];
  for (const entry of mbr.entries.filter(isExtended)) {
    const chain = new LogicalChain(reader, entry, FIRST_LOGICAL_NUMBER + logical.length);
    await chain.walk();
    logical.push(...chain.entries);
    findings.push(...chain.findings);
  }
  const entries = [...primary, ...logical];
  return {
    diskId: mbr.diskId,
    entries,
    findings: [...placeFindings(entries, reader.length), ...activeFindings(mbr), ...findings],
  };
}

function tableEntry(entry: MbrEntry, number: number, baseSector: number): TableEntry {
  const start = (baseSector + entry.firstSector) * SECTOR_BYTES;
  return {
    number,
    start,
    length: entry.sectorCount * SECTOR_BYTES,
    type: hex(entry.type, 2),
    typeName: mbrTypeName(entry.type),
    name: null,
    uuid: null,
    flags: entry.isActive ? ['active'] : [],
    alignment: alignmentOf(start),
    isContainer: isExtended(entry) || entry.type === PROTECTIVE_TYPE,
  };
}

function activeFindings(mbr: Mbr): TableFinding[] {
  const active = mbr.entries.filter((entry) => entry.isActive).map((entry) => entry.slot + 1);
  if (active.length < 2) return [];
  const message = `partitions ${active.join(', ')} are all marked active: expected at most one`;
  return [{ rule: 'partition.table', severity: 'warning', message, offset: 0 }];
}

/** The extended boot records of one extended partition: each names a logical partition and the next record. */
class LogicalChain {
  readonly entries: TableEntry[] = [];
  readonly findings: TableFinding[] = [];
  readonly #reader: PieceReader;
  readonly #container: MbrEntry;
  readonly #firstNumber: number;
  readonly #visited = new Set<number>();

  constructor(reader: PieceReader, container: MbrEntry, firstNumber: number) {
    this.#reader = reader;
    this.#container = container;
    this.#firstNumber = firstNumber;
  }

  async walk(): Promise<void> {
    let sector: number | undefined = this.#container.firstSector;
    while (sector !== undefined) {
      this.#visited.add(sector);
      sector = await this.#visit(sector);
    }
  }

  /** Takes what the record at `sector` holds; the sector of the next record, or undefined at the end of the chain. */
  async #visit(sector: number): Promise<number | undefined> {
    const offset = sector * SECTOR_BYTES;
    const bytes = await this.#reader.read(offset, SECTOR_BYTES);
    const record = bytes === undefined ? undefined : decodeMbr(bytes);
    if (record === undefined) {
      // A damaged sector is told as such by the reader's damage.
      const found =
        bytes === undefined ? 'nothing that can be read' : hex((bytes[510] ?? 0) * 256 + (bytes[511] ?? 0), 4);
      this.#find(offset, `an extended boot record has no signature: expected 0x55aa, found ${found}`);
      return undefined;
    }
    for (const entry of record.entries.filter((candidate) => !isExtended(candidate))) this.#add(entry, sector);
    const link = record.entries.find(isExtended);
    return link === undefined ? undefined : this.#next(this.#container.firstSector + link.firstSector, offset);
  }

  #add(entry: MbrEntry, recordSector: number): void {
    const found = tableEntry(entry, this.#firstNumber + this.entries.length, recordSector);
    this.entries.push(found);
    const [start, end] = [recordSector + entry.firstSector, recordSector + entry.firstSector + entry.sectorCount];
    if (start > recordSector && end <= this.#end) return;
    const message =
      `logical partition ${found.number} is not inside its extended partition: ` +
      `expected sectors from ${recordSector + 1} to ${this.#end - 1}, found ${start} to ${end - 1}`;
    this.findings.push({ rule: 'partition.table', severity: 'warning', message, offset: recordSector * SECTOR_BYTES });
  }

  /** The place of the next record, if it may lie there. */
  #next(sector: number, offset: number): number | undefined {
    const range = `sectors from ${this.#container.firstSector} to ${this.#end - 1}`;
    if (sector >= this.#end) {
      this.#find(offset, `the chain of logical partitions leaves its partition: expected ${range}, found ${sector}`);
      return undefined;
    }
    if (this.#visited.has(sector)) {
      this.#find(
        offset,
        `the chain of logical partitions runs in a circle: expected a new sector, found ${sector} again`,
      );
      return undefined;
    }
    if (this.#visited.size >= MAX_BOOT_RECORDS) {
      this.#find(offset, `there are too many logical partitions: expected at most ${MAX_BOOT_RECORDS}, found more`);
      return undefined;
    }
    return sector;
  }

  /** First sector behind the extended partition. */
  get #end(): number {
    return this.#container.firstSector + this.#container.sectorCount;
  }

  #find(offset: number, message: string): void {
    this.findings.push({ rule: 'partition.table', severity: 'error', message, offset });
  }
}
