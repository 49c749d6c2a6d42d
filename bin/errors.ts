import { VhdError, type VhdErrorCode } from '../src/errors.ts';
import { escapeControls } from '../src/format/bytes.ts';
import { shellPath } from '../src/format/shell.ts';
import { QemuError } from '../src/ops/bench-qemu.ts';
import { EXIT_CODE_OF, Interrupted } from './interrupted.ts';
import { paint } from './report.ts';
import {
  directoryTrouble,
  isSystemError,
  nameOfTemporary,
  plainWords,
  type SystemError,
  systemRemedy,
} from './system-errors.ts';

/** What a verb reads and writes, for failures that do not say themselves which file they are about. */
export interface Files {
  readonly input?: string | undefined;
  readonly output?: string | undefined;
}

/** The command was called in a way it cannot follow. */
export class UsageError extends Error {
  /** What to write instead, where that is known. */
  readonly remedy: string | undefined;
  /** The file it is about, where it is about one. */
  readonly path: string | undefined;

  constructor(message: string, remedy?: string, path?: string) {
    super(message);
    this.remedy = remedy;
    this.path = path;
  }
}

/** A failure as it is told, in the names of `--json`. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly path: string | null;
  readonly offset: number | null;
  readonly expected: string | null;
  readonly found: string | null;
  readonly remedy: string | null;
  readonly exitCode: number;
  /** The path as people are told it. */
  readonly label: string | null;
  /** True if nothing is to be said, as when the reader of a pipe has gone. */
  readonly isSilent: boolean;
}

const EXIT_USAGE = 2;
const EXIT_INPUT = 3;
const EXIT_SYSTEM = 4;
const EXIT_DEFECT = 70;
const EXIT_BROKEN_PIPE = 141;

/** What is not the input's fault. */
const EXIT_CODES: Partial<Record<VhdErrorCode, number>> = {
  ERR_VHD_EXISTS: EXIT_USAGE,
  ERR_VHD_SAME_FILE: EXIT_USAGE,
  ERR_VHD_SOURCE_CHANGED: EXIT_SYSTEM,
  ERR_VHD_NO_SPACE: EXIT_SYSTEM,
  ERR_VHD_POISONED: EXIT_SYSTEM,
  ERR_VHD_CLOSED: EXIT_DEFECT,
  ERR_VHD_READ_ONLY: EXIT_DEFECT,
};

/** For errors that bring no remedy of their own. */
const REMEDIES: Partial<Record<VhdErrorCode, string>> = {
  ERR_VHD_NOT_VHD: 'vhd id says what it is; of a raw disk vhd convert --from raw makes a VHD',
  ERR_VHD_CORRUPT: 'get a good copy of it',
  ERR_VHD_TRUNCATED: 'get the whole file: a copy or a download ended too early',
  ERR_VHD_UNSUPPORTED: 'convert it with the program that made it',
  ERR_VHD_LIMIT: 'convert it with the program that made it',
  ERR_VHD_SIZE: 'check that it is the file you mean; vhd create makes an empty disk',
  ERR_VHD_FOOTERS_DISAGREE: 'say which one is right: --footer end or --footer start',
};

const NOTHING = { path: null, offset: null, expected: null, found: null, remedy: null, label: null, isSilent: false };

const QEMU = { code: 'ERR_QEMU_IMG', remedy: 'mend what qemu-img says, or leave out --qemu', exitCode: EXIT_SYSTEM };

/** What a failure happened in. */
interface Situation {
  readonly files: Files;
  /** The verb as it was called, to point to its help. */
  readonly called: string;
  /** The options it takes, as `--name`. */
  readonly flags: readonly string[];
  readonly io: { readonly signal: AbortSignal };
  /** What it leaves behind, where that is something. */
  readonly aftermath?: string | undefined;
}

/** What to tell about an error, and how to end. */
export function failureOf(error: unknown, situation: Situation): Failure {
  const failure = plainFailure(error, situation);
  const { aftermath } = situation;
  if (aftermath === undefined) return failure;
  return { ...failure, remedy: failure.remedy === null ? aftermath : `${aftermath}; ${failure.remedy}` };
}

function plainFailure(error: unknown, situation: Situation): Failure {
  const { files, called, io } = situation;
  if (io.signal.aborted) return interruption(io.signal.reason);
  if (error instanceof UsageError) {
    const { message, path = null, remedy = `${called} --help shows what there is` } = error;
    return { ...NOTHING, code: 'ERR_VHD_USAGE', message, path, label: path, remedy, exitCode: EXIT_USAGE };
  }
  if (error instanceof VhdError) return formatFailure(error, situation);
  if (isSystemError(error)) return systemFailure(error, files);
  if (error instanceof QemuError) return { ...NOTHING, ...QEMU, message: error.message };
  return defect(error);
}

