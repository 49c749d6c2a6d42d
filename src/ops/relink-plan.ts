import { viewOf } from '../format/bytes.ts';
import { checksumOf } from '../format/checksum.ts';
import { encodeFooter } from '../format/footer.ts';
import { encodeParentLocator, LOCATOR_BYTES, LOCATOR_COUNT, NO_PLATFORM } from '../format/parent-locator.ts';
import { encodeParentName, type ParentReference } from '../format/parent-reference.ts';
import { DYNAMIC_HEADER_BYTES, FOOTER_BYTES } from '../format/spec.ts';
import type { JournalWrite } from '../open-journal.ts';
import type { PlacedBytes } from '../storage/storage.ts';
import { type LocatorImage, type PlacedLocator, placeLocators } from './locator-room.ts';

/** What is to be written to a child so that it names its parent rightly. */
export interface RelinkPlan {
  /** Bytes of the file afterwards. */
  readonly fileSizeAfter: number;
  /** Every byte that changes, in file order; empty if nothing does. */
  readonly writes: readonly JournalWrite[];
}

/** Where what stands in the dynamic header (specification, "Dynamic Disk Header Format"). */
const HEADER_OFFSETS = {
  checksum: 36,
  parentUniqueId: 40,
  parentTimestamp: 56,
  parentName: 64,
  locators: 576,
} as const;

/** An image that is to name its parent anew. */
export interface RelinkImage extends LocatorImage {
  /** True if the copy of the footer at offset 0 is as it should be. */
  readonly isCopyCurrent: boolean;
}

/**
 * Finds out what has to be written, and writes nothing: names, identifier and time stamp of the parent, the locators'
 * entries, checksum, and a footer that had to move. All else in the file stays as it is, byte for byte.
 */
export async function planRelink(image: RelinkImage, reference: ParentReference): Promise<RelinkPlan> {
  const { footer, fileSize, endFooterOffset, isCopyCurrent } = image;
  if (await isRight(image, reference)) return { fileSizeAfter: fileSize, writes: [] };
  const { locators, freed, footerOffset } = await placeLocators(image, reference.locators);
  const header = await headerFor(image, reference, locators);
  const pieces: PlacedBytes[] = [
    { position: footer.dataOffset, bytes: header },
    ...freed.map(({ start, end }) => ({ position: start, bytes: new Uint8Array(end - start) })),
  ];
  const tail = footerOffset === undefined ? undefined : { start: endFooterOffset ?? fileSize, footerOffset };
  for (const locator of locators) {
    if (tail === undefined || locator.offset < tail.start) pieces.push(nameOf(locator));
  }
  if (tail !== undefined) {
    pieces.push(tailOf(image, locators, tail));
    if (!isCopyCurrent) pieces.push({ position: 0, bytes: encodeFooter(footer) });
  }
  const fileSizeAfter = footerOffset === undefined ? fileSize : footerOffset + FOOTER_BYTES;
  return { fileSizeAfter, writes: await writesFor(image, pieces) };
}

/** A name, and zeros over what a longer one left. */
function nameOf({ offset, bytes, oldByteLength }: PlacedLocator): PlacedBytes {
  const padded = new Uint8Array(Math.max(bytes.length, oldByteLength));
  padded.set(bytes);
  return { position: offset, bytes: padded };
}

/** Everything from where the footer was on: names, and the footer behind them. */
function tailOf(
  { footer }: RelinkImage,
  locators: readonly PlacedLocator[],
  { start, footerOffset }: { readonly start: number; readonly footerOffset: number },
): PlacedBytes {
  const bytes = new Uint8Array(footerOffset + FOOTER_BYTES - start);
  for (const locator of locators) if (locator.offset >= start) bytes.set(locator.bytes, locator.offset - start);
  bytes.set(encodeFooter(footer), footerOffset - start);
  return { position: start, bytes };
}

async function headerFor(
  { storage, footer }: RelinkImage,
  { uniqueId, timestamp, name }: ParentReference,
  locators: readonly PlacedLocator[],
): Promise<Uint8Array> {
  const bytes = new Uint8Array(DYNAMIC_HEADER_BYTES);
  await storage.read(bytes, footer.dataOffset);
  const view = viewOf(bytes);
  bytes.set(uniqueId, HEADER_OFFSETS.parentUniqueId);
  view.setUint32(HEADER_OFFSETS.parentTimestamp, timestamp);
  bytes.set(encodeParentName(name), HEADER_OFFSETS.parentName);
  for (let index = 0; index < LOCATOR_COUNT; index++) {
    const { platformCode, bytes: named, offset, spaceBytes } = locators[index] ?? UNUSED;
    const entry = { platformCode, dataSpace: spaceBytes, dataByteLength: named.length, dataOffset: offset };
    bytes.set(encodeParentLocator(entry), HEADER_OFFSETS.locators + index * LOCATOR_BYTES);
  }
  view.setUint32(HEADER_OFFSETS.checksum, checksumOf(bytes, HEADER_OFFSETS.checksum));
  return bytes;
}

const UNUSED: PlacedLocator = {
  ...{ platformCode: NO_PLATFORM, bytes: new Uint8Array(0), offset: 0, spaceBytes: 0, oldByteLength: 0 },
};

/** True if the image says all of this already. */
async function isRight({ storage, header, fileSize }: RelinkImage, reference: ParentReference): Promise<boolean> {
  const { uniqueId, timestamp, name, locators } = reference;
  const used = header.parentLocators.filter(({ platformCode }) => platformCode !== NO_PLATFORM);
  const isSame =
    isEqual(header.parentUniqueId, uniqueId) &&
    header.parentTimestamp === timestamp &&
    isEqual(header.parentNameBytes, encodeParentName(name)) &&
    used.length === locators.length;
  if (!isSame) return false;
  for (const [index, { platformCode, dataByteLength, dataOffset }] of used.entries()) {
    const wanted = locators[index];
    const fits = platformCode === wanted?.platformCode && dataByteLength === wanted.bytes.length;
    if (!fits || dataOffset < 0 || dataOffset + dataByteLength > fileSize) return false;
    const bytes = new Uint8Array(dataByteLength);
    await storage.read(bytes, dataOffset);
    if (!isEqual(bytes, wanted.bytes)) return false;
  }
  return true;
}

function isEqual(first: Uint8Array, second: Uint8Array): boolean {
  return first.length === second.length && first.every((byte, index) => byte === second[index]);
}

/** What changes with what stood there before, in file order. */
async function writesFor({ storage, fileSize }: RelinkImage, pieces: readonly PlacedBytes[]): Promise<JournalWrite[]> {
  const writes: JournalWrite[] = [];
  for (const { position: offset, bytes: after } of [...pieces].sort((a, b) => a.position - b.position)) {
    const before = new Uint8Array(Math.max(0, Math.min(after.length, fileSize - offset)));
    if (before.length > 0) await storage.read(before, offset);
    if (after.length > 0 && !isEqual(before, after)) writes.push({ offset, before, after });
  }
  return writes;
}
