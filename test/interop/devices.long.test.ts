// Images on block devices: opened, read, written to. Needs root and loop devices.
import { existsSync, truncateSync } from 'node:fs';
import { copyFile, readFile, truncate, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { createVhdStorage } from '../../src/disk/create-storage.ts';
import { openDisk, openRaw, openVhd } from '../../src/open.ts';
import { convert } from '../../src/ops/convert.ts';
import { readInfo } from '../../src/ops/info.ts';
import { FileStorage } from '../../src/storage/file.ts';
import { probeSize } from '../../src/storage/file-device.ts';
import { pattern } from '../support/bytes.ts';
import { shell, useBuiltCommand, vhd } from '../support/cli.ts';
import { LoopDevices, system, systemNow, whyNoLoops, whyNoMounts } from '../support/loop-devices.ts';
import { useTempFolder } from '../support/temp.ts';

const MIB = 1024 ** 2;
const disk = new Uint8Array(3 * MIB);
for (const start of [0, 2]) disk.set(pattern(MIB, start + 1), start * MIB);

const reason = await whyNoLoops();
const noMounts = reason ?? (await whyNoMounts());

describe.skipIf(reason !== undefined)(`block devices${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  const folder = useTempFolder('devices');
  const command = useBuiltCommand();
  const devices = new LoopDevices();

  /** A device over a copy of a file, of `byteLength` bytes if that is given. */
  async function deviceOf(name: string, byteLength?: number): Promise<string> {
    const path = folder.file('backing');
    await copyFile(folder.file(name), path);
    if (byteLength !== undefined) await truncate(path, byteLength);
    return devices.attach(path);
  }

  beforeAll(async () => {
    await writeFile(folder.file('disk.raw'), disk);
    for (const to of ['fixed', 'dynamic'] as const) {
      await convert(folder.file('disk.raw'), folder.file(`${to}.vhd`), { to });
    }
  });

  describe('an odd number of sectors', () => {
    const byteLength = 4097 * 512;
    const attach = (): Promise<string> => devices.attach(folder.file('disk.raw'), '-r', '--sizelimit', `${byteLength}`);

    it('is the size of the storage, of the disk, and of the report', async () => {
      const device = await attach();
      const storage = await FileStorage.open(device);
      expect(await storage.size()).toBe(byteLength);
      const probe = async (position: number): Promise<number> =>
        storage.read(new Uint8Array(1), position).then(
          () => 1,
          () => 0,
        );
      expect(await probeSize(probe)).toBe(byteLength);
      await storage.close();
      const raw = await openRaw(device);
      expect(raw.size).toBe(byteLength);
      await raw.close();
      expect(await readInfo(device)).toMatchObject({ fileSize: byteLength, fileAllocatedBytes: null });
    });

    it.each(['dynamic', 'fixed', 'raw'] as const)('goes to a %s image whole', async (to) => {
      const device = await attach();
      const [image, back] = [folder.file(`odd.${to}`), folder.file(`odd.${to}.raw`)];
      expect(await convert(device, image, { to })).toMatchObject({ sourceType: 'raw', virtualSize: byteLength });
      await convert(image, back, { to: 'raw' });
      expect((await readFile(back)).equals(disk.subarray(0, byteLength))).toBe(true);
      expect(await system('cmp', device, back)).toBe('');
    });

    it('is read by the command, by name and as standard input', async () => {
      const device = await attach();
      const range = await vhd(['read', device, '--start', '2097152']);
      expect(range.bytes.equals(disk.subarray(2 * MIB, byteLength))).toBe(true);
      const { code, stdout } = await shell(
        command,
        folder.path,
        `$vhd convert - - --to raw < ${device} | cmp - ${device}`,
      );
      expect([code, stdout]).toEqual([0, '']);
      const info = JSON.parse((await vhd(['info', device, '--json'])).stdout) as object;
      expect(info).toMatchObject({ type: 'raw', virtualSize: byteLength, fileAllocatedBytes: null });
    });
  });

  it.each(['fixed', 'dynamic'] as const)('a %s image that ends with the device is told by its footer', async (type) => {
    const device = await deviceOf(`${type}.vhd`);
    expect(await readInfo(device)).toMatchObject({ type, virtualSize: disk.length, findings: [] });
    expect((await vhd(['read', device])).bytes.equals(disk)).toBe(true);
  });

  it('a dynamic image on a larger device is told by the copy of its footer', async () => {
    const device = await deviceOf('dynamic.vhd', 16 * MIB);
    const image = await openVhd(device);
    expect((await image.readBytes(0, image.size)).every((byte, index) => byte === disk[index])).toBe(true);
    await image.close();
  });

  it('a fixed image on a larger device cannot be told from a raw disk', async () => {
    const opened = await openDisk(await deviceOf('fixed.vhd', 16 * MIB));
    expect([opened.type, opened.disk.size]).toEqual(['raw', 16 * MIB]);
    await opened.disk.close();
  });

  it.each(['disk.raw', 'fixed.vhd'])('one made of %s is written to in place', async (name) => {
    const device = await deviceOf(name);
    await writeFile(folder.file('part'), pattern(700, 9));
    expect(await vhd(['write', device, folder.file('part'), '--start', '1000000', '--json'])).toMatchObject({
      code: 0,
    });
    const expected = await readFile(folder.file(name));
    expected.set(pattern(700, 9), 1_000_000);
    expect((await readFile(device)).equals(expected)).toBe(true);
    const after = await vhd(['write', device, folder.file('disk.raw'), '--start', '512']);
    expect([after.code, after.stderr]).toEqual([3, expect.stringContaining('it does not fit on the disk')]);
  });

  it.each([undefined, 16 * MIB])('a dynamic one is not (device of %s bytes)', async (byteLength) => {
    const device = await deviceOf('dynamic.vhd', byteLength);
    const before = await readFile(device);
    await expect(openVhd(device, { writable: true })).rejects.toMatchObject({ code: 'ERR_VHD_UNSUPPORTED' });
    const storage = await FileStorage.open(device, { writable: true });
    await expect(createVhdStorage(storage, { size: MIB })).rejects.toMatchObject({ code: 'ERR_VHD_UNSUPPORTED' });
    expect((await readFile(device)).equals(before)).toBe(true);
  });

  it('a device cannot be emptied, and stays as it is', async () => {
    const device = await deviceOf('disk.raw');
    const opening = FileStorage.open(device, { writable: true, create: 'replace' });
    await expect(opening).rejects.toMatchObject({ code: 'EEXIST', path: device });
    expect((await readFile(device)).equals(disk)).toBe(true);
  });

  it('a device that can only be read is refused before the first write', async () => {
    const device = await deviceOf('disk.raw');
    await devices.setReadOnly(device);
    const { code, stderr } = await vhd(['write', device, folder.file('disk.raw')]);
    expect([code, stderr]).toEqual([4, expect.stringContaining(`vhd: ${device}: the device can only be read\n`)]);
  });

  it('a source that gets another size while it is read is told of', async () => {
    const device = await deviceOf('disk.raw');
    let isGrown = false;
    const grow = (): void => {
      if (isGrown) return;
      isGrown = true;
      truncateSync(folder.file('backing'), 4 * MIB);
      systemNow('losetup', '-c', device);
    };
    const conversion = convert(device, folder.file('grown.vhd'), { to: 'dynamic', onProgress: grow });
    await expect(conversion).rejects.toMatchObject({
      code: 'ERR_VHD_SOURCE_CHANGED',
      expected: `${3 * MIB} bytes`,
      found: `${4 * MIB} bytes`,
    });
    expect(existsSync(folder.file('grown.vhd'))).toBe(false);
  });

  it.skipIf(noMounts !== undefined)(
    `a mounted one${noMounts === undefined ? '' : ` (skipped: ${noMounts})`}`,
    async () => {
      await system('mkdir', '-p', folder.file('a mount'));
      const device = await deviceOf('disk.raw');
      await devices.mount(device, folder.file('a mount'));
      const use = `${device} is mounted on ${folder.file('a mount')}`;
      const read = await vhd(['convert', device, folder.file('live.vhd')]);
      expect([read.code, read.stderr]).toEqual([0, expect.stringContaining(`the device is in use (${use}): `)]);
      const written = await vhd(['write', device, folder.file('disk.raw')]);
      expect([written.code, written.stderr]).toEqual([3, expect.stringContaining(`the device is in use: ${use}\n`)]);
    },
  );
});
