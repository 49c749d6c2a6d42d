import * as fs from 'node:fs/promises';
import { basename, join } from 'node:path';
import { VhdError } from '../errors.ts';
import { deviceFolder, deviceNumber, readLine, SYSTEM_FOLDERS, type SystemFolders } from './file-device.ts';

/**
 * Refuses a block device that must not be written to, though the system opened it: one that can only be read, or that
 * carries a loop device. Whatever else uses a device makes opening it with `O_EXCL` fail.
 * @throws VhdError `ERR_VHD_IN_USE`; `EROFS`
 */
export async function checkDeviceWritable(
  rdev: number,
  path: string,
  folders: SystemFolders = SYSTEM_FOLDERS,
): Promise<void> {
  const number = deviceNumber(rdev);
  if ((await readLine(join(deviceFolder(number, folders), 'ro'))) === '1') {
    const message = `EROFS: the device can only be read, open '${path}'`;
    throw Object.assign(new Error(message), { code: 'EROFS', syscall: 'open', path });
  }
  const users = await loopsOn(await relatedDevices(number, folders), folders);
  if (users.length > 0) throw inUseError(path, users);
}

/** The error for a device that would not open with `O_EXCL`, naming what uses it; undefined if `path` is no device. */
export async function busyDeviceError(
  path: string,
  cause: unknown,
  folders: SystemFolders = SYSTEM_FOLDERS,
): Promise<VhdError | undefined> {
  const stats = await fs.stat(path).catch(() => undefined);
  if (stats?.isBlockDevice() !== true) return undefined;
  return inUseError(path, await deviceUsers(deviceNumber(stats.rdev), folders), cause);
}

function inUseError(path: string, users: readonly DeviceUser[], cause?: unknown): VhdError {
  const found =
    users.length > 0
      ? users.map((user) => user.what).join(', ')
      : 'something has it open for itself: a file system mounted elsewhere, a RAID, or another program';
  const ends = users.length > 0 ? users.map((user) => user.end).join(', ') : 'end that first';
  return new VhdError('ERR_VHD_IN_USE', `the device is in use: ${found}`, {
    storage: path,
    expected: 'a device that nothing uses',
    found,
    remedy: `make sure that it is the device you mean; if it is: ${ends}`,
    cause,
  });
}

/** Something that uses a device. */
export interface DeviceUser {
  /** What it is, such as `/dev/sda1 is mounted on /home`. */
  readonly what: string;
  /** The command that ends it. */
  readonly end: string;
}

/** What uses the block device at a path; nothing where the system does not tell. */
export async function usersOf(path: string, folders: SystemFolders = SYSTEM_FOLDERS): Promise<DeviceUser[]> {
  const { rdev } = await fs.stat(path);
  return deviceUsers(deviceNumber(rdev), folders);
}

/** What is to be said of a disk whose sectors are not those of a VHD; nothing of a partition. */
export async function sectorNotes(path: string, folders: SystemFolders = SYSTEM_FOLDERS): Promise<string[]> {
  const { rdev } = await fs.stat(path);
  const text = await readLine(join(deviceFolder(deviceNumber(rdev), folders), 'queue/logical_block_size'));
  if (text === undefined || text === '512') return [];
  return [
    `the sectors of the device have ${text} bytes, those of a VHD 512: a partition table means other places there`,
  ];
}

/** What uses a block device, its partitions or the disk it is a partition of. */
export async function deviceUsers(number: string, folders: SystemFolders): Promise<DeviceUser[]> {
  const devices = await relatedDevices(number, folders);
  return [
    ...(await mountsOf(devices, folders)),
    ...(await swapsOn(devices, folders)),
    ...(await holdersOf(devices, folders)),
    ...(await loopsOn(devices, folders)),
  ];
}

/** Devices by their number. */
type Devices = ReadonlyMap<string, string>;

/** A device, its partitions, and the disk it is a partition of. */
async function relatedDevices(number: string, folders: SystemFolders): Promise<Devices> {
  const folder = deviceFolder(number, folders);
  const devices = new Map([[number, await deviceName(folder)]]);
  for (const entry of await namesIn(folder)) {
    const partition = join(folder, entry);
    if ((await readLine(join(partition, 'partition'))) === undefined) continue;
    const its = await readLine(join(partition, 'dev'));
    if (its !== undefined) devices.set(its, nameOf(entry));
  }
  const disk = await diskOf(folder);
  if (disk !== undefined) devices.set(disk.number, await deviceName(disk.folder));
  return devices;
}

