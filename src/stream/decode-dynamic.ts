import type { BitmapPolicy } from '../disk/bitmap-rule.ts';
import { contradictionOf } from '../disk/footer-choice.ts';
import { refusalOf } from '../disk/recognise.ts';
import { VhdError } from '../errors.ts';
import { bitmapByteLength, decodeBitmap } from '../format/bitmap.ts';
import { type Decoded, NO_OFFSET, viewOf } from '../format/bytes.ts';
import { type DynamicHeader, decodeDynamicHeader } from '../format/dynamic-header.ts';
import { decodeFooter, type Footer, isFooter } from '../format/footer.ts';
import { entryCountFor } from '../format/layout.ts';
import {
  BAT_ENTRY_BYTES,
  DYNAMIC_HEADER_BYTES,
  FOOTER_BYTES,
  LEGACY_FOOTER_BYTES,
  MAX_BAT_BYTES,
  SECTOR_BYTES,
  UNUSED_BAT_ENTRY,
} from '../format/spec.ts';
import { isAllZeros } from '../format/zeros.ts';
import { type ByteReader, join } from './byte-reader.ts';
import type { DecodedEnd, DecodedExtent, DecodedVhd, DecodeOptions } from './decode.ts';
import { onceOnly } from './once.ts';

const CHUNK_BYTES = 512 * 1024;
const TABLE_PIECE_ENTRIES = 16 * 1024;

/** The blocks as the table announces them. */
interface ComingBlocks {
  /** Sector of each block. */
  readonly entries: Uint32Array;
  /** The allocated blocks in the order they come; undefined if that is the order of the table. */
  readonly order: Uint32Array | undefined;
  /** True if that is the order of the disk. */
  readonly isAscending: boolean;
}

/** One of them. */
interface ComingBlock {
  readonly blockIndex: number;
  /** Offset of its bitmap in the stream. */
  readonly offset: number;
}

/** A dynamic image: its front is read here, its blocks as the caller takes them. */
export async function decodeDynamic(reader: ByteReader, footer: Footer, options: DecodeOptions): Promise<DecodedVhd> {
  const size = footer.currentSize;
  const header = await readHeader(reader, footer);
  const blocks = await readTable(reader, header, size);
  const { isAscending } = blocks;
  const policy = options.bitmap ?? (footer.creatorApplication.startsWith('tap') ? 'honour' : 'strict');
  let end: DecodedEnd | undefined;
  async function* extents(): AsyncGenerator<DecodedExtent> {
    try {
      for (const block of blocksInOrder(blocks)) {
        yield* readBlock(reader, block, { blockSize: header.blockSize, size, policy });
      }
      await checkTail(reader, footer);
      end = { type: 'dynamic', size, footer };
    } finally {
      await reader.cancel();
    }
  }
  async function* raw(): AsyncGenerator<Uint8Array> {
    if (!isAscending) throw orderError('its blocks do not come in the order of the disk', reader.position);
    let position = 0;
    for await (const { start, bytes } of extents()) {
      yield* zeros(start - position);
      yield bytes;
      position = start + bytes.length;
    }
    yield* zeros(size - position);
  }
  const once = onceOnly('a decoded stream');
  return { type: 'dynamic', size, isAscending, extents: once(extents), raw: once(raw), end: () => end };
}

function orderError(why: string, offset: number): VhdError {
  return new VhdError('ERR_VHD_STREAM', `this VHD cannot be read from a stream: ${why}`, {
    offset,
    remedy: 'write it to a file instead, and open that',
  });
}

async function readHeader(reader: ByteReader, footer: Footer): Promise<DynamicHeader> {
  const offset = footer.dataOffset;
  if (offset < FOOTER_BYTES || offset === NO_OFFSET) {
    throw new VhdError(
      'ERR_VHD_CORRUPT',
      `the footer does not point to a dynamic header: expected an offset from 512 on, found ${offset}`,
      { offset: 16 },
    );
  }
  await skipTo(reader, offset);
  const decoded = decodeDynamicHeader(await takeAll(reader, DYNAMIC_HEADER_BYTES), offset);
  const refusal = refusalOf('-', decoded.findings);
  if (refusal !== undefined) throw refusal;
  return decoded.value;
}

