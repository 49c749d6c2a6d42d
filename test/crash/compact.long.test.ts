import { describe, expect, it } from 'vitest';
import { compactBlocks } from '../../src/disk/compact-blocks.ts';
import { planCompaction } from '../../src/disk/compact-image.ts';
import { findBlocks } from '../../src/disk/open-blocks.ts';
import { examine, type SoundExamination } from '../../src/disk/recognise.ts';
import { encodeFooter } from '../../src/format/footer.ts';
import type { Finding } from '../../src/format/rules.ts';
import { FOOTER_BYTES, SECTOR_BYTES } from '../../src/format/spec.ts';
import { dataRuns, isAllZeros } from '../../src/format/zeros.ts';
import { checkImage } from '../../src/ops/check-image.ts';
import { borrowed } from '../../src/storage/borrowed.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { ArrayStorage } from '../support/array-storage.ts';
import { type Chain, forReading, openOver, randomChain } from '../support/build-chain.ts';
import {
  type BlockShape,
  buildImage,
  contentOf as contentOfShape,
  footerOf,
  type ImageShape,
} from '../support/build-image.ts';
import { firstDifference } from '../support/bytes.ts';
import { CrashStorage, LOSSES } from '../support/crash-storage.ts';
import { checkParameters, mix, Random } from '../support/seed.ts';
import { structuralFault } from './structure.ts';

const KiB = 1024;
const CHOICE = { sizes: [20 * KiB, 11 * KiB + 512, 90 * KiB], blockSizes: [512, 4 * KiB] } as const;
/** Crashes tried at each moment. */
const PICKS = 3;
/** Of all states that crashes leave, so many of an image are looked at. */
const STATES = 25;
const { numRuns: RUNS, seed: SEED = 1 } = checkParameters(40);

interface Case {
  readonly image: Uint8Array;
  readonly content: Uint8Array;
  readonly parents: Chain;
  /** What both ends of the file are in the end. */
  readonly footer: Uint8Array;
  /** The storage tells of its holes. */
  readonly isSparse: boolean;
}

/** The same storage, which tells the sectors that are zero now as holes. */
function withHoles(storage: Storage): Storage {
  return {
    ...borrowed(storage),
    findData: async (position, length) => {
      const bytes = new Uint8Array(length);
      await storage.read(bytes, position);
      const [run] = dataRuns(bytes, SECTOR_BYTES, position);
      return run === undefined ? undefined : { start: position + run.start, length: run.length };
    },
  };
}

async function compact(crashing: Storage, { parents, isSparse }: Case): Promise<number> {
  const storage = isSparse ? withHoles(crashing) : crashing;
  const image = (await examine(storage)) as SoundExamination;
  expect(image.refusal).toBeUndefined();
  const disk = await openOver(storage, parents);
  const work = await planCompaction(storage, image, await findBlocks(storage, image), {
    disk: parents.length === 0 ? disk : disk.parent,
  });
  await compactBlocks(storage, image, work, {});
  return work.plan.dropped.length + work.plan.movedCount;
}

async function contentOf(bytes: Uint8Array, { parents }: Case): Promise<Uint8Array> {
  const disk = await openOver(forReading({ image: bytes }), parents);
  return disk.readBytes(0, disk.size);
}

/** What is wrong with its structure; of the header only the place of the table and the checksum may be others. */
function faultOf(bytes: Uint8Array, { image }: Case): string | undefined {
  const [before, after] = [image, bytes].map((file) => {
    const header = Uint8Array.from(file.subarray(512, 1536));
    header.fill(0, 16, 24).fill(0, 36, 40);
    return header;
  });
  if (firstDifference(after ?? bytes, before ?? image) !== -1) return 'the header is another one';
  return structuralFault(bytes);
}

