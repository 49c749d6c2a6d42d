// What is no image, and comes from a file or a stream all the same: tables, manifests, journals, names, compressed streams.
import { createHash } from 'node:crypto';
import { posix, win32 } from 'node:path';
import { FlatDisk } from '../../src/disk/flat.ts';
import { decodeLocatorName, pathsOfFileUrl } from '../../src/format/locator-name.ts';
import { identifyFileSystem } from '../../src/inspect/file-systems.ts';
import { planGptMove } from '../../src/inspect/gpt-move.ts';
import { listPartitions } from '../../src/inspect/partitions.ts';
import type { Journal } from '../../src/open-journal.ts';
import { decodeJournal, encodeJournal } from '../../src/open-journal-record.ts';
import { parentPaths } from '../../src/open-parent-paths.ts';
import { hashDisk, RootDigest } from '../../src/ops/hash.ts';
import { carryOut, rollBack } from '../../src/ops/journal.ts';
import { decodeManifests, hasBlocks } from '../../src/ops/manifest.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { decompress } from '../../src/stream/decompress.ts';
import { firstDifference, pattern } from './bytes.ts';
import { concatenated, SAMPLE, SAMPLES } from './compressed.ts';
import type { Ending } from './fuzz-images.ts';
import { must, orRefused } from './fuzz-oracle.ts';
import type { Random } from './seed.ts';
import { ChunkSource } from './streams-sources.ts';
import { superblockImages } from './superblocks.ts';
import { bootRecord, gptDisk, LINUX, resealHeader } from './tables.ts';

const SECTORS = 600;
const MiB = 1024 * 1024;

/** A few bytes changed, cut, repeated or put in. */
function mutateBytes(original: Uint8Array, random: Random, hot = original.length): Uint8Array {
  let bytes: Uint8Array = Uint8Array.from(original);
  for (let change = random.below(4); change >= 0 && bytes.length > 0; change--) {
    const at = random.below(random.oneIn(3) ? bytes.length : Math.min(hot, bytes.length));
    const kind = random.below(8);
    if (kind < 4) bytes[at] = random.oneIn(2) ? random.below(256) : random.pick([0, 1, 0x7f, 0x80, 0xff]);
    else if (kind === 4) bytes.fill(random.below(256), at, at + random.pick([2, 4, 8, 16]));
    else if (kind === 5) bytes = bytes.slice(0, at);
    else if (kind === 6) bytes.copyWithin(at, random.below(bytes.length), random.below(bytes.length));
    else bytes = concatenated(bytes.subarray(0, at), pattern(random.below(20), 3), bytes.subarray(at));
  }
  return bytes;
}

let tables: readonly Uint8Array[] | undefined;

function makeTables(): readonly Uint8Array[] {
  const entries = [
    { type: LINUX, first: 40, last: 99, name: 'one\u202e\u001b[31m' },
    { type: LINUX, first: 100, last: 199, name: 'two' },
  ];
  const chained = new Uint8Array(SECTORS * 512);
  chained.set(
    bootRecord([
      { type: 0x83, start: 1, count: 99 },
      { type: 0x05, start: 100, count: 400 },
    ]),
  );
  chained.set(
    bootRecord([
      { type: 0x83, start: 2, count: 10 },
      { type: 0x05, start: 50, count: 50 },
    ]),
    100 * 512,
  );
  const superblocks = superblockImages().map(({ bytes }) => bytes);
  return [gptDisk({ sectorCount: SECTORS, entries }), chained, ...superblocks];
}

