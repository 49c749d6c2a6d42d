/**
 * The main job from start to end, as a user would type it: a disk image with a partition table and, where mkfs.ext4 is
 * installed, a file system; to a dynamic VHD and back; hashes compared; a short benchmark.
 * Run it with `npm run demo`, which builds the command first.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';

const MIB = 1024 * 1024;
const DISK_BYTES = 64 * MIB;
const PARTITION_BYTE = MIB;
const command = fileURLToPath(new URL('../dist/bin/vhd.cjs', import.meta.url));
const say = (text: string): boolean => process.stdout.write(`${text}\n`);

/** A raw disk with one Linux partition from 1 MiB on, in a table of the old kind (MBR). */
async function makeRawDisk(path: string): Promise<void> {
  const table = Buffer.alloc(512);
  table.writeUInt8(0x83, 446 + 4);
  table.writeUInt32LE(PARTITION_BYTE / 512, 446 + 8);
  table.writeUInt32LE((DISK_BYTES - PARTITION_BYTE) / 512, 446 + 12);
  table.writeUInt16BE(0x55aa, 510);
  const file = await open(path, 'wx');
  await file.truncate(DISK_BYTES);
  await file.write(table, 0, 512, 0);
  await file.close();
}

/** Makes an ext4 file system in the partition; without mkfs.ext4, some text stands in for it. */
async function fillPartition(path: string): Promise<string> {
  const blocks = `${(DISK_BYTES - PARTITION_BYTE) / 1024}k`;
  const made = spawnSync('mkfs.ext4', ['-q', '-F', '-E', `offset=${PARTITION_BYTE}`, path, blocks]);
  if (made.status === 0) return 'an ext4 file system';
  const file = await open(path, 'r+');
  await file.write('no mkfs.ext4 here, so some text instead', PARTITION_BYTE);
  await file.close();
  return 'some text (mkfs.ext4 is not installed)';
}

/** Types a command of ours, shows what it prints, and stops the demo if it fails. */
function vhd(directory: string, ...words: string[]): void {
  say(`\n$ vhd ${words.join(' ')}`);
  const { status } = spawnSync(process.execPath, [command, ...words], { cwd: directory, stdio: 'inherit' });
  if (status !== 0) throw new Error(`vhd ${words.join(' ')} ended with ${String(status)}`);
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

const directory = await mkdtemp(join(tmpdir(), 'vhdkit-demo-'));
try {
  const raw = join(directory, 'disk.raw');
  await makeRawDisk(raw);
  say(`disk.raw: ${DISK_BYTES} bytes, a partition table and ${await fillPartition(raw)}`);
  vhd(directory, 'convert', 'disk.raw', 'disk.vhd');
  vhd(directory, 'info', 'disk.vhd');
  vhd(directory, 'convert', 'disk.vhd', 'back.raw');
  const before = await sha256(raw);
  const after = await sha256(join(directory, 'back.raw'));
  say(`\nsha256 disk.raw  ${before}\nsha256 back.raw  ${after}`);
  if (before !== after) throw new Error('the disk did not come back as it went');
  say('identical: every byte came back');
  vhd(directory, 'bench', '.', '--size', '32M', '--rounds', '3');
} finally {
  await rm(directory, { recursive: true, force: true });
}
