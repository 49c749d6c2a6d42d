import { basename, dirname } from 'node:path';
import { TEMPORARY_NAME } from '../src/ops/output-file.ts';

/** An error of the operating system. */
export interface SystemError extends Error {
  readonly code: string;
  readonly syscall?: string;
  readonly path?: string;
}

/** Tells the errors of the operating system (`ENOENT`) from those of Node (`ERR_…`) and all others. */
export function isSystemError(error: unknown): error is SystemError {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return false;
  // Of some that devices give, Node does not know the name.
  return /^E[A-Z0-9]+$/.test(error.code) || error.code.startsWith('Unknown system error');
}

/** Where libuv's words are not those everybody knows. */
const WORDS: Readonly<Record<string, string>> = {
  EISDIR: 'it is a directory',
  ESPIPE: 'it is a pipe',
  'Unknown system error -123': 'there is no medium in it',
};

/** What the system said, without code and call: "no such file or directory". */
export function plainWords(error: SystemError): string {
  const known = WORDS[error.code];
  if (known !== undefined) return known;
  const words = /^[^:]+: ([^,]+)/.exec(error.message)?.[1];
  return words ?? (error.message === '' ? error.code : error.message);
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOENT: 'check the name: ls -l shows what is there',
  ENOTDIR: 'a part of the path is a file: check the name',
  EACCES: 'ask for the permissions that are missing (ls -l shows them), or run as somebody who has them',
  EPERM: 'ask for the permissions that are missing (ls -l shows them), or run as somebody who has them',
  EROFS: 'the device, or the file system, is read-only: write elsewhere',
  EISDIR: 'name a file',
  ENOSPC: 'make room, or write to another file system',
  EDQUOT: 'make room in your quota, or write elsewhere',
  EFBIG: 'the file system, or a limit (ulimit -f), allows no file of that size: write elsewhere',
  EIO: 'the medium or the way to it fails: look into the system log, and save what can still be read',
  ESPIPE: 'a pipe cannot be read at two places: save it to a file first',
  EBUSY: 'stop what uses it, then try again',
  ETXTBSY: 'stop what uses it, then try again',
  EMFILE: 'too many files are open: raise ulimit -n',
  ENAMETOOLONG: 'give it a shorter name',
  ELOOP: 'its symbolic links go in a circle: check them with ls -l',
};

/** What to do about it. */
export function systemRemedy(error: SystemError): string {
  return REMEDIES[error.code] ?? `look up ${error.code} for your system`;
}

/** Files beside an output, and the directory of a benchmark. */
function isTemporary(path: string): boolean {
  return TEMPORARY_NAME.test(basename(path)) || /^vhd-bench-\w{6}$/.test(basename(path));
}

/** The name of a file as the user gave it: a temporary file beside the output stands for the output. */
export function nameOfTemporary(path: string, output: string | undefined): string {
  return output !== undefined && isTemporary(path) ? output : path;
}

/** An output that cannot be made because its directory is missing, or cannot be written to. */
export function directoryTrouble(error: SystemError, output: string | undefined): string | undefined {
  if (output === undefined || !isTemporary(error.path ?? '') || error.syscall !== 'open') return undefined;
  return error.code === 'ENOENT' ? `the directory ${dirname(output)} does not exist` : undefined;
}