/** A partition table or a file system with changed bytes. */
export async function fuzzTable(random: Random): Promise<Ending> {
  const disks = (tables ??= makeTables());
  const original = disks[random.below(random.oneIn(2) ? 2 : disks.length)] ?? new Uint8Array(0);
  const bytes = mutateBytes(original, random, 2048);
  if (random.oneIn(2) && bytes.length >= 1024) resealHeader(bytes, 512);
  const disk = new FlatDisk(new MemoryStorage(bytes), bytes.length, true);
  const { partitions, findings } = await listPartitions(disk);
  for (const { start, length } of partitions) {
    must(Number.isSafeInteger(start + length), 'a partition past all numbers');
  }
  must(findings.length <= 120, `${findings.length} findings`);
  await identifyFileSystem(disk, 0, bytes.length);
  const read = async (target: Uint8Array, position: number): Promise<void> => disk.read(target, position);
  const newSize = 512 * random.below(4000);
  const patches = await orRefused(() => planGptMove(read, bytes.length, newSize));
  for (const patch of patches ?? []) must(patch.position + patch.bytes.length <= newSize, 'a patch past the end');
  return partitions.length > 0 ? 'opened' : 'refused';
}

async function manifestText(): Promise<string> {
  const bytes = new Uint8Array(5 * MiB + 512);
  bytes.set(pattern(100, 1), 0);
  bytes.set(pattern(512, 2), 5 * MiB);
  const hash = await hashDisk(new FlatDisk(new MemoryStorage(bytes), bytes.length, true));
  return JSON.stringify({ schema: 'vhdkit/hash/1', path: 'dir/a.vhd', ...hash });
}

let manifest: Promise<string> | undefined;
const VALUES = [
  'null',
  '-1',
  '1e999',
  '9007199254740993',
  '""',
  '[]',
  '{}',
  '"\\u0000"',
  'true',
  '1.5',
  '"a"',
] as const;

