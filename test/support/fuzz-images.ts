// Mutated images, by every way of looking at them.
import type { Disk } from '../../src/disk/disk.ts';
import { FlatDisk } from '../../src/disk/flat.ts';
import { openVhdStorage } from '../../src/disk/open-storage.ts';
import { examine } from '../../src/disk/recognise.ts';
import type { VhdDisk } from '../../src/disk/vhd-disk.ts';
import { check } from '../../src/ops/check.ts';
import { identify } from '../../src/ops/identify.ts';
import { readInfo } from '../../src/ops/info.ts';
import { mapRuns } from '../../src/ops/map.ts';
import { borrowed } from '../../src/storage/borrowed.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { decodeVhd } from '../../src/stream/decode.ts';
import { firstDifference, pattern } from './bytes.ts';
import type { SparseBytes } from './fuzz-bytes.ts';
import { mutate } from './fuzz-mutate.ts';
import {
  checkExtents,
  checkFindings,
  checkSamples,
  LOOKED_BYTES,
  must,
  orRefused,
  type Sample,
  sampleDisk,
} from './fuzz-oracle.ts';
import type { Seed } from './fuzz-seeds.ts';
import type { Random } from './seed.ts';
import { ChunkSource } from './streams-sources.ts';

/** How a case ended: refused everywhere, or something could be opened. */
export type Ending = 'opened' | 'refused';

/** Files up to this are read as a stream, bytes of them. */
const MAX_STREAM_BYTES = 1024 * 1024;
/** Disks up to this are held against what a stream of them gives. */
const MAX_CONTENT_BYTES = 2 * 1024 * 1024;
/** Files up to this are checked with all their bitmaps. */
const MAX_DEEP_BYTES = 4 * 1024 * 1024;
const MAX_RUNS = 3000;
const MANY_BLOCKS = 20_000;

/** A mutated image and its parents, which may be mutated too. */
interface Subject {
  readonly image: SparseBytes;
  /** The image, to be read only. */
  readonly storage: Storage;
  readonly parents: readonly SparseBytes[];
}

/** Mutates one of the seeds, and looks at it. */
export async function fuzzImage(seeds: readonly Seed[], random: Random): Promise<Ending> {
  const seed = seeds[random.below(seeds.length)];
  if (seed === undefined) throw new Error('there are no seeds');
  const [image, ...parents] = seed.map((each) => each.copy());
  if (image === undefined) throw new Error('a seed has an image');
  const other = seeds[random.below(seeds.length)] ?? seed;
  const [parent] = parents;
  if (parent !== undefined && random.oneIn(4)) mutate(parent, [image, ...other], random);
  else mutate(image, [...other, ...parents], random);
  return lookAt({ image, storage: await image.toStorage(), parents }, random);
}

async function lookAt(subject: Subject, random: Random): Promise<Ending> {
  const reading = await readImage(subject, random);
  const ending = reading === undefined ? 'refused' : 'opened';
  // Tables that take their time to load are looked at in another way only now and then.
  if (reading?.isLarge === true && !random.oneIn(16)) return ending;
  const kind = random.below(6);
  if (kind === 0) await checkImage(subject, random);
  else if (kind === 1) await informOf(subject);
  else if (kind === 2) await streamImage(subject, random);
  else if (reading !== undefined && kind < 5) await writeImage(subject, reading.samples, random);
  else if (reading?.isLarge === false) await mapImage(subject);
  return ending;
}

/** What reading an image came to. */
interface Reading {
  readonly samples: readonly Sample[];
  /** True if it has a great many blocks. */
  readonly isLarge: boolean;
}

/** Opens parents and image. */
async function openSubject({ parents }: Subject, storage: Storage, writable = false): Promise<VhdDisk> {
  const { type } = await examine(storage);
  const parent = type === 'differencing' ? await openParents(parents) : undefined;
  return openVhdStorage(borrowed(storage), { writable, parent });
}

async function openParents(parents: readonly SparseBytes[]): Promise<Disk | undefined> {
  const [first, ...rest] = parents;
  if (first === undefined) return undefined;
  const storage = await first.toStorage('parent.vhd');
  const { refusal, type } = await examine(storage);
  if (refusal?.code === 'ERR_VHD_NOT_VHD') return new FlatDisk(storage, Math.floor(first.size / 512) * 512, true);
  return openVhdStorage(storage, { parent: type === 'differencing' ? await openParents(rest) : undefined });
}

async function readImage(subject: Subject, random: Random): Promise<Reading | undefined> {
  const { storage } = subject;
  const examination = await examine(storage);
  checkFindings(examination.findings);
  const disk = await orRefused(() => openSubject(subject, storage));
  if (disk === undefined) return undefined;
  must(disk.size === examination.virtualSize, `a size of ${disk.size}, not ${examination.virtualSize ?? 0}`);
  checkFindings(disk.findings);
  const samples = await sampleDisk(disk, random);
  await checkExtents(disk);
  await disk.close();
  return { samples, isLarge: disk.blockSize !== undefined && disk.blockSize * MANY_BLOCKS < disk.size };
}

