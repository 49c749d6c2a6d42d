// Every program of samples/ does what it says: as it stands, and against the built library.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createVhd, MemoryStorage, openVhd } from 'vhdkit';
import { describe, expect, it } from 'vitest';
import { ended } from '../support/cli.ts';
import { type StartSample, sampleNames, startInCheckout, useBuiltLibrary } from '../support/samples.ts';
import { isThorough } from '../support/seed.ts';
import { useTempFolder } from '../support/temp.ts';

const MIB = 1024 * 1024;
const folder = join(import.meta.dirname, '../../samples');
const image = (name: string): string => join(folder, 'images', name);
const temp = useTempFolder('samples');
const startBuilt = useBuiltLibrary(temp);

/** A raw disk of 8 MiB that is empty but for two stretches, one of them over the end of a block of 2 MiB. */
function rawDisk(): Buffer {
  const disk = Buffer.alloc(8 * MIB);
  disk.fill('vhdkit', 2 * MIB - 700, 2 * MIB + 900);
  disk.fill(0x77, disk.length - 512);
  return disk;
}

async function contentOf(source: string | MemoryStorage): Promise<Buffer> {
  await using disk = await openVhd(source);
  return Buffer.from(await disk.readBytes(0, disk.size));
}

/** Serves until the callback has ended. */
async function withServer<T>(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  use: (url: string) => Promise<T>,
): Promise<T> {
  const server: Server = createServer(answer).listen(0, 'localhost');
  await once(server, 'listening');
  try {
    return await use(`http://localhost:${(server.address() as AddressInfo).port}/disk.vhd`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

/** Answers HEAD, and GET with a range, as a server of files does. */
function serveRanges(bytes: Uint8Array, tag: string): (request: IncomingMessage, response: ServerResponse) => void {
  return ({ method, headers }, response) => {
    if (method === 'HEAD') return void response.writeHead(200, { 'Content-Length': bytes.length, ETag: tag }).end();
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
    if (headers['if-match'] !== tag || first === undefined) return void response.writeHead(412).end();
    response.writeHead(206).end(bytes.subarray(Number(first), Number(last) + 1));
  };
}

/** The address a server prints when it is there. */
async function addressOf(server: ChildProcess): Promise<string> {
  const [line] = (await Promise.race([once(server.stdout!, 'data'), once(server, 'exit')])) as unknown[];
  return /http:\S+/.exec(String(line))![0];
}

/** Tests those of the samples that are wanted. */
function describeSamples(label: string, start: StartSample, isWanted = (_name: string): boolean => true): void {
  const sample = (name: string, test: () => Promise<void>): void => {
    if (isWanted(name)) it.concurrent(name, test);
  };

  const run = async (name: string, ...args: string[]): Promise<string> => {
    const result = await ended(start(name, ...args));
    expect(result).toMatchObject({ code: 0, stderr: '' });
    return result.stdout;
  };

  sample('inspect', async () => {
    const path = image('dynamic-fat12.vhd');
    const stdout = await run('inspect', path);
    expect(stdout).toContain(`${path}: a dynamic disk of 16384 bytes in a file of 11776\n`);
    expect(stdout).toContain("made by 'win '\n  stored  8192 bytes\n  empty   8192 bytes\n");
    expect(stdout).toContain('partition table: mbr\n  partition 1: 12288 bytes from 4096 on, vfat inside\n');
  });

  sample('create-dynamic', async () => {
    const path = temp.file(`${label}-new.vhd`);
    const stdout = await run('create-dynamic', path, '64');
    expect(stdout).toContain(`made ${path}: 67108864 bytes, of which 4194304 have a place in the file\n`);
    expect(stdout).toContain('at byte 67108847: written by vhdkit\n');
    await using disk = await openVhd(path);
    expect(disk).toMatchObject({ type: 'dynamic', size: 64 * MIB });
    expect(Buffer.from(await disk.readBytes(disk.size - 20, 20)).toString()).toBe('\0\0\0written by vhdkit');
  });

  sample('stream-raw', async () => {
    const [raw, path] = [temp.file(`${label}.raw`), temp.file(`${label}-raw.vhd`)];
    await writeFile(raw, rawDisk());
    const stdout = await run('stream-raw', raw, path);
    expect(stdout).toBe(`${path}: 8388608 bytes, of which 6291456 have a place in the file\n`);
    expect((await contentOf(path)).equals(rawDisk())).toBe(true);
  });

  sample('serve-http', async () => {
    const raw = temp.file(`${label}-served.raw`);
    await writeFile(raw, rawDisk());
    const server = start('serve-http', raw, '0');
    try {
      const url = await addressOf(server);
      const head = await fetch(url, { method: 'HEAD' });
      const [first, second] = await Promise.all([fetch(url), fetch(url)]);
      const bytes = new Uint8Array(await first.arrayBuffer());
      expect(head.headers.get('Content-Length')).toBe(String(bytes.length));
      expect(first.headers.get('Content-Length')).toBe(String(bytes.length));
      expect(Buffer.from(await second.arrayBuffer()).equals(bytes)).toBe(true);
      expect((await contentOf(new MemoryStorage(bytes))).equals(rawDisk())).toBe(true);
      const post = await fetch(url, { method: 'POST' });
      expect([post.status, post.headers.get('Allow')]).toEqual([405, 'GET, HEAD']);
    } finally {
      server.kill();
    }
  });

  sample('http-storage', async () => {
    const path = temp.file(`${label}-remote.vhd`);
    await using disk = await createVhd(path, { size: 64 * MIB });
    await disk.write(rawDisk().fill(0xaa, 511, 512).fill(0x55, 510, 511), 0);
    await disk.flush();
    const bytes = await readFile(path);
    const stdout = await withServer(serveRanges(bytes, '"one"'), (url) => run('http-storage', url));
    expect(stdout).toContain(`a dynamic disk of 67108864 bytes in a file of ${bytes.length}\n`);
    expect(stdout).toContain('first sector ends with 55aa\n');
    expect(Number(/fetched (\d+) bytes/.exec(stdout)?.[1])).toBeLessThan(64 * 1024);
  });

  sample('read-sectors', async () => {
    const stdout = await run('read-sectors', image('dynamic-fat12.vhd'), '12', '2');
    const lines = stdout.split('\n');
    expect(lines).toHaveLength(2 * 32 + 1);
    expect(lines[0]).toBe('00001800: 4865 6c6c 6f20 6672 6f6d 2069 6e73 6964  Hello from insid');
    expect(lines[63]).toBe('00001bf0: 0000 0000 0000 0000 0000 0000 0000 0000  ................');
  });
}

// tsx takes a second to start. How it finds the library is the same for all: one is enough, but for VHDKIT_THOROUGH=1.
describe('in a checkout', () => {
  describeSamples('source', startInCheckout, (name) => isThorough || name === 'stream-raw');
});
describe('against the built library', () => describeSamples('built', startBuilt));

describe('given something wrong', () => {
  const fail = async (name: string, ...args: string[]): Promise<string> => {
    const result = await ended(startBuilt(name, ...args));
    expect(result).toMatchObject({ code: 1, stdout: '' });
    return result.stderr;
  };

  it.concurrent('inspect says what and what to do', async () => {
    const path = image('footers-disagree.vhd');
    const stderr = await fail('inspect', path);
    expect(stderr).toMatch(/footers at both ends .* \[ERR_VHD_FOOTERS_DISAGREE\]\n {2}say which one is right/);
  });

  it.concurrent('inspect lets errors of the system pass', async () => {
    expect(await fail('inspect', temp.file('nothing.vhd'))).toContain('ENOENT');
  });

  it.concurrent('create-dynamic overwrites nothing', async () => {
    const path = temp.file('there.vhd');
    await writeFile(path, 'precious');
    expect(await fail('create-dynamic', path)).toContain('EEXIST');
    expect(await readFile(path, 'utf8')).toBe('precious');
  });

  it.concurrent('stream-raw leaves nothing behind', async () => {
    const [raw, path] = [temp.file('odd.raw'), temp.file('odd.vhd')];
    await writeFile(raw, 'no whole sector');
    expect(await fail('stream-raw', raw, path)).toContain('expected a positive multiple of 512 bytes, found 15');
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it.concurrent('http-storage wants ranges', async () => {
    const all = await readFile(image('dynamic-fat12.vhd'));
    const stderr = await withServer(
      (_request, response) => response.writeHead(200, { 'Content-Length': all.length }).end(all),
      (url) => fail('http-storage', url),
    );
    expect(stderr).toContain('expected status 206, found 200');
  });

  it.concurrent('http-storage never mixes two versions', async () => {
    const all = await readFile(image('dynamic-fat12.vhd'));
    let count = 0;
    const stderr = await withServer(
      (request, response) => serveRanges(all, count++ < 2 ? '"one"' : '"two"')(request, response),
      (url) => fail('http-storage', url),
    );
    expect(stderr).toContain('expected status 206, found 412');
  });

  it.concurrent('read-sectors does not read past the end', async () => {
    expect(await fail('read-sectors', image('fixed-fat12.vhd'), '32')).toContain('RangeError');
  });
});

describe('every sample', async () => {
  const names = await sampleNames();
  const readme = await readFile(join(folder, 'README.md'), 'utf8');

  it.concurrent.each(names)('%s tells how it is used', async (name) => {
    const result = await ended(startBuilt(name));
    expect(result).toMatchObject({ code: 2, stdout: '' });
    expect(result.stderr).toMatch(new RegExp(`^usage: npx tsx samples/${name}\\.ts [A-Z]`));
  });

  it.each(names)('%s is short, begins with what it shows, and is in the table', async (name) => {
    const text = await readFile(join(folder, `${name}.ts`), 'utf8');
    expect(text.split('\n').length).toBeLessThanOrEqual(61);
    const [command] = new RegExp(`npx tsx samples/${name}\\.ts .+`).exec(text.slice(0, text.indexOf('*/')))!;
    expect(readme).toMatch(new RegExp(`^\\| \\[${name}\\.ts\\]\\(${name}\\.ts\\) \\|`, 'm'));
    expect(readme).toContain(`\`${command}\``);
  });
});
