import { VhdError } from '../errors.ts';
import { viewOf } from '../format/bytes.ts';
import { shellPath } from '../format/shell.ts';
import { BAT_ENTRY_BYTES, SECTOR_BYTES, UNUSED_BAT_ENTRY } from '../format/spec.ts';
import type { Storage } from '../storage/storage.ts';
import type { BlockTable } from './block-table.ts';
import { metadataRanges } from './metadata-ranges.ts';
import type { SoundExamination } from './recognise.ts';
import { roomAt } from './table-room.ts';

const PIECE_BYTES = 1024 * 1024;

/**
 * Refuses an image whose table goes on behind the end of the disk with entries that refer to blocks: nothing shows those,
 * but their space is not free either. A table that is said to be longer than there is room for ends where a block or something
 * else begins: what stands there is no entry.
 * @throws VhdError `ERR_VHD_UNSUPPORTED`
 */
export async function refuseStrayEntries(storage: Storage, image: SoundExamination, table: BlockTable): Promise<void> {
  const { header, endFooterOffset, fileSize } = image;
  if (header === undefined) return;
  const dataLimit = endFooterOffset ?? fileSize;
  const start = header.tableOffset + table.entryCount * BAT_ENTRY_BYTES;
  const declaredEnd = header.tableOffset + header.maxTableEntries * BAT_ENTRY_BYTES;
  if (declaredEnd <= start) return;
  const { needed: metadata } = await metadataRanges(storage, image, header, table.entryCount);
  const end = Math.min(declaredEnd, roomAt(header.tableOffset, { table, metadata, dataLimit }));
  for (let position = start; position < end; position += PIECE_BYTES) {
    const bytes = new Uint8Array(Math.min(PIECE_BYTES, end - position));
    await storage.read(bytes, position);
    const view = viewOf(bytes);
    for (let offset = 0; offset + BAT_ENTRY_BYTES <= bytes.length; offset += BAT_ENTRY_BYTES) {
      const sector = view.getUint32(offset);
      // 0 is no place of a block: programs that fill the table with zeros mean nothing by it.
      if (sector !== UNUSED_BAT_ENTRY && sector !== 0 && sector * SECTOR_BYTES < dataLimit) {
        throw strayError(storage.name, position + offset, sector);
      }
    }
  }
}

function strayError(storage: string, offset: number, sector: number): VhdError {
  const message = `its table refers to blocks behind the end of the disk, the first at offset ${offset}: expected none, found sector ${sector}`;
  return new VhdError('ERR_VHD_UNSUPPORTED', message, {
    ...{ storage, offset, rule: 'bat.long', expected: 'no entry in use', found: `sector ${sector}` },
    remedy: `vhd repair ${shellPath(storage)}   (says what it would give up)`,
  });
}
