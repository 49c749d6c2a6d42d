import type { Stats } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { deviceFolder, deviceNumber, readLine, SYSTEM_FOLDERS, type SystemFolders } from './file-device.ts';
import { diskOf, namesIn } from './file-device-use.ts';

/** A stretch of something that holds bytes: of a file, of a device. */
interface Stretch {
  /** `8:1`, or the file system and number of a file. */
  readonly holder: string;
  readonly start: number;
  readonly end: number;
  /** False if it is somewhere in there, spread in a way that is not known. */
  readonly isExact: boolean;
}

/** What tells files and devices apart. */
export type FileIdentity = Pick<Stats, 'dev' | 'ino' | 'rdev' | 'isBlockDevice'>;

/** Loop devices on partitions on RAIDs …: nobody goes that deep. */
const MAX_LAYERS = 16;

/**
 * True if two files or block devices hold the same bytes, in whole or in part: one is the other, or a partition of it, or
 * a loop device over it.
 */
export async function holdSameBytes(
  first: FileIdentity,
  second: FileIdentity,
  folders: SystemFolders = SYSTEM_FOLDERS,
): Promise<boolean> {
  if (first.ino === second.ino && first.dev === second.dev) return true;
  if (!first.isBlockDevice() && !second.isBlockDevice()) return false;
  const [one, other] = [await stretchesOf(first, folders), await stretchesOf(second, folders)];
  return one.some((stretch) => other.some((another) => overlap(stretch, another)));
}

function overlap(first: Stretch, second: Stretch): boolean {
  if (first.holder !== second.holder || (!first.isExact && !second.isExact)) return false;
  return first.start < second.end && second.start < first.end;
}

/** Where the bytes of a file or device lie: in itself, and in everything under it. */
async function stretchesOf(stats: FileIdentity, folders: SystemFolders): Promise<Stretch[]> {
  const found: Stretch[] = [];
  const whole = { start: 0, end: Number.POSITIVE_INFINITY, isExact: true };
  let layer: Stretch[] = [{ holder: holderOf(stats), ...whole }];
  for (let depth = 0; depth < MAX_LAYERS && layer.length > 0; depth++) {
    found.push(...layer);
    const under: Stretch[] = [];
    for (const stretch of layer) under.push(...(await stretchesUnder(stretch, folders)));
    layer = under;
  }
  return found;
}

function holderOf(stats: FileIdentity): string {
  return stats.isBlockDevice() ? deviceNumber(stats.rdev) : `file ${stats.dev}/${stats.ino}`;
}

async function stretchesUnder(stretch: Stretch, folders: SystemFolders): Promise<Stretch[]> {
  if (stretch.holder.startsWith('file ')) return [];
  const folder = deviceFolder(stretch.holder, folders);
  const length = (await numberIn(folder, 'size')) * 512;
  const disk = await diskOf(folder);
  if (disk !== undefined) {
    return [shifted(stretch, disk.number, (await numberIn(folder, 'start')) * 512, length)];
  }
  const backing = await readLine(join(folder, 'loop/backing_file'));
  if (backing !== undefined) {
    const stats = await fs.stat(backing).catch(() => undefined);
    if (stats === undefined) return [];
    return [shifted(stretch, holderOf(stats), await numberIn(folder, 'loop/offset'), length)];
  }
  const numbers = await Promise.all(
    (await namesIn(join(folder, 'slaves'))).map((entry) => readLine(join(folder, 'slaves', entry, 'dev'))),
  );
  return numbers.flatMap((holder) =>
    holder === undefined ? [] : [{ holder, start: 0, end: Number.POSITIVE_INFINITY, isExact: false }],
  );
}

/** A stretch as it lies in the layer under it, which holds `length` bytes of this one from `offset` on. */
function shifted(stretch: Stretch, holder: string, offset: number, length: number): Stretch {
  return {
    holder,
    start: offset + stretch.start,
    end: offset + Math.min(stretch.end, length),
    isExact: stretch.isExact,
  };
}

/** A number that the system tells; 0 if it does not. */
async function numberIn(folder: string, name: string): Promise<number> {
  return Number((await readLine(join(folder, name))) ?? '0');
}
