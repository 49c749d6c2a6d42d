// Looks at the bytes of an image on its own, with no code of the library: footer, table, where the blocks lie.

const SECTOR = 512;
const UNUSED = 0xffff_ffff;

/** A part of the file and what lies there. */
interface Part {
  readonly start: number;
  readonly end: number;
  readonly what: string;
}

/** True if the last 512 bytes are a footer. */
export function endsInFooter(image: Uint8Array): boolean {
  return isFooter(image, image.length - SECTOR);
}

/** What is wrong with the structure of an image that a crash left of one that was `before`; undefined if nothing is. */
export function structuralFault(image: Uint8Array, before = image): string | undefined {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const footerAt = [image.length - SECTOR, 0].find((offset) => isFooter(image, offset)) ?? lastFooter(image);
  if (footerAt === undefined) return 'no footer can be recovered';
  if (view.getUint32(footerAt + 60) === 2) return undefined;
  const headerAt = Number(view.getBigUint64(footerAt + 16));
  if (text(image, headerAt, 8) !== 'cxsparse') return `no dynamic header at ${headerAt}`;
  const fronts = [{ start: headerAt, end: headerAt + 1024, what: 'the header' }, ...locatorsOf(image, headerAt)];
  const changed = fronts.find(
    ({ start, end }) => Buffer.compare(image.subarray(start, end), before.subarray(start, end)) !== 0,
  );
  if (changed !== undefined) return `${changed.what} is another one`;
  const tableAt = Number(view.getBigUint64(headerAt + 16));
  const blockSize = view.getUint32(headerAt + 32);
  const size = Number(view.getBigUint64(footerAt + 48));
  const entryCount = Math.ceil(size / blockSize);
  if (view.getUint32(headerAt + 28) < entryCount) return 'the table is too short';
  if (tableAt + entryCount * 4 > image.length) return 'the table reaches past the end';
  const parts: Part[] = [
    { start: 0, end: SECTOR, what: 'the first footer' },
    { start: tableAt, end: tableAt + entryCount * 4, what: 'the table' },
    ...fronts,
  ];
  for (let index = 0; index < entryCount; index++) {
    const entry = view.getUint32(tableAt + index * 4);
    if (entry === UNUSED) continue;
    const part = blockPart(index, entry * SECTOR, blockSize);
    const missing = blockSize - Math.min(blockSize, size - index * blockSize);
    if (part.end - missing > image.length) return `${part.what} at ${part.start} reaches past the end, ${image.length}`;
    parts.push(part);
  }
  return overlapOf(parts);
}

function blockPart(index: number, start: number, blockSize: number): Part {
  const bitmapBytes = Math.ceil(blockSize / SECTOR / 8 / SECTOR) * SECTOR;
  return { start, end: start + bitmapBytes + blockSize, what: `block ${index}` };
}

/** The names of the parent; there are none in a dynamic image. */
function locatorsOf(image: Uint8Array, headerAt: number): Part[] {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const parts: Part[] = [];
  for (let index = 0; index < 8; index++) {
    const entryAt = headerAt + 576 + index * 24;
    if (view.getUint32(entryAt) === 0) continue;
    const start = Number(view.getBigUint64(entryAt + 16));
    parts.push({ start, end: start + view.getUint32(entryAt + 8), what: `locator ${index}` });
  }
  return parts;
}

function overlapOf(parts: readonly Part[]): string | undefined {
  const sorted = parts.toSorted((first, second) => first.start - second.start);
  for (const [index, part] of sorted.entries()) {
    const next = sorted[index + 1];
    if (next !== undefined && next.start < part.end) return `${part.what} and ${next.what} overlap at ${next.start}`;
  }
  return undefined;
}

/** A length that tore may leave the only footer that there is somewhere before the end. */
function lastFooter(image: Uint8Array): number | undefined {
  for (let offset = image.length - (image.length % SECTOR); offset >= 0; offset -= SECTOR) {
    if (isFooter(image, offset)) return offset;
  }
  return undefined;
}

function isFooter(image: Uint8Array, offset: number): boolean {
  if (offset < 0 || text(image, offset, 8) !== 'conectix') return false;
  let sum = 0;
  for (let at = 0; at < SECTOR; at++) if (at < 64 || at >= 68) sum += image[offset + at] ?? 0;
  const view = new DataView(image.buffer, image.byteOffset + offset, SECTOR);
  return view.getUint32(64) === ~sum >>> 0;
}

function text(image: Uint8Array, offset: number, length: number): string {
  return String.fromCharCode(...image.subarray(offset, offset + length));
}
