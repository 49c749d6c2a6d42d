import type { Command } from 'commander';
import { VhdError } from '../../src/errors.ts';
import { warningsOf } from '../../src/format/rules.ts';
import { type OpenedDisk, openDisk } from '../../src/open.ts';
import { type BlockHash, HASH_BLOCK_BYTES, type HashOptions, hashBlocks, RootDigest } from '../../src/ops/hash.ts';
import { refuseParents } from '../../src/ops/same-file.ts';
import { readWatched } from '../../src/ops/source-change.ts';
import { refuseForChain } from '../chain-target.ts';
import { refuseSameFile } from '../endpoints.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addLongFlags, type LongFlags } from '../flags.ts';
import { type HashedImage, hashRows, sumLine } from '../hash-text.ts';
import { addInputOptions, type InputFlags, inputOptions } from '../input-options.ts';
import { JsonListing } from '../json-listing.ts';
import { warnAbout } from '../opened.ts';
import { ProgressDisplay } from '../progress.ts';
import { jsonText, summaryText } from '../report.ts';
import type { Session } from '../session.ts';
import { openTextTarget, type TextTarget } from '../text-target.ts';

interface Flags extends InputFlags, LongFlags {
  readonly plain?: boolean | undefined;
  readonly output?: string | undefined;
  readonly force?: boolean | undefined;
  readonly pad?: boolean | undefined;
}

/** Declares `hash FILE…`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<file...>', 'images to hash')
    .option('--plain', 'print the SHA-256 of all bytes of the disk as sha256sum does')
    .option('-o, --output <file>', 'file for the manifest; - is standard output')
    .option('--force', 'replace a file that exists')
    .option('--pad', 'read a raw image as if zeros filled it up to a multiple of 512 bytes');
  addLongFlags(addInputOptions(command));
  addExamples(
    command,
    'vhd hash disk.vhd -o disk.json',
    'vhd hash disk.vhd | jq -r .root',
    'vhd hash --plain disk.vhd disk.raw',
  );
  command.action((files: string[], flags: Flags) => hash(session, files, flags));
}

async function hash(session: Session, files: readonly string[], flags: Flags): Promise<void> {
  const { output } = flags;
  session.files = { input: files[0], output };
  await checkFlags(session, files, flags);
  const target = output === undefined ? undefined : await openTextTarget(session, output, flags);
  try {
    for (const file of files) await hashOrTell(session, { file, target, isOnly: files.length === 1 }, flags);
    await target?.finish();
  } catch (error) {
    await target?.discard();
    // The target is ours alone by now: as a parent it could not be opened.
    const isInUse = error instanceof VhdError && error.code === 'ERR_VHD_IN_USE';
    if (output !== undefined && isInUse) await refuseForChain(error, files, output, flags);
    throw error;
  }
}

async function checkFlags(session: Session, files: readonly string[], { plain, output }: Flags): Promise<void> {
  if (plain === true && session.isJson) {
    throw new UsageError('--plain and --json: expected one of them, found both', 'leave one of them out');
  }
  if (output !== undefined) for (const file of files) await refuseSameFile(file, output);
}

interface Job {
  readonly file: string;
  readonly target: TextTarget | undefined;
  readonly isOnly: boolean;
}

/** Into a file of its own go all of them or none; else the others are still to be hashed, unless nobody listens any more. */
async function hashOrTell(session: Session, job: Job, flags: Flags): Promise<void> {
  session.io.signal.throwIfAborted();
  session.files = { input: job.file, output: flags.output };
  try {
    await hashFile(session, job, flags);
  } catch (error) {
    if (job.target !== undefined || job.isOnly) throw error;
    if ((await session.fail(error)) > 128) throw error;
  }
}

async function hashFile(session: Session, job: Job, flags: Flags): Promise<void> {
  const { file } = job;
  if (file === '-') {
    throw new UsageError(
      'hash needs both ends of an image: expected a file, found -',
      'save it to a file first; vhd convert - - --to raw | sha256sum hashes a VHD from a pipe',
    );
  }
  const opened = await openDisk(file, { ...inputOptions(flags), pad: flags.pad });
  const progress = new ProgressDisplay(session, flags);
  const options = { signal: session.io.signal, onProgress: progress.listener };
  try {
    if (flags.output !== undefined) await refuseParents(opened.parentPaths, flags.output);
    await warnAbout(session, file, warningsOf(opened.vhd?.findings ?? []));
    const write = (text: string): Promise<void> => job.target?.write(text) ?? session.print(text);
    if (flags.plain === true) {
      const { sha256OfDisk } = await import('../../src/ops/hash-plain.ts');
      const sha256 = await readWatched(opened, () => sha256OfDisk(opened.disk, options).then(unchanged(opened)));
      progress.clear();
      await write(sumLine(sha256, file));
    } else {
      const hashed = await writeManifest(session, { ...job, opened, write }, options);
      progress.clear();
      await summarise(session, hashed, flags);
    }
  } finally {
    progress.clear();
    await opened.disk.close();
  }
}

/** Hands on what was read when it is certain that it is still so. */
function unchanged({ checkUnchanged }: OpenedDisk): <T>(value: T) => Promise<T> {
  return async (value) => {
    await checkUnchanged();
    return value;
  };
}

interface OpenedJob extends Job {
  readonly opened: OpenedDisk;
  readonly write: (text: string) => Promise<void>;
}

/** Hashes the blocks, and writes each when it is: a terminal is told the summary instead. */
async function writeManifest(session: Session, job: OpenedJob, options: HashOptions): Promise<HashedImage> {
  const { file, opened, write } = job;
  const { disk, type, vhd } = opened;
  const head = { path: file, type, virtualSize: disk.size, blockSize: HASH_BLOCK_BYTES };
  const shape = { verb: 'hash', list: 'blocks', head, isOneLine: !job.isOnly };
  const listing = isSummed(session, job) ? undefined : new JsonListing<BlockHash>(shape, write);
  const digest = new RootDigest(disk.size);
  let dataBlocks = 0;
  try {
    await readWatched(opened, async () => {
      for await (const block of hashBlocks(disk, options)) {
        digest.add(block);
        dataBlocks++;
        await listing?.add(block);
      }
      await opened.checkUnchanged();
    });
  } catch (error) {
    await listing?.abandon();
    throw error;
  }
  const root = digest.hex();
  const warnings = warningsOf(vhd?.findings ?? []);
  await listing?.finish({ root, ...(session.isJson ? { warnings } : {}) });
  return { ...head, dataBlocks, root };
}

/** Nobody wants to see a line for every 2 MiB. */
function isSummed({ isJson, io }: Session, { target }: Job): boolean {
  return target === undefined && !isJson && io.stdout.isTTY === true;
}

async function summarise(session: Session, hashed: HashedImage, flags: Flags): Promise<void> {
  const { output, quiet } = flags;
  const isFile = output !== undefined && output !== '-';
  if (isFile && session.isJson) {
    await session.print(jsonText('hash', { ...hashed, manifest: output }, true));
  } else if (isFile && quiet !== true) {
    await session.print(summaryText(`hashed ${hashed.path} into ${output}`, hashRows(hashed)));
  } else if (output === undefined && !session.isJson && session.io.stdout.isTTY === true) {
    const rows = [...hashRows(hashed), ['manifest', 'written with -o FILE, or to a pipe'] as const];
    await session.print(summaryText(hashed.path, rows));
  }
}
