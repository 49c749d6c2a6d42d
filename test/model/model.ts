// Random programs on a disk, held against a plain array of bytes.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import { expect } from 'vitest';
import { openGathering, openVhdStorage } from '../../src/disk/open-storage.ts';
import type { VhdDisk } from '../../src/disk/vhd-disk.ts';
import { GATHER_LIMITS, type GatherLimits, type WriteOptions } from '../../src/disk/write-back.ts';
import { isAllZeros } from '../../src/format/zeros.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { createReadStream, createWriteStream } from '../../src/stream/disk-streams.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { collect } from '../support/collect.ts';

/** What a program works on: a plain array, and the disk in its file. */
interface Real {
  storage: MemoryStorage;
  disk: VhdDisk;
  readonly opening: Opening;
}

/** How the disk is opened for writing. */
export interface Opening extends WriteOptions {
  /** How much is gathered; default as it is for everybody. */
  readonly limits?: GatherLimits;
}

function openWritable(storage: MemoryStorage, { limits, ...options }: Opening): Promise<VhdDisk> {
  return openGathering(storage, { writable: true, ...options }, limits ?? GATHER_LIMITS);
}

interface Model {
  readonly bytes: Uint8Array;
}

/** A range by where its ends lie: in which block, and how far from that block's start. */
interface Spot {
  readonly block: number;
  readonly offset: number;
  readonly length: number;
}

type Command = fc.AsyncCommand<Model, Real>;

/** The shape of the disk that the ranges are made for. */
export interface ModelShape {
  readonly size: number;
  readonly blockSize: number;
}

function command(name: string, run: (model: Model, real: Real) => Promise<void>): Command {
  return { check: () => true, run, toString: () => name };
}

function spots({ size, blockSize }: ModelShape): fc.Arbitrary<[position: number, length: number]> {
  const small = fc.integer({ min: 0, max: Math.min(blockSize, 5000) });
  const offset = fc.oneof(fc.constant(0), small, fc.integer({ min: 0, max: blockSize - 1 }));
  const length = fc.oneof(
    small,
    fc.constantFrom(512, 4096, blockSize, 2 * blockSize),
    fc.integer({ min: 0, max: 3 * blockSize }),
  );
  const blockCount = Math.ceil(size / blockSize);
  const spot: fc.Arbitrary<Spot> = fc.record({ block: fc.nat(blockCount - 1), offset, length });
  return spot.map(({ block, offset: inBlock, length: wanted }) => {
    const position = Math.min(block * blockSize + inBlock, size);
    return [position, Math.min(wanted, size - position)];
  });
}

function reads(spot: [number, number]): Command {
  const [position, length] = spot;
  return command(`read ${position}+${length}`, async ({ bytes }, { disk }) => {
    const found = await disk.readBytes(position, length);
    expect(firstDifference(found, bytes.subarray(position, position + length))).toBe(-1);
  });
}

function writes([position, length]: [number, number], seed: number): Command {
  return command(`write ${position}+${length} #${seed}`, async ({ bytes }, { disk }) => {
    const source = seed === 0 ? new Uint8Array(length) : pattern(length, seed);
    bytes.set(source, position);
    await disk.write(source, position);
  });
}

function discards([position, length]: [number, number]): Command {
  return command(`discard ${position}+${length}`, async ({ bytes }, { disk }) => {
    bytes.fill(0, position, position + length);
    await disk.discard(position, length);
  });
}

/** Calls that are made at once and waited for together: where they overlap, they take effect in their order. */
function writesAtOnce(spotsAtOnce: readonly [number, number][], seed: number): Command {
  return command(`write ${spotsAtOnce.join(' and ')} #${seed} at once`, async ({ bytes }, { disk }) => {
    const calls = spotsAtOnce.map(async ([position, length], index) => {
      const source = pattern(length, seed + index);
      bytes.set(source, position);
      if (index % 3 !== 2) return disk.write(source, position);
      bytes.fill(0, position, position + length);
      return disk.discard(position, length);
    });
    const seen = bytes.slice();
    const read = disk.readBytes(0, disk.size);
    await Promise.all(calls);
    expect(firstDifference(await read, seen)).toBe(-1);
  });
}

