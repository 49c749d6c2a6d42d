import type { Command } from 'commander';
import type { ImageIdentity } from '../src/disk/create-storage.ts';
import type { Geometry } from '../src/format/geometry.ts';
import { UsageError } from './errors.ts';
import { parseBytes } from './sizes.ts';

/** The flags that say what a new image is to be. */
export interface ImageFlags {
  readonly blockSize?: number | undefined;
  readonly preallocate?: boolean | undefined;
  readonly chs?: Geometry | undefined;
  readonly uuid?: string | undefined;
  readonly creator?: string | undefined;
  readonly timestamp?: Date | undefined;
}

/** Declares what a new image is to be. */
export function addImageOptions(command: Command): Command {
  return command
    .option('--block-size <size>', 'block size of a dynamic image: 512K or 2M (default)', parseBlockSize)
    .option('--preallocate', 'write the zeros of a fixed or raw image instead of leaving holes')
    .option('--chs <C/H/S>', 'geometry (default: that of the specification)', parseGeometry)
    .option('--uuid <uuid>', 'identifier, in file order (default: random)', parseIdentifier)
    .option('--creator <text>', "creator application, one to four characters (default: 'win ')", parseCreator)
    .option(
      '--timestamp <time>',
      'ISO date or time, UTC unless it has an offset, or seconds since 1970 (default: SOURCE_DATE_EPOCH, else now)',
      parseTimestamp,
    );
}

/** Who made an image and when, as flags and environment say. */
export function identityOptions(flags: ImageFlags, env: Readonly<Record<string, string | undefined>>): ImageIdentity {
  const { uuid, creator, chs: geometry } = flags;
  return { uuid, creator, geometry, timestamp: flags.timestamp ?? epochOf(env['SOURCE_DATE_EPOCH']) };
}

/** The time that reproducible builds set for everything they make. */
function epochOf(text: string | undefined): Date | undefined {
  if (text === undefined || text === '') return undefined;
  if (!/^\d+$/.test(text)) throw new UsageError(`SOURCE_DATE_EPOCH: expected seconds since 1970, found '${text}'`);
  // Builds set what they like, 1980 for one; what a VHD cannot say becomes the nearest that it can.
  return new Date(Math.min(Number(text) * 1000, 8.64e15));
}

function parseBlockSize(text: string): number {
  const bytes = parseBytes(text, '--block-size');
  if (bytes === 512 * 1024 || bytes === 2 * 1024 * 1024) return bytes;
  throw new UsageError(
    `--block-size: expected 512K or 2M, found '${text}'`,
    'other sizes are read but not written: no other program makes them',
  );
}

/** Reads the value of its option. */
export function parseGeometry(text: string): Geometry {
  const match = /^(\d+)\/(\d+)\/(\d+)$/.exec(text);
  const [cylinders = 0, heads = 0, sectorsPerTrack = 0] = (match ?? []).slice(1).map(Number);
  const isPossible = cylinders >= 1 && heads >= 1 && sectorsPerTrack >= 1;
  if (isPossible && cylinders <= 65_535 && heads <= 255 && sectorsPerTrack <= 255) {
    return { cylinders, heads, sectorsPerTrack };
  }
  throw new UsageError(`--chs: expected C/H/S of at most 65535/255/255, such as 1024/16/63, found '${text}'`);
}

/** Reads the value of its option. */
export function parseIdentifier(text: string): string {
  if (/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text)) return text;
  throw new UsageError(`--uuid: expected 8-4-4-4-12 hexadecimal digits, found '${text}'`);
}

/** Reads the value of its option. */
export function parseCreator(text: string): string {
  if (/^[\x20-\x7e]{1,4}$/.test(text)) return text;
  throw new UsageError(`--creator: expected one to four ASCII characters, found '${text}'`);
}

/** Reads the value of its option. */
export function parseTimestamp(text: string): Date {
  const milliseconds = /^\d+$/.test(text) ? Number(text) * 1000 : isoMilliseconds(text);
  return checkTime(new Date(milliseconds), text, '--timestamp');
}

/** Date, time if there is one, and offset. Only seconds have a fraction, which a VHD does not keep. */
const ISO_TIME =
  /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d)?)(?:(?<=:\d\d:\d\d)\.\d+)?(Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?)?$/i;

/** Milliseconds since 1970 of an ISO 8601 time, of UTC where it has no offset; NaN if it is none. */
function isoMilliseconds(text: string): number {
  const match = ISO_TIME.exec(text);
  if (match === null) return Number.NaN;
  const [, date = '', time = '00:00', zone = 'Z'] = match;
  const milliseconds = Date.parse(`${date}T${time}Z`);
  // A day that there is not, such as February 30, is taken for one of the next month.
  const isThere = !Number.isNaN(milliseconds) && new Date(milliseconds).toISOString().startsWith(`${date}T${time}`);
  return isThere ? milliseconds - offsetMinutes(zone) * 60_000 : Number.NaN;
}

function offsetMinutes(zone: string): number {
  if (zone.toUpperCase() === 'Z') return 0;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(3).replace(':', ''));
  return zone.startsWith('-') ? -minutes : minutes;
}

/** The field counts seconds from the year 2000 in 32 bits. */
function checkTime(time: Date, text: string, what: string): Date {
  const year = time.getUTCFullYear();
  if (year >= 2000 && year < 2136) return time;
  const expected = 'an ISO date such as 2025-01-31T12:00:00Z or seconds since 1970, from the year 2000 to 2135';
  throw new UsageError(`${what}: expected ${expected}, found '${text}'`);
}
