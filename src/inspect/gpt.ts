import { type GptCopy, gptEntries } from './gpt-entries.ts';
import {
  decodeGptHeader,
  entriesByteLength,
  entriesProblem,
  type GptHeader,
  type GptProblem,
  hasGptSignature,
} from './gpt-header.ts';
import type { TableContents } from './partition-checks.ts';
import type { TableFinding } from './partition-table.ts';
import type { PieceReader } from './piece-reader.ts';

/** What the revision field of every GPT so far holds. */
const REVISION = 0x0001_0000;

/** A copy, or what is wrong with it. */
interface Attempt {
  readonly copy?: GptCopy;
  readonly problem?: GptProblem;
  /** Where on the disk what is wrong lies. */
  readonly offset: number;
  /** True if something that begins like a header was there. */
  readonly hasSignature: boolean;
  /** The place of the other copy, where the header is whole. */
  readonly alternateLba?: number;
}

/** Reads a GPT whose sectors have `sectorBytes`; undefined if neither of its copies is whole and nothing looks like one. */
export async function readGpt(reader: PieceReader, sectorBytes: number): Promise<TableContents | undefined> {
  return new GptReader(reader, sectorBytes).read();
}

/** True if the primary header of a GPT whose sectors have `sectorBytes` is there and whole, its entries not looked at. */
export function isPrimaryHeader(front: Uint8Array, sectorBytes: number): boolean {
  const sector = front.subarray(sectorBytes, sectorBytes * 2);
  return sector.length === sectorBytes && decodeGptHeader(sector, 1).header !== undefined;
}

class GptReader {
  readonly #reader: PieceReader;
  readonly #sectorBytes: number;
  readonly #lastLba: number;
  readonly #findings: TableFinding[] = [];

  constructor(reader: PieceReader, sectorBytes: number) {
    this.#reader = reader;
    this.#sectorBytes = sectorBytes;
    this.#lastLba = Math.floor(reader.length / sectorBytes) - 1;
  }

