import { createReadStream } from 'node:fs';
import type { Command } from 'commander';
import { warningsOf } from '../../src/format/rules.ts';
import { openDisk } from '../../src/open.ts';
import type { Manifest } from '../../src/ops/manifest.ts';
import { readManifestFor } from '../../src/ops/manifest-choice.ts';
import { readWatched } from '../../src/ops/source-change.ts';
import { verifyDisk } from '../../src/ops/verify.ts';
import { streamSource } from '../endpoints.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addLongFlags, type LongFlags } from '../flags.ts';
import { verifyText } from '../hash-text.ts';
import { addInputOptions, type InputFlags, inputOptions } from '../input-options.ts';
import { warnAbout } from '../opened.ts';
import { ProgressDisplay } from '../progress.ts';
import { isColoured, jsonText } from '../report.ts';
import type { Session } from '../session.ts';

interface Flags extends InputFlags, LongFlags {
  readonly pad?: boolean | undefined;
}

/** Declares `verify IMAGE MANIFEST`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<image>', 'image to verify')
    .argument('<manifest>', 'what vhd hash wrote, or lines of sha256sum; - is standard input')
    .option('--pad', 'read a raw image as if zeros filled it up to a multiple of 512 bytes');
  addLongFlags(addInputOptions(command));
  addExamples(
    command,
    'vhd verify disk.raw disk.json',
    'vhd hash disk.vhd | vhd verify fixed.vhd -',
    'vhd hash --plain disk.vhd | vhd verify disk.vhd -',
  );
  command.action((image: string, manifest: string, flags: Flags) => verify(session, { image, manifest }, flags));
}

interface Names {
  readonly image: string;
  readonly manifest: string;
}

async function verify(session: Session, { image, manifest }: Names, flags: Flags): Promise<void> {
  if (image === '-') {
    throw new UsageError('verify needs both ends of an image: expected a file, found -', 'save it to a file first');
  }
  session.files = { input: manifest };
  const expected = await readManifest(session, { image, manifest });
  session.files = { input: image };
  const opened = await openDisk(image, { ...inputOptions(flags), pad: flags.pad });
  const progress = new ProgressDisplay(session, flags);
  try {
    const warnings = warningsOf(opened.vhd?.findings ?? []);
    await warnAbout(session, image, warnings);
    const found = await readWatched(opened, async () => {
      const options = { signal: session.io.signal, onProgress: progress.listener };
      const verification = await verifyDisk(opened.disk, expected, options);
      await opened.checkUnchanged();
      return verification;
    });
    progress.clear();
    const verified = { path: image, manifest, type: opened.type, ...found };
    if (!found.ok) session.exitWith(1);
    const { stdout, env } = session.io;
    if (session.isJson) await session.print(jsonText('verify', { ...verified, warnings }));
    else if (flags.quiet !== true) await session.print(verifyText(verified, isColoured(stdout, env)));
  } finally {
    progress.clear();
    await opened.disk.close();
  }
}

async function readManifest(session: Session, { image, manifest: name }: Names): Promise<Manifest> {
  const { signal } = session.io;
  const source = (await streamSource(session, name)) ?? createReadStream(name, { signal });
  return await readManifestFor(source as AsyncIterable<Uint8Array>, image, name);
}
