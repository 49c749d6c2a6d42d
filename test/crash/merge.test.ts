import { describe, expect, it } from 'vitest';
import type { Disk } from '../../src/disk/disk.ts';
import { restoreFixedEnd } from '../../src/disk/grow-image.ts';
import { openVhdStorage } from '../../src/disk/open-storage.ts';
import { examine, type SoundExamination } from '../../src/disk/recognise.ts';
import { VhdError } from '../../src/errors.ts';
import { UnreadDisk } from '../../src/ops/merge-chain.ts';
import { carryOutMerge } from '../../src/ops/merge-copy.ts';
import { planCopy } from '../../src/ops/merge-plan.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { ArrayStorage } from '../support/array-storage.ts';
import { type Chain, openOver, randomChain } from '../support/build-chain.ts';
import { firstDifference } from '../support/bytes.ts';
import { CrashStorage, LOSSES } from '../support/crash-storage.ts';
import { checkParameters, mix, Random } from '../support/seed.ts';

const KiB = 1024;
const CHOICE = { sizes: [20 * KiB, 11 * KiB + 512, 90 * KiB], blockSizes: [512, 4 * KiB] } as const;
/** Crashes tried at each moment. */
const PICKS = 3;
/** Of all states that crashes leave, so many of a chain are looked at. */
const STATES = 25;
const { numRuns: RUNS, seed: SEED = 1 } = checkParameters(9);

function linkStorage(image: Uint8Array): Storage {
  return new MemoryStorage(image, { writable: false });
}

/** Opens the links above over a disk, or over nothing where they have no more to say. */
async function openAbove(above: Chain, base: Disk): Promise<Disk> {
  let disk = base;
  for (const { image } of [...above].reverse()) disk = await openVhdStorage(linkStorage(image), { parent: disk });
  return disk;
}

async function openBelow(below: Chain): Promise<Disk | undefined> {
  const [first, ...rest] = below;
  return first === undefined ? undefined : openOver(linkStorage(first.image), rest);
}

interface Case {
  readonly above: Chain;
  readonly below: Chain;
  readonly image: Uint8Array;
}

/** What `merge` does between writing its journal and removing it; false if it is refused. */
async function mergeInto(storage: Storage, { above, below, image }: Case): Promise<boolean> {
  const target = (await examine(storage)) as SoundExamination;
  expect(target.refusal).toBeUndefined();
  const source = await openAbove(above, new UnreadDisk('target', target.virtualSize));
  const input = { storage, target, source, depth: above.length, fileSizeBefore: image.length };
  try {
    const plan = await planCopy({ ...input, below: await openBelow(below) }, {});
    await carryOutMerge({ plan, storage, source, below: await openBelow(below), type: target.type }, {});
  } catch (error) {
    if (error instanceof VhdError && error.code === 'ERR_VHD_PARENT_SIZE') return false;
    throw error;
  }
  return true;
}

async function targetDisk(bytes: Uint8Array, { below }: Case): Promise<Disk> {
  const parent = await openBelow(below);
  return openVhdStorage(new ArrayStorage(bytes), { parent });
}

async function contentOf(disk: Disk): Promise<Uint8Array> {
  const bytes = new Uint8Array(disk.size);
  await disk.read(bytes, 0);
  return bytes;
}

async function expectRecovery(bytes: Uint8Array, one: Case, wanted: { child: Uint8Array; target: Uint8Array }) {
  const storage = new ArrayStorage(Uint8Array.from(bytes));
  if ((await examine(storage)).type === undefined) {
    expect(await restoreFixedEnd(storage, one.image.length, () => true)).toBe(true);
  }
  const child = await openAbove(one.above, await targetDisk(Uint8Array.from(storage.bytes), one));
  expect(firstDifference(await contentOf(child), wanted.child)).toBe(-1);
  await mergeInto(storage, one);
  expect(firstDifference(await contentOf(await targetDisk(storage.bytes, one)), wanted.target)).toBe(-1);
}

describe('a merge in place', () => {
  it(
    'leaves, wherever it stops, a child that reads the same, and is finished by doing it again',
    async () => {
      let states = 0;
      for (let run = 0; run < RUNS; run++) {
        const random = new Random(mix(SEED, run));
        const chain = randomChain(CHOICE, 2 + random.below(3), random);
        const position = 1 + random.below(chain.length - 1);
        const [child, target] = [chain[0], chain[position]];
        if (child === undefined || target === undefined) throw new Error('the chain has these');
        const one: Case = { above: chain.slice(0, position), below: chain.slice(position + 1), image: target.image };
        const merged = new Uint8Array(Math.max(child.size, target.size));
        merged.set(target.content);
        merged.set(child.content);
        const wanted = { child: child.content, target: merged };
        const storage = new CrashStorage(target.image);
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
        if (!(await mergeInto(storage, one))) continue;
        const last = storage.crash('nothing-durable-only', random).toBytes();
        expect(firstDifference(await contentOf(await targetDisk(last, one)), merged), `run ${run}`).toBe(-1);
        const found = [...crashed.values()];
        while (found.length > STATES) found.splice(random.below(found.length), 1);
        for (const bytes of found) await expectRecovery(bytes, one, wanted);
        states += found.length;
      }
      expect(states).toBeGreaterThan(RUNS * 5);
    },
    RUNS * 10_000,
  );
});
