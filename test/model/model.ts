// Random programs on a disk, held against a plain array of bytes.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import { expect } from 'vitest';
import { compactBlocks } from '../../src/disk/compact-blocks.ts';
import { planCompaction } from '../../src/disk/compact-image.ts';
import type { Extent } from '../../src/disk/disk.ts';
import { findBlocks } from '../../src/disk/open-blocks.ts';
import { examine, type SoundExamination } from '../../src/disk/recognise.ts';
import type { VhdDisk } from '../../src/disk/vhd-disk.ts';
import type { GatherLimits, WriteOptions } from '../../src/disk/write-back.ts';
import type { Finding } from '../../src/format/rules.ts';
import { isAllZeros } from '../../src/format/zeros.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { createReadStream, createWriteStream } from '../../src/stream/disk-streams.ts';
import { buildOver, type Chain, type ChainLink, forReading, openOver } from '../support/build-chain.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { expectOwner } from '../support/chain-checks.ts';
import { collect } from '../support/collect.ts';

/** What a program works on: the disk in its file. */
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

/** What the disk must hold: a plain array of bytes, and whose they are. */
interface Model {
  bytes: Uint8Array;
  /** For each of its bytes, 1: written or discarded since the image was as `chain` tells. */
  touched: Uint8Array;
  /** The image as it was opened first, and its parents; undefined if nobody asks whose a byte is. */
  chain: Chain | undefined;
}

function touch({ touched }: Model, [position, length]: Spot): void {
  touched.fill(1, position, position + length);
}

function parentsOf({ chain }: Model): Chain {
  return chain?.slice(1) ?? [];
}

/** A range of the disk that the program was made for. */
type Spot = readonly [position: number, length: number];