/** An image that was written to and discarded from, so that it has gaps, zeros and more room than it needs. */
async function worn(chain: Chain, random: Random): Promise<Case> {
  const [child, ...parents] = chain;
  if (child === undefined) throw new Error('a chain has a link');
  const storage = new ArrayStorage(Uint8Array.from(child.image));
  const content = Uint8Array.from(child.content);
  const disk = await openOver(storage, parents, { writable: true });
  for (let count = random.below(12); count > 0; count--) {
    const position = random.below(Math.ceil(child.size / child.blockSize)) * child.blockSize;
    const length = Math.min(child.size - position, child.blockSize * (1 + random.below(4)));
    const fill = random.pick(['zeros', 'bytes', 'discard', 'parent'] as const);
    const bytes = new Uint8Array(length).fill(fill === 'bytes' ? 1 + random.below(255) : 0);
    if (fill === 'parent' && parents[0] !== undefined) {
      bytes.set(parents[0].content.subarray(position, position + length));
    }
    content.set(bytes, position);
    await (fill === 'discard' ? disk.discard(position, length) : disk.write(bytes, position));
    if (random.oneIn(3)) await disk.flush();
  }
  await disk.flush();
  // As after a crash, or closed, which gives back what was reserved.
  if (random.oneIn(2)) await disk.close();
  const image = Uint8Array.from(storage.bytes);
  return { image, content, parents, footer: image.slice(0, FOOTER_BYTES), isSparse: random.oneIn(2) };
}

function crashesWhile(storage: CrashStorage, run: number, picks = PICKS): Map<string, Uint8Array> {
  const crashed = new Map<string, Uint8Array>();
  let moment = 0;
  storage.onMoment = () => {
    moment++;
    for (let pick = 0; pick < picks; pick++) {
      const chosen = new Random(mix(mix(run, moment), pick));
      const file = storage.crash(pick === 0 ? 'killed' : chosen.pick(LOSSES), chosen);
      if (!crashed.has(file.key)) crashed.set(file.key, file.toBytes());
    }
  };
  return crashed;
}

/** It reads the same, its structure is sound, and compacting it again makes the same of it as if nothing had happened. */
async function expectRecovery(bytes: Uint8Array, one: Case, wantedSize: number): Promise<void> {
  expect(firstDifference(await contentOf(bytes, one), one.content)).toBe(-1);
  expect(faultOf(bytes, one)).toBeUndefined();
  const storage = new ArrayStorage(Uint8Array.from(bytes));
  await compact(storage, one);
  expect(storage.bytes.length).toBeLessThanOrEqual(wantedSize);
  await expectCompact(storage.bytes, one);
}

async function expectCompact(bytes: Uint8Array, one: Case): Promise<void> {
  expect(firstDifference(await contentOf(bytes, one), one.content)).toBe(-1);
  expect(faultOf(bytes, one)).toBeUndefined();
  const storage = forReading({ image: bytes });
  const { findings } = await checkImage(storage, { deep: true, nowMilliseconds: 1e12 });
  const { layout, usedEnd } = await findBlocks(storage, (await examine(storage)) as SoundExamination);
  // With data on 4 KiB such small blocks have room for others between them.
  const isLeak = ({ rule }: Finding): boolean => rule === 'file.leaked' && layout.alignment === 'packed';
  expect(findings.filter((item) => item.severity === 'error' || isLeak(item))).toEqual([]);
  const ends = [bytes.subarray(0, FOOTER_BYTES), bytes.subarray(-FOOTER_BYTES)];
  expect(ends.map((end) => firstDifference(end, one.footer))).toEqual([-1, -1]);
  expect(isAllZeros(bytes.subarray(usedEnd, -FOOTER_BYTES))).toBe(true);
}

/** What is only seen where the file has a certain shape: a footer is lost, or the new one comes to lie over the old table. */
function special(name: string): Case {
  const { shape, isSparse = false } = SPECIAL[name] ?? {};
  if (shape === undefined) throw new Error(`there is no ${name}`);
  return {
    ...{ image: buildImage(shape), content: contentOfShape(shape), parents: [] },
    ...{ footer: encodeFooter(footerOf(shape)), isSparse },
  };
}

