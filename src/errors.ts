/**
 * Every code a {@link VhdError} can carry. Codes never change within a major version; messages may.
 * The README lists each with its cause and its remedy.
 */
export type VhdErrorCode =
  | 'ERR_VHD_NOT_VHD'
  | 'ERR_VHD_FOREIGN_FORMAT'
  | 'ERR_VHD_AMBIGUOUS'
  | 'ERR_VHD_CORRUPT'
  | 'ERR_VHD_TRUNCATED'
  | 'ERR_VHD_FOOTERS_DISAGREE'
  | 'ERR_VHD_UNSUPPORTED'
  | 'ERR_VHD_DIFFERENCING'
  | 'ERR_VHD_PARENT_MISSING'
  | 'ERR_VHD_PARENT_UUID'
  | 'ERR_VHD_PARENT_CHANGED'
  | 'ERR_VHD_PARENT_SIZE'
  | 'ERR_VHD_PARENT_LOOP'
  | 'ERR_VHD_PARENT_OUTSIDE'
  | 'ERR_VHD_HAS_CHILDREN'
  | 'ERR_VHD_JOURNAL'
  | 'ERR_VHD_UNDO'
  | 'ERR_VHD_NO_SPACE'
  | 'ERR_VHD_BITMAP'
  | 'ERR_VHD_LIMIT'
  | 'ERR_VHD_SIZE'
  | 'ERR_VHD_SHRINK'
  | 'ERR_VHD_READ_ONLY'
  | 'ERR_VHD_IN_USE'
  | 'ERR_VHD_POISONED'
  | 'ERR_VHD_CLOSED'
  | 'ERR_VHD_EXISTS'
  | 'ERR_VHD_SAME_FILE'
  | 'ERR_VHD_SOURCE_CHANGED'
  | 'ERR_VHD_STREAM'
  | 'ERR_VHD_MANIFEST';

/** Every code a {@link VhdWarning} can carry; they never change within a major version. */
export type VhdWarningCode = 'WARN_VHD_UNFLUSHED' | 'WARN_VHD_NOT_LOCKED';

/** Something that went on all the same, and that whoever opened a disk should hear of. */
export interface VhdWarning {
  /**
   * `WARN_VHD_UNFLUSHED`: a disk was dropped with writes that no flush had made durable. `WARN_VHD_NOT_LOCKED`: nothing
   * keeps other programs from writing to the file meanwhile.
   */
  readonly code: VhdWarningCode;
  /** One sentence without the storage's name. */
  readonly message: string;
  /** Name of the storage (usually the path) it is about. */
  readonly storage: string;
}

/** Hears warnings about a disk while it is open. */
export type WarningListener = (warning: VhdWarning) => void;

/** What a {@link VhdError} knows beyond its message. */
export interface VhdErrorContext {
  /** Name of the storage (usually the path) the error is about. */
  readonly storage?: string | undefined;
  /** Byte offset in the storage, or on the virtual disk where the message says so. */
  readonly offset?: number | undefined;
  /** Id of the rule that was broken, one of {@link RuleId} in `vhdkit/format`. */
  readonly rule?: string | undefined;
  /** What should have stood there. */
  readonly expected?: string | undefined;
  /** What stood there instead. */
  readonly found?: string | undefined;
  /** One line that says what to do about it. */
  readonly remedy?: string | undefined;
  /** The error behind this one. */
  readonly cause?: unknown;
}

/**
 * The one error class of the library: what is wrong with an image, or with what was asked of it.
 * Errors of the operating system pass unwrapped, misuse is a `TypeError` or a `RangeError`.
 */
export class VhdError extends Error {
  override readonly name = 'VhdError';
  /** Stable code, documented in the README. */
  readonly code: VhdErrorCode;
  /** Name of the storage (usually the path) the error is about. */
  readonly storage: string | undefined;
  /** Byte offset in the storage, or on the virtual disk where the message says so. */
  readonly offset: number | undefined;
  /** Id of the rule that was broken. */
  readonly rule: string | undefined;
  /** What should have stood there. */
  readonly expected: string | undefined;
  /** What stood there instead. */
  readonly found: string | undefined;
  /** One line that says what to do about it. */
  readonly remedy: string | undefined;

  /** Makes an error; `message` is one sentence without the storage's name. */
  constructor(code: VhdErrorCode, message: string, context: VhdErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.code = code;
    this.storage = context.storage;
    this.offset = context.offset;
    this.rule = context.rule;
    this.expected = context.expected;
    this.found = context.found;
    this.remedy = context.remedy;
  }
}

/**
 * Checks an options object by name, so that a misspelt option is never silently ignored.
 * @throws TypeError naming the unknown option and those that exist
 */
export function checkOptionNames(where: string, options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new TypeError(`${where}: unknown option '${name}'; known options: ${known.join(', ')}`);
    }
  }
}

/**
 * Checks that an option is one of the words it may be, or not given.
 * @throws TypeError naming the option and its words
 */
export function checkOneOf(name: string, value: unknown, words: readonly string[]): void {
  if (value === undefined || (typeof value === 'string' && words.includes(value))) return;
  throw new TypeError(`${name}: expected ${words.join(', ')}, found ${told(value)}`);
}

function told(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : typeof value;
}

/**
 * Checks that options that say yes or no are a boolean, or not given: another value would be taken for no.
 * @throws TypeError naming the option and what it is
 */
export function checkBooleans(options: object, names: readonly string[]): void {
  for (const [name, value] of Object.entries(options) as [string, unknown][]) {
    if (value === undefined || typeof value === 'boolean' || !names.includes(name)) continue;
    throw new TypeError(`${name}: expected true or false, found ${told(value)}`);
  }
}

/**
 * Checks that something is an array of bytes: of wider elements `length` is not the number of bytes.
 * @throws TypeError with what it is
 */
export function checkBytes(where: string, bytes: unknown): void {
  const isBytes = ArrayBuffer.isView(bytes) && 'BYTES_PER_ELEMENT' in bytes && bytes.BYTES_PER_ELEMENT === 1;
  if (isBytes) return;
  const found = ArrayBuffer.isView(bytes) ? bytes.constructor.name : typeof bytes;
  throw new TypeError(`${where}: expected a Uint8Array, found ${found}`);
}

/**
 * Checks that a byte range lies on something of `size` bytes.
 * @throws RangeError with the range and the size
 */
export function checkRange(where: string, position: number, length: number, size: number): void {
  if (!Number.isSafeInteger(position) || position < 0) {
    throw new RangeError(`${where}: position must be a whole number of bytes from 0 on, found ${position}`);
  }
  if (!Number.isSafeInteger(length) || length < 0) {
    throw new RangeError(`${where}: length must be a whole number of bytes from 0 on, found ${length}`);
  }
  if (position + length > size) {
    throw new RangeError(`${where}: bytes ${position} to ${position + length} reach past the end at ${size}`);
  }
}
