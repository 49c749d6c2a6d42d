import { realpath } from 'node:fs/promises';
import { type ImageIdentity, identityFields } from '../disk/create-storage.ts';
import { type Examination, examine } from '../disk/recognise.ts';
import { checkBooleans, checkOneOf, checkOptionNames, VhdError } from '../errors.ts';
import { encodeFooter, type Footer } from '../format/footer.ts';
import { type Geometry, geometryByteLength, geometryFor } from '../format/geometry.ts';
import { unixMilliseconds } from '../format/new-footer.ts';
import { remedyFor, shellPath } from '../format/shell.ts';
import { DISK_TYPE, FOOTER_BYTES, type VhdType } from '../format/spec.ts';
import { formatUuid } from '../format/uuid.ts';
import type { Journal } from '../open-journal.ts';
import { type FileOptions, openFile } from '../open-source.ts';
import type { ChangedImage } from './changed-image.ts';
import { refuseBreakingChildren } from './children.ts';
import { keepForUndo, performJournal } from './journal.ts';
import { finishBegun } from './journal-begun.ts';
import type { OpenImage } from './open-image.ts';
import { Draft } from './repair-draft.ts';

/** What an image is to say of itself. What is not given stays. */
export interface SetOptions extends FileOptions {
  /** Identifier: `new` for a random one, 16 bytes in file order, or the text that stands for them. */
  readonly uuid?: Uint8Array | string | undefined;
  /** Creator application, one to four ASCII characters. */
  readonly creator?: string | undefined;
  /** CHS geometry; `auto` for that of the specification for the size. */
  readonly geometry?: Geometry | 'auto' | undefined;
  /** Creation time, in whole seconds. */
  readonly timestamp?: Date | undefined;
  /** Give it another identifier though others beside it have it as their parent. Default false. */
  readonly allowBreakingChildren?: boolean | undefined;
  /** Write nothing, only tell what would be. Default false. */
  readonly dryRun?: boolean | undefined;
  /** The time for the journal. Default: now. */
  readonly now?: Date | undefined;
  /** Ends it before the first byte is written. */
  readonly signal?: AbortSignal | undefined;
}

/** A field of the footer that was set. */
export interface SetField {
  /** Which one. */
  readonly field: 'uuid' | 'creator' | 'geometry' | 'timestamp';
  /** What it said before. */
  readonly before: string;
  /** What it says now. */
  readonly after: string;
}

/** What an image says of itself now. */
export interface SetResult extends ChangedImage {
  /** Its type. */
  readonly type: VhdType;
  /** Its virtual size in bytes. */
  readonly virtualSize: number;
  /** True if something was written, or would be. */
  readonly changed: boolean;
  /** The fields that say something else now. */
  readonly fields: readonly SetField[];
  /** True if a set that was begun before was finished first. */
  readonly finishedJournal: boolean;
}

const IDENTITY = ['uuid', 'creator', 'geometry', 'timestamp'] as const;
const OPTIONS: readonly string[] = [
  ...IDENTITY,
  ...['allowBreakingChildren', 'dryRun', 'now', 'lock', 'onWarning', 'signal'],
];

/**
 * Sets what the footers of an image say of it: identifier, creator, geometry, time stamp. Both footers and their checksums go
 * through one journal, which is kept for `undo`. Without any of them, only a set is finished that was begun and not finished.
 * @throws VhdError `ERR_VHD_HAS_CHILDREN` if others beside it have it as their parent and it gets another identifier;
 *   `ERR_VHD_CORRUPT` if its footers have to be repaired first; `ERR_VHD_JOURNAL`, `ERR_VHD_IN_USE`, `ERR_VHD_UNSUPPORTED`
 * @throws TypeError, RangeError on a value that the field cannot hold
 */
export async function setIdentity(path: string, options: SetOptions): Promise<SetResult> {
  checkOptionNames('setIdentity', options, OPTIONS);
  checkBooleans(options, ['allowBreakingChildren', 'dryRun', 'lock']);
  if (typeof options.geometry === 'string') checkOneOf('geometry', options.geometry, ['auto']);
  const fieldsOf = fieldReader(options);
  const start = performance.now();
  const real = await realpath(path);
  const { lock, onWarning, dryRun } = options;
  const storage = await openFile(real, { lock, onWarning, writable: dryRun !== true });
  try {
    const image = { storage, path: real, shown: path };
    const begun = await finishBegun(image, 'set', { mayFinish: options.dryRun !== true, journal: 'kept' });
    const outcome = await setOpen(image, fieldsOf, options);
    return { ...outcome, seconds: (performance.now() - start) / 1000, finishedJournal: begun !== undefined };
  } finally {
    await storage.close();
  }
}

/** Checks the values before the file is touched; returns what makes of them the fields of an image. */
function fieldReader(options: SetOptions): (footer: Footer) => Partial<Footer> {
  const { uuid, creator, geometry, timestamp } = options;
  const identity: ImageIdentity = {
    ...{ creator, timestamp, uuid: uuid === 'new' ? undefined : uuid },
    geometry: geometry === 'auto' ? undefined : geometry,
  };
  const fields = identityFields(identity);
  return ({ currentSize }) => ({
    ...(uuid === undefined ? {} : { uniqueId: fields.uniqueId }),
    ...(fields.creatorApplication === undefined ? {} : { creatorApplication: fields.creatorApplication }),
    ...(geometry === undefined ? {} : { geometry: fields.geometry ?? geometryFor(currentSize) }),
    ...(timestamp === undefined ? {} : { timestamp: fields.timestamp }),
  });
}

