import { readLatin1, viewOf } from '../format/bytes.ts';
import { formatUuidMixedEndian } from '../format/uuid.ts';
import { byteSizeOf, type ContainerFacts, remarksOf } from './container-facts.ts';
import type { ReadableDisk } from './partition-table.ts';

/** Places and identifiers of VHDX (Microsoft, [MS-VHDX], 2.1 to 2.6). Little-endian. */
const HEADER_OFFSETS = [65_536, 131_072] as const;
const REGION_TABLE_OFFSETS = [196_608, 262_144] as const;
const METADATA_REGION = '8b7ca206-4790-4b9a-b8fe-575f050f886e';
const FILE_PARAMETERS = 'caa16737-fa36-4d43-b3b6-33f0aa44e76b';
const VIRTUAL_DISK_SIZE = '2fa54224-cd1b-4876-b211-5dbed83bf4b8';
/** Both tables have entries of 32 bytes that begin with an identifier; there are five in one and two in the other. */
const ENTRY_BYTES = 32;
const MAX_ENTRIES = 100;
const TABLE_BYTES = 4096;

/** What a VHDX tells of itself. Rejects only if reading does. */
export async function readVhdxFacts(head: Uint8Array, file: ReadableDisk): Promise<ContainerFacts> {
  const creator = utf16UpToNul(head, 8, 512).trim();
  const metadata = await readMetadata(file);
  const problems = remarksOf(
    readLatin1(head, 0, 8) !== 'vhdxfile' && "damaged: it does not begin with 'vhdxfile', though its headers are there",
    metadata === undefined && 'damaged: its metadata are missing, and with them its size',
  );
  const remarks = remarksOf(metadata?.type, creator !== '' && `creator '${creator}'`);
  return { virtualSize: metadata?.virtualSize ?? null, version: null, remarks, problems };
}

/** True if a header or a region table stands where a VHDX has them, whatever its first bytes are. */
export async function hasVhdxStructures(file: ReadableDisk): Promise<boolean> {
  for (const offset of HEADER_OFFSETS) {
    if ((await signatureAt(file, offset)) !== 'head') continue;
    for (const tableOffset of REGION_TABLE_OFFSETS) {
      if ((await signatureAt(file, tableOffset)) === 'regi') return true;
    }
  }
  return false;
}

async function signatureAt(file: ReadableDisk, offset: number): Promise<string> {
  const bytes = await readInside(file, offset, 4);
  return bytes === undefined ? '' : readLatin1(bytes, 0, 4);
}

interface Metadata {
  readonly virtualSize: number | null;
  readonly type: string | undefined;
}

async function readMetadata(file: ReadableDisk): Promise<Metadata | undefined> {
  for (const offset of REGION_TABLE_OFFSETS) {
    const regions = await readInside(file, offset, TABLE_BYTES);
    if (regions === undefined || readLatin1(regions, 0, 4) !== 'regi') continue;
    const entry = entryOf(regions, { start: 16, count: viewOf(regions).getUint32(8, true), id: METADATA_REGION });
    const start = entry === undefined ? null : byteSizeOf(viewOf(entry).getBigUint64(16, true));
    const metadata = start === null ? undefined : await readMetadataRegion(file, start);
    if (metadata !== undefined) return metadata;
  }
  return undefined;
}

async function readMetadataRegion(file: ReadableDisk, start: number): Promise<Metadata | undefined> {
  const table = await readInside(file, start, TABLE_BYTES);
  if (table === undefined || readLatin1(table, 0, 8) !== 'metadata') return undefined;
  const item = async (id: string): Promise<DataView | undefined> => {
    const entry = entryOf(table, { start: 32, count: viewOf(table).getUint16(10, true), id });
    const bytes =
      entry === undefined ? undefined : await readInside(file, start + viewOf(entry).getUint32(16, true), 8);
    return bytes === undefined ? undefined : viewOf(bytes);
  };
  const size = await item(VIRTUAL_DISK_SIZE);
  if (size === undefined) return undefined;
  const flags = (await item(FILE_PARAMETERS))?.getUint32(4, true);
  return { virtualSize: byteSizeOf(size.getBigUint64(0, true)), type: flags === undefined ? undefined : typeOf(flags) };
}

/** Bit 0: blocks stay allocated; bit 1: there is a parent. */
function typeOf(flags: number): string {
  if ((flags & 2) !== 0) return 'differencing';
  return (flags & 1) === 0 ? 'dynamic' : 'fixed';
}

function entryOf(
  table: Uint8Array,
  { start, count, id }: { readonly start: number; readonly count: number; readonly id: string },
): Uint8Array | undefined {
  for (let index = 0; index < Math.min(count, MAX_ENTRIES); index++) {
    const entry = table.subarray(start + index * ENTRY_BYTES, start + (index + 1) * ENTRY_BYTES);
    if (formatUuidMixedEndian(entry.subarray(0, 16)) === id) return entry;
  }
  return undefined;
}

/** Bytes of the file; undefined where it ends before. */
async function readInside(file: ReadableDisk, offset: number, byteLength: number): Promise<Uint8Array | undefined> {
  if (offset + byteLength > file.size) return undefined;
  const bytes = new Uint8Array(byteLength);
  await file.read(bytes, offset);
  return bytes;
}

function utf16UpToNul(bytes: Uint8Array, offset: number, byteLength: number): string {
  const text = new TextDecoder('utf-16le').decode(bytes.subarray(offset, offset + byteLength));
  const end = text.indexOf('\0');
  return end < 0 ? text : text.slice(0, end);
}
