import { doubtAboutEnd, isRemainOf } from '../disk/undecided-end.ts';
import { isZeroBetween } from '../disk/zero-between.ts';
import { formatBytes } from '../format/byte-count.ts';
import { NO_OFFSET } from '../format/bytes.ts';
import { encodeFooter, type Footer } from '../format/footer.ts';
import { type BlockLayout, blockEnd, footerOffsetFor, nextBlockOffset } from '../format/layout.ts';
import type { Finding, RuleId } from '../format/rules.ts';
import { alignUp, DISK_TYPE, FOOTER_BYTES, SECTOR_BYTES } from '../format/spec.ts';
import { doubtAbout } from './identify-displaced-remedy.ts';
import {
  blockExamination,
  blocksOf,
  endWith,
  left,
  losing,
  type MendContext,
  type Mender,
  type MendOutcome,
  mended,
  type RepairBlocks,
  type RepairLoss,
} from './repair-context.ts';
import type { Draft } from './repair-draft.ts';

/** What mends the end of a file: a footer that is not there or not where it belongs, and bytes that do not belong there. */
export const END_MENDERS: Partial<Record<RuleId, Mender>> = {
  'footer.displaced': mendDisplaced,
  'footer.legacy': mendLegacy,
  'footer.end-missing': mendMissing,
  'file.unaligned': mendUnaligned,
  'file.leaked': mendLeaked,
  'fixed.long': mendLong,
  'fixed.short': mendShort,
};

/** Bytes appended to an image are cut off; what was cut off the footer is put back. */
async function mendDisplaced(context: MendContext, { offset }: Finding): Promise<MendOutcome> {
  const { draft, image } = context;
  const { footer } = image.examination;
  const byteLength = await draft.size();
  if (offset === undefined || footer === undefined) return left('the footer that was found does not fit the file');
  const end = offset + FOOTER_BYTES;
  if (end >= byteLength) {
    await endWith(draft, footer, offset);
    return mended(`the last ${formatBytes(end - byteLength)} of the footer are put back`);
  }
  const length = byteLength - end;
  const doubt = await doubtAbout(
    { size: byteLength, read: (target, at) => draft.read(target, at) },
    offset,
    draft.name,
  );
  if (doubt === undefined) {
    await draft.truncate(end);
    return mended(`${formatBytes(length)} behind the footer are cut off: they are nothing`);
  }
  const message = `${formatBytes(length)} behind the footer, from offset ${end} on, are cut off; ${doubt}`;
  const loss = { rule: 'footer.displaced', option: 'cut', message, ranges: [] } as const;
  return losing(context, loss, `${formatBytes(length)} behind the footer are cut off`, () => draft.truncate(end));
}

/** One byte more: it counts as zero. */
async function mendLegacy({ draft, image }: MendContext): Promise<MendOutcome> {
  const { footer, endFooterOffset } = image.examination;
  if (footer === undefined || endFooterOffset === undefined) return left('the footer is not at the end');
  await endWith(draft, footer, endFooterOffset);
  return mended('the footer has 512 bytes');
}

const UNDECIDED = 'which footer is right has to be decided first';

async function mendMissing(context: MendContext): Promise<MendOutcome> {
  const { image, permits } = context;
  const { footer } = image.examination;
  if (footer === undefined) return left('there is no footer that can be believed');
  if (image.examination.refusal?.code === 'ERR_VHD_FOOTERS_DISAGREE') return left(UNDECIDED);
  const doubt = permits.footer === 'start' ? undefined : await doubtAboutCopy(context);
  return doubt === undefined ? writeEnd(context, footer) : left(`${doubt}: --footer start if it is right`);
}

/**
 * Why the copy at offset 0 may not be the footer of this file: a fixed disk may have lost its end, and hold an image at its
 * start. Undefined if nothing speaks for that.
 */