/** The part of it that lies on the disk as it is now. */
function onDisk([position, length]: Spot, { bytes }: Model): [position: number, length: number] {
  const start = Math.min(position, bytes.length);
  return [start, Math.min(length, bytes.length - start)];
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

function spots({ size, blockSize }: ModelShape): fc.Arbitrary<Spot> {
  const small = fc.integer({ min: 0, max: Math.min(blockSize, 5000) });
  const offset = fc.oneof(fc.constant(0), small, fc.integer({ min: 0, max: blockSize - 1 }));
  const length = fc.oneof(
    small,
    fc.constantFrom(512, 4096, blockSize, 2 * blockSize),
    fc.integer({ min: 0, max: 3 * blockSize }),
  );
  const blockCount = Math.ceil(size / blockSize);
  return fc.record({ block: fc.nat(blockCount - 1), offset, length }).map((made): Spot => {
    const position = Math.min(made.block * blockSize + made.offset, size);
    return [position, Math.min(made.length, size - position)];
  });
}

function reads(spot: Spot): Command {
  return command(`read ${spot.join('+')}`, async (model, { disk }) => {
    const [position, length] = onDisk(spot, model);
    const found = await disk.readBytes(position, length);
    expect(firstDifference(found, model.bytes.subarray(position, position + length))).toBe(-1);
  });
}

function writes(spot: Spot, seed: number): Command {
  return command(`write ${spot.join('+')} #${seed}`, async (model, { disk }) => {
    const [position, length] = onDisk(spot, model);
    const source = seed === 0 ? new Uint8Array(length) : pattern(length, seed);
    model.bytes.set(source, position);
    touch(model, [position, length]);
    await disk.write(source, position);
  });
}

function discards(spot: Spot): Command {
  return command(`discard ${spot.join('+')}`, async (model, { disk }) => {
    const [position, length] = onDisk(spot, model);
    model.bytes.fill(0, position, position + length);
    touch(model, [position, length]);
    await disk.discard(position, length);
  });
}

/** Calls that are made at once and waited for together: where they overlap, they take effect in their order. */
function writesAtOnce(spotsAtOnce: readonly Spot[], seed: number): Command {
  const name = spotsAtOnce.map((spot) => spot.join('+')).join(' and ');
  return command(`write ${name} #${seed} at once`, async (model, { disk }) => {
    const { bytes } = model;
    const calls = spotsAtOnce.map(async (spot, index) => {
      const [position, length] = onDisk(spot, model);
      const source = pattern(length, seed + index);
      bytes.set(source, position);
      touch(model, [position, length]);
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

function streamsIn(spot: Spot, seed: number): Command {
  return command(`stream in ${spot.join('+')} #${seed}`, async (model, { disk }) => {
    const [position, length] = onDisk(spot, model);
    const source = pattern(length, seed);
    model.bytes.set(source, position);
    touch(model, [position, length]);
    const chunks = Array.from({ length: Math.ceil(length / 777) }, (_, index) =>
      source.subarray(index * 777, (index + 1) * 777),
    );
    await pipeline(Readable.from(chunks), createWriteStream(disk, { start: position }));
  });
}

function streamsOut(spot: Spot): Command {
  return command(`stream out ${spot.join('+')}`, async (model, { disk }) => {
    const [start, length] = onDisk(spot, model);
    const found = Buffer.concat((await collect(createReadStream(disk, { start, length }))) as Uint8Array[]);
    expect(found).toHaveLength(length);
    expect(firstDifference(found, model.bytes.subarray(start, start + length))).toBe(-1);
  });
}

function extents(spot: Spot): Command {
  return command(`extents ${spot.join('+')}`, async (model, { disk }) => {
    const [start, length] = onDisk(spot, model);
    let end = start;
    let previous: Extent | undefined;
    for (const extent of await collect(disk.extents({ start, length }))) {
      expect(extent.start).toBe(end);
      expect(extent.kind === previous?.kind && extent.depth === previous.depth).toBe(false);
      end += extent.length;
      previous = extent;
      if (extent.kind === 'zero') expect(isAllZeros(model.bytes.subarray(extent.start, end))).toBe(true);
      if (model.chain !== undefined) expectOwner({ ...model, chain: model.chain }, extent);
    }
    expect(end).toBe(start + length);
  });
}

const FLUSH = command('flush', (_model, { disk }) => disk.flush());

function reopens(how: 'after close' | 'read-only' | 'as flushed'): Command {
  return command(`reopen ${how}`, async (model, real) => {
    if (how === 'as flushed') await real.disk.flush();
    else await real.disk.close();
    const image = real.storage.toBytes();
    const readOnly = await openOver(forReading({ image }), parentsOf(model));
    expect(firstDifference(await readOnly.readBytes(0, readOnly.size), model.bytes)).toBe(-1);
    const isOdd = ({ severity, rule }: Finding): boolean => severity !== 'note' && rule !== 'footer.size-sectors';
    expect(readOnly.findings.filter(isOdd)).toEqual([]);
    if (how === 'read-only') expect(firstDifference(image, real.storage.toBytes())).toBe(-1);
    Object.assign(real, await open(model, image, real.opening));
  });
}

async function open(model: Model, image: Uint8Array, opening: Opening): Promise<Real> {
  const storage = new MemoryStorage(image);
  return { storage, disk: await openOver(storage, parentsOf(model), { writable: true, ...opening }), opening };
}

/** Blocks that hold nothing go, the others move together; who decides a sector may be another one then. */
const COMPACT = command('compact', async (model, real) => {
  await real.disk.close();
  const storage = new MemoryStorage(real.storage.toBytes());
  const image = (await examine(storage)) as SoundExamination;
  if (image.type !== 'fixed') {
    const disk = await openOver(forReading({ image: storage.toBytes() }), parentsOf(model));
    const found = await findBlocks(storage, image);
    const work = await planCompaction(storage, image, found, {
      disk: image.type === 'differencing' ? disk.parent : disk,
    });
    await compactBlocks(storage, image, work, {});
    await disk.close();
  }
  const compacted = storage.toBytes();
  Object.assign(real, await open(model, compacted, real.opening));
  expect(firstDifference(await real.disk.readBytes(0, real.disk.size), model.bytes)).toBe(-1);
  const [child, ...parents] = model.chain ?? [];
  if (child === undefined) return;
  const link = { ...child, image: compacted, content: model.bytes.slice(), sectors: await sectorsOf(real.disk) };
  model.chain = [link, ...parents];
  model.touched.fill(0);
});

/** A new child on top, in which the program goes on; what was the child is only read from then on. */
function snapshots(shape: ModelShape): Command {
  const name = `snapshot with ${shape.size} bytes in blocks of ${shape.blockSize}`;
  const run = async (model: Model, real: Real): Promise<void> => {
    const [child] = model.chain ?? [];
    if (child === undefined) return;
    const sectors = await sectorsOf(real.disk);
    await real.disk.close();
    const link: ChainLink = { ...child, image: real.storage.toBytes(), content: model.bytes.slice(), sectors };
    const parents = [link, ...parentsOf(model)];
    const alignment = shape.size % 1024 === 0 ? 'aligned' : 'packed';
    const image = startOn(buildOver(parents, { ...shape, alignment }), model);
    Object.assign(real, await open(model, image, real.opening));
  };
  return { check: ({ chain }) => (chain?.length ?? MAX_LINKS) < MAX_LINKS, run, toString: () => name };
}

const MAX_LINKS = 4;

/** What a disk holds of each of its sectors. */
async function sectorsOf(disk: VhdDisk): Promise<ChainLink['sectors']> {
  const sectors: ChainLink['sectors'][number][] = [];
  for (const { start, length, kind, depth } of await collect(disk.extents())) {
    for (let sector = Math.floor(start / 512); sector * 512 < start + length; sector++) {
      sectors[sector] = depth > 0 ? 'nothing' : kind;
    }
  }
  return sectors;
}

/** Makes the model that of a chain, and gives the image of its child. */
function startOn(chain: Chain, model: Model): Uint8Array {
  const [child] = chain;
  if (child === undefined) throw new Error('a chain has a link');
  model.chain = chain;
  model.bytes = Uint8Array.from(child.content);
  model.touched = new Uint8Array(child.size);
  return child.image;
}

/** Every level alone holds what it held when the next was made. */
function readsEveryLevel(): Command {
  return command('read every level', async (model) => {
    for (const [depth, { image, content }] of parentsOf(model).entries()) {
      const disk = await openOver(forReading({ image }), parentsOf(model).slice(depth + 1));
      expect(firstDifference(await disk.readBytes(0, disk.size), content), `depth ${depth + 1}`).toBe(-1);
      await disk.close();
    }
  });
}

/** Programs for disks of a shape; with shapes of children they make snapshots, too. */
export function programs(shape: ModelShape, children: readonly ModelShape[] = []): fc.Arbitrary<Iterable<Command>> {
  const spot = spots(shape);
  const commands = [
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
    fc.constant(COMPACT),
    fc.constantFrom('after close', 'read-only', 'as flushed').map(reopens),
  ];
  const [first, ...others] = children;
  if (first !== undefined) commands.push(fc.constantFrom(first, ...others).map(snapshots));
  return fc.commands(commands, { maxCommands: 60, size: 'max' });
}

/** Runs a program on an image, and compares everything at its end. */
export async function runModel(
  commands: Iterable<Command>,
  { image, content }: { image: Uint8Array; content: Uint8Array },
  opening: Opening = {},
): Promise<void> {
  const model: Model = { bytes: Uint8Array.from(content), touched: new Uint8Array(0), chain: undefined };
  await run(commands, model, image, opening);
}

/** Runs a program on the child of a chain; its parents lie in storages that refuse to be written to. */
export async function runChainModel(commands: Iterable<Command>, chain: Chain, opening: Opening = {}): Promise<void> {
  const model: Model = { bytes: new Uint8Array(0), touched: new Uint8Array(0), chain };
  const image = startOn(chain, model);
  await run([...commands, readsEveryLevel()], model, image, opening);
}

async function run(commands: Iterable<Command>, model: Model, image: Uint8Array, opening: Opening): Promise<void> {
  const everything: Spot = [0, Number.MAX_SAFE_INTEGER];
  await fc.asyncModelRun(
    async () => ({ model, real: await open(model, image, opening) }),
    [...commands, reads(everything), extents(everything), reopens('after close')],
  );
}
