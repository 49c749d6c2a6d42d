// What the system refuses: told in plain words, with exit code 4, and nothing half-written left behind.
import { execFile } from 'node:child_process';
import { chmod, mkdir, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { getuid } from 'node:process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pattern } from '../support/bytes.ts';
import { type ProcessResult, shell, useBuiltCommand } from '../support/cli.ts';
import { findProgram } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-system');
const command = useBuiltCommand();
const run = promisify(execFile);
const isRoot = getuid?.() === 0;
const NO_SPACE = /no space left on device\n {5}make room, or write to another file system\n$/;

const sh = (line: string): Promise<ProcessResult> => shell(command, folder.path, line);

beforeAll(async () => {
  await writeFile(folder.file('disk.raw'), pattern(12 * 1024 ** 2));
});

const canMount = isRoot && process.platform === 'linux' && findProgram('mount') !== undefined && (await tryMount());

/** Containers often have root without the right to mount. */
async function tryMount(): Promise<boolean> {
  const { stdout } = await run('mktemp', ['-d']);
  const path = stdout.trim();
  try {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', path]);
    await run('umount', [path]);
    return true;
  } catch {
    return false;
  } finally {
    await rm(path, { recursive: true });
  }
}

describe.skipIf(!canMount)(`a disk that is full${canMount ? '' : ' (skipped: mounting a tmpfs needs root)'}`, () => {
  beforeAll(async () => {
    await mkdir(folder.file('small'));
    await run('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', folder.file('small')]);
  });

  afterAll(async () => {
    await run('umount', [folder.file('small')]);
  });

  it.each([
    'convert disk.raw small/a.vhd',
    'convert disk.raw small/a.vhd --to fixed',
    'convert disk.raw small/a.raw',
    'convert - small/a.vhd < disk.raw',
    'convert - small/a.raw < disk.raw',
    'convert disk.raw small/a.raw --preallocate',
    'create small/a.vhd 8M --type fixed --preallocate',
    'read disk.raw -o small/a.raw',
  ])('vhd %s', async (call) => {
    const { code, stdout, stderr } = await sh(`$vhd ${call}`);
    expect([code, stdout]).toEqual([4, '']);
    expect(stderr).toMatch(/^vhd: small\/a\.(vhd|raw): /);
    expect(stderr).toMatch(NO_SPACE);
    expect(await readdir(folder.file('small'))).toEqual([]);
  });

  it('vhd write leaves the image valid', async () => {
    const { code, stderr } = await sh('$vhd create small/grows.vhd 1G -q && $vhd write small/grows.vhd disk.raw');
    expect([code, stderr]).toEqual([4, expect.stringMatching(/^vhd: small\/grows\.vhd: no space left on device\n/)]);
    expect(await sh('$vhd info small/grows.vhd > /dev/null')).toMatchObject({ code: 0, stderr: '' });
    await rm(folder.file('small/grows.vhd'));
  });

  it('vhd bench', async () => {
    const { code, stderr } = await sh('$vhd bench small --size 16M --rounds 1');
    expect([code, stderr]).toEqual([4, expect.stringMatching(NO_SPACE)]);
    expect(await readdir(folder.file('small'))).toEqual([]);
  });
});

describe('standard output that is full', () => {
  it.each(['info disk.raw', 'convert disk.raw - --to fixed', 'read disk.raw', '--help'])('vhd %s', async (call) => {
    const { code, stderr } = await sh(`$vhd ${call} > /dev/full`);
    expect(code).toBe(4);
    expect(stderr).toMatch(/^vhd: standard output: /);
    expect(stderr).toMatch(NO_SPACE);
  });
});

it('a device that is full is told as one', async () => {
  const { code, stderr } = await sh('$vhd convert disk.raw hashed.vhd -q && $vhd hash hashed.vhd -o /dev/full');
  expect([code, stderr]).toEqual([4, expect.stringMatching(/^vhd: \/dev\/full: no space left on device/)]);
});

it('a file that grows past what is allowed', async () => {
  const { code, stderr } = await sh('ulimit -f 4096; $vhd convert disk.raw large.vhd');
  expect([code, stderr]).toEqual([
    4,
    expect.stringMatching(/^vhd: large\.vhd: file too large\n {5}the file system, or a limit \(ulimit -f\)/),
  ]);
  expect((await readdir(folder.path)).filter((name) => name.includes('large'))).toEqual([]);
});

describe('permission denied', () => {
  // Root may do everything: as root this is somebody else.
  const other = isRoot ? 'setpriv --reuid 65534 --regid 65534 --clear-groups ' : '';
  const reason = isRoot && findProgram('setpriv') === undefined ? ' (skipped: root needs setpriv for it)' : '';

  beforeAll(async () => {
    await mkdir(folder.file('locked'));
    await writeFile(folder.file('locked/secret.raw'), pattern(4096));
    await writeFile(folder.file('locked/shown.raw'), pattern(4096));
    await chmod(folder.file('locked/secret.raw'), isRoot ? 0o600 : 0);
    await chmod(folder.file('locked/shown.raw'), 0o444);
    await chmod(folder.file('locked'), 0o555);
    await chmod(folder.path, 0o755);
    await run('chmod', ['-R', 'a+rX', command.path.replace(/\/[^/]*$/, '')]);
  });

  afterAll(() => chmod(folder.file('locked'), 0o755));

  it.skipIf(reason !== '').each([
    ['info locked/secret.raw', 'locked/secret.raw'],
    ['convert locked/secret.raw /tmp/never.vhd', 'locked/secret.raw'],
    ['convert locked/shown.raw locked/a.vhd', 'locked/a.vhd'],
    ['create locked/a.vhd 1M', 'locked/a.vhd'],
    ['write locked/shown.raw disk.raw', 'locked/shown.raw'],
    ['read locked/shown.raw -o locked/a.raw', 'locked/a.raw'],
  ])(`vhd %s${reason}`, async (call, path) => {
    const { code, stdout, stderr } = await sh(`${other}$vhd ${call}`);
    expect([code, stdout]).toEqual([4, '']);
    expect(stderr).toMatch(new RegExp(`^vhd: ${path}: permission denied\n {5}ask for the permissions`));
    expect(await readdir(folder.file('locked'))).toEqual(['secret.raw', 'shown.raw']);
  });
});

describe('a source that shrinks while it is read', () => {
  it.each(['shrunk.vhd', 'shrunk.raw', '/dev/null --to raw'])('converted to %s', async (target) => {
    const path = folder.file('shrinks.raw');
    await writeFile(path, '');
    await truncate(path, 2 * 1024 ** 3);
    // Progress is told when the reading has begun: that is when the file is cut. Holes that are found would not be read.
    const { code, stdout, stderr } = await sh(
      `VHDKIT_NATIVE=0 $vhd convert shrinks.raw ${target} --progress json 2> >(tee told >&2) & pid=$!; ` +
        'until [ -s told ]; do sleep 0.01; done; truncate -s 1M shrinks.raw; wait $pid',
    );
    const sentence = stderr
      .split('\n')
      .filter((line) => !line.startsWith('{'))
      .join('\n');
    expect([code, stdout]).toEqual([4, '']);
    expect(sentence).toMatch(
      /^vhd: shrinks\.raw: the source changed while it was read: expected 2147483648 bytes, .*\n {5}stop what writes to it/,
    );
    expect((await readdir(folder.path)).filter((name) => name.includes('shrunk'))).toEqual([]);
    await rm(folder.file('told'));
  });
});