async function doubtAboutCopy({ draft, image }: MendContext): Promise<string | undefined> {
  const before = 'the footer at offset 0 may be data of another disk';
  const examination = blockExamination(image);
  if (examination === undefined) return undefined;
  const blocks = await blocksOf(draft, examination);
  // Of a file that was cut what is behind the last whole block is a part of the next.
  if (blocks.placement.bad.found.has('bat.out-of-file')) return undefined;
  const doubt = await doubtAboutEnd(draft, examination, blocks);
  if (doubt === 'data-behind') {
    return `${before}, whose other data are those bytes behind the blocks that nothing refers to`;
  }
  return doubt && `${before}, for where the footer belongs is something else, which would be overwritten`;
}

/**
 * Writes a footer where the image ends, in the place of what is left of one, and copies it to offset 0: behind everything that
 * belongs to the image, so that nothing is overwritten that could be data.
 */
export async function writeEnd(context: MendContext, footer: Footer): Promise<MendOutcome> {
  const { draft, image } = context;
  const { endFooterOffset } = image.examination;
  if (endFooterOffset !== undefined) {
    await endWith(draft, footer, endFooterOffset);
    if (footer.diskType !== DISK_TYPE.fixed) await draft.write(encodeFooter(footer), 0);
    return mended('both footers are those of the one at the end');
  }
  const examination = blockExamination(image);
  if (examination === undefined) return left('header and table have to be mended first');
  const blocks = await blocksOf(draft, examination);
  if (blocks.placement.bad.found.has('bat.out-of-file')) {
    return left('blocks reach past the end of the file: a footer there would keep it from being completed');
  }
  const offset = await endOffset(context, footer, blocks);
  await endWith(draft, footer, offset);
  await draft.write(encodeFooter(footer), 0);
  return mended(`the footer at the end, at offset ${offset}, is written from the copy at offset 0`);
}

/** Where the footer goes: over the remains of one, and else behind every byte that is not zero. */
async function endOffset({ draft }: MendContext, footer: Footer, { layout, usedEnd }: RepairBlocks): Promise<number> {
  const byteLength = await draft.size();
  const usual = footerOffsetFor(layout, usedEnd);
  const last = byteLength - FOOTER_BYTES;
  if (last === usual) return usual;
  if (last >= usedEnd && last % SECTOR_BYTES === 0 && (await isRemainOf(draft, last, footer))) return last;
  if (byteLength <= usual || (byteLength - usual <= FOOTER_BYTES && (await isZeroBetween(draft, usual, byteLength)))) {
    return usual;
  }
  return alignUp(byteLength, SECTOR_BYTES);
}

/** A file of whole sectors: the footer moves up to the next one. */
async function mendUnaligned({ draft, image }: MendContext): Promise<MendOutcome> {
  const { footer, endFooterOffset, type } = image.examination;
  if (image.examination.refusal?.code === 'ERR_VHD_FOOTERS_DISAGREE') return left(UNDECIDED);
  if (footer === undefined || endFooterOffset === undefined) {
    return left('the footer at the end has to be mended first');
  }
  if (type === 'fixed') return left('the disk has another length than the file: that has to be mended first');
  const offset = alignUp(endFooterOffset, SECTOR_BYTES);
  await draft.write(new Uint8Array(offset - endFooterOffset), endFooterOffset);
  await endWith(draft, footer, offset);
  return mended(`the footer is at offset ${offset}, a multiple of 512`);
}

