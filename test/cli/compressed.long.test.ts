import { spawn } from 'node:child_process';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { firstDifference, pattern } from '../support/bytes.ts';
import { ended, shell, useBuiltCommand, vhd } from '../support/cli.ts';
import { concatenated, ODD_SAMPLES, SAMPLE, SAMPLES, zeroFrame } from '../support/compressed.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-compressed');
const command = useBuiltCommand();
const file = (name: string): string => folder.file(name);
const ENDINGS = { gzip: 'gz', zstd: 'zst', xz: 'xz' } as const;
const formats = ['gzip', 'zstd', 'xz'] as const;

beforeAll(async () => {
  for (const format of formats) await writeFile(file(`disk.raw.${ENDINGS[format]}`), SAMPLES[format]);
  await writeFile(file('cut.raw.xz'), SAMPLES.xz.subarray(0, 100));
  await writeFile(file('gzip.img'), SAMPLES.gzip);
  await writeFile(file('unchecked.zst'), ODD_SAMPLES['zstd --no-check']);
  await writeFile(file('sha256.xz'), ODD_SAMPLES['xz --check=sha256']);
  await writeFile(file('garbage.raw.gz'), concatenated(SAMPLES.gzip, pattern(100)));
  await writeFile(file('disk.qcow2.gz'), gzipSync(Buffer.concat([Buffer.from('QFI\xfb', 'latin1'), pattern(508)])));
});

describe.each(formats)('vhd convert of %s', (format) => {
  const name = `disk.raw.${ENDINGS[format]}`;

  it('tells what it was', async () => {
    const { code, stdout, stderr } = await vhd(['convert', file(name), file(`${format}.vhd`)]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`${name} (${format}, read as raw: no footer found)\n`);
    const report = await vhd(['convert', file(name), file(`${format}-2.vhd`), '--json']);
    expect(JSON.parse(report.stdout)).toMatchObject({
      schema: 'vhdkit/convert/1',
      sourceType: 'raw',
      sourceCompression: format,
      virtualSize: SAMPLE.length,
    });
    const back = await vhd(['read', file(`${format}.vhd`)]);
    expect(firstDifference(back.bytes, SAMPLE)).toBe(-1);
  });

  it('takes standard input', async () => {
    const target = file(`${format}-stdin.raw`);
    const { code, stdout } = await vhd(['convert', '-', target], { stdin: SAMPLES[format] });
    expect([code, stdout.includes(`standard input (${format}, read as raw`)]).toEqual([0, true]);
    expect(firstDifference(await readFile(target), SAMPLE)).toBe(-1);
  });

  it('works in the bundle, from file and pipe', async () => {
    const line = `$vhd convert ${name} - --to raw -q > ${format}-1 && cat ${name} | $vhd convert - - --to raw -q | cmp - ${format}-1`;
    expect(await shell(command, folder.path, line)).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expect(firstDifference(await readFile(file(`${format}-1`)), SAMPLE)).toBe(-1);
  });

  it('is what other verbs point to', async () => {
    const { code, stderr } = await vhd(['read', file(name)]);
    expect(code).toBe(3);
    expect(stderr).toContain(`vhd convert ${file(name)} ${file(name)}.vhd`);
  });
});

describe('what vhd convert refuses', () => {
  it.each([
    [
      'cut.raw.xz',
      [],
      /cut\.raw\.xz: the xz data ends too early: expected more behind byte 100, found its end\n {5}get the/,
    ],
    ['garbage.raw.gz', [], /the gzip data is followed by other bytes/],
    ['sha256.xz', [], /has a check other than .*\n {5}xz -dc .*sha256\.xz \| vhd convert - DISK\.vhd\n/],
    ['gzip.img', [], /it is named \.img but begins like gzip data .*\n {5}say --compression gzip to decompress it/],
    [
      'disk.qcow2.gz',
      [],
      /the gzip data holds a QCOW2 file.*\n {5}gzip -dc .* > .*disk\.qcow2 && qemu-img convert -f qcow2/,
    ],
    [
      'disk.raw.xz',
      ['--dry-run'],
      /a dry run needs a source that can be read twice.*\n {5}decompress it first: xz -dc/,
    ],
    ['disk.raw.xz', ['--compression', 'gzip'], /this is no gzip data/],
  ])('%s %j', async (name, flags, said) => {
    const { code, stderr } = await vhd(['convert', file(name), file('refused.vhd'), ...flags]);
    expect(stderr).toMatch(said);
    expect(code).toBe(3);
    expect(await readdir(folder.path)).not.toContain('refused.vhd');
  });

  it('but not with the flag that the refusal names', async () => {
    const args = ['convert', file('gzip.img'), file('flag.vhd'), '--compression', 'gzip', '-q'];
    expect(await vhd(args)).toMatchObject({ code: 0, stderr: '' });
    const { code, stderr } = await vhd(['convert', file('gzip.img'), file('flag2.vhd'), '--compression', 'lz4']);
    expect([code, stderr]).toEqual([2, expect.stringContaining('expected gzip, zstd, xz or none') as string]);
  });

  it('and warns of what nothing checks', async () => {
    const { code, stderr } = await vhd(['convert', file('unchecked.zst'), file('unchecked.vhd'), '-q']);
    expect(code).toBe(0);
    expect(stderr).toContain('unchecked.zst: the zstd data has no checksum: if it is damaged, nothing shows it\n');
  });
});

/** Runs the command that is its first argument, and tells the most memory that it had resident, in KiB. */
const PEAK = `
  process.on('exit', () => require('node:fs').writeSync(1, String(process.resourceUsage().maxRSS)));
  require(process.argv[1]);
`;

it.skipIf(process.platform !== 'linux')('much out of little stays sparse, and needs little memory', async () => {
  const blockCount = 8 * 1024 * 2;
  await writeFile(file('bomb.raw.zst'), zeroFrame(blockCount));
  const child = spawn(process.execPath, ['-e', PEAK, command.path, 'convert', 'bomb.raw.zst', 'bomb.vhd', '-q'], {
    cwd: folder.path,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { code, stdout } = await ended(child);
  expect(code).toBe(0);
  expect(Number(stdout) / 1024).toBeLessThan(160);
  const { size, blocks } = await stat(file('bomb.vhd'));
  expect([size < 64 * 1024, blocks * 512 < 64 * 1024]).toEqual([true, true]);
  const { stdout: info } = await vhd(['info', file('bomb.vhd'), '--json']);
  expect(JSON.parse(info)).toMatchObject({ virtualSize: blockCount * 128 * 1024, allocatedBytes: 0 });
});
