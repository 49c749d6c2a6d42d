import { promisify } from 'node:util';
import type { BenchTarget } from './bench-report.ts';
import type { Pass } from './bench-workloads.ts';

const PROGRAM = 'qemu-img';

/** `qemu-img` is there, and failed: it ended with another exit code than 0, by a signal, or could not be started. */
export class QemuError extends Error {
  override readonly name = 'QemuError';
  /** Stable code. */
  readonly code = 'ERR_QEMU_IMG';
}

/** True for what `qemu-img bench` measures. */
export function isQemuTarget(target: BenchTarget): boolean {
  return target === 'qemuFixed' || target === 'qemuDynamic';
}

/** The first line of `qemu-img --version`; undefined where there is no such program. */
export async function qemuVersion(signal: AbortSignal | undefined): Promise<string | undefined> {
  try {
    const [line] = (await run(['--version'], signal)).split('\n');
    return line;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Makes an image of exactly `diskBytes`, with the program itself. */
export async function createQemuImage(
  path: string,
  isFixed: boolean,
  diskBytes: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const options = `subformat=${isFixed ? 'fixed' : 'dynamic'},force_size=on`;
  await run(['create', '-q', '-f', 'vpc', '-o', options, path, String(diskBytes)], signal);
}

/** Seconds of the whole program for a pass in a row: the time it prints leaves out its last flush. */
export async function timeQemu(path: string, pass: Pass, signal: AbortSignal | undefined): Promise<number> {
  const words = qemuBenchWords({ path, ...pass, length: pass.accesses[0]?.length ?? 0, count: pass.accesses.length });
  const startedAt = performance.now();
  await run(words, signal);
  return (performance.now() - startedAt) / 1000;
}

/** Accesses in a row, or a stride apart, in bytes. */
export interface QemuPattern {
  readonly path: string;
  readonly isRead: boolean;
  readonly length: number;
  readonly count: number;
  /** From the start of one access to that of the next; default: `length`. */
  readonly stride?: number | undefined;
}

/** The arguments for `qemu-img` to do that on a VHD, and to flush at the end. */
export function qemuBenchWords({ path, isRead, length, count, stride = length }: QemuPattern): string[] {
  const how = isRead ? [] : ['-w', `--flush-interval=${count}`, '--pattern=165'];
  // A flush interval below the number of requests under way, 64 unless told, is refused.
  const depth = !isRead && count < 64 ? ['-d', '1'] : [];
  const what = ['-s', String(length), '-S', String(stride), '-c', String(count)];
  return ['bench', ...how, ...depth, '-t', 'writeback', '-f', 'vpc', ...what, path];
}

/** Its standard output. Loaded when it is needed: the command is to start without. */
async function run(words: readonly string[], signal: AbortSignal | undefined): Promise<string> {
  const { execFile } = await import('node:child_process');
  try {
    const { stdout } = await promisify(execFile)(PROGRAM, words, { signal });
    return stdout;
  } catch (error) {
    signal?.throwIfAborted();
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw error;
    throw new QemuError(`${PROGRAM} failed: ${reasonOf(error as Failed)}`, { cause: error });
  }
}

interface Failed extends Error {
  /** Its exit code, or what the system says to its start. */
  readonly code?: number | string | null;
  readonly signal?: NodeJS.Signals | null;
  readonly stderr?: string;
}

/** In one line. */
function reasonOf({ code, signal, stderr = '', message }: Failed): string {
  const lines = stderr.split('\n').map((line) => line.replace(`${PROGRAM}: `, '').trim());
  const said = lines.filter((line) => line !== '').join('; ');
  if (said !== '') return said;
  if (typeof signal === 'string') return `ended by ${signal}`;
  return typeof code === 'number' ? `exit code ${code}` : message;
}