/** Space behind the last block goes; what lies between blocks stays, because blocks would have to move. */
async function mendLeaked(context: MendContext): Promise<MendOutcome> {
  const { draft, image } = context;
  const examination = blockExamination(image);
  const footerOffset = examination?.endFooterOffset;
  if (examination === undefined || footerOffset === undefined) return left('header and footer have to be mended first');
  const { placement, layout, usedEnd } = await blocksOf(draft, examination);
  if (!placement.bad.isEmpty) return left('perhaps a block lies there whose place the table does not tell rightly');
  if (image.findings.some(({ rule }) => rule === 'bat.long')) {
    return left('perhaps the entries behind the end of the disk refer to it: they have to be mended first');
  }
  const target = footerOffsetFor(layout, usedEnd);
  if (target >= footerOffset) return left('the space lies between blocks: vhd compact moves them together');
  const what = `${formatBytes(footerOffset - target)} behind the last block are given back`;
  const cut = (): Promise<void> => endWith(draft, examination.footer, target);
  if (await isZeroBetween(draft, usedEnd, footerOffset)) {
    await cut();
    return mended(`${what}: they are zero`);
  }
  const message = `${formatBytes(footerOffset - target)} behind the last block, from offset ${target} on, are cut off: nothing refers to them, but they are not all zero`;
  const loss = { rule: 'file.leaked', option: 'cut', message, ranges: [] } as const;
  const lost = await countBlocksAt(draft, layout, usedEnd, footerOffset);
  if (lost === 0) return losing(context, loss, what, cut);
  const like = `${message}; ${lost} stretches look like blocks that the table has lost`;
  const ofBlocks = { ...loss, message: `${like}: that takes --cut and --drop-blocks` } as const;
  if (!context.permits.cut) return { kind: 'forbidden', loss: { ...ofBlocks, also: 'dropBlocks' } };
  return losing(context, { ...ofBlocks, option: 'dropBlocks' }, what, cut);
}

/** How many stretches with the size of a block stand one behind the other, each with some bits set in its bitmap, and data. */
async function countBlocksAt(draft: Draft, layout: BlockLayout, from: number, end: number): Promise<number> {
  let count = 0;
  let offset = nextBlockOffset(layout, from);
  while (blockEnd(layout, offset) <= end) {
    const data = offset + layout.bitmapBytes;
    if (!(await isZeroBetween(draft, offset, data)) && !(await isZeroBetween(draft, data, data + layout.blockSize))) {
      count++;
    }
    offset = nextBlockOffset(layout, blockEnd(layout, offset));
  }
  return count;
}

/** Of a fixed disk that is longer than its size says, the end goes. */
async function mendLong(context: MendContext): Promise<MendOutcome> {
  const { draft, image } = context;
  const { footer, endFooterOffset, virtualSize } = image.examination;
  if (footer === undefined || endFooterOffset === undefined || virtualSize === undefined) return left('no footer');
  const length = endFooterOffset - virtualSize;
  const what = `${formatBytes(length)} between the disk and its footer are cut off`;
  const cut = (): Promise<void> => endWith(draft, footer, virtualSize);
  if (await isZeroBetween(draft, virtualSize, endFooterOffset)) {
    await cut();
    return mended(`${what}: they are zero`);
  }
  const message = `${formatBytes(length)} behind the end of the disk, from offset ${virtualSize} on, are cut off; if they belong to the disk its size is wrong`;
  return losing(context, { rule: 'fixed.long', option: 'cut', message, ranges: [] }, what, cut);
}

/** Zeros where the data of a fixed disk ends too early. */
async function mendShort(context: MendContext): Promise<MendOutcome> {
  const { draft, image } = context;
  const { footer, endFooterOffset, virtualSize } = image.examination;
  const isKnown = footer !== undefined && endFooterOffset !== undefined && virtualSize !== undefined;
  if (!isKnown || footer.dataOffset !== NO_OFFSET) return left('type and size of the disk do not fit each other');
  const length = virtualSize - endFooterOffset;
  if (length > endFooterOffset) {
    return left('more is missing than there is: perhaps the size is wrong, or the wrong file');
  }
  const loss: RepairLoss = {
    rule: 'fixed.short',
    option: 'zeroFill',
    message: `the last ${formatBytes(length)} of the disk, which are not in the file, are zeros; if bytes are missing elsewhere, all behind them is in the wrong place`,
    ranges: [{ start: endFooterOffset, length, fileOffset: null }],
  };
  return losing(context, loss, `the last ${formatBytes(length)} of the disk are zeros`, async () => {
    await draft.write(new Uint8Array(FOOTER_BYTES), endFooterOffset);
    await endWith(draft, footer, virtualSize);
  });
}