/** What was written must be read again, and nothing else may change. */
async function writeImage(subject: Subject, samples: readonly Sample[], random: Random): Promise<void> {
  const storage = await subject.image.toStorage();
  const disk = await orRefused(() => openSubject(subject, storage, true));
  if (disk === undefined) return;
  await checkSamples(disk, samples, 'other bytes when open for writing');
  const written: Sample[] = [];
  for (let count = random.below(4); count >= 0; count--) {
    const length = Math.min(disk.size, 1 + random.below(random.oneIn(3) ? 20_000 : 1024));
    const position = random.below(Math.min(disk.size - length, 0xffff_ffff) + 1);
    const bytes = pattern(length, random.below(1000));
    const isWritten = await orRefused(() => disk.write(bytes, position).then(() => true));
    // What a write leaves that fails half-way is not known.
    written.push({ position, length, bytes: isWritten === true ? bytes : undefined });
    if (isWritten !== true) break;
    if (random.oneIn(3)) await orRefused(() => disk.flush());
  }
  const isClosed = await orRefused(() => disk.close().then(() => true));
  if (isClosed !== true) return;
  const result = await orRefused(() => openSubject(subject, storage));
  must(result !== undefined, 'what was written to cannot be opened any more');
  await checkSamples(result, overlaid(samples, written), 'other bytes after writing');
  await result.close();
}

/** What samples of before hold after the writes; and the writes, as far as later ones leave them. */
function overlaid(samples: readonly Sample[], written: readonly Sample[]): Sample[] {
  const all = [
    ...samples.map((sample) => ({ sample, from: 0 })),
    ...written.map((sample, index) => ({ sample, from: index + 1 })),
  ];
  return all.map(({ sample, from }) => {
    if (sample.bytes === undefined) return sample;
    const bytes = Uint8Array.from(sample.bytes);
    for (const later of written.slice(from)) {
      const start = Math.max(sample.position, later.position);
      const end = Math.min(sample.position + sample.length, later.position + later.length);
      if (start >= end) continue;
      if (later.bytes === undefined) return { ...sample, bytes: undefined };
      bytes.set(later.bytes.subarray(start - later.position, end - later.position), start - sample.position);
    }
    return { ...sample, bytes };
  });
}

/** Content never makes a check reject. */
async function checkImage({ image, storage }: Subject, random: Random): Promise<void> {
  const deep = image.size <= MAX_DEEP_BYTES && random.oneIn(2);
  const report = await check(storage, { deep, lock: false });
  checkFindings(report.findings);
  must(report.ok === report.findings.every(({ severity }) => severity !== 'error'), 'ok in spite of errors');
  for (const { means, remedy } of report.findings) must(means !== '' && remedy !== '', 'a finding without a meaning');
}

async function informOf({ storage }: Subject): Promise<void> {
  const info = await readInfo(storage, { lock: false });
  checkFindings(info.findings);
  must(info.readable === (info.refusal === null), 'neither readable nor refused');
  await identify(storage);
}

async function mapImage(subject: Subject): Promise<void> {
  const disk = await openSubject(subject, subject.storage);
  let [end, count] = [0, 0];
  const looked = Math.min(disk.size, LOOKED_BYTES);
  for await (const { start, length } of mapRuns(disk, { length: looked })) {
    must(start === end, `a run from ${start} behind ${end}`);
    end = start + length;
    if (++count >= MAX_RUNS) break;
  }
  must(count >= MAX_RUNS || end === looked, `runs up to ${end} of ${looked}`);
  await disk.close();
}

/** A stream is an error, or what the same bytes are as a file. */
async function streamImage(subject: Subject, random: Random): Promise<void> {
  const { image } = subject;
  if (image.size > MAX_STREAM_BYTES) return;
  const lengths = [1 + random.below(900), 1 + random.below(9000), 100 + random.below(40_000)];
  const content = await orRefused(() => contentOf(new ChunkSource(image.toBytes(), lengths)));
  if (content === undefined) return;
  const disk = await openSubject(subject, subject.storage);
  const found = await disk.readBytes(0, disk.size);
  must(firstDifference(content, found) === -1, 'a stream of it holds other bytes than the file');
  await disk.close();
}

/** All bytes that a stream gives; undefined if they are too many to be held. */
async function contentOf(source: ChunkSource): Promise<Uint8Array | undefined> {
  const decoded = await decodeVhd(source);
  const { size } = decoded;
  const content = new Uint8Array(Math.min(size ?? MAX_CONTENT_BYTES, MAX_CONTENT_BYTES));
  for await (const { bytes, start } of decoded.extents()) {
    must(size === undefined || start + bytes.length <= size, `bytes up to ${start + bytes.length} of ${size ?? 0}`);
    if (start < content.length) content.set(bytes.subarray(0, content.length - start), start);
  }
  const end = decoded.end();
  must(end !== undefined, 'a stream without an end');
  return end.size > MAX_CONTENT_BYTES ? undefined : content.subarray(0, end.size);
}
