/**
 * Reads a range of sectors of a disk, raw or VHD, and shows them as `xxd` does.
 *
 *   npx tsx samples/read-sectors.ts samples/images/dynamic-fat12.vhd 8 1
 */
import { argv, exit, stdout } from 'node:process';
import { openDisk } from 'vhdkit';

const SECTOR_BYTES = 512;
const LINE_BYTES = 16;
const [path, first = '0', count = '1'] = argv.slice(2);
if (path === undefined || ![first, count].every((word) => /^\d+$/.test(word))) {
  console.error('usage: npx tsx samples/read-sectors.ts IMAGE [FIRST-SECTOR [COUNT]]');
  exit(2);
}

/** One sector as lines of hexadecimal and text; `position` is its first byte on the disk. */
function dump(sector: Buffer, position: number): string {
  let lines = '';
  for (let offset = 0; offset < sector.length; offset += LINE_BYTES) {
    const bytes = sector.subarray(offset, offset + LINE_BYTES);
    const hex = bytes.toString('hex').replaceAll(/(.{4})/g, '$1 ');
    const text = bytes.toString('latin1').replaceAll(/[^\x20-\x7e]/g, '.');
    lines += `${(position + offset).toString(16).padStart(8, '0')}: ${hex} ${text}\n`;
  }
  return lines;
}

const { disk } = await openDisk(path);
try {
  const sector = Buffer.alloc(SECTOR_BYTES);
  const start = Number(first) * SECTOR_BYTES;
  const end = start + Number(count) * SECTOR_BYTES;
  // `read` fills the array it is given, whatever is stored there or not; past the end of the disk is a RangeError.
  for (let position = start; position < end; position += SECTOR_BYTES) {
    await disk.read(sector, position);
    stdout.write(dump(sector, position));
  }
} finally {
  await disk.close();
}
