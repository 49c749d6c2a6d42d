import { metadataRanges } from '../disk/metadata-ranges.ts';
import type { SoundExamination } from '../disk/recognise.ts';
import type { DynamicHeader } from '../format/dynamic-header.ts';
import { encodeFooter, type Footer } from '../format/footer.ts';
import { type BlockLayout, blockLayout, entryCountFor } from '../format/layout.ts';
import type { Finding, RuleId } from '../format/rules.ts';
import { DISK_TYPE, FOOTER_BYTES } from '../format/spec.ts';
import { type CheckedBlocks, checkBlocks } from './check-blocks.ts';
import type { CheckedImage } from './check-image.ts';
import type { Draft } from './repair-draft.ts';

/** What may be given up so that an image becomes whole, and what is done only where it is asked for. */
export interface RepairPermits {
  /** Cut bytes that do not belong to the image, though they are not zero. */
  readonly cut: boolean;
  /** Set blocks aside whose place cannot be right: they read as zeros, or as the parent. */
  readonly dropBlocks: boolean;
  /** Put zeros where the file ends before the disk, or before one of its blocks, does. */
  readonly zeroFill: boolean;
  /** Mark every sector of every block as written. */
  readonly setBits: boolean;
  /** Find header and table again by the blocks. */
  readonly rebuildBat: boolean;
  /** Which of two footers is right that contradict each other. */
  readonly footer: 'start' | 'end' | undefined;
}

/** The options that permit a loss. */
export type LossOption = 'cut' | 'dropBlocks' | 'zeroFill';

/** The options that permit something, losses among it. */
export type PermitOption = Exclude<keyof RepairPermits, 'footer'>;

/** A stretch of the virtual disk that loses its bytes. */
export interface LostRange {
  /** First byte on the virtual disk. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  /** Where in the file its data is, or may be; null if that is nowhere in it. */
  readonly fileOffset: number | null;
}

/** Information that a mend gives up. */
export interface RepairLoss {
  /** The rule that is broken. */
  readonly rule: RuleId;
  /** The option that permits it. */
  readonly option: LossOption;
  /** Another one that has to permit it too; undefined if there is none. */
  readonly also?: LossOption | undefined;
  /** What is lost, one sentence. */
  readonly message: string;
  /** Stretches of the virtual disk that read differently from then on; empty if none do. */
  readonly ranges: readonly LostRange[];
}

/** What came of an attempt to mend a finding. */
export type MendOutcome =
  /** It is mended in the draft; `what` was done, one sentence, and `loss` was given up. */
  | { readonly kind: 'mended'; readonly what: string; readonly loss?: RepairLoss | undefined }
  /** It can be mended if something may be lost. */
  | { readonly kind: 'forbidden'; readonly loss: RepairLoss }
  /** It cannot be mended, or not as things are. */
  | LeftOutcome;

/** What is left as it is. */
export interface LeftOutcome {
  readonly kind: 'left';
  /** Why, one sentence. */
  readonly why: string;
  /** The option with which it is tried; undefined if none helps. */
  readonly option?: PermitOption | undefined;
}

/** What a mend works on. */
export interface MendContext {
  /** The image with what is mended so far. */
  readonly draft: Draft;
  /** What a check finds in the draft. */
  readonly image: CheckedImage;
  /** What may be done. */
  readonly permits: RepairPermits;
}

/** Mends one finding in the draft, or says why not. */
export type Mender = (context: MendContext, item: Finding) => Promise<MendOutcome>;

/** The outcome of a mend. */
export function mended(what: string, loss?: RepairLoss): MendOutcome {
  return { kind: 'mended', what, loss };
}

/** The outcome where nothing can be done, or not without an option. */
export function left(why: string, option?: PermitOption): MendOutcome {
  return { kind: 'left', why, option };
}

/** Does what gives something up if that is permitted. */
export async function losing(
  { permits }: MendContext,
  loss: RepairLoss,
  what: string,
  carryOut: () => Promise<void>,
): Promise<MendOutcome> {
  if (!permits[loss.option]) return { kind: 'forbidden', loss };
  await carryOut();
  return mended(what, loss);
}

/** Writes a footer to the places where the image has one: its end, and offset 0 unless it is fixed. */
export async function writeFooters({ draft, image }: MendContext, footer: Footer): Promise<void> {
  const bytes = encodeFooter(footer);
  const { endFooterOffset } = image.examination;
  if (endFooterOffset !== undefined) await draft.write(bytes, endFooterOffset);
  if (footer.diskType !== DISK_TYPE.fixed) await draft.write(bytes, 0);
}

/** Ends the file with a footer at `offset`. */
export async function endWith(draft: Draft, footer: Footer, offset: number): Promise<void> {
  await draft.write(encodeFooter(footer), offset);
  await draft.truncate(offset + FOOTER_BYTES);
}

/** A dynamic image whose header can be believed. */
export type BlockExamination = SoundExamination & { readonly header: DynamicHeader };

/** Its examination if an image has blocks and can be opened; undefined otherwise. */
export function blockExamination({ examination }: CheckedImage): BlockExamination | undefined {
  const { refusal, header, footer, type, virtualSize } = examination;
  const isKnown = footer !== undefined && type !== undefined && virtualSize !== undefined;
  if (refusal !== undefined || header === undefined || !isKnown) return undefined;
  return { ...examination, header, footer, type, virtualSize };
}

/** The blocks of an image, and where they end. */
export interface RepairBlocks extends CheckedBlocks {
  /** How they lie. */
  readonly layout: BlockLayout;
  /** Byte offset behind headers, table, names and every block that can be believed. */
  readonly usedEnd: number;
  /** Byte offset behind headers, table and names. */
  readonly metadataEnd: number;
}

/** Looks at the blocks of an image in the draft. */
export async function blocksOf(draft: Draft, examination: BlockExamination): Promise<RepairBlocks> {
  const { header, virtualSize, endFooterOffset } = examination;
  const blocks = await checkBlocks(draft, examination);
  const entryCount = entryCountFor(virtualSize, header.blockSize);
  const { end: metadataEnd } = await metadataRanges(draft, examination, header, entryCount);
  const { table } = blocks.context;
  // Windows decides the same way: by the blocks there are, by the place of the footer where there are none.
  const isEndAligned = endFooterOffset !== undefined && (endFooterOffset + FOOTER_BYTES) % 4096 === 0;
  const isAligned = table.allocatedCount > 0 ? blocks.placement.isAligned : isEndAligned;
  return {
    ...blocks,
    layout: blockLayout(header.blockSize, isAligned ? 'aligned' : 'packed'),
    usedEnd: Math.max(metadataEnd, blocks.placement.dataEnd),
    metadataEnd,
  };
}
