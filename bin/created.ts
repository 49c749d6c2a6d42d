import { isNamedLikeLink } from '../src/open-recognise.ts';
import { type CreateImageResult, createImage } from '../src/ops/create.ts';
import { type BreakingFlags, guardChildren } from './breaking-children.ts';
import { UsageError } from './errors.ts';
import type { LongFlags } from './flags.ts';
import { type ImageFlags, identityOptions } from './image-options.ts';
import { type ParentFlags, parentOptions } from './input-options.ts';
import { jsonText, type Row, summaryText } from './report.ts';
import type { Session } from './session.ts';
import { formatExactly } from './sizes.ts';
import { checkVhdName, geometryWarnings, parentWarnings } from './target.ts';

/** What is to be made, and for which verb. */
export interface ToMake extends ImageFlags, LongFlags, ParentFlags, BreakingFlags {
  readonly verb: 'create' | 'snapshot';
  readonly type: 'dynamic' | 'fixed' | 'differencing';
  readonly size?: number | undefined;
  readonly parent?: string | undefined;
  readonly force?: boolean | undefined;
  readonly lock?: boolean | undefined;
}

/** Makes an empty image and tells what was made. */
export async function makeImage(session: Session, image: string, wanted: ToMake): Promise<void> {
  if (image === '-') {
    throw new UsageError(`${wanted.verb}: expected the name of a file, found -`, 'vhd convert writes images to a pipe');
  }
  checkVhdName(image, wanted.verb);
  if (wanted.type !== 'fixed' && wanted.preallocate === true) {
    throw new UsageError(
      `--preallocate: a ${wanted.type} disk takes room as it is written`,
      wanted.type === 'dynamic' ? 'add --type fixed, or leave --preallocate away' : 'leave it away',
    );
  }
  if (wanted.force === true) await guardReplaced(session, image, wanted);
  const { size, type, parent, blockSize, preallocate, force, lock } = wanted;
  const identity = identityOptions(wanted, session.io.env);
  const child = parent === undefined ? {} : { parent, ...parentOptions(wanted) };
  const { signal } = session.io;
  const options = { ...identity, ...child, size, type, blockSize, preallocate, force, lock, signal };
  const made = await createImage(image, options);
  const warnings = [
    ...made.warnings,
    ...geometryWarnings(identity.geometry, made.virtualSize, image),
    ...parentWarnings(image, made.parentDir),
    ...(parent === undefined ? [] : childNameWarnings(image)),
  ];
  for (const warning of warnings) await session.warn(warning);
  if (session.isJson) await session.print(jsonText(wanted.verb, { ...made, warnings }));
  else if (wanted.quiet !== true) await session.print(summary(made));
}

/** What others have as their parent is not replaced, and what is to be the parent here never. */
async function guardReplaced(session: Session, image: string, wanted: ToMake): Promise<void> {
  const { parent } = wanted;
  if (parent === undefined) return guardChildren([image], wanted, session.io.signal);
  const { refuseForChain, refuseOwnParent } = await import('./chain-target.ts');
  await refuseOwnParent(parent, image);
  await guardChildren([image], wanted, session.io.signal).catch((error: unknown) => {
    return refuseForChain(error, [parent], image, wanted);
  });
}

/** A child is kept from harm whatever it is called, and shown with its relatives only under some names. */
function childNameWarnings(image: string): string[] {
  if (isNamedLikeLink(image)) return [];
  return [`${image}: it is not named .vhd or .avhd: vhd tree and vhd relink --recursive pass it over`];
}

function summary(made: CreateImageResult): string {
  const { parent } = made;
  const rows: Row[] = [
    ['type', made.type],
    ['virtual size', formatExactly(made.virtualSize)],
    ['file size', formatExactly(made.fileSize)],
    ['parent', parent],
    ['from now on', parent && `${parent} must not change: what is written goes to ${made.path}`],
  ];
  return summaryText(`created ${made.path}`, rows);
}