async function readTable(reader: ByteReader, header: DynamicHeader, size: number): Promise<ComingBlocks> {
  const entryCount = entryCountFor(size, header.blockSize);
  const byteLength = entryCount * BAT_ENTRY_BYTES;
  if (entryCount > header.maxTableEntries) {
    const expected = `at least ${entryCount} entries`;
    throw new VhdError(
      'ERR_VHD_CORRUPT',
      `the block allocation table is too short: expected ${expected}, found ${header.maxTableEntries}`,
      { rule: 'bat.short' },
    );
  }
  if (byteLength > MAX_BAT_BYTES) {
    throw new VhdError(
      'ERR_VHD_LIMIT',
      `the block allocation table is too large: expected at most ${MAX_BAT_BYTES} bytes, found ${byteLength}`,
      { rule: 'bat.limit' },
    );
  }
  if (header.tableOffset < reader.position) throw orderError('its table stands before its header', header.tableOffset);
  await skipTo(reader, header.tableOffset);
  return inFileOrder(await takeTable(reader, entryCount));
}

/** Takes the table by the piece: of 32 MiB one copy is enough. */
async function takeTable(reader: ByteReader, entryCount: number): Promise<Uint32Array> {
  const entries = new Uint32Array(entryCount);
  for (let first = 0; first < entryCount; first += TABLE_PIECE_ENTRIES) {
    const count = Math.min(TABLE_PIECE_ENTRIES, entryCount - first);
    const view = viewOf(await takeAll(reader, count * BAT_ENTRY_BYTES));
    for (let index = 0; index < count; index++) entries[first + index] = view.getUint32(index * BAT_ENTRY_BYTES);
  }
  return entries;
}

/** The allocated blocks as they will come; listed only where that is not the order of the table. */
function inFileOrder(entries: Uint32Array): ComingBlocks {
  let last = -1;
  let count = 0;
  let isAscending = true;
  for (const sector of entries) {
    if (sector === UNUSED_BAT_ENTRY) continue;
    count++;
    if (sector <= last) isAscending = false;
    last = sector;
  }
  if (isAscending) return { entries, order: undefined, isAscending };
  const order = new Uint32Array(count);
  let filled = 0;
  for (let blockIndex = 0; blockIndex < entries.length; blockIndex++) {
    if (entries[blockIndex] !== UNUSED_BAT_ENTRY) order[filled++] = blockIndex;
  }
  return { entries, order: order.sort((first, second) => (entries[first] ?? 0) - (entries[second] ?? 0)), isAscending };
}

function* blocksInOrder({ entries, order }: ComingBlocks): Generator<ComingBlock> {
  const count = order?.length ?? entries.length;
  for (let index = 0; index < count; index++) {
    const blockIndex = order?.[index] ?? index;
    const sector = entries[blockIndex] ?? UNUSED_BAT_ENTRY;
    if (sector !== UNUSED_BAT_ENTRY) yield { blockIndex, offset: sector * SECTOR_BYTES };
  }
}

interface BlockContext {
  readonly blockSize: number;
  readonly size: number;
  readonly policy: BitmapPolicy;
}

async function* readBlock(
  reader: ByteReader,
  block: ComingBlock,
  context: BlockContext,
): AsyncGenerator<DecodedExtent> {
  const { blockSize, size } = context;
  if (block.offset < reader.position) {
    const found = `block ${block.blockIndex} at ${block.offset}`;
    throw new VhdError(
      'ERR_VHD_CORRUPT',
      `a block lies over headers, table or another block: expected offset ${reader.position} or more, found ${found}`,
      {
        offset: block.offset,
        rule: 'bat.overlap',
      },
    );
  }
  await skipTo(reader, block.offset);
  const bitmap = await takeAll(reader, bitmapByteLength(blockSize));
  const blockStart = block.blockIndex * blockSize;
  const needed = Math.min(blockSize, size - blockStart);
  for (let done = 0; done < needed; done += CHUNK_BYTES) {
    const bytes = await takeAll(reader, Math.min(CHUNK_BYTES, needed - done));
    yield* setRuns({ blockStart, done, bytes, bitmap }, context.policy);
  }
}

interface BlockBytes {
  readonly blockStart: number;
  readonly done: number;
  readonly bytes: Uint8Array;
  readonly bitmap: Uint8Array;
}

