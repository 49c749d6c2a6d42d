import type { Readable, Writable } from 'node:stream';
import { escapeControls } from '../src/format/bytes.ts';
import { type Failure, type Files, failureLine, failureOf, failureText } from './errors.ts';
import { isColoured, paint } from './report.ts';

/** A stream of text or bytes out, which may be a terminal. */
export type Output = Writable & { readonly isTTY?: boolean | undefined; readonly columns?: number | undefined };

/** What the command talks to: the process, or a test. */
export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean | undefined };
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

/** One call of the command: its streams, what it is about, and how it is to end. */
export class Session {
  readonly io: Io;
  /** True if reports and failures are to be JSON. */
  readonly isJson: boolean;
  /** The files a failure is about, as far as a verb knows them; `-` for standard input and output. */
  files: Files = {};
  /** The verb as it was called, to point to its help. */
  called = 'vhd';
  /** The options it takes, as `--name`. */
  flags: readonly string[] = [];
  /** What a failure leaves behind, where that is something. */
  aftermath: string | undefined;
  #exitCode = 0;

  constructor(io: Io, isJson: boolean) {
    this.io = io;
    this.isJson = isJson;
  }

  /** The highest code anything asked for. */
  get exitCode(): number {
    return this.#exitCode;
  }

  /** Makes the command end with at least `code`. */
  exitWith(code: number): void {
    this.#exitCode = Math.max(this.#exitCode, code);
  }

  /** Writes text to standard output. */
  async print(text: string): Promise<void> {
    try {
      await writeText(this.io.stdout, text);
    } catch (error) {
      // Whatever files the verb is about: this is about none of them.
      this.files = { output: '-' };
      throw error;
    }
  }

  /** Writes a report to standard output, or to standard error where data went to the other. */
  async report(text: string, isDataOnStdout = false): Promise<void> {
    await (isDataOnStdout ? this.note(text) : this.print(text));
  }

  /** Tells a warning on standard error; under `--json` it is in the report instead. */
  async warn(text: string): Promise<void> {
    if (this.isJson) return;
    const mark = paint('yellow', 'warning:', isColoured(this.io.stderr, this.io.env));
    await this.note(`vhd: ${mark} ${escapeControls(text)}\n`);
  }

  /** Tells a failure on standard error, as one line of JSON or as a sentence and what to do; returns its exit code. */
  async fail(error: unknown): Promise<number> {
    const failure: Failure = failureOf(error, this);
    this.exitWith(failure.exitCode);
    if (failure.isSilent) return failure.exitCode;
    const { stderr, env } = this.io;
    const stack = env['VHD_DEBUG'] === '1' && error instanceof Error ? error.stack : undefined;
    const text = this.isJson ? failureLine(failure, stack) : failureText(failure, isColoured(stderr, env), stack);
    await this.note(text);
    return failure.exitCode;
  }

  /** Writes text to standard error, which may be closed without that being a reason to fail. */
  async note(text: string): Promise<void> {
    await writeText(this.io.stderr, text).catch(() => undefined);
  }
}

/** Writes text to a stream; resolves when there is room for more. */
export function writeText(stream: Writable, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => {
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
  });
}
