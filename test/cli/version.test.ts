import { afterEach, describe, expect, it, vi } from 'vitest';
import { version } from '../../bin/version.ts';
import { nativeSupport } from '../../src/storage/native.ts';
import { vhd } from '../support/cli.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('vhd --version', () => {
  it.each(['--version', '-V'])('%s is one line', async (flag) => {
    expect(await vhd([flag])).toMatchObject({ code: 0, stdout: `${version()}\n`, stderr: '' });
  });

  it.each(['--version --verbose', '-V --verbose', '--verbose -V'])(
    '%s tells what it runs on and with',
    async (line) => {
      const { code, stdout, stderr } = await vhd(line.split(' '));
      expect([code, stderr]).toEqual([0, '']);
      const [first, ...rows] = stdout.trimEnd().split('\n');
      expect(first).toBe(`vhd ${version()}`);
      const native = await nativeSupport();
      const table = new Map(rows.map((row) => [row.slice(2, 15).trimEnd(), row.slice(17)]));
      expect([...table.keys()]).toEqual([
        'node',
        'platform',
        'native helper',
        'holes',
        'clone',
        'locks',
        'batches',
        'punch',
      ]);
      expect(table.get('node')).toBe(process.version);
      expect(table.get('platform')).toBe(`${process.platform} ${process.arch}`);
      expect(table.get('native helper')).toBe(
        native.version === undefined ? `off: ${native.reason}` : `koffi ${native.version}`,
      );
      expect(table.get('holes')).toMatch(native.isActive ? /^on: found/ : /^off: read like data$/);
      expect(table.get('locks')).toMatch(native.isActive ? /^on: a second writer/ : /^off: nothing keeps/);
    },
  );

  it.each(['--version --json', '-V --verbose --json', '--json --version'])('%s is an object', async (line) => {
    const { code, stdout } = await vhd(line.split(' '));
    expect(code).toBe(0);
    const { helper, isActive, version: native } = await nativeSupport();
    expect(JSON.parse(stdout)).toMatchObject({
      schema: 'vhdkit/version/1',
      version: version(),
      node: process.version,
      platform: process.platform,
      arch: process.arch,
      native: { helper, isActive, ...(native === undefined ? {} : { version: native }) },
      features: [
        { name: 'holes', isActive },
        { name: 'clone', isActive },
        { name: 'locks', isActive },
        { name: 'batches', isActive: isActive && process.arch === 'x64' },
        { name: 'punch', isActive },
      ],
    });
  });

  it('says why there is no native help', async () => {
    vi.stubEnv('VHDKIT_NATIVE', '0');
    const { stdout } = await vhd(['--version', '--verbose']);
    expect(stdout).toContain('  native helper  off: turned off by VHDKIT_NATIVE=0\n');
    expect(stdout).toContain('  holes          off: read like data\n');
    expect(stdout).toContain('  clone          off: bytes are copied\n');
    expect(stdout).toContain('  locks          off: nothing keeps two programs apart\n');
  });

  it('is not --verbose alone, nor anything with more words', async () => {
    expect(await vhd(['--verbose'])).toMatchObject({ code: 2, stdout: '' });
    expect(await vhd(['--version', '--verbose', '--bogus'])).toMatchObject({ code: 0, stdout: `${version()}\n` });
  });
});
