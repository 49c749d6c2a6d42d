// A file that another program writes to while it is read: an error, whatever was made of it until then.
import { appendFileSync, existsSync, renameSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MapCounter } from '../../src/ops/map-figures.ts';
import { OutputFile } from '../../src/ops/output-file.ts';
import { WatchedFile } from '../../src/ops/source-change.ts';
import { pattern } from '../support/bytes.ts';
import { shell, useBuiltCommand, vhd } from '../support/cli.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-source-changed');
const command = useBuiltCommand();
const MiB = 1024 ** 2;
const CHANGED = /^vhd: [^ ]+: the source changed while it was read: expected .*, found .*\n {5}stop what writes to it/;
let raw: string;
let image: string;

beforeEach(async () => {
  raw = folder.file('disk.raw');
  image = folder.file('disk.vhd');
  writeFileSync(raw, pattern(8 * MiB));
  await vhd(['convert', raw, image, '--force', '-q']);
});

afterEach(() => vi.restoreAllMocks());

/** Standard output that does something when the first bytes come. */
class Reactive extends Writable {
  #react: (() => void) | undefined;

  constructor(react: () => void) {
    super();
    this.#react = react;
  }

  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    this.#react?.();
    this.#react = undefined;
    done();
  }
}

describe('a source that changes while it is read', () => {
  it.each([
    ['grows', (path: string) => appendFileSync(path, 'x')],
    ['is cut short', (path: string) => truncateSync(path, 4 * MiB)],
    ['is replaced in place', (path: string) => writeFileSync(path, pattern(8 * MiB, 7))],
  ])('and %s makes vhd read end with 4', async (_how, change) => {
    for (const args of [[raw], [image], [image, '--no-lock'], [image, '--length', '6M']]) {
      await vhd(['convert', raw, image, '--force', '-q']);
      const stdout = new Reactive(() => change(args[0] ?? ''));
      const { code, stderr } = await vhd(['read', ...args], { stdout });
      expect([args, code, stderr]).toEqual([args, 4, expect.stringMatching(CHANGED)]);
      writeFileSync(raw, pattern(8 * MiB));
    }
  });

  it('through a link too', async () => {
    symlinkSync(raw, folder.file('link.raw'));
    const stdout = new Reactive(() => appendFileSync(raw, 'x'));
    const { code, stderr } = await vhd(['read', folder.file('link.raw'), '--json'], { stdout });
    expect([code, JSON.parse(stderr)]).toEqual([
      4,
      expect.objectContaining({ code: 'ERR_VHD_SOURCE_CHANGED', path: folder.file('link.raw'), exitCode: 4 }),
    ]);
  });

  it('leaves nothing of the file that vhd read makes', async () => {
    const create = OutputFile.create.bind(OutputFile);
    vi.spyOn(OutputFile, 'create').mockImplementation((...args) => {
      appendFileSync(image, 'x');
      return create(...args);
    });
    const { code, stderr } = await vhd(['read', image, '-o', folder.file('out.raw')]);
    expect([code, stderr]).toEqual([4, expect.stringMatching(CHANGED)]);
    expect(existsSync(folder.file('out.raw'))).toBe(false);
  });

  it('makes vhd map end with 4', async () => {
    for (const flags of [[], ['--table'], ['--json'], ['--svg', folder.file('map.svg')]]) {
      vi.spyOn(MapCounter.prototype, 'add').mockImplementationOnce(() => appendFileSync(image, 'x'));
      const { code, stderr } = await vhd(['map', image, ...flags]);
      const told = flags[0] === '--json' ? /"code":"ERR_VHD_SOURCE_CHANGED"/ : CHANGED;
      expect([flags, code, stderr]).toEqual([flags, 4, expect.stringMatching(told)]);
      truncateSync(image, statSync(image).size - 1);
    }
    expect(existsSync(folder.file('map.svg'))).toBe(false);
  });

  it('makes vhd write end with 4', async () => {
    const open = WatchedFile.open.bind(WatchedFile);
    vi.spyOn(WatchedFile, 'open').mockImplementation(async (path) => {
      const file = await open(path);
      writeFileSync(raw, pattern(8 * MiB, 7));
      return file;
    });
    const { code, stderr } = await vhd(['write', image, raw]);
    expect([code, stderr]).toEqual([4, expect.stringMatching(CHANGED)]);
    vi.restoreAllMocks();
    expect((await vhd(['info', image, '--strict'])).code).toBe(0);
  });

  it.each([
    ['grows past the end of the disk', (path: string) => appendFileSync(path, pattern(MiB))],
    ['is cut short', (path: string) => truncateSync(path, 4 * MiB)],
  ])('and %s makes vhd write end with 4, and say what became of the image', async (_how, change) => {
    const open = WatchedFile.open.bind(WatchedFile);
    vi.spyOn(WatchedFile, 'open').mockImplementation(async (path) => {
      const file = await open(path);
      change(raw);
      return file;
    });
    const { code, stderr } = await vhd(['write', image, raw]);
    expect([code, stderr]).toEqual([4, expect.stringMatching(CHANGED)]);
    expect(stderr).toContain('the image has been written to, in part');
  });

  it('is the one that was opened, whatever takes its name meanwhile', async () => {
    const [source, other] = [folder.file('source.bin'), folder.file('other.bin')];
    writeFileSync(source, pattern(MiB + 100));
    writeFileSync(other, pattern(2 * MiB, 7));
    const file = await WatchedFile.open(source);
    renameSync(other, source);
    const chunks = (await file.createReadStream().toArray()) as Buffer[];
    expect(Buffer.concat(chunks).equals(pattern(MiB + 100))).toBe(true);
    expect(file.bytesRead).toBe(MiB + 100);
    await file.checkUnchanged();
    await file.close();
  });

  it('is closed when nothing reads it any more', async () => {
    const file = await WatchedFile.open(raw);
    const stream = file.createReadStream();
    stream.read(0);
    stream.destroy();
    await file.close();
    expect(stream.errored).toBe(null);
  });

  it('by another program makes a pipe of vhd read and that program fail', async () => {
    // The reader waits for its output to be taken, so that the other program is done before it is.
    const line = 'set -o pipefail; $vhd read disk.raw | (head -c 65536; echo more >> disk.raw; cat) | wc -c';
    const { code, stdout, stderr } = await shell(command, folder.path, line);
    expect([code, stdout.trim()]).toEqual([4, `${8 * MiB}`]);
    expect(stderr).toMatch(/^vhd: disk\.raw: the source changed while it was read/);
  });

  it('is no reason to say so to one who wants no more of it', async () => {
    const line = '$vhd read disk.raw | (head -c 65536 > /dev/null; echo more >> disk.raw); echo ${PIPESTATUS[0]}';
    expect(await shell(command, folder.path, line)).toMatchObject({ stdout: '141\n', stderr: '' });
  });
});
