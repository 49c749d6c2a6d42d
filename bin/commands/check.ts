import type { Command } from 'commander';
import { READERS, type ReaderName } from '../../src/format/reader-facts.ts';
import type { CheckOptions } from '../../src/ops/check.ts';
import { check } from '../../src/ops/check.ts';
import type { CheckReport } from '../../src/ops/check-report.ts';
import { checkText } from '../check-text.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addLongFlags, type LongFlags, oneOf } from '../flags.ts';
import { addParentOptions, type ParentFlags, parentOptions } from '../input-options.ts';
import { ProgressDisplay } from '../progress.ts';
import { isColoured, jsonText } from '../report.ts';
import type { Session } from '../session.ts';

interface Flags extends ParentFlags, LongFlags {
  readonly chain?: boolean | undefined;
  readonly deep?: boolean | undefined;
  readonly strict?: boolean | undefined;
  readonly for?: readonly (ReaderName | 'all')[] | undefined;
  readonly sizeFrom?: 'footer' | 'chs' | undefined;
  readonly footer?: 'start' | 'end' | undefined;
  readonly lock?: boolean | undefined;
}

const readProgram = oneOf('--for', [...READERS, 'all']);

/** Declares `check IMAGE…`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<image...>', 'VHDs to look for damage in')
    .option('--chain', 'check every image of a chain, not only whether the parents are there and fit')
    .option('--deep', 'read all bitmaps, and the data under bits that are not set')
    .option('--strict', 'exit with 1 if there are warnings')
    .option(
      '--for <program>',
      `whether that program takes the image and gives all of it: ${READERS.join(', ')} or all (repeatable)`,
      Object.assign((text: string, before: Flags['for']): Flags['for'] => [...(before ?? []), readProgram(text)], {
        choices: readProgram.choices,
      }),
    )
    .option(
      '--size-from <field>',
      'where the virtual size comes from: footer or chs',
      oneOf('--size-from', ['footer', 'chs']),
    )
    .option('--footer <which>', 'which footer to believe: start or end', oneOf('--footer', ['start', 'end']));
  addParentOptions(command).option('--no-lock', 'do not look whether another program is writing to the image');
  addExamples(
    addLongFlags(command),
    'vhd check disk.vhd',
    'vhd check --deep --chain base.vhd child.vhd',
    'vhd check --for hyperv --for qemu disk.vhd',
    'vhd check --json *.vhd',
  );
  command.action((images: string[], flags: Flags) => checkAll(session, images, flags));
}

async function checkAll(session: Session, images: readonly string[], flags: Flags): Promise<void> {
  for (const image of images) {
    session.io.signal.throwIfAborted();
    session.files = { input: image };
    try {
      const report = await checkOne(session, image, flags);
      await show(session, report, flags, images.length > 1);
    } catch (error) {
      // The other images are still to be checked, unless nobody reads about them any more.
      if ((await session.fail(error)) > 128) return;
    }
  }
}

async function checkOne(session: Session, image: string, flags: Flags): Promise<CheckReport> {
  if (image === '-') {
    throw new UsageError('check needs both ends of an image: expected a file, found -', 'save it to a file first');
  }
  const { chain, deep, sizeFrom, footer, lock, for: readers } = flags;
  const progress = new ProgressDisplay(session, flags);
  const options: CheckOptions = { chain, deep, sizeFrom, footer, lock, for: readers, ...parentOptions(flags) };
  try {
    return await check(image, { ...options, signal: session.io.signal, onProgress: progress.listener });
  } finally {
    progress.clear();
  }
}

async function show(session: Session, report: CheckReport, flags: Flags, isOneOfMany: boolean): Promise<void> {
  const { stdout, env } = session.io;
  if (session.isJson) await session.print(jsonText('check', report, isOneOfMany));
  else if (flags.quiet !== true) await session.print(checkText(report, isColoured(stdout, env)));
  const isStrict = flags.strict === true && report.findings.some((item) => item.severity === 'warning');
  if (!report.ok || isStrict) session.exitWith(1);
}