/** Blocks of one sector, the last of them zeros; each takes 1024 bytes, its bitmap included. */
function smallBlocks(entryCount: number, blocks: readonly BlockShape[]): ImageShape {
  return { size: entryCount * 512, blockSize: 512, blocks };
}

const TWO = [
  { index: 1, data: 7 },
  { index: 0, data: 0 },
];
const THREE = [{ index: 2, data: 0 }, { index: 1, data: 7 }, ...TWO.slice(1)];

/** Behind the first block, which ends at 8704. */
const OLD_BYTES = { offset: 9000, bytes: new Uint8Array(100).fill(0xee) };

/** Room for a block, full of what once was there. */
const GAP = {
  start: 2048,
  length: 512 + 16 * KiB,
  blockSize: 16 * KiB,
  bytes: new Uint8Array(512 + 16 * KiB).fill(0xee),
};

const SPECIAL: Readonly<Record<string, { readonly shape: ImageShape; readonly isSparse?: boolean }>> = {
  // 1024 bytes of table, and as many below it that the second block leaves.
  'a table one length above its target, packed': {
    shape: { ...smallBlocks(256, TWO), tableOffset: 'behind-blocks' },
  },
  // 4096 bytes of table; the new footer stands 3584 bytes behind a multiple of 4096, in the middle of the old table.
  'a table above its target, aligned': {
    shape: { ...smallBlocks(1024, TWO), tableOffset: 'behind-blocks', alignment: 'aligned' },
  },
  'no footer at the end': { shape: { ...smallBlocks(64, THREE), endFooter: 'none' } },
  'no footer at the start': { shape: { ...smallBlocks(64, THREE), startFooter: new Uint8Array(512) } },
  'old bytes before the new footer': {
    shape: { ...smallBlocks(64, [...TWO, { index: 9, data: 0 }]), alignment: 'aligned', patches: [OLD_BYTES] },
  },
  'zeros that move over old bytes': {
    shape: {
      ...{ size: 4 * GAP.blockSize, blockSize: GAP.blockSize, blocksFrom: GAP.start + GAP.length },
      ...{ blocks: [{ index: 2, data: Uint8Array.of(7) }], patches: [{ offset: GAP.start, bytes: GAP.bytes }] },
    },
    isSparse: true,
  },
  'blocks that move over holes': { shape: smallBlocks(64, THREE), isSparse: true },
};

describe('compacting in place', () => {
  it.each(Object.keys(SPECIAL))('survives a crash anywhere: %s', async (name) => {
    const one = special(name);
    const storage = new CrashStorage(one.image);
    const crashed = crashesWhile(storage, SEED, 40);
    expect(await compact(storage, one)).toBeGreaterThan(0);
    const last = storage.crash('nothing-durable-only', new Random(SEED)).toBytes();
    await expectCompact(last, one);
    expect(last.length).toBeLessThan(one.image.length);
    for (const bytes of crashed.values()) await expectRecovery(bytes, one, last.length);
  });

  it(
    'leaves, wherever it stops, an image that reads the same, and is finished by doing it again',
    async () => {
      let [states, changed] = [0, 0];
      for (let run = 0; run < RUNS; run++) {
        const random = new Random(mix(SEED, run));
        let chain = randomChain(CHOICE, 1 + random.below(3), random);
        while (chain[0]?.type === 'fixed') chain = randomChain(CHOICE, 1, random);
        const one = await worn(chain, random);
        const storage = new CrashStorage(one.image);
        const crashed = crashesWhile(storage, run);
        if ((await compact(storage, one)) > 0) changed++;
        const last = storage.crash('nothing-durable-only', random).toBytes();
        await expectCompact(last, one);
        const found = [...crashed.values()];
        while (found.length > STATES) found.splice(random.below(found.length), 1);
        for (const bytes of found) await expectRecovery(bytes, one, last.length);
        states += found.length;
      }
      expect(changed).toBeGreaterThan(RUNS / 2);
      expect(states).toBeGreaterThan(RUNS * 5);
    },
    RUNS * 10_000,
  );
});