/** A manifest of hashes with changed letters or values: refused, or as it says itself. */
export async function fuzzManifest(random: Random): Promise<Ending> {
  manifest ??= manifestText();
  let text = await manifest;
  if (random.oneIn(3)) text = `${'ab'.repeat(32)}  a.vhd\n${'cd'.repeat(32)} *b.vhd\n`;
  if (random.oneIn(2)) {
    const values = [...text.matchAll(/:("[^"]*"|\d+|\[)/g)];
    const value = values[random.below(Math.max(1, values.length))];
    if (value !== undefined) {
      text = `${text.slice(0, value.index + 1)}${random.pick(VALUES)}${text.slice(value.index + value[0].length)}`;
    }
  }
  const bytes = random.oneIn(2) ? Buffer.from(text) : mutateBytes(Buffer.from(text), random);
  const found = await orRefused(async () => decodeManifests(bytes, 'm.json'));
  for (const each of found ?? []) {
    if (!hasBlocks(each)) continue;
    const digest = new RootDigest(each.virtualSize);
    for (const block of each.blocks) digest.add(block);
    must(digest.hex() === each.root, 'a root that its blocks do not give');
  }
  return found === undefined ? 'refused' : 'opened';
}

const IMAGE = pattern(4096, 8);

function journal(): Journal {
  const after = pattern(600, 9);
  return {
    verb: 'repair',
    uuid: '00112233-4455-6677-8899-aabbccddeeff',
    startedAt: '2024-02-29T12:34:56Z',
    fileSize: IMAGE.length,
    fileSizeAfter: 4608,
    writes: [
      { offset: 512, before: IMAGE.slice(512, 1112), after },
      { offset: 3900, before: IMAGE.slice(3900), after },
    ],
    details: { option: 'end' },
  };
}

/** A journal with changed letters or values, sealed again or not: refused, or it does what it says and no more. */
export async function fuzzJournal(random: Random): Promise<Ending> {
  const [line = ''] = Buffer.from(encodeJournal(journal())).toString().split('\n');
  const places = [...line.matchAll(/:("[^"]*"|\d+|\[)/g)];
  const place = places[random.below(places.length)];
  const value = random.oneIn(2) ? random.pick(VALUES) : String(random.below(6000));
  let changed = Buffer.from(line);
  if (place !== undefined && random.oneIn(2)) {
    changed = Buffer.from(`${line.slice(0, place.index + 1)}${value}${line.slice(place.index + place[0].length)}`);
  } else changed = Buffer.from(mutateBytes(changed, random));
  const sha256 = createHash('sha256').update(changed).digest('hex');
  const whole = Buffer.concat([changed, Buffer.from(`\n${JSON.stringify({ sha256 })}\n`)]);
  const decoded = decodeJournal(random.oneIn(5) ? mutateBytes(whole, random) : whole);
  if (decoded.journal === undefined) {
    must(
      decoded.problem !== '' && !/\p{Cc}/u.test(decoded.problem),
      `a problem told as ${JSON.stringify(decoded.problem)}`,
    );
    return 'refused';
  }
  const storage = new MemoryStorage(IMAGE);
  const { fileSizeAfter } = decoded.journal;
  const isDone = await orRefused(() => carryOut(storage, decoded.journal).then(() => true));
  if (isDone === undefined) {
    must(firstDifference(storage.toBytes(), IMAGE) === -1, 'a refused journal changed the image');
  } else {
    must((await storage.size()) === fileSizeAfter, 'another size than the journal says');
    await rollBack(storage, decoded.journal);
    must(firstDifference(storage.toBytes(), IMAGE) === -1, 'rolled back to something else');
  }
  return 'opened';
}

const NAMES = [
  '.\\parent.vhd',
  '..\\..\\etc\\passwd',
  '/etc/passwd',
  'C:\\disks\\parent.vhd',
  '\\\\server\\share\\p.vhd',
  '\\\\?\\C:\\p.vhd',
  'file://localhost/a/%2e%2e/b%00.vhd',
  'file://./rel%2fparent.vhd',
  'file:///C:/p.vhd',
] as const;
const CODES = ['W2ru', 'W2ku', 'MacX', 'Wi2r', 'Wi2k'] as const;

/** A name of a parent with changed bytes: never an exception, and never a path with a NUL or a relative one. */
export async function fuzzName(random: Random): Promise<Ending> {
  const code = random.pick(CODES);
  const encoding = code.startsWith('W2') ? 'utf16le' : 'utf8';
  const { text } = decodeLocatorName(code, mutateBytes(Buffer.from(random.pick(NAMES), encoding), random));
  pathsOfFileUrl(text);
  let count = 0;
  for (const path of [posix, win32]) {
    const [childDir, parentDir] = path === posix ? ['/home/child', '/srv/parents'] : ['C:\\child', 'D:\\parents'];
    const names = text === '' ? [] : [{ source: code, text }];
    for (const found of parentPaths(names, { childDirs: [childDir], parentDirs: [parentDir] }, path)) {
      if (found.problem !== undefined) continue;
      count++;
      must(path.isAbsolute(found.path) && !found.path.includes('\0'), `a path ${JSON.stringify(found.path)}`);
    }
  }
  return count > 0 ? 'opened' : 'refused';
}

/** A compressed stream with changed bytes: refused, or exactly what was compressed. */
export async function fuzzCompressed(random: Random): Promise<Ending> {
  const format = random.pick(['gzip', 'zstd', 'xz'] as const);
  const bytes = mutateBytes(SAMPLES[format], random);
  const seen = { isEqual: true, count: 0 };
  const isDone = await orRefused(async () => {
    for await (const chunk of decompress(new ChunkSource(bytes, 1 + random.below(200)), { format })) {
      const expected = SAMPLE.subarray(seen.count, seen.count + chunk.length);
      if (firstDifference(chunk, expected) !== -1) seen.isEqual = false;
      seen.count += chunk.length;
      must(seen.count <= 64 * MiB, 'a bomb out of a small change');
    }
    return true;
  });
  // Nothing at all is what a frame holds that zstd is told to skip.
  const isRight = (seen.isEqual && seen.count === SAMPLE.length) || seen.count === 0;
  must(isDone !== true || isRight, `${format}: ${seen.count} other bytes`);
  return isDone === undefined ? 'refused' : 'opened';
}
