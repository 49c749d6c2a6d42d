import { type Examination, examine } from '../disk/recognise.ts';
import { VhdError } from '../errors.ts';
import { describeFinding } from '../format/rules.ts';
import { shellPath } from '../format/shell.ts';
import { formatUuid } from '../format/uuid.ts';
import { checkParent } from '../open-parent-fit.ts';
import { FileStorage } from '../storage/file.ts';
import type { RelinkImage } from './relink-plan.ts';

/** What an image is to say of its new parent, and what is to be said of that. */
export interface RelinkParent {
  /** The 16 identifier bytes in file order. */
  readonly uniqueId: Uint8Array;
  /** Seconds since 2000. */
  readonly timestamp: number;
  /** True if it is another one than the image names now. */
  readonly isOther: boolean;
  /** What the user should know, one sentence each. */
  readonly warnings: readonly string[];
}

/** How a parent is accepted. */
export interface RelinkParentOptions {
  /** Its path. */
  readonly parent: string;
  /** One with another identifier, too. */
  readonly allowUuidMismatch?: boolean | undefined;
  /** Lock it for reading while it is looked at; default true. */
  readonly lock?: boolean | undefined;
}

/**
 * Looks at what is to be the parent of an image, and holds it against the one that it names.
 * @param child path of the image as it is told
 * @throws VhdError `ERR_VHD_PARENT_UUID`, `ERR_VHD_PARENT_SIZE`, what is wrong with the parent
 */
export async function examineParent(
  image: RelinkImage,
  child: string,
  { parent, allowUuidMismatch, lock }: RelinkParentOptions,
): Promise<RelinkParent> {
  const { header } = image;
  const storage = await FileStorage.open(parent, { lock: lock === false ? undefined : 'read' });
  try {
    const examination = await examine(storage);
    const { footer } = examination;
    const isRaw = checkOpenable(examination, image);
    const { uniqueId, timestamp } = footer ?? { uniqueId: header.parentUniqueId, timestamp: header.parentTimestamp };
    const isOther = formatUuid(uniqueId) !== formatUuid(header.parentUniqueId);
    if (isOther) checkMismatch(image, child, { examination, uniqueId, allow: allowUuidMismatch === true });
    const findings = await checkParent(child, image, { storage, examination, isRaw }, {});
    const ofFit = findings.flatMap((found) => {
      const item = { ...found, offset: undefined };
      if (item.rule === 'parent.size') return [`${parent}: ${describeFinding(item)}`];
      if (isOther || item.severity !== 'warning') return [];
      return [`${describeFinding(item)}; from now on the child knows its new one, and this is told no more`];
    });
    const contents = `${parent} has another identifier than the parent that ${child} was made with; contents were not \
compared: if they are not the same, the child reads wrong from now on`;
    return { uniqueId, timestamp, isOther, warnings: [...(isOther ? [contents] : []), ...ofFit] };
  } finally {
    await storage.close();
  }
}

/** True for a raw disk, which blktap takes for a parent too: of that there is nothing to be said. */
function checkOpenable({ footer, refusal, name }: Examination, { header }: RelinkImage): boolean {
  if (refusal === undefined) return false;
  if (footer !== undefined || refusal.code !== 'ERR_VHD_NOT_VHD') throw refusal;
  if (header.parentUniqueId.every((byte) => byte === 0)) return true;
  const { code, message, expected, found } = refusal;
  const remedy = 'name the VHD that the child was made of: vhd tree DIR shows which there are';
  throw new VhdError(code, message, { storage: name, expected, found, remedy });
}

interface Mismatch {
  readonly examination: Examination;
  readonly uniqueId: Uint8Array;
  readonly allow: boolean;
}

/** Refuses a parent that is another one than the child names, or takes it if it can be one. */
function checkMismatch(
  { header, virtualSize }: RelinkImage,
  child: string,
  { examination, uniqueId, allow }: Mismatch,
): void {
  const { name: storage, virtualSize: parentSize = 0 } = examination;
  const [expected, found] = [formatUuid(header.parentUniqueId), formatUuid(uniqueId)];
  if (!allow) {
    throw new VhdError(
      'ERR_VHD_PARENT_UUID',
      `it is not the parent that ${shellPath(child)} names: expected identifier ${expected}, found ${found}`,
      {
        ...{ storage, expected, found },
        remedy: 'find the right one with vhd tree DIR; --allow-uuid-mismatch takes this one, right or not',
      },
    );
  }
  // The end of a larger one is not to be seen through the child, as after a merge into it.
  if (parentSize >= virtualSize) return;
  throw new VhdError(
    'ERR_VHD_PARENT_SIZE',
    `it is smaller than its child: expected at least ${virtualSize} bytes of virtual size, found ${parentSize}`,
    {
      ...{ storage, expected: `at least ${virtualSize} bytes`, found: String(parentSize) },
      remedy: 'name a parent that is as large: vhd tree DIR shows the sizes',
    },
  );
}
