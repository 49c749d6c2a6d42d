// Block devices as targets of convert: what they hold afterwards, and everything that is refused before the first write.
// Needs root and loop devices.
import { spawn } from 'node:child_process';
import { existsSync, rmSync, symlinkSync } from 'node:fs';
import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { convert } from '../../src/ops/convert.ts';
import { pattern } from '../support/bytes.ts';
import { ended, shell, useBuiltCommand, vhd } from '../support/cli.ts';
import { LoopDevices, system, whyNoLoops, whyNoMounts } from '../support/loop-devices.ts';
import { findProgram } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';

const MIB = 1024 ** 2;
/** Data, a hole, data. */
const disk = new Uint8Array(5 * MIB);
for (const start of [0, 4]) disk.set(pattern(MIB, start + 1), start * MIB);
/** What was on a device before. */
const old = pattern(8 * MIB, 77);

const reason = await whyNoLoops();
const noMounts = reason ?? (await whyNoMounts());
const skipped = (why: string | undefined): string => (why === undefined ? '' : ` (skipped: ${why})`);

describe.skipIf(reason !== undefined)(`a block device as target${skipped(reason)}`, () => {
  const folder = useTempFolder('devices-target');
  const command = useBuiltCommand();
  const devices = new LoopDevices();

  /** A device of `byteLength` bytes that is full of old contents. */
  async function oldDevice(byteLength = old.length, name = 'backing'): Promise<string> {
    await writeFile(folder.file(name), old.subarray(0, byteLength));
    return devices.attach(folder.file(name));
  }

  const toDevice = (source: string, device: string, ...flags: readonly string[]): ReturnType<typeof vhd> =>
    vhd(['convert', folder.file(source), device, ...flags]);

  async function expectRefusal(
    call: ReturnType<typeof vhd>,
    device: string,
    code: number,
    text: RegExp,
  ): Promise<void> {
    const result = await call;
    expect([result.code, result.stdout, result.stderr]).toEqual([code, '', expect.stringMatching(text)]);
    const left = await readFile(device);
    expect(left.equals(old.subarray(0, left.length))).toBe(true);
  }

  beforeAll(async () => {
    await writeFile(folder.file('disk.raw'), disk);
    await convert(folder.file('disk.raw'), folder.file('disk.vhd'), { to: 'dynamic', blockSize: 512 * 1024 });
    await convert(folder.file('disk.raw'), folder.file('fixed.vhd'), { to: 'fixed' });
    await mkdir(folder.file('mnt'));
  });

  describe('gets all bytes of the disk, zeros too, and keeps what is behind them', () => {
    it.each(['disk.raw', 'disk.vhd', 'fixed.vhd'])('%s', async (source) => {
      const device = await oldDevice();
      const result = await convert(folder.file(source), device, { to: 'raw', force: true });
      expect(result).toMatchObject({ path: device, fileSize: disk.length, copiedBytes: disk.length, skippedBytes: 0 });
      expect(result.device).toEqual({ path: device, size: 8 * MIB, untouchedBytes: 3 * MIB, notes: [] });
      expect((await readFile(device)).equals(Buffer.concat([disk, old.subarray(disk.length)]))).toBe(true);
    });

    it.each(['disk.raw', 'disk.vhd', 'fixed.vhd'])('%s down a pipe', async (source) => {
      const device = await oldDevice();
      const stdin = await readFile(folder.file(source));
      const { code, stdout } = await vhd(['convert', '-', device, '--to', 'raw', '--force'], { stdin });
      expect([code, stdout]).toEqual([
        0,
        expect.stringMatching(/ {2}behind it {5}3 MiB \(3145728 bytes\), left as it was\n/),
      ]);
      expect((await readFile(device)).equals(Buffer.concat([disk, old.subarray(disk.length)]))).toBe(true);
    });

    it('on an odd number of sectors, the last of them too', async () => {
      await writeFile(folder.file('odd.raw'), disk.subarray(0, 4097 * 512));
      await writeFile(folder.file('backing'), old);
      const device = await devices.attach(folder.file('backing'), '--sizelimit', String(4097 * 512));
      expect(await toDevice('odd.raw', device, '--to', 'raw', '--force')).toMatchObject({ code: 0, stderr: '' });
      expect(await system('cmp', device, folder.file('odd.raw'))).toBe('');
      const backing = await readFile(folder.file('backing'));
      expect(backing.subarray(4097 * 512).equals(old.subarray(4097 * 512))).toBe(true);
    });

    it('by standard output', async () => {
      const device = await oldDevice();
      const line = (source: string): string => `$vhd convert ${source} - --to raw > ${device}`;
      expect(await shell(command, folder.path, line('disk.vhd'))).toMatchObject({ code: 0 });
      expect((await readFile(device)).subarray(0, disk.length).equals(disk)).toBe(true);
      await writeFile(folder.file('large.raw'), pattern(9 * MIB));
      const { code, stderr } = await shell(command, folder.path, line('large.raw'));
      expect([code, stderr]).toEqual([4, expect.stringMatching(/^vhd: standard output: no space left on device\n/)]);
    });
  });

  it('takes a fixed VHD that fills it, and is told by it', async () => {
    const device = await oldDevice(disk.length + 512);
    expect(await toDevice('disk.vhd', device, '--to', 'fixed', '--force')).toMatchObject({ code: 0, stderr: '' });
    expect(await vhd(['info', device, '--strict'])).toMatchObject({ code: 0 });
    expect((await vhd(['read', device])).bytes.equals(disk)).toBe(true);
  });

  it('is overwritten through a symbolic link, and named', async () => {
    const device = await oldDevice();
    symlinkSync(device, folder.file('link.img'));
    await expectRefusal(
      toDevice('disk.vhd', folder.file('link.img'), '--force'),
      device,
      2,
      /link\.img: .*say --to raw/s,
    );
    const text = new RegExp(
      `link\\.img: the output is the block device ${device}: all that is on it would be overwritten`,
    );
    await expectRefusal(toDevice('disk.vhd', folder.file('link.img'), '--to', 'raw'), device, 2, text);
    const { code, stdout } = await toDevice('disk.vhd', folder.file('link.img'), '--to', 'raw', '--force');
    expect([code, stdout]).toEqual([0, expect.stringContaining(`  device        ${device}, 8 MiB (8388608 bytes)\n`)]);
    expect((await readFile(device)).subarray(0, disk.length).equals(disk)).toBe(true);
    rmSync(folder.file('link.img'));
  });

  it('is not written to by a dry run, which checks it', async () => {
    const device = await oldDevice();
    const { code, stdout } = await toDevice('disk.vhd', device, '--to', 'raw', '--dry-run');
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^would write .* {2}to copy {7}5 MiB\n/s)]);
    const small = await oldDevice(4 * MIB, 'small');
    await expectRefusal(toDevice('disk.vhd', small, '--to', 'raw', '--dry-run'), small, 3, /the device is too small/);
    expect((await readFile(device)).equals(old)).toBe(true);
  });

  describe('is refused', () => {
    const forced = ['--to', 'raw', '--force'];

    it('without --force, and without --to', async () => {
      const device = await oldDevice();
      await expectRefusal(toDevice('disk.vhd', device, '--to', 'raw'), device, 2, /--force overwrites it\n$/);
      await expectRefusal(
        toDevice('disk.vhd', device, '--force'),
        device,
        2,
        /does not say what to write\n {5}say --to raw/,
      );
      await expectRefusal(
        vhd(['convert', '-', device, '--to', 'raw'], { stdin: disk }),
        device,
        2,
        /--force overwrites it\n$/,
      );
    });

    it('for what it cannot hold', async () => {
      const device = await oldDevice(5 * MIB);
      const expectThis = (call: ReturnType<typeof vhd>, text: RegExp): Promise<void> =>
        expectRefusal(call, device, 3, text);
      await expectThis(toDevice('disk.vhd', device, '--to', 'dynamic', '--force'), /a dynamic image cannot be written/);
      const exactly = /too small: expected at least 5243392 bytes, found 5242880 bytes\n {5}nothing was written/;
      await expectThis(toDevice('disk.vhd', device, '--to', 'fixed', '--force'), exactly);
      const stdin = await readFile(folder.file('disk.vhd'));
      await expectThis(
        vhd(['convert', '-', device, '--to', 'fixed', '--force'], { stdin }),
        /while its source is a pipe/,
      );
      const large = await oldDevice(8 * MIB, 'large');
      const call = toDevice('disk.vhd', large, '--to', 'fixed', '--force');
      await expectRefusal(call, large, 3, /too large for a fixed VHD: expected exactly 5243392 bytes, found 8388608/);
    });

    it('when it is too small', async () => {
      const device = await oldDevice(4 * MIB);
      const text =
        /the device is too small: expected at least 5242880 bytes, found 4194304 bytes\n {5}nothing was written/;
      await expectRefusal(toDevice('disk.vhd', device, ...forced), device, 3, text);
      const stdin = await readFile(folder.file('disk.vhd'));
      await expectRefusal(vhd(['convert', '-', device, ...forced], { stdin }), device, 3, text);
    });

    it('when it can only be read', async () => {
      const device = await oldDevice();
      await devices.setReadOnly(device);
      await expectRefusal(toDevice('disk.vhd', device, ...forced), device, 4, /the device can only be read\n/);
    });

    it('when it, or what lies on or under it, is the source', async () => {
      const device = await oldDevice();
      const over = await devices.attach(device);
      const refuse = (source: string, target: string, text: RegExp): Promise<void> =>
        expectRefusal(vhd(['convert', source, target, ...forced]), device, 2, text);
      await refuse(device, device, /source and target are the same file/);
      await refuse(folder.file('backing'), device, /source and target are the same bytes of one disk/);
      await refuse(device, folder.file('backing'), /the same bytes/);
      await refuse(over, device, /the same bytes/);
      await refuse(device, over, /the same bytes/);
      await refuse(folder.file('backing'), over, /the same bytes/);
      const write = vhd(['write', device, over]);
      await expectRefusal(write, device, 2, /the same bytes/);
    });

    it('when a loop device lies on it', async () => {
      const device = await oldDevice();
      const over = await devices.attach(device);
      const text = new RegExp(`in use: ${over} is a loop device on ${device}\n.*losetup -d ${over}\n`);
      await expectRefusal(toDevice('disk.vhd', device, ...forced), device, 3, text);
    });

    it('two halves of one file are two devices', async () => {
      const first = await oldDevice();
      const [half, other] = [4 * MIB, folder.file('backing')];
      const left = await devices.attach(other, '--sizelimit', `${half}`);
      const right = await devices.attach(other, '-o', `${half}`);
      expect(await vhd(['convert', left, right, ...forced])).toMatchObject({ code: 0 });
      expect((await readFile(other)).equals(Buffer.concat([old.subarray(0, half), old.subarray(0, half)]))).toBe(true);
      expect(await vhd(['convert', first, right, ...forced])).toMatchObject({ code: 2 });
    });

    it.skipIf(noMounts !== undefined)(
      `when it is mounted, swap, or has such a partition${skipped(noMounts)}`,
      async () => {
        const device = await oldDevice(8 * MIB);
        const expectUse = async (target: string, text: string): Promise<void> => {
          const before = await readFile(device);
          for (const source of ['disk.raw', 'disk.vhd']) {
            const { code, stdout, stderr } = await toDevice(source, target, ...forced);
            expect([code, stdout, stderr]).toEqual([3, '', expect.stringContaining(text)]);
          }
          expect((await readFile(device)).equals(before)).toBe(true);
        };
        await devices.mount(device, folder.file('mnt'));
        await expectUse(device, `: the device is in use: ${device} is mounted on ${folder.file('mnt')}\n`);
        await system('umount', folder.file('mnt'));
        if (findProgram('swapon') !== undefined) {
          await devices.swapOn(device);
          await expectUse(device, `: the device is in use: ${device} is used as swap\n`);
        }
      },
    );

    it.skipIf(noMounts !== undefined || findProgram('partx') === undefined)(
      `when a partition of it is mounted, or is the source${skipped(noMounts)}`,
      async (context) => {
        await truncate(folder.file('backing'), 0);
        await truncate(folder.file('backing'), 8 * MIB);
        await system('sh', '-c', `printf 'label: dos\\nsize=3M\\nsize=2M\\n' | sfdisk -q ${folder.file('backing')}`);
        const device = await devices.attach(folder.file('backing'));
        await devices.addPartitions(device);
        if (!existsSync(`${device}p1`)) context.skip('no names for partitions appear here');
        const refuse = async (source: string, target: string, code: number, text: string): Promise<void> => {
          const result = await vhd(['convert', source, target, ...forced]);
          expect([result.code, result.stderr]).toEqual([code, expect.stringContaining(text)]);
        };
        await refuse(`${device}p1`, device, 2, 'the same bytes');
        await refuse(device, `${device}p2`, 2, 'the same bytes');
        await refuse(folder.file('backing'), `${device}p2`, 2, 'the same bytes');
        await devices.mount(`${device}p1`, folder.file('mnt'));
        await refuse(folder.file('disk.vhd'), device, 3, `in use: ${device}p1 is mounted on ${folder.file('mnt')}\n`);
        // What is beside the mounted partition is free.
        await writeFile(folder.file('part.raw'), disk.subarray(0, 2 * MIB));
        expect(await toDevice('part.raw', `${device}p2`, ...forced)).toMatchObject({ code: 0 });
        await refuse(`${device}p1`, `${device}p2`, 3, 'the device is too small');
        expect(await system('cmp', `${device}p2`, folder.file('part.raw'))).toBe('');
      },
    );
  });

  it.each(['/dev/vhdkit-none', '/dev/disk/../vhdkit-none'])(
    '%s, which is not there, does not become a file',
    async (path) => {
      const { code, stderr } = await toDevice('disk.vhd', path, '--to', 'raw', '--force');
      expect([code, stderr]).toEqual([4, expect.stringMatching(/no such (device|file or directory)\n/)]);
      expect(existsSync('/dev/vhdkit-none')).toBe(false);
    },
  );

  it('with sectors of 4096 bytes gets what ends inside one, and is told of', async () => {
    await writeFile(folder.file('odd.raw'), disk.subarray(0, 4097 * 512));
    await writeFile(folder.file('backing'), old);
    const device = await devices.attach(folder.file('backing'), '--sector-size', '4096');
    const { code, stderr } = await toDevice('odd.raw', device, '--to', 'raw', '--force');
    const note = 'the sectors of the device have 4096 bytes, those of a VHD 512';
    expect([code, stderr]).toEqual([0, expect.stringContaining(`vhd: warning: ${device}: ${note}`)]);
    const expected = Buffer.concat([disk.subarray(0, 4097 * 512), old.subarray(4097 * 512)]);
    expect((await readFile(device)).equals(expected)).toBe(true);
    const back = await vhd(['convert', device, folder.file('sectors.vhd')]);
    expect([back.code, back.stderr]).toEqual([0, expect.stringContaining(`vhd: warning: ${device}: ${note}`)]);
  });

  it('tells of what an old partition table and an old VHD left behind the image', async () => {
    const contents = old.slice();
    contents.set(Buffer.from('EFI PART'), 8 * MIB - 4096);
    contents.set(Buffer.from('conectix'), 8 * MIB - 512);
    await writeFile(folder.file('backing'), contents);
    const device = await devices.attach(folder.file('backing'));
    const image = disk.slice();
    image.set(Buffer.from('EFI PART'), 512);
    await writeFile(folder.file('gpt.raw'), image);
    const { stdout, stderr } = await toDevice('gpt.raw', device, '--to', 'raw', '--force', '--json');
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({
      warnings: [
        `${device}: the backup of its partition table (GPT) is not at the end of the device: sgdisk -e moves it there`,
        `${device}: an old backup partition table (GPT) is left at its end, offset ${8 * MIB - 4096}`,
        `${device}: the footer of an old VHD is left at its end, offset ${8 * MIB - 512}: read the device with --from raw`,
      ],
    });
  });

  describe('that is overwritten in part', () => {
    it('is so when a pipe brings more than it holds', async () => {
      const device = await oldDevice(4 * MIB);
      const { code, stderr } = await vhd(['convert', '-', device, '--to', 'raw', '--force'], { stdin: disk });
      const text = `vhd: ${device}: the device is full: expected at most 4194304 bytes, found more\n     ${device} is overwritten in part: `;
      expect([code, stderr]).toEqual([3, expect.stringContaining(text)]);
    });

    it('by SIGINT', async () => {
      const device = await oldDevice();
      const args = [command.path, 'convert', '-', device, '--to', 'raw', '--force'];
      const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] });
      const end = ended(child);
      child.stdin.on('error', () => undefined).write(disk);
      while ((await readFile(device)).subarray(0, 512).equals(old.subarray(0, 512))) await sleep(10);
      child.kill('SIGINT');
      const stderr = `vhd: interrupted\n     ${device} is overwritten in part: it holds neither what was on it nor all of the image\n`;
      expect(await end).toEqual({ code: 130, signal: null, stdout: '', stderr });
    });
  });
});
