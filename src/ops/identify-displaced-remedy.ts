import { access } from 'node:fs/promises';
import { formatBytes } from '../format/byte-count.ts';
import { remedyFor, shellPath } from '../format/shell.ts';
import { FOOTER_BYTES, SECTOR_BYTES } from '../format/spec.ts';
import { isAllZeros } from '../format/zeros.ts';
import type { DisplacedFooter } from '../inspect/displaced-footer.ts';
import type { ReadableDisk } from '../inspect/partition-table.ts';

/** What is to be done about a footer that is not at the end of its file. */
export interface DisplacedRemedy {
  /** What is wrong, and what can be done; one sentence. */
  readonly problem: string;
  /** The command that does it; it cuts only what is certainly nothing. */
  readonly remedy: string;
}

/** What follows a footer is read up to so many bytes; more of it may be anything. */
const MAX_READ_BYTES = 64 * 1024 * 1024;
const PIECE_BYTES = 1024 * 1024;
/** Names that a raw disk has. */
const RAW_NAME = /\.(?:raw|img|dd)$/i;
/** Names that are tried for a copy. */
const MAX_NAMES = 100;

/**
 * How a VHD whose footer is displaced is mended: in place where nothing can be lost by that, else by a copy of what
 * goes up to the footer. Reads at most 64 MiB of what follows. Rejects if reading does.
 * @param path of the file
 */
export async function displacedRemedy(
  file: ReadableDisk,
  found: DisplacedFooter,
  path: string,
): Promise<DisplacedRemedy> {
  const { offset, excessBytes } = found;
  const end = offset + FOOTER_BYTES;
  const doubt = excessBytes < 0 ? undefined : await doubtAbout(file, offset, path);
  if (doubt === undefined) {
    const remedy = remedyFor(`truncate -s ${end} FILE`, path);
    return { problem: `${displacedText(found)}, to be mended by: ${remedy}`, remedy };
  }
  const remedy = await copyCommand(end, path);
  const look = remedyFor('vhd info --from raw FILE', path);
  const problem =
    `${displacedText(found, '')}, and ${doubt}; look at it first (${look}); ` +
    `if what follows is not wanted, a copy without it is made by: ${remedy}`;
  return { problem, remedy };
}

/** Where a displaced footer is, in a few words. */
export function displacedText({ offset, excessBytes }: DisplacedFooter, judgement = ' too many'): string {
  const what =
    excessBytes > 0
      ? `${formatBytes(excessBytes)}${judgement} follow its footer`
      : `the last ${formatBytes(-excessBytes)} of its footer are cut off`;
  return `${what} (at offset ${offset})`;
}

/** Why what follows a footer may be something; undefined if it is certainly nothing. */
export async function doubtAbout(file: ReadableDisk, offset: number, path: string): Promise<string | undefined> {
  const { reachOf } = await import('../inspect/displaced-footer-reach.ts');
  const reach = await reachOf(file);
  // What covers the footer has been written by what takes the file for a raw disk.
  if (reach !== undefined && reach.end > offset) {
    const where = reach.end === Number.POSITIVE_INFINITY ? 'fills its disk' : `reaches up to byte ${reach.end}`;
    return `${reach.what}, read as a raw disk, ${where}: perhaps this is a raw disk that once was a VHD`;
  }
  if (RAW_NAME.test(path)) return 'it is named as a raw disk: perhaps it is one that once was a VHD';
  return excessDoubt(file, offset + FOOTER_BYTES);
}

async function excessDoubt(file: ReadableDisk, end: number): Promise<string | undefined> {
  const length = file.size - end;
  // No disk has a part of a sector: an end that a transfer has torn, or added.
  if (length < SECTOR_BYTES) return undefined;
  const buffer = new Uint8Array(Math.min(PIECE_BYTES, length));
  const limit = end + Math.min(length, MAX_READ_BYTES);
  for (let position = end; position < limit; position += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, limit - position));
    await file.read(piece, position);
    if (!isAllZeros(piece)) return 'they are not all zero';
  }
  return length > MAX_READ_BYTES ? `only the first ${formatBytes(MAX_READ_BYTES)} of them were read` : undefined;
}

/** The command that makes a new file out of what goes up to `end`; a file that exists is not named. */
async function copyCommand(end: number, path: string): Promise<string> {
  const command = remedyFor(`head -c ${end} FILE`, path);
  return `${command} > ${shellPath(await freePath(path))}`;
}

async function freePath(path: string): Promise<string> {
  const names = [`${path}.vhd`, `${path}.cut.vhd`];
  for (let count = 2; names.length < MAX_NAMES; count++) names.push(`${path}.cut${count}.vhd`);
  for (const name of names) if (!(await isThere(name))) return name;
  return `${path}.${crypto.randomUUID()}.vhd`;
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    return !isMissing(error);
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
