import type { Command } from 'commander';
import { addBreakingFlag, type BreakingFlags } from '../breaking-children.ts';
import { makeImage } from '../created.ts';
import { addExamples, addLongFlags, type LongFlags } from '../flags.ts';
import { addImageOptions, type ImageFlags } from '../image-options.ts';
import { addParentOptions, type ParentFlags } from '../input-options.ts';
import type { Session } from '../session.ts';

interface Flags extends ImageFlags, LongFlags, ParentFlags, BreakingFlags {
  readonly force?: boolean | undefined;
  readonly lock?: boolean | undefined;
}

/** Declares `snapshot PARENT CHILD`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<parent>', 'the image to keep as it is now')
    .argument('<image>', 'the child to make, which takes what is written from now on')
    .option('--force', 'replace a file that exists')
    .option('--no-lock', 'do it even if another program is using one of them');
  addExamples(
    addLongFlags(addImageOptions(addParentOptions(addBreakingFlag(command)))),
    'vhd snapshot disk.vhd child.vhd',
    'vhd snapshot disk.vhd child.vhd && vhd write child.vhd boot.bin',
  );
  command.action((parent: string, image: string, flags: Flags) => {
    session.files = { input: parent, output: image };
    return makeImage(session, image, { ...flags, verb: 'snapshot', type: 'differencing', parent });
  });
}