async function setOpen(
  image: OpenImage,
  fieldsOf: (footer: Footer) => Partial<Footer>,
  options: SetOptions,
): Promise<Omit<SetResult, 'seconds' | 'finishedJournal'>> {
  const { storage, shown } = image;
  const examination = await examine(storage);
  const { footer, type, virtualSize, endOffset } = soundImage(examination, shown);
  const after = { ...footer, ...fieldsOf(footer) };
  const fields = differences(footer, after);
  const draft = await Draft.over(storage);
  if (fields.length > 0) {
    await draft.write(encodeFooter(after), endOffset);
    if (after.diskType !== DISK_TYPE.fixed) await draft.write(encodeFooter(after), 0);
  }
  const { writes, fileSizeAfter } = await draft.changes();
  const isOther = fields.some(({ field }) => field === 'uuid');
  if (isOther) {
    await refuseBreakingChildren(shown, { allow: options.allowBreakingChildren, signal: options.signal });
  }
  options.signal?.throwIfAborted();
  if (fields.length > 0 && options.dryRun !== true) {
    const [uuid, uuidAfter] = [formatUuid(footer.uniqueId), formatUuid(after.uniqueId)];
    const startedAt = (options.now ?? new Date()).toISOString();
    const journal: Journal = {
      ...{ verb: 'set', uuid, startedAt, fileSize: examination.fileSize, fileSizeAfter, writes, cut: [] },
      ...(isOther ? { uuidAfter } : {}),
    };
    await performJournal(image, journal, () => keepForUndo(image, journal));
  }
  return {
    ...{ path: shown, type, virtualSize, fileSize: fileSizeAfter, skippedBytes: 0 },
    copiedBytes: writes.reduce((sum, write) => sum + write.after.length, 0),
    ...{ warnings: warningsFor(shown, fields, after), changed: fields.length > 0, fields },
  };
}

interface SoundImage {
  readonly footer: Footer;
  readonly type: VhdType;
  readonly virtualSize: number;
  readonly endOffset: number;
}

/** An image whose footers are as they should be: setting a field would hide what is wrong with them. */
function soundImage(examination: Examination, shown: string): SoundImage {
  const { refusal, footer, type, virtualSize, endFooterOffset: endOffset, fileSize, findings } = examination;
  if (refusal !== undefined) throw refusal;
  if (findings.some(({ rule }) => rule === 'footer.poisoned')) {
    throw new VhdError('ERR_VHD_IN_USE', 'another program has it open, or crashed while it had', {
      ...{ storage: shown, rule: 'footer.poisoned', remedy: remedyFor('vhd repair FILE', shown) },
    });
  }
  const isWhole = endOffset !== undefined && fileSize - endOffset === FOOTER_BYTES;
  const isKnown = footer !== undefined && type !== undefined && virtualSize !== undefined;
  if (isKnown && isWhole && (type === 'fixed' || examination.isCopyCurrent)) {
    return { footer, type, virtualSize, endOffset };
  }
  throw new VhdError('ERR_VHD_CORRUPT', 'its footers are not as they should be, and have to be repaired first', {
    ...{ storage: shown, expected: 'a footer of 512 bytes at the end, and its copy', found: 'something else' },
    remedy: remedyFor('vhd repair FILE', shown),
  });
}

function differences(before: Footer, after: Footer): SetField[] {
  const [old, now] = [told(before), told(after)];
  return IDENTITY.flatMap((field) =>
    old[field] === now[field] ? [] : [{ field, before: old[field], after: now[field] }],
  );
}

function told({ uniqueId, creatorApplication, geometry, timestamp }: Footer): Record<SetField['field'], string> {
  const { cylinders, heads, sectorsPerTrack } = geometry;
  return {
    uuid: formatUuid(uniqueId),
    creator: creatorApplication,
    geometry: `${cylinders}/${heads}/${sectorsPerTrack}`,
    timestamp: new Date(unixMilliseconds(timestamp)).toISOString().replace('.000Z', 'Z'),
  };
}

function warningsFor(
  path: string,
  fields: readonly SetField[],
  { geometry, currentSize, savedState, uniqueId }: Footer,
): string[] {
  const warnings: string[] = [];
  const isSet = (field: SetField['field']): boolean => fields.some((item) => item.field === field);
  if (isSet('uuid') && uniqueId.every((byte) => byte === 0)) {
    warnings.push('an identifier of zeros tells it from no other image: --uuid new gives it one of its own');
  }
  if (isSet('uuid')) {
    const command = `vhd relink CHILD --parent ${shellPath(path)} --allow-uuid-mismatch`;
    warnings.push(`images that have it as their parent do not find it by its identifier any more: ${command}`);
  } else if (isSet('timestamp')) {
    warnings.push('images that have it as their parent know its old time stamp, and some programs refuse it then');
  }
  if (isSet('geometry') && geometryByteLength(geometry) > currentSize) {
    warnings.push('the geometry is larger than the disk: programs that go by it read past its end');
  }
  if (savedState !== 0 && fields.length > 0) {
    warnings.push('a virtual machine was saved with it, and may not take it as it is now');
  }
  return warnings;
}