/** The disk that a partition, given by its folder in `/sys`, is on; undefined if it is no partition. */
export async function diskOf(folder: string): Promise<{ folder: string; number: string } | undefined> {
  if ((await readLine(join(folder, 'partition'))) === undefined) return undefined;
  const disk = join(await fs.realpath(folder), '..');
  const number = await readLine(join(disk, 'dev'));
  return number === undefined ? undefined : { folder: disk, number };
}

async function deviceName(folder: string): Promise<string> {
  return nameOf(basename(await fs.realpath(folder).catch(() => folder)));
}

/** In names in `/sys` an exclamation mark stands for a slash. */
function nameOf(entry: string): string {
  return `/dev/${entry.replaceAll('!', '/')}`;
}

/** What is in a folder; nothing if it is not there. */
export async function namesIn(folder: string): Promise<string[]> {
  return fs.readdir(folder).catch(() => []);
}

async function mountsOf(devices: Devices, folders: SystemFolders): Promise<DeviceUser[]> {
  const text = (await readLine(join(folders.proc, 'self/mountinfo'))) ?? '';
  const found: DeviceUser[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const [number, mountPoint] = [fields[2], fields[4]];
    const source = fields[fields.indexOf('-') + 2];
    if (number === undefined || mountPoint === undefined) continue;
    // Some file systems have a number of their own instead of that of their device: the name tells then.
    const device = devices.get(number) ?? (number.startsWith('0:') ? await deviceAt(source, devices) : undefined);
    if (device === undefined) continue;
    const place = unescapeOctal(mountPoint);
    found.push({ what: `${device} is mounted on ${place}`, end: `umount ${place}` });
  }
  return found;
}

async function swapsOn(devices: Devices, folders: SystemFolders): Promise<DeviceUser[]> {
  const text = (await readLine(join(folders.proc, 'swaps'))) ?? '';
  const found: DeviceUser[] = [];
  for (const line of text.split('\n').slice(1)) {
    const device = await deviceAt(line.split(/\s/)[0], devices);
    if (device !== undefined) found.push({ what: `${device} is used as swap`, end: `swapoff ${device}` });
  }
  return found;
}

async function holdersOf(devices: Devices, folders: SystemFolders): Promise<DeviceUser[]> {
  const found: DeviceUser[] = [];
  for (const [number, device] of devices) {
    for (const holder of await namesIn(join(deviceFolder(number, folders), 'holders'))) {
      const name = await readLine(join(folders.sys, 'block', holder, 'dm/name'));
      const whole = name === undefined ? nameOf(holder) : `${nameOf(holder)} (${name})`;
      const end = name === undefined ? `mdadm --stop ${nameOf(holder)}` : `dmsetup remove ${name}`;
      found.push({ what: `${device} is part of ${whole}`, end });
    }
  }
  return found;
}

async function loopsOn(devices: Devices, folders: SystemFolders): Promise<DeviceUser[]> {
  const found: DeviceUser[] = [];
  for (const entry of await namesIn(join(folders.sys, 'block'))) {
    if (!/^loop\d+$/.test(entry)) continue;
    const device = await deviceAt(await readLine(join(folders.sys, 'block', entry, 'loop/backing_file')), devices);
    if (device === undefined) continue;
    found.push({ what: `${nameOf(entry)} is a loop device on ${device}`, end: `losetup -d ${nameOf(entry)}` });
  }
  return found;
}

/** The device that a path, escaped as in `/proc`, leads to, if it is one of these. */
async function deviceAt(path: string | undefined, devices: Devices): Promise<string | undefined> {
  if (path?.startsWith('/') !== true) return undefined;
  const stats = await fs.stat(unescapeOctal(path)).catch(() => undefined);
  return stats?.isBlockDevice() === true ? devices.get(deviceNumber(stats.rdev)) : undefined;
}

/** Blanks and the like are written as `\040` in `/proc`. */
function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_match, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
