import { VhdError } from './errors.ts';
import { unixMilliseconds } from './format/new-footer.ts';
import { describeFinding, type Finding, finding } from './format/rules.ts';
import { VHD_EPOCH_UNIX_SECONDS } from './format/spec.ts';
import type { FoundParent, Orphan } from './open-find-parent.ts';
import type { ParentOptions } from './open-parent-options.ts';

/** A parent, open. */
export type OpenParent = Pick<FoundParent, 'storage' | 'examination' | 'isRaw'>;

/** What of a child a parent is held against. */
type ChildFacts = Pick<Orphan['examination'], 'header' | 'footer' | 'virtualSize'>;

/**
 * How a parent fits its child, beyond the identifier.
 * @throws VhdError `ERR_VHD_PARENT_CHANGED` if its time stamp is another than the child knows, and `strictParent` is set
 */
export async function checkParent(
  path: string,
  child: ChildFacts,
  parent: OpenParent,
  { strictParent }: ParentOptions,
): Promise<Finding[]> {
  const changed = await timestampFinding(child, parent);
  if (changed !== undefined && strictParent === true) {
    throw new VhdError('ERR_VHD_PARENT_CHANGED', describeFinding(changed), {
      ...changed,
      storage: path,
      remedy: `if nothing was written to it since, leave --strict-parent away`,
    });
  }
  return [changed, await sizeFinding(child, parent)].filter((item) => item !== undefined);
}

/**
 * Zero says nothing: Windows 10 writes that. Most programs take down the time stamp of the parent's footer; blktap, and
 * the letter of the specification, the time when the file was written last, which a copy loses.
 */
async function timestampFinding(
  { header, footer }: ChildFacts,
  { storage, examination, isRaw }: OpenParent,
): Promise<Finding | undefined> {
  const known = header.parentTimestamp;
  const stamp = isRaw ? undefined : examination.footer?.timestamp;
  if (known === 0 || known === stamp || known === secondsOf(await storage.modifiedAt())) return undefined;
  const byFileTime = isRaw || footer?.creatorApplication.startsWith('tap') === true;
  return finding('parent.timestamp', {
    offset: (footer?.dataOffset ?? 0) + 56,
    message: `the parent ${storage.name} has another time stamp than its child knows: it may have been changed`,
    expected: isoTime(known),
    found: stamp === undefined ? 'a file of another time' : isoTime(stamp),
    severity: byFileTime ? 'note' : 'warning',
  });
}

/** Nanoseconds since 1970 as seconds since 2000. */
function secondsOf(modifiedAt: bigint | undefined): number | undefined {
  return modifiedAt === undefined ? undefined : Number(modifiedAt / 1_000_000_000n) - VHD_EPOCH_UNIX_SECONDS;
}

function isoTime(timestamp: number): string {
  return new Date(unixMilliseconds(timestamp)).toISOString().replace('.000Z', 'Z');
}

async function sizeFinding(
  { virtualSize = 0 }: ChildFacts,
  { storage, examination, isRaw }: OpenParent,
): Promise<Finding | undefined> {
  const found = isRaw ? await storage.size() : examination.virtualSize;
  if (found === undefined || found === virtualSize) return undefined;
  const detail = { expected: `${virtualSize} bytes`, found: String(found) };
  if (found < virtualSize) {
    const message = 'the parent is smaller: what lies behind its end, and is not in the child, reads as zeros';
    return finding('parent.size', { ...detail, message });
  }
  const message = 'the parent is larger: its end is not to be seen through the child';
  return finding('parent.size', { ...detail, message, severity: 'warning' });
}