  async read(): Promise<TableContents | undefined> {
    const primary = await this.#attempt(1);
    const backup = await this.#backup(primary);
    if (!primary.hasSignature && !backup.hasSignature) return undefined;
    const copy = this.#choose(primary, backup);
    if (copy === undefined) return { diskId: null, entries: [], findings: this.#findings };
    const { entries, findings } = gptEntries(copy, this.#sectorBytes, this.#reader.length);
    return { diskId: copy.header.diskId, entries, findings: [...this.#findings, ...findings] };
  }

  /** The backup: where the primary says, else at the end of the disk. */
  async #backup(primary: Attempt): Promise<Attempt> {
    const claimed = primary.alternateLba ?? this.#lastLba;
    const attempt = await this.#attempt(claimed);
    return attempt.copy === undefined && claimed !== this.#lastLba ? this.#attemptAtEnd(attempt) : attempt;
  }

  async #attemptAtEnd(claimed: Attempt): Promise<Attempt> {
    const atEnd = await this.#attempt(this.#lastLba);
    return atEnd.copy === undefined ? claimed : atEnd;
  }

  async #attempt(lba: number): Promise<Attempt> {
    const offset = lba * this.#sectorBytes;
    const sector = lba < 1 ? undefined : await this.#reader.read(offset, this.#sectorBytes);
    if (sector === undefined) {
      const expected = `a header at sector ${lba}`;
      const found = lba > this.#lastLba ? `a disk of ${this.#lastLba + 1} sectors` : 'a sector that cannot be read';
      return { problem: { what: 'it is not there', expected, found, fieldOffset: 0 }, offset, hasSignature: false };
    }
    const hasSignature = hasGptSignature(sector);
    const { header, problem } = decodeGptHeader(sector, lba);
    if (header === undefined) return { problem, offset: offset + problem.fieldOffset, hasSignature };
    return { ...(await this.#withEntries(header)), hasSignature, alternateLba: header.alternateLba };
  }

  async #withEntries(header: GptHeader): Promise<Omit<Attempt, 'hasSignature'>> {
    const offset = header.entriesLba * this.#sectorBytes;
    const entries = await this.#reader.read(offset, entriesByteLength(header));
    if (entries === undefined) {
      const problem = {
        what: 'the partition entries cannot be read',
        expected: `${entriesByteLength(header)} bytes inside the disk`,
        found: `sector ${header.entriesLba}`,
        fieldOffset: 72,
      };
      return { problem, offset: header.ownLba * this.#sectorBytes + problem.fieldOffset };
    }
    const problem = entriesProblem(header, entries);
    return problem === undefined ? { copy: { header, entries }, offset } : { problem, offset };
  }

  #choose(primary: Attempt, backup: Attempt): GptCopy | undefined {
    this.#complain('primary', primary, backup.copy === undefined ? '' : '; its backup is used instead');
    this.#complain('backup', backup, '');
    if (primary.copy !== undefined && backup.copy !== undefined) this.#compare(primary.copy, backup.copy);
    const copy = primary.copy ?? backup.copy;
    if (copy !== undefined) this.#checkHeader(copy.header, primary.copy !== undefined);
    return copy;
  }

  #complain(which: string, { problem, offset }: Attempt, consequence: string): void {
    if (problem === undefined) return;
    const { what, expected, found } = problem;
    const message = `the ${which} GPT cannot be used: ${what}: expected ${expected}, found ${found}${consequence}`;
    this.#findings.push({ rule: 'partition.gpt', severity: 'error', message, offset });
  }

  /** Both copies are whole: they ought to say the same. */
  #compare({ header: primary, entries }: GptCopy, { header: backup, entries: backupEntries }: GptCopy): void {
    const facts: readonly (readonly [string, string | number, string | number])[] = [
      ['disk GUIDs', primary.diskId, backup.diskId],
      ['first usable sectors', primary.firstUsableLba, backup.firstUsableLba],
      ['last usable sectors', primary.lastUsableLba, backup.lastUsableLba],
      ['numbers of entries', primary.entryCount, backup.entryCount],
    ];
    const offset = backup.ownLba * this.#sectorBytes;
    const differing = facts.find(([, ours, theirs]) => ours !== theirs);
    if (differing !== undefined) {
      const [what, ours, theirs] = differing;
      const message = `primary and backup GPT have different ${what}: expected ${ours}, found ${theirs}; the primary is used`;
      this.#findings.push({ rule: 'partition.gpt', severity: 'warning', message, offset });
    } else if (!entries.every((byte, index) => byte === backupEntries[index])) {
      const message =
        'primary and backup GPT list different partitions: expected the same, found others; the primary is used';
      this.#findings.push({ rule: 'partition.gpt', severity: 'warning', message, offset });
    }
  }

  #checkHeader(header: GptHeader, isPrimary: boolean): void {
    const offset = header.ownLba * this.#sectorBytes;
    const backupLba = isPrimary ? header.alternateLba : header.ownLba;
    if (backupLba < this.#lastLba) {
      const message =
        'the backup GPT is not at the end of the disk, which was made larger: ' +
        `expected it at sector ${this.#lastLba}, found it at ${backupLba}`;
      this.#findings.push({
        rule: 'partition.backup-gpt',
        severity: 'warning',
        message,
        offset: backupLba * this.#sectorBytes,
      });
    }
    if (header.lastUsableLba > this.#lastLba) {
      const message =
        'the GPT is made for a larger disk: ' +
        `expected a last usable sector up to ${this.#lastLba}, found ${header.lastUsableLba}`;
      this.#findings.push({ rule: 'partition.past-end', severity: 'error', message, offset: offset + 48 });
    }
    if (header.revision !== REVISION) {
      const found = header.revision.toString(16).padStart(8, '0');
      const message = `the GPT has an unknown revision: expected 0x00010000, found 0x${found}`;
      this.#findings.push({ rule: 'partition.table', severity: 'warning', message, offset: offset + 8 });
    }
  }
}
