import { formatBytes } from '../src/format/byte-count.ts';
import { UsageError } from './errors.ts';

export { formatBytes };

const UNITS = ['K', 'M', 'G', 'T'] as const;
const SECTOR_BYTES = 512;
const SIZE_PATTERN = /^(\d+(?:\.\d+)?)\s*([KMGT])?(iB|B)?$/i;
const FORMS = 'a number of bytes, or one with K, M, G or T (powers of 1024), such as 20G';

/**
 * Reads a number of bytes: digits, or digits with K, M, G, T (the same as KiB, MiB, GiB, TiB).
 * @throws UsageError naming `what`, with what to write instead
 */
export function parseBytes(text: string, what: string): number {
  if (/^0x[0-9a-f]+$/i.test(text)) return checkSafe(Number.parseInt(text.slice(2), 16), text, what);
  const [, digits = '', letter, suffix = ''] = SIZE_PATTERN.exec(text.trim()) ?? [];
  if (digits === '' || (letter === undefined && suffix !== '')) {
    throw new UsageError(`${what}: expected ${FORMS}, found '${text}'`);
  }
  const power = letter === undefined ? 0 : UNITS.indexOf(letter.toUpperCase() as (typeof UNITS)[number]) + 1;
  if (suffix.toLowerCase() === 'b') throw decimalError(text, Number(digits), power, what);
  const bytes = Number(digits) * 1024 ** power;
  if (!Number.isInteger(bytes)) {
    throw new UsageError(`${what}: expected a whole number of bytes, found '${text}', which is ${bytes}`);
  }
  return checkSafe(bytes, text, what);
}

/**
 * Reads the size of a disk: a positive multiple of 512 bytes.
 * @throws UsageError with a guess of what was meant
 */
export function parseDiskSize(text: string, what: string): number {
  const bytes = parseBytes(text, what);
  if (bytes === 0) throw new UsageError(`${what}: a disk has at least one sector: expected 512 bytes or more, found 0`);
  if (bytes % SECTOR_BYTES === 0) return bytes;
  const guess = bytes < 65_536 ? `${bytes}M or ${bytes}G` : String(bytes + SECTOR_BYTES - (bytes % SECTOR_BYTES));
  throw new UsageError(`${what}: expected a multiple of 512 bytes, found ${bytes}`, `did you mean ${guess}?`);
}

function checkSafe(bytes: number, text: string, what: string): number {
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new UsageError(`${what}: expected less than 2^53 bytes (8192 TiB), found '${text}'`);
}

/** GB and the like mean powers of 1000 to some and of 1024 to others: whoever writes them has to choose. */
function decimalError(text: string, value: number, power: number, what: string): UsageError {
  const unit = UNITS[power - 1] ?? '';
  const [binary, decimal] = [value * 1024 ** power, value * 1000 ** power];
  return new UsageError(
    `${what}: '${text}' could mean two sizes: expected ${FORMS}`,
    `write ${value}${unit} (${binary}) or ${decimal}`,
  );
}

/** A number of bytes for people, with the exact one behind it. */
export function formatExactly(byteLength: number): string {
  return byteLength < 1024 ? formatBytes(byteLength) : `${formatBytes(byteLength)} (${byteLength} bytes)`;
}

/** A rate to put behind a time, such as `, 512 MiB/s`; nothing where there is none to speak of. */
export function formatRate(byteLength: number, seconds: number): string {
  return byteLength < 1024 ** 2 || seconds <= 0 ? '' : `, ${(byteLength / 1024 ** 2 / seconds).toFixed(0)} MiB/s`;
}
