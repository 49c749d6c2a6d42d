import { contradictionOf } from '../disk/footer-choice.ts';
import { findBlocks } from '../disk/open-blocks.ts';
import { examine } from '../disk/recognise.ts';
import { viewOf } from '../format/bytes.ts';
import type { Footer } from '../format/footer.ts';
import { NO_PLATFORM } from '../format/parent-locator.ts';
import { warningsOf } from '../format/rules.ts';
import { DISK_TYPE, FOOTER_BYTES, SECTOR_BYTES, vhdTypeOf } from '../format/spec.ts';
import { type DisplacedFooter, findDisplacedFooter, readDisplacedFooter } from '../inspect/displaced-footer.ts';
import { hasGptSignature } from '../inspect/gpt-header.ts';
import { borrowed } from '../storage/borrowed.ts';
import { PaddedStorage } from '../storage/padded.ts';
import type { Verdict } from './identification.ts';
import { displacedRemedy, displacedText } from './identify-displaced-remedy.ts';
import { type Subject, soundHeader, vhdVerdict } from './identify-vhd.ts';
import { lookInside } from './look-inside.ts';

/**
 * A VHD whose footer is not at the end of the file: bytes were appended, or the last ones cut. Undefined if no footer
 * that belongs to this file is found.
 * @param copy the valid copy of the footer at offset 0, where there is one: then it must be of the same image
 */
export async function identifyDisplaced(subject: Subject, copy?: Footer): Promise<Verdict | undefined> {
  const { file, ends, searchBytes } = subject;
  const accepts = (footer: Footer): boolean => belongs(footer, ends.head, copy);
  const found =
    (await findDisplacedFooter(file, searchBytes, accepts)) ?? (await footerBehindGpt(subject, copy === undefined));
  return found === undefined ? undefined : displacedVerdict(subject, found);
}

/** Dynamic images have a header in front, and a copy of the footer that is of the same image, unless it is lost. */
function belongs(footer: Footer, head: Uint8Array, copy: Footer | undefined): boolean {
  if (copy !== undefined) return contradictionOf(footer, copy) === undefined;
  return footer.diskType === DISK_TYPE.fixed || soundHeader(head, footer.dataOffset) !== undefined;
}

/** A GPT tells where the last sector of its disk is (UEFI, "GPT header", AlternateLBA): a fixed footer follows it. */
async function footerBehindGpt({ file, ends }: Subject, isWanted: boolean): Promise<DisplacedFooter | undefined> {
  if (!isWanted || !hasGptSignature(ends.head.subarray(SECTOR_BYTES))) return undefined;
  const lastSector = viewOf(ends.head).getBigUint64(SECTOR_BYTES + 32, true);
  if (lastSector >= BigInt(Math.floor(file.size / SECTOR_BYTES))) return undefined;
  const found = await readDisplacedFooter(file, (Number(lastSector) + 1) * SECTOR_BYTES);
  return found?.footer.diskType === DISK_TYPE.fixed ? found : undefined;
}

async function displacedVerdict(subject: Subject, found: DisplacedFooter): Promise<Verdict | undefined> {
  const { storage, file, ends } = subject;
  const { footer, offset, excessBytes } = found;
  const type = vhdTypeOf(footer.diskType);
  // At the end after all, which the search for a displaced one has no business with; or the copy at the start.
  if (type === undefined || excessBytes === 0 || offset === 0) return undefined;
  const told = {
    ...vhdVerdict(type, footer, soundHeader(ends.head, footer.dataOffset)),
    ...({ kind: 'vhd-displaced-footer', footerOffset: offset, excessBytes } as const),
  };
  if (type === 'differencing') {
    if (await goesOnBehind(subject, found)) return undefined;
    // What it needs is in its parent, and could not be looked at.
    return { ...told, contents: null, problems: [displacedText(found)], remedy: null };
  }
  const inside = await lookInside(storage, offset + FOOTER_BYTES);
  // A block behind the footer: it is an older footer that was left in the middle of the image.
  if (type === 'dynamic' && (!inside.isOpened || inside.findings.some((item) => item.severity === 'error'))) {
    return undefined;
  }
  const { problem, remedy } = await displacedRemedy(file, found, storage.name);
  const problems = [problem, ...warningsOf(inside.findings), ...inside.problems];
  return { ...told, contents: inside.contents, problems, remedy };
}

/**
 * Whether a child has blocks or names of its parent behind a footer, or a table that does not tell: then that is, or may be,
 * an older one that was left in the middle of it. Header and table tell it without the parent.
 */
async function goesOnBehind({ storage, file }: Subject, { footer, offset }: DisplacedFooter): Promise<boolean> {
  const end = offset + FOOTER_BYTES;
  const image = new PaddedStorage(borrowed(storage), Math.min(file.size, end), end);
  const examination = await examine(image);
  const { refusal, header } = examination;
  if (refusal !== undefined || header === undefined) return true;
  const sound = { ...examination, footer, type: 'differencing', virtualSize: footer.currentSize } as const;
  const { placement } = await findBlocks(image, sound);
  if (placement.bad.found.has('bat.out-of-file')) return true;
  return header.parentLocators.some(
    ({ platformCode, dataOffset, dataByteLength }) =>
      platformCode !== NO_PLATFORM && dataOffset < file.size && dataOffset + dataByteLength > offset,
  );
}
