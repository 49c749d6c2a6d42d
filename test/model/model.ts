// Random programs on a disk, held against a plain array of bytes.
import fc from 'fast-check';
import { expect } from 'vitest';
import { openVhdStorage } from '../../src/disk/open-storage.ts';
import type { VhdDisk } from '../../src/disk/vhd-disk.ts';
import { isAllZeros } from '../../src/format/zeros.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { collect } from '../support/collect.ts';

/** What a program works on: a plain array, and the disk in its file. */
interface Real {
  storage: MemoryStorage;
  disk: VhdDisk;
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
    real.disk = await openVhdStorage(real.storage, { writable: true });
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
      spot.map(extents),
      fc.constant(FLUSH),
      fc.constantFrom('after close', 'read-only', 'as flushed').map(reopens),
    ],
    { maxCommands: 60, size: 'max' },
  );
}

/** Runs a program on an image, and compares everything at its end. */
export async function runModel(commands: Iterable<Command>, image: Uint8Array, content: Uint8Array): Promise<void> {
  const bytes = Uint8Array.from(content);
  await fc.asyncModelRun(async () => {
    const storage = new MemoryStorage(image);
    return { model: { bytes }, real: { storage, disk: await openVhdStorage(storage, { writable: true }) } };
  }, [...commands, reads([0, bytes.length]), extents([0, bytes.length]), reopens('after close')]);
}
