/**
 * What is in an image: size, type, maker, how much of it is stored, partitions; or, if it cannot be opened, why.
 *
 *   npx tsx samples/inspect.ts samples/images/dynamic-fat12.vhd
 */
import { argv, exit } from 'node:process';
import { describeFinding, listPartitions, openVhd, type VhdDisk, VhdError } from 'vhdkit';

const [path] = argv.slice(2);
if (path === undefined) {
  console.error('usage: npx tsx samples/inspect.ts IMAGE');
  exit(2);
}

/** Adds up the bytes that are stored, and those that are zero without taking room. */
async function countBytes(disk: VhdDisk): Promise<{ data: number; zero: number }> {
  const bytes = { data: 0, zero: 0 };
  for await (const run of disk.extents()) bytes[run.kind] += run.length;
  return bytes;
}

try {
  await using disk = await openVhd(path);
  const { data, zero } = await countBytes(disk);
  console.log(`${path}: a ${disk.type} disk of ${disk.size} bytes in a file of ${disk.fileSize}`);
  console.log(`  made by '${disk.footer.creatorApplication}'`);
  console.log(`  stored  ${data} bytes`);
  console.log(`  empty   ${zero} bytes`);
  const { scheme, partitions, findings } = await listPartitions(disk);
  console.log(`  partition table: ${scheme}`);
  for (const { number, start, length, fileSystem } of partitions) {
    console.log(
      `  partition ${number}: ${length} bytes from ${start} on, ${fileSystem?.type ?? 'nothing known'} inside`,
    );
  }
  for (const { severity, message } of findings) console.log(`  ${severity}: ${message}`);
  for (const finding of disk.findings) console.log(`  ${finding.severity}: ${describeFinding(finding)}`);
} catch (error) {
  // Errors of the system (no such file, no permission) are not VhdErrors; they pass as Node makes them.
  if (!(error instanceof VhdError)) throw error;
  console.error(`${path}: ${error.message} [${error.code}]`);
  if (error.remedy !== undefined) console.error(`  ${error.remedy}`);
  exit(1);
}
