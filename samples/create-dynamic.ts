/**
 * Makes a dynamic image, writes at both ends of it, and reads that back from the file.
 *
 *   npx tsx samples/create-dynamic.ts new.vhd 10240
 */
import { argv, exit } from 'node:process';
import { createVhd, openVhd } from 'vhdkit';

const MIB = 1024 * 1024;
const [path, sizeInMib = '10240'] = argv.slice(2);
if (path === undefined || !/^[1-9]\d*$/.test(sizeInMib)) {
  console.error('usage: npx tsx samples/create-dynamic.ts IMAGE [SIZE-IN-MIB]');
  exit(2);
}
const size = Number(sizeInMib) * MIB;
const text = 'written by vhdkit';
const bytes = new TextEncoder().encode(text);

{
  // A path that exists is refused (EEXIST): nothing is overwritten.
  await using disk = await createVhd(path, { size });
  await disk.write(bytes, 0);
  await disk.write(bytes, size - bytes.length);
  // What is written is durable after a flush. Closing, here at the end of the block, flushes too.
  await disk.flush();
  console.log(`made ${path}: ${disk.size} bytes, of which ${disk.allocatedBytes} have a place in the file`);
}

await using disk = await openVhd(path);
for (const position of [0, disk.size - bytes.length]) {
  const found = new TextDecoder().decode(await disk.readBytes(position, bytes.length));
  if (found !== text) throw new Error(`at byte ${position}: expected '${text}', found '${found}'`);
  console.log(`at byte ${position}: ${found}`);
}
