/**
 * Streams a raw disk into a new dynamic VHD. Any stream of bytes of known size will do: a download, a decompressor.
 * (For file to file, `convert(raw, vhd, { to: 'dynamic' })` is shorter, and makes the file appear when it is complete.)
 *
 *   npx tsx samples/stream-raw.ts disk.raw disk.vhd
 */
import { createReadStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { argv, exit } from 'node:process';
import { pipeline } from 'node:stream/promises';
import { createVhd, createWriteStream } from 'vhdkit';

const [rawPath, imagePath] = argv.slice(2);
if (rawPath === undefined || imagePath === undefined) {
  console.error('usage: npx tsx samples/stream-raw.ts RAW IMAGE');
  exit(2);
}

const { size } = await stat(rawPath);
const disk = await createVhd(imagePath, { size });
try {
  const source = createReadStream(rawPath);
  // Ends after a flush: what this line has waited for survives a loss of power. Zeros take no room in the image.
  await pipeline(source, createWriteStream(disk));
  if (source.bytesRead !== size) throw new Error(`${rawPath}: expected ${size} bytes, found ${source.bytesRead}`);
} catch (error) {
  await disk.close().catch(() => undefined);
  await rm(imagePath);
  throw error;
}
await disk.close();
console.log(`${imagePath}: ${size} bytes, of which ${disk.allocatedBytes} have a place in the file`);