/** The parts of a chunk whose bits are set; the others must be zero, or are taken for it. */
function* setRuns(chunk: BlockBytes, policy: BitmapPolicy): Generator<DecodedExtent> {
  const { blockStart, done, bytes, bitmap } = chunk;
  if (policy === 'ignore') {
    yield { start: blockStart + done, bytes };
    return;
  }
  for (const run of decodeBitmap(bitmap, Math.ceil(bytes.length / SECTOR_BYTES), done / SECTOR_BYTES)) {
    const from = run.sector * SECTOR_BYTES - done;
    const part = bytes.subarray(from, from + run.sectorCount * SECTOR_BYTES);
    if (run.isSet) yield { start: blockStart + done + from, bytes: part };
    else if (policy === 'strict' && !isAllZeros(part)) {
      const found = `other bytes in sectors ${run.sector} to ${run.sector + run.sectorCount} of the block at byte ${blockStart} of the disk`;
      throw new VhdError(
        'ERR_VHD_BITMAP',
        `sectors marked as never written hold bytes: expected zeros, found ${found}`,
        {
          offset: blockStart + done + from,
          rule: 'bitmap.data-under-clear-bit',
          remedy: 'say which is right: --bitmap honour reads zeros there, --bitmap ignore reads the bytes',
        },
      );
    }
  }
}

function isSameImage(end: Footer, start: Footer): boolean {
  return contradictionOf(end, start) === undefined && end.currentSize === start.currentSize;
}

/** The stream must end with the footer it began with: that is how a cut one is told from a whole one. */
async function checkTail(reader: ByteReader, footer: Footer): Promise<void> {
  let held: Uint8Array = new Uint8Array(0);
  for (;;) {
    const chunk = await reader.next(CHUNK_BYTES);
    if (chunk === undefined) break;
    held = join([held, chunk]).slice(-FOOTER_BYTES);
  }
  for (const byteLength of [FOOTER_BYTES, LEGACY_FOOTER_BYTES]) {
    if (held.length < byteLength) continue;
    const decoded = decodeFooter(held.subarray(held.length - byteLength));
    if (decoded.findings.some((item) => item.rule === 'footer.poisoned')) {
      throw inUseError(decoded, reader.position - byteLength);
    }
    if (!isFooter(decoded)) continue;
    const refusal = refusalOf('-', decoded.findings);
    if (refusal !== undefined) throw refusal;
    if (isSameImage(decoded.value, footer)) return;
    throw new VhdError('ERR_VHD_FOOTERS_DISAGREE', 'the footers at both ends of the stream describe different images', {
      offset: reader.position - byteLength,
    });
  }
  throw new VhdError(
    'ERR_VHD_TRUNCATED',
    `the stream ends without a footer: expected one in its last 512 bytes, found other bytes before offset ${reader.position}`,
    {
      offset: reader.position,
      expected: 'a footer',
      found: 'other bytes',
    },
  );
}

function inUseError(decoded: Decoded<Footer>, offset: number): VhdError {
  const [found] = decoded.findings;
  return new VhdError('ERR_VHD_IN_USE', `the stream ends in an overwritten footer: ${found?.message ?? ''}`, {
    offset,
    rule: found?.rule,
    remedy: 'close it in that program first, or write the stream to a file and open that',
  });
}

async function skipTo(reader: ByteReader, offset: number): Promise<void> {
  const length = offset - reader.position;
  const skipped = await reader.skip(length);
  if (skipped < length) throw truncatedStream(reader.position, offset);
}

async function takeAll(reader: ByteReader, byteLength: number): Promise<Uint8Array> {
  const from = reader.position;
  const bytes = await reader.take(byteLength);
  if (bytes.length < byteLength) throw truncatedStream(from + bytes.length, from + byteLength);
  return bytes;
}

function truncatedStream(found: number, expected: number): VhdError {
  return new VhdError(
    'ERR_VHD_TRUNCATED',
    `the stream ends too early: expected at least ${expected} bytes, found ${found}`,
    {
      offset: found,
      expected: `at least ${expected} bytes`,
      found: `${found} bytes`,
    },
  );
}

const ZEROS = new Uint8Array(1024 * 1024);

function* zeros(byteLength: number): Generator<Uint8Array> {
  for (let left = byteLength; left > 0; left -= ZEROS.length) yield ZEROS.subarray(0, Math.min(left, ZEROS.length));
}