function interruption(reason: unknown): Failure {
  const signal = reason instanceof Interrupted ? reason.signal : 'SIGINT';
  const message = signal === 'SIGINT' ? 'interrupted' : 'terminated';
  return { ...NOTHING, code: 'ABORT_ERR', message, exitCode: EXIT_CODE_OF[signal] };
}

function formatFailure(error: VhdError, { files, called, flags }: Situation): Failure {
  // A disk that can no longer be trusted says so to every later call; what matters is the call that failed first.
  if (error.code === 'ERR_VHD_POISONED' && isSystemError(error.cause)) return systemFailure(error.cause, files);
  const { code, message, offset = null, expected = null, found = null } = error;
  const place = placeOf(error, files);
  const said = error.remedy ?? remedyFor(code, called);
  const remedy = isFooterMissing(said, flags) ? withConvert(said, called, place.path) : said;
  const exitCode = EXIT_CODES[code] ?? EXIT_INPUT;
  return { ...place, code, message, offset, expected, found, remedy, exitCode, isSilent: false };
}

/** True for a remedy by the option `--footer`, in a verb that does not take it. */
function isFooterMissing(remedy: string | null, flags: readonly string[]): remedy is string {
  const isByOption = remedy?.includes('--footer') === true && !remedy.startsWith('vhd ');
  return isByOption && !flags.includes('--footer');
}

function withConvert(remedy: string, called: string, path: string | null): string {
  return `${remedy}; ${called} does not take it: vhd convert ${shellPath(path ?? 'FILE')} NEW.vhd does`;
}

function remedyFor(code: VhdErrorCode, called: string): string | null {
  const remedy = REMEDIES[code] ?? null;
  const canBeShown = code === 'ERR_VHD_CORRUPT' || code === 'ERR_VHD_UNSUPPORTED' || code === 'ERR_VHD_LIMIT';
  return canBeShown && called !== 'vhd info' ? `${remedy ?? ''}; vhd info shows what is known about it` : remedy;
}

function placeOf({ code, storage }: VhdError, files: Files): Pick<Failure, 'path' | 'label'> {
  const path = storage ?? (code === 'ERR_VHD_LIMIT' ? files.output : undefined) ?? files.input ?? files.output;
  return named(path, files, path === files.output && path !== files.input);
}

const WRITING_CALLS: readonly (string | undefined)[] = [
  'write',
  'writev',
  'ftruncate',
  'fdatasync',
  'fsync',
  'fallocate',
];

function systemFailure(error: SystemError, files: Files): Failure {
  const isWriting = WRITING_CALLS.includes(error.syscall);
  const path = error.path ?? (isWriting ? (files.output ?? files.input) : (files.input ?? files.output));
  const trouble = directoryTrouble(error, files.output);
  return {
    ...NOTHING,
    code: error.code,
    message: trouble ?? plainWords(error),
    ...named(path, files, isWriting),
    remedy: trouble === undefined ? systemRemedy(error) : 'make it first, or check the name',
    exitCode: error.code === 'EPIPE' ? EXIT_BROKEN_PIPE : EXIT_SYSTEM,
    isSilent: error.code === 'EPIPE',
  };
}

/** The file a failure is about, for programs and for people. */
function named(path: string | undefined, files: Files, isOutput: boolean): Pick<Failure, 'path' | 'label'> {
  if (path === undefined) return { path: null, label: null };
  if (path === '-') return { path, label: isOutput ? 'standard output' : 'standard input' };
  const name = nameOfTemporary(path, files.output);
  return { path: name, label: name };
}

function defect(error: unknown): Failure {
  const told = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return {
    ...NOTHING,
    code: 'ERR_VHD_DEFECT',
    message: `this is a defect in vhd: ${told}`,
    remedy: 'please report it, with the command line and what VHD_DEBUG=1 shows',
    exitCode: EXIT_DEFECT,
  };
}

/** A failure for people: one sentence, then what to do. */
export function failureText(failure: Failure, coloured: boolean, stack?: string): string {
  const { label, message, remedy } = failure;
  const about = label === null ? '' : `${label}: `;
  const lines = [`${paint('red', 'vhd:', coloured)} ${escapeControls(about + message + offsetOf(failure))}`];
  if (remedy !== null) lines.push(`     ${escapeControls(remedy)}`);
  if (stack !== undefined) lines.push(stack);
  return lines.map((line) => `${line}\n`).join('');
}

/** Messages of findings name their offset already. */
function offsetOf({ offset, message, path }: Failure): string {
  if (offset === null || path === null || new RegExp(`\\b${offset}\\b`).test(message)) return '';
  return ` (at offset ${offset})`;
}

/** A failure as one line of JSON. */
export function failureLine(failure: Failure, stack?: string): string {
  const { isSilent: _silent, label: _label, exitCode, ...told } = failure;
  return `${JSON.stringify({ schema: 'vhdkit/error/1', ...told, exitCode, ...(stack === undefined ? {} : { stack }) })}\n`;
}