function streamsIn([position, length]: [number, number], seed: number): Command {
  return command(`stream in ${position}+${length} #${seed}`, async ({ bytes }, { disk }) => {
    const source = pattern(length, seed);
    bytes.set(source, position);
    const chunks = Array.from({ length: Math.ceil(length / 777) }, (_, index) =>
      source.subarray(index * 777, (index + 1) * 777),
    );
    await pipeline(Readable.from(chunks), createWriteStream(disk, { start: position }));
  });
}

function streamsOut([start, length]: [number, number]): Command {
  return command(`stream out ${start}+${length}`, async ({ bytes }, { disk }) => {
    const found = Buffer.concat((await collect(createReadStream(disk, { start, length }))) as Uint8Array[]);
    expect(found).toHaveLength(length);
    expect(firstDifference(found, bytes.subarray(start, start + length))).toBe(-1);
  });
}

function extents([start, length]: [number, number]): Command {
  return command(`extents ${start}+${length}`, async ({ bytes }, { disk }) => {
    let end = start;
    let previous = '';
    for (const extent of await collect(disk.extents({ start, length }))) {
      expect(extent.start).toBe(end);
      expect(extent.kind).not.toBe(previous);
      end += extent.length;
      previous = extent.kind;
      if (extent.kind === 'zero') expect(isAllZeros(bytes.subarray(extent.start, end))).toBe(true);
    }
    expect(end).toBe(start + length);
  });
}

const FLUSH = command('flush', (_model, { disk }) => disk.flush());

function reopens(how: 'after close' | 'read-only' | 'as flushed'): Command {
  return command(`reopen ${how}`, async ({ bytes }, real) => {
    if (how === 'as flushed') await real.disk.flush();
    else await real.disk.close();
    const image = real.storage.toBytes();
    const readOnly = await openVhdStorage(new MemoryStorage(image));
    expect(firstDifference(await readOnly.readBytes(0, readOnly.size), bytes)).toBe(-1);
    expect(readOnly.findings.filter((item) => item.severity !== 'note')).toEqual([]);
    if (how === 'read-only') expect(firstDifference(image, real.storage.toBytes())).toBe(-1);
    real.storage = new MemoryStorage(image);
    real.disk = await openWritable(real.storage, real.opening);
  });
}

/** Programs for disks of a shape. */
export function programs(shape: ModelShape): fc.Arbitrary<Iterable<Command>> {
  const spot = spots(shape);
  return fc.commands(
    [
      spot.map(reads),
      fc.tuple(spot, fc.nat(1000)).map(([where, seed]) => writes(where, seed)),
      fc.tuple(spot, fc.nat(3)).map(([where, seed]) => writes(where, seed)),
      spot.map(discards),
      fc
        .tuple(fc.array(spot, { minLength: 2, maxLength: 6 }), fc.nat(1000))
        .map(([where, seed]) => writesAtOnce(where, seed)),
      fc.tuple(spot, fc.nat(1000)).map(([where, seed]) => streamsIn(where, seed)),
      spot.map(streamsOut),
      spot.map(extents),
      fc.constant(FLUSH),
      fc.constantFrom('after close', 'read-only', 'as flushed').map(reopens),
    ],
    { maxCommands: 60, size: 'max' },
  );
}

/** Runs a program on an image, and compares everything at its end. */
export async function runModel(
  commands: Iterable<Command>,
  { image, content }: { image: Uint8Array; content: Uint8Array },
  opening: Opening = {},
): Promise<void> {
  const bytes = Uint8Array.from(content);
  await fc.asyncModelRun(async () => {
    const storage = new MemoryStorage(image);
    return { model: { bytes }, real: { storage, opening, disk: await openWritable(storage, opening) } };
  }, [...commands, reads([0, bytes.length]), extents([0, bytes.length]), reopens('after close')]);
}
