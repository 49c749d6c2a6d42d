// Programs by others that read and write VHDs. Not there: skipped, and the name of the test says so. With
// VHDKIT_REQUIRE_PEERS=1 (continuous integration, which installs them) it fails instead.
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, test } from 'vitest';

/** A program that tests can ask for. */
export type PeerName =
  | 'qemu-img'
  | 'qemu-io'
  | 'strace'
  | 'vhdiinfo'
  | 'vhdimount'
  | '7z'
  | PartitionTool
  | FormatTool
  | ShellName
  | Compressor;
/** A program that makes or reads partition tables. */
export type PartitionTool = 'sgdisk' | 'sfdisk';
/** A program that makes file systems, or tells them. */
export type FormatTool =
  | 'blkid'
  | 'cryptsetup'
  | 'dumpe2fs'
  | 'genisoimage'
  | 'mkfs.btrfs'
  | 'mkfs.exfat'
  | 'mkfs.ext4'
  | 'mkfs.fat'
  | 'mkfs.ntfs'
  | 'mkfs.xfs'
  | 'mksquashfs'
  | 'mkswap';
/** A shell that completes, or what shows it a terminal. */
export type ShellName = 'bash' | 'zsh' | 'fish' | 'script';
/** A program that compresses. */
export type Compressor = 'gzip' | 'xz' | 'zstd';

/** What a program said. */
export interface PeerResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a program is run. */
export interface PeerOptions {
  /** It is killed after so long. Default 60 s. */
  readonly timeoutMs?: number;
  /** Any exit code is fine; default: only 0 is. */
  readonly anyCode?: boolean;
  /** What it gets on its standard input. Default: nothing. */
  readonly input?: string;
  /** Gets what it writes to its standard output; `false` says that this was enough, and it is ended. */
  readonly onOutput?: (chunk: Buffer) => boolean;
}

const isRequired = process.env['VHDKIT_REQUIRE_PEERS'] === '1';
const found = new Map<string, string | undefined>();

/** The path of a program, undefined if it is not there. */
export function findProgram(name: string): string | undefined {
  if (!found.has(name)) {
    const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
    found.set(
      name,
      folders.map((folder) => join(folder, name)).find((path) => isAllowed(path, constants.X_OK)),
    );
  }
  return found.get(name);
}

/** Why a program cannot be used here; undefined if it can. */
export function whyMissing(name: PeerName): string | undefined {
  if (findProgram(name) === undefined) return `${name} is not installed`;
  if (name !== 'vhdimount') return undefined;
  if (!isAllowed('/dev/fuse', constants.R_OK | constants.W_OK)) return 'vhdimount needs /dev/fuse';
  return findProgram('fusermount3') === undefined && findProgram('fusermount') === undefined
    ? 'vhdimount needs fusermount3 or fusermount'
    : undefined;
}

/** `describe`, if all the programs are there. */
export function describeWithPeers(names: readonly PeerName[], title: string, body: () => void): void {
  const reason = whyAnyMissing(names);
  if (reason === undefined) describe(title, body);
  else describe(title, () => stub(`with ${names.join(', ')}`, reason));
}

/** `test`, if all the programs are there. */
export function testWithPeers(names: readonly PeerName[], title: string, body: () => Promise<void>): void {
  const reason = whyAnyMissing(names);
  if (reason === undefined) test(title, body);
  else stub(title, reason);
}

/** Stands for tests that cannot run for a reason: skipped, or failing where everything is required. */
export function stub(title: string, reason: string): void {
  if (isRequired) {
    test(title, () => {
      throw new Error(`VHDKIT_REQUIRE_PEERS is 1, but ${reason}`);
    });
  } else {
    test.skip(`${title} (skipped: ${reason})`);
  }
}

/** Runs a program to its end. Rejects with everything it said if it fails, hangs or cannot be started. */
export async function runPeer(name: string, args: readonly string[], options: PeerOptions = {}): Promise<PeerResult> {
  const { timeoutMs = 60_000, anyCode = false, onOutput } = options;
  const child = spawn(findProgram(name) ?? name, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  // A program that does not read its input is no fault of the test.
  child.stdin.on('error', () => undefined).end(options.input);
  let ending = '';
  const end = (why: string): void => {
    if (ending === '') child.kill('SIGKILL');
    ending ||= why;
  };
  const timer = setTimeout(() => end('hung'), timeoutMs);
  const keepText = onOutput === undefined ? () => true : eat(onOutput, () => end('enough'));
  try {
    const [code, stdout, stderr] = await Promise.all([
      endOf(child),
      collect(child.stdout, keepText),
      collect(child.stderr),
    ]);
    if (ending === 'enough' || code === 0 || (code !== null && anyCode)) return { code, stdout, stderr };
    const how = ending === 'hung' ? `did not end within ${timeoutMs} ms` : `ended with ${code ?? 'a signal'}`;
    throw new Error(`${[name, ...args].join(' ')}\n${how}\n${stderr}${stdout.slice(-4000)}`);
  } finally {
    clearTimeout(timer);
    end('failed');
  }
}

/** Passes output on until it is enough, and keeps none of it. */
function eat(onOutput: (chunk: Buffer) => boolean, enough: () => void): (chunk: Buffer) => boolean {
  let wasEnough = false;
  return (chunk) => {
    wasEnough ||= !onOutput(chunk);
    if (wasEnough) enough();
    return false;
  };
}

function whyAnyMissing(names: readonly PeerName[]): string | undefined {
  const reasons = names.map(whyMissing).filter((reason) => reason !== undefined);
  return reasons.length === 0 ? undefined : reasons.join(', ');
}

function isAllowed(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

/** The exit code of a program, once it has closed its output too; null if a signal ended it. */
function endOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
}

/** The text of a stream: of the pieces that `keep` wants kept. */
async function collect(stream: AsyncIterable<Buffer>, keep: (chunk: Buffer) => boolean = () => true): Promise<string> {
  const kept: Buffer[] = [];
  for await (const chunk of stream) if (keep(chunk)) kept.push(chunk);
  return Buffer.concat(kept).toString();
}
