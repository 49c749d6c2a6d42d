import { describe, expect, it } from 'vitest';
import { compactBlocks } from '../../src/disk/compact-blocks.ts';
import { planCompaction } from '../../src/disk/compact-image.ts';
import { findBlocks } from '../../src/disk/open-blocks.ts';
import { examine, type SoundExamination } from '../../src/disk/recognise.ts';
import type { Finding } from '../../src/format/rules.ts';
import { checkImage } from '../../src/ops/check-image.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { ArrayStorage } from '../support/array-storage.ts';
import { type Chain, forReading, openOver, randomChain } from '../support/build-chain.ts';
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
}

async function compact(storage: Storage, { parents }: Case): Promise<number> {
  const image = (await examine(storage)) as SoundExamination;
  expect(image.refusal).toBeUndefined();
  const disk = await openOver(storage, parents);
  const work = await planCompaction(storage, image, { disk: parents.length === 0 ? disk : disk.parent });
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
  return { image: Uint8Array.from(storage.bytes), content, parents };
}

function crashesWhile(storage: CrashStorage, run: number): Map<string, Uint8Array> {
  const crashed = new Map<string, Uint8Array>();
  let moment = 0;
  storage.onMoment = () => {
    moment++;
    for (let pick = 0; pick < PICKS; pick++) {
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
  const { layout } = await findBlocks(storage, (await examine(storage)) as SoundExamination);
  // With data on 4 KiB such small blocks have room for others between them.
  const isLeak = ({ rule }: Finding): boolean => rule === 'file.leaked' && layout.alignment === 'packed';
  expect(findings.filter((item) => item.severity === 'error' || isLeak(item))).toEqual([]);
}

describe('compacting in place', () => {
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
